// The real kernel behind the door: each function is one system call and turns -1 with errno into -errno.
//
// This is the floor on which a debugger's `step` ends. There is nothing below it but the C library.
//
// Here is what all Unixes have alike. What only some have stands apart, and answers -ENOSYS elsewhere: epoll_calls.cc,
// io_uring_calls.cc and kqueue_calls.cc in the folders of these backends. What differs in its flags: flagged_calls.cc.
//
// Read next: platform/interposed_kernel.h, a second value of the same table.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "platform/epoll/epoll_calls.h"
#include "platform/io_uring/io_uring_calls.h"
#include "platform/kernel.h"
#include "platform/kqueue/kqueue_calls.h"
#include "platform/posix/flagged_calls.h"

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

/// macOS refuses more than INT_MAX at once; a short answer is none the worse.
std::size_t clamped(std::size_t size) {
    constexpr std::size_t largest = 1u << 30;
    return size < largest ? size : largest;
}

std::int64_t real_clock(Kernel&) {
    timespec now;
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

constinit Kernel real = {
    .socket = real_socket,
    .bind = [](Kernel&, Handle handle, const sockaddr* address,
               unsigned length) { return or_minus_errno(::bind(handle, address, length)); },
    .listen = [](Kernel&, Handle handle, int backlog) { return or_minus_errno(::listen(handle, backlog)); },
    .accept = real_accept,
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
    // Linux, FreeBSD and macOS have released the number even when close(2) says EINTR; asking again could close a
    // stranger's.
    .close = [](Kernel&, Handle handle) -> std::intptr_t {
        const std::intptr_t result = or_minus_errno(::close(handle));
        return result == -EINTR ? 0 : result;
    },
    .poll = [](Kernel&, pollfd* descriptors, unsigned count,
               int timeout_ms) { return or_minus_errno(::poll(descriptors, count, timeout_ms)); },
    .epoll_create = real_epoll_create,
    .epoll_ctl = real_epoll_ctl,
    .epoll_wait = real_epoll_wait,
    .eventfd = real_eventfd,
    .pipe = real_pipe,
    .io_uring_setup = real_io_uring_setup,
    .io_uring_enter = real_io_uring_enter,
    .io_uring_register = real_io_uring_register,
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
    .open_file = [](Kernel&, const char* path,
                    int flags) { return or_minus_errno(::open(path, flags | O_CLOEXEC, 0666)); },
    .pread =
        [](Kernel&, Handle handle, void* bytes, std::size_t size, std::int64_t offset) {
            return or_minus_errno(::pread(handle, bytes, clamped(size), offset));
        },
    .pwrite =
        [](Kernel&, Handle handle, const void* bytes, std::size_t size, std::int64_t offset) {
            return or_minus_errno(::pwrite(handle, bytes, clamped(size), offset));
        },
    .clock = real_clock,
};

}  // namespace

Kernel& system_kernel() { return real; }

}  // namespace pollard
