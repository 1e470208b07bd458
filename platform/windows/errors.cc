// One table: what the kernel says (NTSTATUS), what the socket and system calls say, what the door says.
//
//      a packet's status   0xC000020D  --+
//                                        +-->  ECONNRESET  -->  ErrorKind::connection_reset
//      WSAGetLastError()   10054       --+                 platform/errors.cc
//
// Windows has its own way from a status to a GetLastError() number, but several statuses share one there (64 is an end
// as well as a reset), so a packet's answer starts from the status.
#include "platform/windows/errors.h"

#include <cerrno>
#include <span>

#include "platform/system_sockets.h"

namespace pollard::windows {

namespace {

struct Row {
    std::uint32_t status;  // 0: no packet says so
    std::uint32_t error;   // 0: no call says so
    std::int32_t code;
};

constexpr Row rows[] = {
    // status, error, code
    {0xC0000120, ERROR_OPERATION_ABORTED, ECANCELED},
    {0xC000020D, WSAECONNRESET, ECONNRESET},
    {0xC000013C, ERROR_NETNAME_DELETED, ECONNRESET},  // remote disconnect
    {0xC000020C, 0, ECONNRESET},                      // disconnected
    {0xC000013B, 0, ECONNABORTED},                    // local disconnect
    {0xC0000241, WSAECONNABORTED, ECONNABORTED},
    {0xC0000140, ERROR_UNEXP_NET_ERR, ECONNABORTED},  // gone before it was accepted
    {0xC0000236, WSAECONNREFUSED, ECONNREFUSED},
    {0xC00000B5, WSAETIMEDOUT, ETIMEDOUT},
    {0xC000023C, WSAENETUNREACH, ENETUNREACH},
    {0xC000023D, WSAEHOSTUNREACH, EHOSTUNREACH},
    {0xC000023E, 0, EHOSTUNREACH},  // protocol unreachable
    {0xC000023F, 0, ECONNREFUSED},  // port unreachable
    {0xC000020A, WSAEADDRINUSE, EADDRINUSE},
    {0xC0000207, WSAEADDRNOTAVAIL, EADDRNOTAVAIL},
    {0x8000000A, 0, ECANCELED},  // the handle was closed under it
    {0xC0000024, WSAENOTSOCK, ENOTSOCK},
    {0xC0000008, ERROR_INVALID_HANDLE, EBADF},
    {0xC000014B, ERROR_BROKEN_PIPE, EPIPE},
    {0xC000009A, WSAENOBUFS, ENOBUFS},
    {0xC0000017, ERROR_NOT_ENOUGH_MEMORY, ENOMEM},
    {0xC000000D, ERROR_INVALID_PARAMETER, EINVAL},
    {0xC0000022, WSAEACCES, EACCES},
    {0xC0000225, ERROR_NOT_FOUND, ENOENT},
    {0xC0000034, ERROR_FILE_NOT_FOUND, ENOENT},
    {0xC000003A, ERROR_PATH_NOT_FOUND, ENOENT},
    {0xC0000011, ERROR_HANDLE_EOF, end_of_file},
    {0xC000007F, ERROR_DISK_FULL, ENOSPC},
    {0xC0000043, ERROR_SHARING_VIOLATION, EBUSY},
    {0, ERROR_FILE_EXISTS, EEXIST},
    {0, ERROR_INVALID_NAME, EINVAL},
    {0, ERROR_INSUFFICIENT_BUFFER, ENAMETOOLONG},
    {0, ERROR_FILENAME_EXCED_RANGE, ENAMETOOLONG},
    {0, ERROR_NO_UNICODE_TRANSLATION, EINVAL},
    {0, ERROR_HANDLE_DISK_FULL, ENOSPC},
    {0xC0000054, ERROR_LOCK_VIOLATION, EBUSY},
    {0x80000005, WSAEMSGSIZE, EMSGSIZE},
    {0, ERROR_MORE_DATA, EMSGSIZE},
    {0, ERROR_CONNECTION_REFUSED, ECONNREFUSED},
    {0, WSAEWOULDBLOCK, EAGAIN},
    {0, ERROR_IO_PENDING, EINPROGRESS},
    {0, WSAEINPROGRESS, EINPROGRESS},
    {0, WSAEALREADY, EALREADY},
    {0, WSAEINTR, EINTR},
    {0, WSAEBADF, EBADF},
    {0, WSAEFAULT, EFAULT},
    {0, WSAEINVAL, EINVAL},
    {0, WSAEMFILE, EMFILE},
    {0, ERROR_TOO_MANY_OPEN_FILES, EMFILE},
    {0, WSAEDESTADDRREQ, EDESTADDRREQ},
    {0, WSAEPROTOTYPE, EPROTOTYPE},
    {0, WSAENOPROTOOPT, ENOPROTOOPT},
    {0, WSAEPROTONOSUPPORT, EPROTONOSUPPORT},
    {0, WSAESOCKTNOSUPPORT, ESOCKTNOSUPPORT},
    {0, WSAEOPNOTSUPP, EOPNOTSUPP},
    {0, WSAEAFNOSUPPORT, EAFNOSUPPORT},
    {0, WSAENETDOWN, ENETDOWN},
    {0, WSAENETRESET, ECONNRESET},
    {0, WSAEISCONN, EISCONN},
    {0, WSAENOTCONN, ENOTCONN},
    {0, WSAESHUTDOWN, EPIPE},
    {0, ERROR_ACCESS_DENIED, EACCES},
    {0, ERROR_NOT_SUPPORTED, EOPNOTSUPP},
    {0, ERROR_SEM_TIMEOUT, ETIMEDOUT},
};

}  // namespace

std::int32_t code_of_windows_error(std::uint32_t error) {
    for (const Row& row : rows)
        if (row.error == error && error != 0) return row.code;
    return static_cast<std::int32_t>(error);
}

// (Winsock's own number is the same one.)
std::intptr_t minus_last_error() { return -code_of_windows_error(::GetLastError()); }

std::int32_t code_of_status(std::uint32_t status) {
    const bool warning_or_error = (status & 0x80000000) != 0;
    if (!warning_or_error) return 0;
    for (const Row& row : rows)
        if (row.status == status) return row.code;
    return static_cast<std::int32_t>(0x40000000 | (status & 0x3fffffff));
}

}  // namespace pollard::windows
