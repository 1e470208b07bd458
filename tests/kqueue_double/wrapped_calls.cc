// What a program does beside kevent, and the kernel would notice: seen by the linker's --wrap, which sends each call of
// `close` to `__wrap_close` here, and calls `__real_close` the C library's.
//
//  - A number that is closed, or closed by dup2, takes its knotes along.
//  - On a BSD an event tells a socket's error in `fflags` and leaves it there. On Linux it is told by SO_ERROR only, which
//    takes it away. So the double keeps what it had to fetch, and hands it to whichever call of the program would have
//    found it.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>

#include "tests/kqueue_double/knote.h"

extern "C" {
int __real_close(int);
int __real_dup2(int, int);
int __real_dup3(int, int, int);
int __real_getsockopt(int, int, int, void*, socklen_t*);
ssize_t __real_recv(int, void*, size_t, int);
ssize_t __real_send(int, const void*, size_t, int);
ssize_t __real_read(int, void*, size_t);
ssize_t __real_write(int, const void*, size_t);
}

namespace kqueue_double {

namespace {

std::map<int, int> errors;  // by number
/// So that a call pays nothing where there is none.
std::atomic<int> error_count = 0;

/// The error kept of this socket, which is the caller's now; 0 for none.
int take_error(int number) {
    if (error_count == 0) return 0;
    const Lock lock;
    const auto found = errors.find(number);
    if (found == errors.end()) return 0;
    const int error = found->second;
    errors.erase(found);
    --error_count;
    return error;
}

/// Bytes that came before the error are received before it.
ssize_t received_or_error(int number, size_t asked, ssize_t received) {
    const bool found_no_bytes =
        received == 0 ? asked > 0 : received < 0 && (errno == EAGAIN || errno == ENOTCONN);
    if (!found_no_bytes) return received;
    const int before = errno;
    const int error = take_error(number);
    errno = error != 0 ? error : before;
    return error != 0 ? -1 : received;
}

}  // namespace

int pending_error(int number, bool may_have_one) {
    if (const auto found = errors.find(number); found != errors.end()) return found->second;
    if (!may_have_one) return 0;
    int error = 0;
    socklen_t length = sizeof error;
    if (__real_getsockopt(number, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error == 0) return 0;
    errors[number] = error;
    ++error_count;
    return error;
}

void forget_error(int number) { error_count -= static_cast<int>(errors.erase(number)); }

int close_for_real(int number) { return __real_close(number); }
ssize_t read_for_real(int number, void* bytes, std::size_t size) { return __real_read(number, bytes, size); }
ssize_t write_for_real(int number, const void* bytes, std::size_t size) {
    return __real_write(number, bytes, size);
}
ssize_t send_for_real(int number, const void* bytes, std::size_t size, int flags) {
    return __real_send(number, bytes, size, flags);
}

}  // namespace kqueue_double

using namespace kqueue_double;

extern "C" {

int __wrap_close(int number) {
    const Lock lock;
    forget_number(number);
    return __real_close(number);
}

int __wrap_dup2(int from, int to) {
    const Lock lock;
    if (from != to) forget_number(to);
    return __real_dup2(from, to);
}

int __wrap_dup3(int from, int to, int flags) {
    const Lock lock;
    if (from != to) forget_number(to);
    return __real_dup3(from, to, flags);
}

int __wrap_getsockopt(int number, int level, int option, void* value, socklen_t* length) {
    if (level == SOL_SOCKET && option == SO_ERROR && *length >= sizeof(int)) {
        if (const int error = take_error(number); error != 0) {
            std::memcpy(value, &error, sizeof error);
            *length = sizeof error;
            return 0;
        }
    }
    return __real_getsockopt(number, level, option, value, length);
}

ssize_t __wrap_recv(int number, void* bytes, size_t size, int flags) {
    return received_or_error(number, size, __real_recv(number, bytes, size, flags));
}

ssize_t __wrap_read(int number, void* bytes, size_t size) {
    return received_or_error(number, size, __real_read(number, bytes, size));
}

ssize_t __wrap_send(int number, const void* bytes, size_t size, int flags) {
    if (const int error = take_error(number); error != 0) {
        errno = error;
        return -1;
    }
    return __real_send(number, bytes, size, flags);
}

ssize_t __wrap_write(int number, const void* bytes, size_t size) {
    if (const int error = take_error(number); error != 0) {
        errno = error;
        return -1;
    }
    return __real_write(number, bytes, size);
}
}
