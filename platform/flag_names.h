// Numbers of the system in words: flags, choices, and events of descriptors.
#pragma once

#include <cstdint>
#include <span>

#include "platform/result.h"

namespace pollard {

struct FlagName {
    std::int64_t value;
    const char* name;
};

/// "IN|OUT"; bits without a name as one number; "0" for none.
void add_flags(Text& text, std::int64_t bits, std::span<const FlagName> names);
/// The one name of a value, or its number.
void add_name(Text& text, std::int64_t value, std::span<const FlagName> names);
/// "fd 7: IN|OUT", behind a comma if it is not the first.
void add_event(Text& text, long long handle, std::int64_t events, std::span<const FlagName> names);

/// Of a longer list the rest is dots.
inline constexpr std::intptr_t shown_events = 4;

}  // namespace pollard
