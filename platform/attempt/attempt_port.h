// The attempt adapter: makes a completion port of any Poller.
//
// "Try the call. If it would block, park the operation and ask the poller. When the poller says that the
// direction is ready, try again." That is all there is to completion on top of readiness, written once for
// epoll, kqueue, poll(2) and whatever readiness kernel somebody ports to.
//
//      start --> attempt --done--> true                   (answered inline, no callback)
//                   |would block
//                   v
//                 park: in the handle's registration, poller armed
//                   |  event
//                   v
//                 due: stands in the ready queue
//                   |  its turn
//                   v
//                 attempt again --done--> completed(operation)
//                   +--would block after all--> park
//
// The second attempt is made when the operation's turn in the ready queue comes, not when the event comes: so
// one borrowed buffer serves a thousand connections one after another.
//
// Calls whose answer is known are not made. After a receive on a stream gave less than was asked for, the
// socket is empty, and the next receive parks at once: an echo costs one recv and one send. That does not
// hold when the last event carried a hang-up, an error or the urgent mark, or when the handle is no stream:
// then there may be something behind the short read (the end of the stream, the bytes after the urgent one,
// the next datagram) for which no new event will come, so it asks until would-block.
//
// Read next: attempt_port.cc (parking), attempts.h (the calls).
#pragma once

#include "platform/completion_port.h"
#include "platform/poller.h"

namespace pollard {

/// Of a poller that was just opened. The port owns it and ends it; then it calls `cleanup(context)`, if not null, for
/// what else went with it. Errors: the poller's own, when there is none; out_of_memory, and the poller is closed.
Result<CompletionPort*> open_attempt_port(const Result<Poller*>& opened,
                                          void (*cleanup)(void* context) = nullptr, void* context = nullptr);

}  // namespace pollard
