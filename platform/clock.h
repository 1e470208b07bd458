// Time: integer nanoseconds on a clock that never goes back.
//
// Durations and deadlines are std::int64_t with `_ns` in their names; 2^63 ns are 292 years. Each kernel
// rounds them to what it can at its own edge, upwards, so that nothing is early.
#pragma once

#include <cstdint>

namespace pollard {

inline constexpr std::int64_t microsecond_ns = 1'000;
inline constexpr std::int64_t millisecond_ns = 1'000'000;
inline constexpr std::int64_t second_ns = 1'000'000'000;
/// As a deadline: never.
inline constexpr std::int64_t never_ns = INT64_MAX;

/// Milliseconds for a kernel that counts in those: rounded up, and negative (for ever) stays negative.
constexpr int round_up_to_ms(std::int64_t duration_ns) {
    if (duration_ns <= 0) return duration_ns < 0 ? -1 : 0;
    const std::int64_t ms = duration_ns / millisecond_ns + (duration_ns % millisecond_ns != 0 ? 1 : 0);
    return ms > INT32_MAX ? INT32_MAX : static_cast<int>(ms);
}

}  // namespace pollard
