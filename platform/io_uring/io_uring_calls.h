// io_uring's three calls, behind the door.
//
// Apart from the rest of the door because only Linux has them. Elsewhere they answer -ENOSYS.
#pragma once

#include "platform/kernel.h"

namespace pollard {

/// The door's functions of these names.
std::intptr_t real_io_uring_setup(Kernel&, unsigned entries, io_uring_params*);
std::intptr_t real_io_uring_enter(Kernel&, Handle ring, unsigned to_submit, unsigned min_complete,
                                  unsigned flags, const void* argument, std::size_t argument_size);
std::intptr_t real_io_uring_register(Kernel&, Handle ring, unsigned what, const void* argument,
                                     unsigned count);

}  // namespace pollard
