// New descriptors: closed on exec and non-blocking from their first moment, where the kernel can do that.
//
//      Linux, FreeBSD, NetBSD, OpenBSD    socket(.., type | flags), accept4, pipe2: one call
//      macOS                              socket, accept, pipe; then fcntl for each flag
//
// What one would not guess of macOS:
//  - Between the two calls another thread may fork and exec, and its child then holds the descriptor too. There is no
//    remedy for a library.
//  - A socket that was accepted is as non-blocking as its listener (on Linux it never is), so the flag is set or taken
//    away in any case.
//  - Sending to a peer that has gone raises SIGPIPE unless the socket has the option SO_NOSIGPIPE. Newer systems have
//    MSG_NOSIGNAL as well; the option works on all.
//
// Read next: platform/posix/system_kernel.cc.
#include "platform/posix/flagged_calls.h"

#include <fcntl.h>
#include <unistd.h>

#include "platform/system_sockets.h"

namespace pollard {

#ifndef __APPLE__

namespace {
std::intptr_t or_minus_errno(std::intptr_t result) { return result >= 0 ? result : -errno; }
}  // namespace

std::intptr_t real_socket(Kernel&, int domain, int type, int protocol) {
    return or_minus_errno(::socket(domain, type, protocol));
}

std::intptr_t real_accept(Kernel&, Handle handle, sockaddr* address, unsigned* length, int flags) {
    return or_minus_errno(::accept4(handle, address, length, flags));
}

std::intptr_t real_pipe(Kernel&, Handle ends[2], int flags) { return or_minus_errno(::pipe2(ends, flags)); }

#else

namespace {

constexpr int socket_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;

bool set_flags(Handle handle, bool close_on_exec, bool non_blocking) {
    const int status = ::fcntl(handle, F_GETFL);
    if (status < 0) return false;
    const int wanted = non_blocking ? status | O_NONBLOCK : status & ~O_NONBLOCK;
    if (wanted != status && ::fcntl(handle, F_SETFL, wanted) < 0) return false;
    return !close_on_exec || ::fcntl(handle, F_SETFD, FD_CLOEXEC) == 0;
}

/// The new socket, or minus the errno of what could not be set; then it is closed again.
std::intptr_t finished_socket(int handle, int flags) {
    if (handle < 0) return -errno;
    const int on = 1;
    if (::setsockopt(handle, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) == 0 &&
        set_flags(handle, (flags & SOCK_CLOEXEC) != 0, (flags & SOCK_NONBLOCK) != 0))
        return handle;
    // EINVAL: the peer of what was accepted has gone already.
    const int code = errno == EINVAL ? ECONNABORTED : errno;
    ::close(handle);
    return -code;
}

}  // namespace

std::intptr_t real_socket(Kernel&, int domain, int type, int protocol) {
    return finished_socket(::socket(domain, type & ~socket_flags, protocol), type & socket_flags);
}

std::intptr_t real_accept(Kernel&, Handle handle, sockaddr* address, unsigned* length, int flags) {
    return finished_socket(::accept(handle, address, length), flags);
}

std::intptr_t real_pipe(Kernel&, Handle ends[2], int flags) {
    if (::pipe(ends) < 0) return -errno;
    const bool close_on_exec = (flags & O_CLOEXEC) != 0;
    const bool non_blocking = (flags & O_NONBLOCK) != 0;
    if (set_flags(ends[0], close_on_exec, non_blocking) && set_flags(ends[1], close_on_exec, non_blocking))
        return 0;
    const int code = errno;
    ::close(ends[0]);
    ::close(ends[1]);
    ends[0] = ends[1] = no_handle;
    return -code;
}

#endif

}  // namespace pollard
