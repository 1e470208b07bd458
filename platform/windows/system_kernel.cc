// The real kernel of Windows behind the door: each function is one call of Winsock.
//
// The door speaks POSIX's language, and mostly this is a change of words: a failure's number is looked up in the table
// of errors.cc, a descriptor is a SOCKET. What differs in meaning is put right here, once:
//
//  - Non-blocking is a call of its own (FIONBIO), and an accepted socket needs it again.
//  - What SO_REUSEADDR means on POSIX (a port in TIME_WAIT is free) is so on Windows anyway. Windows' option of that
//    name lets any program take a port from its owner, so its opposite is set.
//  - A datagram that is longer than the buffer is cut off, and its receive is no failure.
//  - After a shutdown, receiving gives the end of the stream and sending EPIPE.
//  - SO_ERROR holds a Winsock number, which is translated.
//
// Read next: platform/posix/system_kernel.cc, the same floor where there is nothing to translate.
#include "platform/system_sockets.h"

#include <climits>

#include "platform/kernel.h"
#include "platform/kqueue/kqueue_calls.h"
#include "platform/windows/errors.h"
#include "platform/windows/files.h"
#include "platform/windows/overlapped_calls.h"

namespace pollard {

namespace {

using windows::code_of_windows_error;
using windows::minus_last_error;

SOCKET socket_of(Handle handle) { return static_cast<SOCKET>(static_cast<std::intptr_t>(handle)); }

std::intptr_t or_minus_error(int result) { return result >= 0 ? result : minus_last_error(); }
/// Of the flags of recv and send, those that Winsock does not know, and does anyhow or need not do.
constexpr int own_flags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE;
/// Windows counts bytes in an int.
int clamped(std::size_t size) { return size < INT_MAX ? static_cast<int>(size) : INT_MAX; }

std::intptr_t give_up(SOCKET made) {
    const std::intptr_t error = minus_last_error();
    ::closesocket(made);
    return error;
}

/// A SOCKET as the door's answer.
std::intptr_t as_answer(SOCKET made) {
    if (made <= INT_MAX) return static_cast<std::intptr_t>(made);
    ::closesocket(made);
    return -EMFILE;
}

bool set_non_blocking(SOCKET made, int flags) {
    u_long on = 1;
    return (flags & SOCK_NONBLOCK) == 0 || ::ioctlsocket(made, static_cast<long>(FIONBIO), &on) == 0;
}

std::intptr_t real_socket(Kernel&, int domain, int type, int protocol) {
    const int kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
    DWORD flags = WSA_FLAG_OVERLAPPED;
    if ((type & SOCK_CLOEXEC) != 0) flags |= WSA_FLAG_NO_HANDLE_INHERIT;
    SOCKET made = ::WSASocketW(domain, kind, protocol, nullptr, 0, flags);
    if (made == INVALID_SOCKET && ::WSAGetLastError() == WSANOTINITIALISED) {
        WSADATA unused;
        if (const int error = ::WSAStartup(MAKEWORD(2, 2), &unused); error != 0)
            return -code_of_windows_error(static_cast<std::uint32_t>(error));
        made = ::WSASocketW(domain, kind, protocol, nullptr, 0, flags);
    }
    if (made == INVALID_SOCKET) return minus_last_error();
    if (!set_non_blocking(made, type)) return give_up(made);
    return as_answer(made);
}

std::intptr_t real_accept(Kernel&, Handle handle, sockaddr* address, unsigned* length, int flags) {
    int int_length = length != nullptr ? static_cast<int>(*length) : 0;
    const SOCKET made = ::accept(socket_of(handle), address, length != nullptr ? &int_length : nullptr);
    if (made == INVALID_SOCKET) return minus_last_error();
    if (length != nullptr) *length = static_cast<unsigned>(int_length);
    if (!set_non_blocking(made, flags)) return give_up(made);
    if ((flags & SOCK_CLOEXEC) != 0)
        ::SetHandleInformation(reinterpret_cast<HANDLE>(made), HANDLE_FLAG_INHERIT, 0);
    return as_answer(made);
}

std::intptr_t real_connect(Kernel&, Handle handle, const sockaddr* address, unsigned length) {
    const std::intptr_t result =
        or_minus_error(::connect(socket_of(handle), address, static_cast<int>(length)));
    return result == -EAGAIN ? -EINPROGRESS : result;
}

// STOP: kernel
std::intptr_t real_recv(Kernel&, Handle handle, void* bytes, std::size_t size, int flags) {
    const int received =
        ::recv(socket_of(handle), static_cast<char*>(bytes), clamped(size), flags & ~own_flags);
    if (received >= 0) return received;
    switch (::WSAGetLastError()) {
        case WSAEMSGSIZE:
            return clamped(size);
        case WSAESHUTDOWN:
            return 0;
        default:
            return minus_last_error();
    }
}

std::intptr_t real_send(Kernel&, Handle handle, const void* bytes, std::size_t size, int flags) {
    return or_minus_error(
        ::send(socket_of(handle), static_cast<const char*>(bytes), clamped(size), flags & ~own_flags));
}

std::intptr_t real_getsockopt(Kernel&, Handle handle, int level, int option, void* value, unsigned* length) {
    if (level == SOL_SOCKET && option == SO_REUSEADDR) option = SO_EXCLUSIVEADDRUSE;
    int int_length = static_cast<int>(*length);
    const int result = ::getsockopt(socket_of(handle), level, option, static_cast<char*>(value), &int_length);
    if (result != 0) return minus_last_error();
    *length = static_cast<unsigned>(int_length);
    if (level == SOL_SOCKET && option == SO_ERROR) {
        int& error = *static_cast<int*>(value);
        error = code_of_windows_error(static_cast<std::uint32_t>(error));
    }
    return 0;
}

std::intptr_t real_setsockopt(Kernel&, Handle handle, int level, int option, const void* value,
                              unsigned length) {
    if (level == SOL_SOCKET && option == SO_REUSEADDR) option = SO_EXCLUSIVEADDRUSE;
    if (level == SOL_SOCKET && option == SO_REUSEPORT) return -EOPNOTSUPP;
    return or_minus_error(::setsockopt(socket_of(handle), level, option, static_cast<const char*>(value),
                                       static_cast<int>(length)));
}

using Naming = int(WSAAPI*)(SOCKET, sockaddr*, int*);
std::intptr_t name_by(Naming call, Handle handle, sockaddr* address, unsigned* length) {
    int int_length = static_cast<int>(*length);
    if (call(socket_of(handle), address, &int_length) != 0) return minus_last_error();
    *length = static_cast<unsigned>(int_length);
    return 0;
}

/// Sockets are closed by one call, every other handle (a completion port) by another.
std::intptr_t real_close(Kernel&, Handle handle) {
    if (::closesocket(socket_of(handle)) == 0) return 0;
    const int error = ::WSAGetLastError();
    if (error != WSAENOTSOCK && error != WSANOTINITIALISED) return minus_last_error();
    if (::CloseHandle(reinterpret_cast<HANDLE>(static_cast<std::intptr_t>(handle)))) return 0;
    return -code_of_windows_error(::GetLastError());
}

/// WSAPoll refuses to be asked for urgent data and for a half close; the latter it tells as a hang-up in any case.
std::intptr_t real_poll(Kernel&, pollfd* descriptors, unsigned count, int timeout_ms) {
    constexpr short understood = POLLIN | POLLOUT;
    if (count == 0) {  // elsewhere a plain wait; WSAPoll calls it a mistake
        ::Sleep(timeout_ms < 0 ? INFINITE : static_cast<DWORD>(timeout_ms));
        return 0;
    }
    if (count == 1) {
        pollfd asked = descriptors[0];
        asked.events &= understood;
        const int ready = ::WSAPoll(&asked, 1, timeout_ms);
        descriptors[0].revents = asked.revents;
        if (ready >= 0 || ::WSAGetLastError() != WSAENOTSOCK) return or_minus_error(ready);
        descriptors[0].revents = POLLNVAL;
        return 1;
    }
    for (unsigned index = 0; index < count; ++index) descriptors[index].events &= understood;
    return or_minus_error(::WSAPoll(descriptors, count, timeout_ms));
}

std::int64_t real_clock(Kernel&) {
    LARGE_INTEGER ticks;
    LARGE_INTEGER per_second;
    ::QueryPerformanceCounter(&ticks);
    ::QueryPerformanceFrequency(&per_second);
    // In two parts: the product of the whole would not fit into 64 bits after some days.
    const std::int64_t seconds = ticks.QuadPart / per_second.QuadPart;
    const std::int64_t rest = ticks.QuadPart % per_second.QuadPart;
    return seconds * 1'000'000'000 + rest * 1'000'000'000 / per_second.QuadPart;
}

constinit Kernel real = {
    .socket = real_socket,
    .bind =
        [](Kernel&, Handle handle, const sockaddr* address, unsigned length) {
            return or_minus_error(::bind(socket_of(handle), address, static_cast<int>(length)));
        },
    .listen = [](Kernel&, Handle handle,
                 int backlog) { return or_minus_error(::listen(socket_of(handle), backlog)); },
    .accept = real_accept,
    .connect = real_connect,
    .recv = real_recv,
    .send = real_send,
    .shutdown = [](Kernel&, Handle handle,
                   int how) { return or_minus_error(::shutdown(socket_of(handle), how)); },
    .getsockopt = real_getsockopt,
    .setsockopt = real_setsockopt,
    .getsockname = [](Kernel&, Handle handle, sockaddr* address,
                      unsigned* length) { return name_by(::getsockname, handle, address, length); },
    .getpeername = [](Kernel&, Handle handle, sockaddr* address,
                      unsigned* length) { return name_by(::getpeername, handle, address, length); },
    .close = real_close,
    .poll = real_poll,
    .open_file = windows::open_file,
    .pread = windows::pread,
    .pwrite = windows::pwrite,
    .clock = real_clock,
    .iocp_create = windows::iocp_create,
    .iocp_add = windows::iocp_add,
    .iocp_wait = windows::iocp_wait,
    .iocp_post = windows::iocp_post,
    .accept_ex = windows::accept_ex,
    .connect_ex = windows::connect_ex,
    .wsa_recv = windows::wsa_recv,
    .wsa_send = windows::wsa_send,
    .read_file = windows::read_file,
    .write_file = windows::write_file,
    .cancel_io = windows::cancel_io,
    .afd_open = windows::afd_open,
    .afd_poll = windows::afd_poll,
};

}  // namespace

Kernel& system_kernel() { return real; }

}  // namespace pollard
