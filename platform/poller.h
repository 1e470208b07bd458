// Contract 1, readiness: "you may try now".
//
// The kernel is asked to watch a descriptor; it answers that a call on it would probably not block.
// "Probably": a spurious event is legal, and whoever tries must be ready for would-block. epoll, kqueue and
// poll(2) speak so. A backend of this kind implements the six functions of PollerType, and becomes a
// completion port by the one adapter in platform/attempt/.
//
// The life of a descriptor here:
//
//      add(handle, token)           before anything else; the token comes back in events
//      arm(handle, direction)       "I tried, it would block": promises at least one event after the direction
//                                   becomes ready; that event disarms the direction
//      ... wait() -> PollerEvent{token, readable|writable|...}
//      remove(handle)               before the handle is closed, always
//
// epoll and kqueue register both directions at `add`, edge-triggered, and have no `arm` to call. poll(2) sets a
// bit and an event clears it. A wait after `arm` may report directions nobody armed; that is legal too.
//
// Thread rule: all functions on the owner's thread, except `wake`, which may be called from any thread and
// from a signal handler, also while another thread waits.
//
// Read next: platform/epoll/epoll_poller.cc, the shortest real one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "platform/handle.h"
#include "platform/operation.h"
#include "platform/result.h"

namespace pollard {

struct Kernel;
struct Poller;

/// Names a registration. The generation tells a reused descriptor number from its former owner, so that an
/// event fetched in one batch cannot hit a stranger.
struct Token {
    Handle handle = no_handle;
    std::uint32_t generation = 0;
    bool operator==(const Token&) const = default;
};

/// What has happened on a registration: bits of PollerEvent::what. The first five have the numbers that poll(2) and
/// epoll(7) gave them long ago, so that those two need no translation.
enum class EventBits : std::uint32_t {
    readable = 0x01,
    urgent = 0x02,  // out-of-band data is there (TCP's urgent mark)
    writable = 0x04,
    error = 0x08,
    hang_up = 0x10,  // the peer has closed its side, or both: behind the data comes the end, or an error
};
constexpr EventBits operator|(EventBits a, EventBits b) {
    return static_cast<EventBits>(static_cast<std::uint32_t>(a) | static_cast<std::uint32_t>(b));
}
constexpr bool any(EventBits what, EventBits of_these) {
    return (static_cast<std::uint32_t>(what) & static_cast<std::uint32_t>(of_these)) != 0;
}

struct PollerEvent {
    Token token;
    EventBits what;
};

struct PollerType {
    const char* name;
    /// Errors: out_of_memory; descriptors_exhausted, no_space; not_supported for a kind of handle this kernel cannot
    /// watch (a regular file on epoll); invalid_argument when it is registered already.
    Result<void> (*add)(Poller&, Token token);
    /// Null where the kernel keeps both directions armed by itself (edge-triggered registrations).
    Result<void> (*arm)(Poller&, Token token, Direction direction);
    /// Also for a handle whose registration is gone: then not_found.
    Result<void> (*remove)(Poller&, Token token);
    /// Waits until there is an event, a wake, or `timeout_ns` have passed (rounded up to what the kernel can;
    /// negative: for ever). Gives the number of events stored; a wake, a time-out and an interruption by a
    /// signal give 0. Error `deadlock`: nothing can ever happen (simulated kernels only).
    Result<std::size_t> (*wait)(Poller&, std::span<PollerEvent> events, std::int64_t timeout_ns);
    /// Makes the present or the next wait return. Wakes coalesce; none is lost.
    void (*wake)(Poller&);
    /// Frees everything; what is still registered is forgotten, not closed.
    void (*close)(Poller&);
};

struct Poller {
    const PollerType* type = nullptr;
    Kernel* kernel = nullptr;

    Result<void> add(Token token) { return type->add(*this, token); }
    Result<void> arm(Token token, Direction direction) {
        return type->arm != nullptr ? type->arm(*this, token, direction) : Result<void>();
    }
    Result<void> remove(Token token) { return type->remove(*this, token); }
    Result<std::size_t> wait(std::span<PollerEvent> events, std::int64_t timeout_ns) {
        return type->wait(*this, events, timeout_ns);
    }
    void wake() { type->wake(*this); }
    void close() { type->close(*this); }
};

}  // namespace pollard
