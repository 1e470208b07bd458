// The real kernel behind the door: each function is one system call and turns -1 with errno into -errno.
//
// This is the floor on which a debugger's `step` ends. There is nothing below it but the C library.
//
// Read next: platform/posix/interposed_kernel.h, a second value of the same table.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "platform/kernel.h"
#include "platform/kqueue/kqueue_calls.h"

namespace pollard {

namespace {

std::intptr_t or_minus_errno(std::intptr_t result) { return result >= 0 ? result : -errno; }

// STOP: kernel
std::intptr_t real_recv(Kernel&, Handle handle, void* bytes, std::size_t size, int flags) {
    return or_minus_errno(::recv(handle, bytes, size, flags));
}

std::intptr_t real_send(Kernel&, Handle handle, const void* bytes, std::size_t size, int flags) {
    return or_minus_errno(::send(handle, bytes, size, flags));
}

std::intptr_t real_epoll_wait(Kernel&, Handle set, epoll_event* events, int capacity, int timeout_ms) {
    return or_minus_errno(::epoll_wait(set, events, capacity, timeout_ms));
}

std::intptr_t real_io_uring_enter(Kernel&, Handle ring, unsigned to_submit, unsigned min_complete,
                                  unsigned flags, const void* argument, std::size_t argument_size) {
    return or_minus_errno(
        ::syscall(SYS_io_uring_enter, ring, to_submit, min_complete, flags, argument, argument_size));
}

std::int64_t real_clock(Kernel&) {
    timespec now;
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

constinit Kernel real = {
    .socket = [](Kernel&, int domain, int type,
                 int protocol) { return or_minus_errno(::socket(domain, type, protocol)); },
    .bind = [](Kernel&, Handle handle, const sockaddr* address,
               unsigned length) { return or_minus_errno(::bind(handle, address, length)); },
    .listen = [](Kernel&, Handle handle, int backlog) { return or_minus_errno(::listen(handle, backlog)); },
    .accept = [](Kernel&, Handle handle, sockaddr* address, unsigned* length,
                 int flags) { return or_minus_errno(::accept4(handle, address, length, flags)); },
    .connect = [](Kernel&, Handle handle, const sockaddr* address,
                  unsigned length) { return or_minus_errno(::connect(handle, address, length)); },
    .recv = real_recv,
    .send = real_send,
    .shutdown = [](Kernel&, Handle handle, int how) { return or_minus_errno(::shutdown(handle, how)); },
    .getsockopt =
        [](Kernel&, Handle handle, int level, int option, void* value, unsigned* length) {
            return or_minus_errno(::getsockopt(handle, level, option, value, length));
        },
    .setsockopt =
        [](Kernel&, Handle handle, int level, int option, const void* value, unsigned length) {
            return or_minus_errno(::setsockopt(handle, level, option, value, length));
        },
    .getsockname = [](Kernel&, Handle handle, sockaddr* address,
                      unsigned* length) { return or_minus_errno(::getsockname(handle, address, length)); },
    .getpeername = [](Kernel&, Handle handle, sockaddr* address,
                      unsigned* length) { return or_minus_errno(::getpeername(handle, address, length)); },
    // Linux has released the number even when close(2) says EINTR; asking again could close a stranger's.
    .close = [](Kernel&, Handle handle) -> std::intptr_t {
        const std::intptr_t result = or_minus_errno(::close(handle));
        return result == -EINTR ? 0 : result;
    },
    .poll = [](Kernel&, pollfd* descriptors, unsigned count,
               int timeout_ms) { return or_minus_errno(::poll(descriptors, count, timeout_ms)); },
    .epoll_create = [](Kernel&, int flags) { return or_minus_errno(::epoll_create1(flags)); },
    .epoll_ctl = [](Kernel&, Handle set, int change, Handle handle,
                    epoll_event* event) { return or_minus_errno(::epoll_ctl(set, change, handle, event)); },
    .epoll_wait = real_epoll_wait,
    .eventfd = [](Kernel&, unsigned initial, int flags) { return or_minus_errno(::eventfd(initial, flags)); },
    .pipe = [](Kernel&, Handle* ends, int flags) { return or_minus_errno(::pipe2(ends, flags)); },
    // The C library has no functions for these three.
    .io_uring_setup =
        [](Kernel&, unsigned entries, io_uring_params* parameters) {
            return or_minus_errno(::syscall(SYS_io_uring_setup, entries, parameters));
        },
    .io_uring_enter = real_io_uring_enter,
    .io_uring_register =
        [](Kernel&, Handle ring, unsigned what, const void* argument, unsigned count) {
            return or_minus_errno(::syscall(SYS_io_uring_register, ring, what, argument, count));
        },
    .mmap = [](Kernel&, Handle handle, std::size_t size, int protection, int flags,
               std::int64_t offset) -> std::intptr_t {
        void* address = ::mmap(nullptr, size, protection, flags, handle, offset);
        return address == MAP_FAILED ? -errno : reinterpret_cast<std::intptr_t>(address);
    },
    .munmap = [](Kernel&, void* address,
                 std::size_t size) { return or_minus_errno(::munmap(address, size)); },
    .kqueue = real_kqueue,
    .kevent = real_kevent,
    .read = [](Kernel&, Handle handle, void* bytes,
               std::size_t size) { return or_minus_errno(::read(handle, bytes, size)); },
    .write = [](Kernel&, Handle handle, const void* bytes,
                std::size_t size) { return or_minus_errno(::write(handle, bytes, size)); },
    .clock = real_clock,
};

}  // namespace

Kernel& system_kernel() { return real; }

}  // namespace pollard
