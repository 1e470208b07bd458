// PythonRandom: the random numbers that a Python program draws after random.seed(n).
//
//      PythonRandom random(444);
//      random.randint(0, 10);      4, as in Python: random.seed(444); random.randint(0, 10)
//
// A demo that is written after a Python program draws the same numbers as that program, so that the two runs can be
// laid side by side, line by line. Three things make a draw, and all three are as in CPython (Lib/random.py and
// Modules/_randommodule.c), since Python 3.2:
//
//      seed      the bits of n, 32 at a time, through init_by_array
//      words     MT19937, the Mersenne Twister: 624 words of state; each word drawn is one of them, tempered
//      randint   as many of a word's upper bits as the range needs; drawn again while they are beyond it
//
//      seed -> [ w0 w1 .. w623 ] --temper--> 32 bits --keep the upper 4--> 0..15 --11 or more: again--> 0..10
//                   ^    |
//                   '----'  when all are used: twist
//
// The generator and its seeding: M. Matsumoto and T. Nishimura, "Mersenne Twister: A 623-Dimensionally Equidistributed
// Uniform Pseudo-Random Number Generator", ACM Transactions on Modeling and Computer Simulation 8 (1998), and their
// mt19937ar of 2002. Not for secrets: who has seen 624 words knows all that follow.
//
// Thread rule: one thread at a time. Several tasks of one loop may share one: a draw never stops in the middle.
//
// Read next: demos/python_random.cc, demos/make_random.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace pollard {

class PythonRandom {
public:
    /// As random.seed(seed).
    explicit PythonRandom(std::uint64_t seed);

    /// From `low` to `high`, both included and in this order; each equally likely. Less than 2^32 apart.
    std::int64_t randint(std::int64_t low, std::int64_t high);
    /// 32 bits.
    std::uint32_t word();

private:
    static constexpr std::size_t size = 624;

    void seed_with_one_word(std::uint32_t seed);
    void seed_with_array(std::span<const std::uint32_t> key);
    /// Makes the next 624 words of the last 624.
    void twist();

    std::array<std::uint32_t, size> words_;
    std::size_t used_ = size;
};

}  // namespace pollard
