// MT19937 with Python's seeding and Python's way from words to numbers in a range.
#include "demos/python_random.h"

#include <algorithm>
#include <bit>

#include "platform/result.h"

namespace pollard {

/// Python takes an integer apart into as many words as it needs, the lowest first; zero is one word.
PythonRandom::PythonRandom(std::uint64_t seed) {
    const std::array key = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
    seed_with_array(std::span(key).first(key[1] == 0 ? 1 : 2));
}

/// Of the 2^bits numbers that the upper bits of a word can say, those beyond the range are thrown away: taking the
/// remainder instead would make some numbers likelier than others.
std::int64_t PythonRandom::randint(std::int64_t low, std::int64_t high) {
    const std::uint64_t count = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
    POLLARD_REQUIRE(low <= high && count <= UINT32_MAX, "randint: from low to high, less than 2^32 apart");
    const int bits = std::bit_width(count);
    for (;;) {
        const std::uint32_t drawn = word() >> (32 - bits);
        if (drawn < count) return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + drawn);
    }
}

std::uint32_t PythonRandom::word() {
    if (used_ == size) twist();
    std::uint32_t word = words_[used_++];
    // Tempering: the state's words are linear in each other, and their upper bits should not show it.
    word ^= word >> 11;
    word ^= word << 7 & 0x9d2c5680U;
    word ^= word << 15 & 0xefc60000U;
    word ^= word >> 18;
    return word;
}

void PythonRandom::twist() {
    constexpr std::size_t middle = 397;
    constexpr std::uint32_t upper_bit = 0x80000000U;
    for (std::size_t i = 0; i < size; ++i) {
        const std::uint32_t joined = (words_[i] & upper_bit) | (words_[(i + 1) % size] & ~upper_bit);
        words_[i] = words_[(i + middle) % size] ^ joined >> 1 ^ ((joined & 1) != 0 ? 0x9908b0dfU : 0);
    }
    used_ = 0;
}

/// The upper bits, which are the better ones, are let into the lower ones.
constexpr std::uint32_t fold(std::uint32_t word) { return word ^ word >> 30; }

void PythonRandom::seed_with_one_word(std::uint32_t seed) {
    words_[0] = seed;
    for (std::uint32_t i = 1; i < size; ++i) words_[i] = 1812433253U * fold(words_[i - 1]) + i;
}

/// init_by_array of mt19937ar: round and round through the state, first adding the key, then the place. After that
/// every word depends on every word of the key.
void PythonRandom::seed_with_array(std::span<const std::uint32_t> key) {
    seed_with_one_word(19650218U);
    std::size_t i = 0;
    const auto go_to_next_word = [&] {
        if (++i < size) return;
        words_[0] = words_[size - 1];  // word 0 has no turn of its own, it stands before word 1
        i = 1;
    };
    for (std::size_t step = 0; step < std::max(size, key.size()); ++step) {
        go_to_next_word();
        const std::size_t j = step % key.size();
        words_[i] = (words_[i] ^ fold(words_[i - 1]) * 1664525U) + key[j] + static_cast<std::uint32_t>(j);
    }
    for (std::size_t step = 1; step < size; ++step) {
        go_to_next_word();
        words_[i] = (words_[i] ^ fold(words_[i - 1]) * 1566083941U) - static_cast<std::uint32_t>(i);
    }
    words_[0] = 0x80000000U;  // so that not all can be zero
}

}  // namespace pollard
