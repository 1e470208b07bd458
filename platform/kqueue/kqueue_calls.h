// The two calls of kqueue(2): behind the door, and in words.
//
// Apart from the rest of the door because only the system's own <sys/event.h> knows what a kevent is made of. Where
// there is none, the calls answer -ENOSYS and have no words.
#pragma once

#include "platform/kernel.h"

namespace pollard {

/// The door's functions of these names.
std::intptr_t real_kqueue(Kernel&);
std::intptr_t real_kevent(Kernel&, Handle queue, const struct kevent* changes, int change_count,
                          struct kevent* events, int capacity, const timespec* timeout);

/// ", {7: READ ADD|CLEAR, 7: WRITE ADD|CLEAR}, 2, .., 2, null": what stands behind the queue.
void add_kevent_arguments(Text& text, const KernelCall& call);
/// "fd 7: READ 14, fd 9: WRITE EOF ECONNRESET": what a wait has brought.
Text describe_kevents(const KernelCall& call);

}  // namespace pollard
