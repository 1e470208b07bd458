// A program made of chance, from its seed to its end.
//
// Read next: tests/random_vocabulary/world.h, the rules that it must keep.
#pragma once

#include <cstdint>
#include <string>

#include "tests/random_vocabulary/world.h"

namespace pollard::random_vocabulary {

struct Outcome {
    std::uint64_t trace;
    std::string failure;
};

enum class Watched : std::uint8_t { no, by_an_observer, in_debug_mode };

Outcome run_program(std::uint64_t seed, Authors authors, Watched watched, bool prints);

}  // namespace pollard::random_vocabulary
