// Serving: a listener whose every connection becomes a task.
//
//      struct Session : Coroutine<Session, void, Awaits<...>> { Socket peer; Progress body(); };
//      loop.create_task(Serve<Session>{.listener = ...});
//
// What a server must not do when the process runs out of descriptors is to try again at once, for ever: the
// connection stays in the kernel's queue and accept fails each time. So it pauses, as asyncio's does, and tries
// again later; other connections go on meanwhile, and the end of one of them is what makes room.
//
// Read next: demos/reverse_server.cc.
#pragma once

#include <concepts>

#include "core/coroutine.h"
#include "core/event_loop.h"
#include "core/io/socket.h"
#include "core/sleep.h"

namespace pollard {

/// How long accepting pauses when there are no descriptors left.
inline constexpr std::int64_t accept_pause_ns = 250 * millisecond_ns;

/// Whether accepting may go on after a pause: the process, not the listener, is at its limit. (no_space: the kernel has no
/// more watches for its user.)
inline bool is_passing_trouble(const Error& error) {
    return error.kind == ErrorKind::descriptors_exhausted || error.kind == ErrorKind::out_of_memory ||
           error.kind == ErrorKind::no_space;
}

/// Accepts for ever; ends with the error that the listener ends with. Session is made as Session{.peer = socket}.
template <class Session>
struct Serve : Coroutine<Serve<Session>, void, Awaits<Accept, Sleep>> {
    Listener listener;
    Result<Socket> accepted;

    Progress body() {
        CO_BEGIN;
        for (;;) {
            CO_AWAIT(accepted, listener.accept());
            if (accepted) {
                begin_session();
            } else if (is_passing_trouble(accepted.error())) {
                report_problem("accepting pauses", accepted.error());
                CO_TRY(sleep_ns(accept_pause_ns));
            } else {
                CO_RETURN(accepted.error());
            }
        }
        CO_END;
    }

    /// A connection for which there is no memory is closed; the others go on.
    void begin_session() {
        const auto task = running_loop().create_task(Session{.peer = *std::move(accepted)});
        if (!task) report_problem("a connection was closed at once", task.error());
        accepted = Error(ErrorKind::invalid_state, Call::accept);
    }
};

}  // namespace pollard
