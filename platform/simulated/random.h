// Chance as an input: a generator and a fingerprint, both small enough to check by eye.
//
// `Random` is splitmix64 (Steele, Lea, Flood 2014): one addition and a mix a number, every seed is a good
// one, and the sequence is the same on every machine, which std::uniform_int_distribution does not promise.
// `Digest` is FNV-1a with 64 bits: two runs whose digests agree have made the same calls, with the same bytes
// and the same answers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pollard::simulated {

struct Random {
    std::uint64_t state;

    std::uint64_t next() {
        std::uint64_t mixed = state += 0x9e3779b97f4a7c15;
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
        return mixed ^ (mixed >> 31);
    }
    /// 0 to bound - 1; `bound` is at least 1 and fits in 32 bits.
    std::uint64_t below(std::uint64_t bound) { return ((next() >> 32) * bound) >> 32; }
};

struct Digest {
    std::uint64_t value = 0xcbf29ce484222325;

    void add_bytes(const void* bytes, std::size_t size) {
        const auto* each = static_cast<const unsigned char*>(bytes);
        for (std::size_t index = 0; index < size; ++index) add_byte(each[index]);
    }
    /// Byte by byte, lowest first, so that both byte orders agree.
    void add(std::int64_t number) {
        const auto bits = static_cast<std::uint64_t>(number);
        for (unsigned shift = 0; shift < 64; shift += 8) add_byte(static_cast<unsigned char>(bits >> shift));
    }

private:
    void add_byte(unsigned char byte) { value = (value ^ byte) * 0x100000001b3; }
};

}  // namespace pollard::simulated
