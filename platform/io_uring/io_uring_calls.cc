// io_uring by syscall(2): the C library has no functions for it. Why apart: io_uring_calls.h.
#include "platform/io_uring/io_uring_calls.h"

#include <cerrno>

#ifdef __linux__

#include <sys/syscall.h>
#include <unistd.h>

namespace pollard {

namespace {
std::intptr_t or_minus_errno(std::intptr_t result) { return result >= 0 ? result : -errno; }
}  // namespace

// STOP: kernel
std::intptr_t real_io_uring_enter(Kernel&, Handle ring, unsigned to_submit, unsigned min_complete,
                                  unsigned flags, const void* argument, std::size_t argument_size) {
    return or_minus_errno(
        ::syscall(SYS_io_uring_enter, ring, to_submit, min_complete, flags, argument, argument_size));
}

std::intptr_t real_io_uring_setup(Kernel&, unsigned entries, io_uring_params* parameters) {
    return or_minus_errno(::syscall(SYS_io_uring_setup, entries, parameters));
}

std::intptr_t real_io_uring_register(Kernel&, Handle ring, unsigned what, const void* argument,
                                     unsigned count) {
    return or_minus_errno(::syscall(SYS_io_uring_register, ring, what, argument, count));
}

}  // namespace pollard

#else

namespace pollard {

std::intptr_t real_io_uring_setup(Kernel&, unsigned, io_uring_params*) { return -ENOSYS; }
std::intptr_t real_io_uring_enter(Kernel&, Handle, unsigned, unsigned, unsigned, const void*, std::size_t) {
    return -ENOSYS;
}
std::intptr_t real_io_uring_register(Kernel&, Handle, unsigned, const void*, unsigned) { return -ENOSYS; }

}  // namespace pollard

#endif
