// The calls that make descriptors: with the flags they take on most Unixes, also where the kernel takes none.
#pragma once

#include "platform/kernel.h"

namespace pollard {

/// The door's functions of these names.
std::intptr_t real_socket(Kernel&, int domain, int type, int protocol);
std::intptr_t real_accept(Kernel&, Handle, sockaddr*, unsigned* length, int flags);
std::intptr_t real_pipe(Kernel&, Handle ends[2], int flags);

}  // namespace pollard
