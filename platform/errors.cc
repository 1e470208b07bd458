// errno -> portable kind, and its name. One table: the door speaks errno on every system (platform/windows/errors.cc
// translates before it).
//
// strerrorname_np(3) would give names on glibc only, and the words of strerror(3) change with the locale.
#include <cerrno>

#include "platform/kernel.h"

namespace pollard {

namespace {
struct Row {
    std::int32_t code;
    const char* name;
    ErrorKind kind;
};
#define ROW(code, kind) {code, #code, ErrorKind::kind}
constexpr Row rows[] = {
    ROW(ECANCELED, cancelled),
    ROW(ETIMEDOUT, timed_out),
    ROW(ECONNREFUSED, connection_refused),
    ROW(ECONNRESET, connection_reset),
    ROW(ECONNABORTED, connection_aborted),
    ROW(EPIPE, broken_pipe),
    ROW(ENOTCONN, not_connected),
    ROW(EDESTADDRREQ, not_connected),
    ROW(ENETUNREACH, unreachable),
    ROW(EHOSTUNREACH, unreachable),
    ROW(ENETDOWN, unreachable),
    ROW(EAGAIN, would_block),
    ROW(EINTR, interrupted),
    ROW(EINPROGRESS, in_progress),
    ROW(EALREADY, in_progress),
    ROW(ENOMEM, out_of_memory),
    ROW(ENOBUFS, out_of_memory),
    ROW(EMFILE, descriptors_exhausted),
    ROW(ENFILE, descriptors_exhausted),
    ROW(ENOSPC, no_space),  // also epoll_ctl(2): the limit on watches is reached
    ROW(EFBIG, no_space),
#ifdef EDQUOT
    ROW(EDQUOT, no_space),
#endif
    ROW(EMSGSIZE, message_too_long),
    ROW(EBUSY, busy),
    ROW(EBADF, bad_handle),
    ROW(ENOTSOCK, bad_handle),
    ROW(EADDRINUSE, address_in_use),
    ROW(EADDRNOTAVAIL, address_not_available),
    ROW(EINVAL, invalid_argument),
    ROW(EFAULT, invalid_argument),
    ROW(EEXIST, invalid_argument),
    ROW(EISDIR, invalid_argument),
    ROW(ENAMETOOLONG, invalid_argument),
    ROW(ESPIPE, invalid_argument),
    ROW(EISCONN, already_connected),
    ROW(EACCES, permission_denied),
    ROW(EPERM, permission_denied),
    ROW(EROFS, permission_denied),
    ROW(ENOSYS, not_supported),
    ROW(EOPNOTSUPP, not_supported),
    ROW(ENOTSUP, not_supported),  // on Linux the same number
    ROW(EAFNOSUPPORT, not_supported),
    ROW(EPROTONOSUPPORT, not_supported),
    ROW(ENOENT, not_found),
    ROW(ENOTDIR, not_found),
    ROW(EDEADLK, deadlock),
    ROW(EIO, other),
};
#undef ROW

const Row* find(std::int32_t code) {
    for (const Row& row : rows)
        if (row.code == code) return &row;
    return nullptr;
}
}  // namespace

ErrorKind kind_of_code(std::int32_t code) {
    const Row* row = find(code);
    return row != nullptr ? row->kind : ErrorKind::other;
}

const char* name_of_code(std::int32_t code) {
    const Row* row = find(code);
    return row != nullptr ? row->name : "";
}

}  // namespace pollard
