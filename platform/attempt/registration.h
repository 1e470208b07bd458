// Registration: what the attempt adapter knows of one handle.
//
//      start --would block--> occupied --event, its turn--> answered: maybe_ready
//                                                           and nothing is left: blocks --event--> maybe_ready
//
// Read next: attempt_port.cc.
#pragma once

#include <cstdint>

#include "platform/operation.h"

namespace pollard::attempts {

/// What is known of one direction of a handle.
enum class Side : std::uint8_t {
    closed,       // nothing may start: the handle is not open, or about to be closed
    maybe_ready,  // a call is worth trying
    blocks,       // a call would block until the next event
    occupied,     // an operation is parked here; it is tried again after the next event
};

/// What the port knows of one handle: 24 bytes, paid by every connection. All zero: not open.
struct Registration {
    Operation* parked[2];      // by Direction; valid while that side is occupied
    std::uint32_t generation;  // counts the owners of this number
    Side side[2];              // by Direction
    bool short_means_empty;    // a stream, and nothing stands behind its data
    bool stream : 1;           // HandleKind::stream
    bool file : 1;             // HandleKind::file
    bool watched : 1;          // added to the poller
    bool self_arming : 1;      // and that is all it takes: its poller has no `arm`
};
static_assert(sizeof(void*) != 8 || sizeof(Registration) == 24);

constexpr int index_of(Direction direction) { return static_cast<int>(direction); }

}  // namespace pollard::attempts
