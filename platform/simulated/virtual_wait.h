// Waiting on a clock that only waiting moves. Shared by poll(), the poller and the completion port.
//
//      news already?  -> return at once
//      woken?         -> return
//      else jump to whichever is first: the next delivery (then look for news again), the end of the wait
//      neither, and no end: with wakes expected from outside block the real thread, else it is a deadlock
#pragma once

#include "platform/result.h"
#include "platform/simulated/socket.h"
#include "platform/wake_signal.h"

namespace pollard::simulated {

enum class WaitEnd : std::uint8_t { news, timed_out, woken, interrupted, deadlock };

/// `has_news(context)` is asked at the start and after each delivery. `wake` may be null.
WaitEnd wait_on_virtual_clock(SimulatedKernel&, WakeSignal* wake, std::int64_t timeout_ns,
                              bool (*has_news)(void*), void* context);

/// The door has no call for this kernel's waiting, so no interposed kernel sees it; the ports themselves tell
/// the observer of a kernel call `wait` with the time-out as its first argument. Adds it to the digest too.
void note_wait(SimulatedKernel&, std::int64_t began_ns, std::int64_t timeout_ns, std::size_t capacity,
               std::intptr_t result);

/// Gives up on waiting because nothing can ever happen.
inline Error deadlock_error() { return Error(ErrorKind::deadlock, Call::wait); }

}  // namespace pollard::simulated
