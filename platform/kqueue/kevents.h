// A kevent, with every type taken from the system's own <sys/event.h>; and changes, with the answer to each.
//
// What a field's type is differs: NetBSD's filters are unsigned and start at 0, others' are negative; `udata` is a
// pointer, or in older NetBSDs a number; FreeBSD's structure is twice as large as the others'. So nothing here says a
// type by its name, and a structure is zeroed before a field is set.
#pragma once

#include <sys/types.h>
// After <sys/types.h>, which older systems want first.
#include <sys/event.h>
#include <time.h>

#include <cerrno>
#include <cstdint>
#include <span>

#include "platform/kernel.h"
#include "platform/poller.h"

namespace pollard {

using RawEvent = struct kevent;
using Filter = decltype(RawEvent::filter);
using Flags = decltype(RawEvent::flags);

/// The token's number is the identifier. Its generation travels as `udata`; only a C-style cast makes both of what
/// that may be. Some systems take over the `udata` of every change, so it is in each.
inline RawEvent change_of(Token token, Filter filter, Flags flags) {
    RawEvent change = {};
    change.ident = static_cast<decltype(change.ident)>(token.handle);
    change.filter = filter;
    change.flags = flags;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): nobody follows it
    change.udata = (decltype(change.udata))(static_cast<std::uintptr_t>(token.generation));
    return change;
}

inline Token token_of(const RawEvent& raw) {
    return {static_cast<Handle>(raw.ident), static_cast<std::uint32_t>((std::uintptr_t)raw.udata)};
}

/// Makes up to two changes and looks at each one's receipt; gives the first errno, 0 for none. An EPIPE is none: old
/// versions of macOS say so of a pipe whose other end is gone, and watch it.
///
/// With EV_RECEIPT each change has an answer (`data` 0: it worked), no event is taken with them, and the call does not
/// wait. Without, one bad change that finds no room for its answer drops the rest of the list.
inline std::int32_t apply(Kernel& kernel, Handle queue, std::span<RawEvent> changes) {
    RawEvent receipts[2] = {};
    POLLARD_REQUIRE(changes.size() <= std::size(receipts), "make room for a receipt of each change");
    for (RawEvent& change : changes) change.flags |= EV_RECEIPT;
    const int count = static_cast<int>(changes.size());
    const timespec at_once = {};
    const std::intptr_t answered =
        kernel.kevent(kernel, queue, changes.data(), count, receipts, count, &at_once);
    if (answered < 0) return static_cast<std::int32_t>(-answered);
    for (const RawEvent& receipt : receipts)
        if ((receipt.flags & EV_ERROR) != 0 && receipt.data != 0 && receipt.data != EPIPE)
            return static_cast<std::int32_t>(receipt.data);
    return 0;
}

}  // namespace pollard
