// select(2) as a Poller: the solution of the first exercise of platform/README.md. How it works: select_poller.cc.
//
// It is no backend of the library, which has poll(2): the same, without the limit. Here it shows what a port is made of.
#pragma once

#include <sys/select.h>

#include "platform/backend.h"
#include "platform/poller.h"

namespace pollard {

/// The door has no select. In the library it would get one, a line in kernel.h; here the call itself is an argument, so
/// that a test can still count it and make it fail. It returns what a function of the door returns.
using SelectCall = std::intptr_t (*)(Kernel&, int count, fd_set* reading, fd_set* writing, fd_set* urgent,
                                     timeval* timeout);
std::intptr_t real_select(Kernel&, int count, fd_set* reading, fd_set* writing, fd_set* urgent,
                          timeval* timeout);

/// Errors: descriptors_exhausted, out_of_memory. `add` gives descriptors_exhausted for a number from FD_SETSIZE on.
Result<Poller*> open_select_poller(Kernel& kernel, SelectCall select = real_select);

/// What platform/meson.build would name in its list of backends.
extern const Backend select_backend;

}  // namespace pollard
