// How flags and events are written. What for: flag_names.h.
#include "platform/flag_names.h"

namespace pollard {

void add_flags(Text& text, std::int64_t bits, std::span<const FlagName> names) {
    const std::size_t before = text.size;
    for (const FlagName& flag : names) {
        if ((bits & flag.value) == 0) continue;
        text.add("%s%s", text.size == before ? "" : "|", flag.name);
        bits &= ~flag.value;
    }
    if (bits == 0 && text.size == before)
        text.add("0");
    else if (bits != 0)
        text.add("%s0x%llx", text.size == before ? "" : "|", static_cast<unsigned long long>(bits));
}

void add_name(Text& text, std::int64_t value, std::span<const FlagName> names) {
    for (const FlagName& each : names)
        if (each.value == value) {
            text.add("%s", each.name);
            return;
        }
    text.add("%lld", static_cast<long long>(value));
}

void add_event(Text& text, long long handle, std::int64_t events, std::span<const FlagName> names) {
    text.add("%sfd %lld: ", text.size == 0 ? "" : ", ", handle);
    add_flags(text, events, names);
}

}  // namespace pollard
