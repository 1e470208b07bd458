// epoll(7)'s calls and eventfd(2): behind the door, and in words.
//
// Apart from the rest of the door because only Linux has them. Elsewhere the calls answer -ENOSYS and have no words.
#pragma once

#include "platform/kernel.h"

namespace pollard {

/// The door's functions of these names.
std::intptr_t real_epoll_create(Kernel&, int flags);
std::intptr_t real_epoll_ctl(Kernel&, Handle set, int change, Handle, epoll_event*);
std::intptr_t real_epoll_wait(Kernel&, Handle set, epoll_event*, int capacity, int timeout_ms);
std::intptr_t real_eventfd(Kernel&, unsigned initial, int flags);

/// What stands in the brackets of such a call: "3, ADD, 7, IN|ET".
void add_epoll_arguments(Text& text, const KernelCall& call);
/// "fd 7: IN, fd 8: OUT|HUP": what a wait has brought.
Text describe_epoll_events(const KernelCall& call);

}  // namespace pollard
