// The door: every call to the kernel goes through this table.
//
// A Kernel is a table of function pointers and whatever state hangs behind it. A completion port holds one
// and calls nothing else, so the same code runs on four values of it, which differ only in what is behind the
// door:
//
//      system_kernel()          the real one                               platform/posix/system_kernel.cc
//      SimulatedKernel          sockets in memory, a clock of its own      platform/simulated/
//      InterposedKernel         another kernel, with a look at every call  platform/interposed_kernel.h
//        as observer              tells the observer: the narration's "kernel recv(7, ..) = 14"
//        as counter               counts calls by name
//        as saboteur              makes the n-th call fail
//
// The convention is Linux's own: a call returns a value >= 0, or minus an errno. Nothing else is promised, in
// particular no `errno`. Every function may be called from the thread that owns the loop only, except
// `write` and `kevent`, by which other threads and signal handlers wake it.
//
// The calls of one kernel that another lacks (epoll's, kqueue's, io_uring's) are here too. A kernel without them leaves
// them out of its table; then they answer -ENOSYS.
//
// Read next: platform/poller.h, platform/completion_port.h: the two contracts that stand on this table.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "platform/handle.h"
#include "platform/result.h"

struct sockaddr;
struct pollfd;
struct epoll_event;
struct io_uring_params;  // NOLINT(readability-identifier-naming): Linux' own name
struct kevent;
struct timespec;
struct _OVERLAPPED;        // NOLINT(bugprone-reserved-identifier): Windows' own name
struct _OVERLAPPED_ENTRY;  // NOLINT(bugprone-reserved-identifier)

namespace pollard {

struct Kernel;
struct AfdPoll;

/// What a kernel answers to the calls of another: a door leaves those out of its table.
template <class... Arguments>
std::intptr_t no_such_call(Kernel&, Arguments...) {
    return -ENOSYS;
}

/// Each function is the system call of that name; its manual page holds. Flags and structures are the
/// system's.
struct Kernel {
    std::intptr_t (*socket)(Kernel&, int domain, int type, int protocol);
    std::intptr_t (*bind)(Kernel&, Handle, const sockaddr*, unsigned length);
    std::intptr_t (*listen)(Kernel&, Handle, int backlog);
    /// accept4(2) on Linux: `flags` are SOCK_NONBLOCK and SOCK_CLOEXEC.
    std::intptr_t (*accept)(Kernel&, Handle, sockaddr*, unsigned* length, int flags);
    std::intptr_t (*connect)(Kernel&, Handle, const sockaddr*, unsigned length);
    std::intptr_t (*recv)(Kernel&, Handle, void* bytes, std::size_t size, int flags);
    std::intptr_t (*send)(Kernel&, Handle, const void* bytes, std::size_t size, int flags);
    std::intptr_t (*shutdown)(Kernel&, Handle, int how);
    std::intptr_t (*getsockopt)(Kernel&, Handle, int level, int option, void* value, unsigned* length);
    std::intptr_t (*setsockopt)(Kernel&, Handle, int level, int option, const void* value, unsigned length);
    std::intptr_t (*getsockname)(Kernel&, Handle, sockaddr*, unsigned* length);
    std::intptr_t (*getpeername)(Kernel&, Handle, sockaddr*, unsigned* length);
    std::intptr_t (*close)(Kernel&, Handle);
    std::intptr_t (*poll)(Kernel&, pollfd*, unsigned count, int timeout_ms);
    std::intptr_t (*epoll_create)(Kernel&, int flags) = no_such_call;
    std::intptr_t (*epoll_ctl)(Kernel&, Handle set, int change, Handle, epoll_event*) = no_such_call;
    std::intptr_t (*epoll_wait)(Kernel&, Handle set, epoll_event*, int capacity,
                                int timeout_ms) = no_such_call;
    std::intptr_t (*eventfd)(Kernel&, unsigned initial, int flags) = no_such_call;
    /// pipe2(2): `flags` are O_NONBLOCK and O_CLOEXEC; ends[0] is read from, ends[1] is written to.
    std::intptr_t (*pipe)(Kernel&, Handle ends[2], int flags) = no_such_call;
    std::intptr_t (*io_uring_setup)(Kernel&, unsigned entries, io_uring_params*) = no_such_call;
    /// `argument` is an io_uring_getevents_arg where `flags` say EXT_ARG.
    std::intptr_t (*io_uring_enter)(Kernel&, Handle ring, unsigned to_submit, unsigned min_complete,
                                    unsigned flags, const void* argument,
                                    std::size_t argument_size) = no_such_call;
    std::intptr_t (*io_uring_register)(Kernel&, Handle ring, unsigned what, const void* argument,
                                       unsigned count) = no_such_call;
    /// At an address of the kernel's choice, which is the answer. no_handle: memory that belongs to no file.
    std::intptr_t (*mmap)(Kernel&, Handle, std::size_t size, int protection, int flags,
                          std::int64_t offset) = no_such_call;
    std::intptr_t (*munmap)(Kernel&, void* address, std::size_t size) = no_such_call;
    /// The queue is not inherited by another program (FD_CLOEXEC).
    std::intptr_t (*kqueue)(Kernel&) = no_such_call;
    /// Without a time-out (null): waits for ever, if there is room for events and no change gives an answer.
    std::intptr_t (*kevent)(Kernel&, Handle queue, const struct kevent* changes, int change_count,
                            struct kevent* events, int capacity, const timespec* timeout) = no_such_call;
    std::intptr_t (*read)(Kernel&, Handle, void* bytes, std::size_t size) = no_such_call;
    std::intptr_t (*write)(Kernel&, Handle, const void* bytes, std::size_t size) = no_such_call;
    /// `flags` are O_RDONLY, O_WRONLY or O_RDWR, with O_CREAT, O_EXCL and O_TRUNC. Closed on exec in any case. What is
    /// created can be read and written by everybody whom the process's umask(2) lets.
    std::intptr_t (*open_file)(Kernel&, const char* path, int flags) = no_such_call;
    std::intptr_t (*pread)(Kernel&, Handle, void* bytes, std::size_t size,
                           std::int64_t offset) = no_such_call;
    std::intptr_t (*pwrite)(Kernel&, Handle, const void* bytes, std::size_t size,
                            std::int64_t offset) = no_such_call;
    /// Nanoseconds on a clock that never goes back; the zero is arbitrary.
    std::int64_t (*clock)(Kernel&);
#ifdef _WIN32
    // The native calls of Windows. Those with an OVERLAPPED start something: they answer at once, or -EINPROGRESS and
    // later by a packet of the port. platform/windows/overlapped_calls.h.
    std::intptr_t (*iocp_create)(Kernel&) = no_such_call;
    /// 1: what is answered at once leaves no packet; 0: it does.
    std::intptr_t (*iocp_add)(Kernel&, Handle port, Handle handle) = no_such_call;
    /// GetQueuedCompletionStatusEx; 0 after the time-out.
    std::intptr_t (*iocp_wait)(Kernel&, Handle port, _OVERLAPPED_ENTRY*, int capacity,
                               int timeout_ms) = no_such_call;
    std::intptr_t (*iocp_post)(Kernel&, Handle port) = no_such_call;
    std::intptr_t (*accept_ex)(Kernel&, Handle listener, Handle accepted, void* names,
                               _OVERLAPPED*) = no_such_call;
    std::intptr_t (*connect_ex)(Kernel&, Handle, const sockaddr*, unsigned length,
                                _OVERLAPPED*) = no_such_call;
    std::intptr_t (*wsa_recv)(Kernel&, Handle, void* bytes, std::size_t size, int flags,
                              _OVERLAPPED*) = no_such_call;
    std::intptr_t (*wsa_send)(Kernel&, Handle, const void* bytes, std::size_t size,
                              _OVERLAPPED*) = no_such_call;
    /// -end_of_file (platform/windows/errors.h) where the file ends. The offset is written into the OVERLAPPED.
    std::intptr_t (*read_file)(Kernel&, Handle, void* bytes, std::size_t size, std::int64_t offset,
                               _OVERLAPPED*) = no_such_call;
    std::intptr_t (*write_file)(Kernel&, Handle, const void* bytes, std::size_t size, std::int64_t offset,
                                _OVERLAPPED*) = no_such_call;
    /// -ENOENT: it has finished, its packet is there or on its way.
    std::intptr_t (*cancel_io)(Kernel&, Handle, _OVERLAPPED*) = no_such_call;
    std::intptr_t (*afd_open)(Kernel&) = no_such_call;
    std::intptr_t (*afd_poll)(Kernel&, Handle afd, Handle, AfdPoll*, _OVERLAPPED*) = no_such_call;
#endif
};

/// The real one. Lives for ever; may be shared by any number of ports and threads.
Kernel& system_kernel();

/// What an observer is told of one call, after it has returned.
struct KernelCall {
    Call call;
    Handle handle;             // the descriptor it was made on; no_handle where there is none
    const void* bytes;         // data sent, or received (then `result` bytes of it are meaningful), or an
                               // array of epoll_event, pollfd or kevent (its changes, if it makes any),
                               // or the two ends of a pipe; null where there is none
    std::size_t size;          // bytes asked for, or capacity of the array
    std::int64_t argument[3];  // further arguments in the order of the call
    std::intptr_t result;      // >= 0, or minus an errno
    std::int64_t began_ns;     // Kernel::clock before and after
    std::int64_t ended_ns;
};

/// The portable meaning of a raw code of this family of systems (an errno; positive).
ErrorKind kind_of_code(std::int32_t code);
/// "ECONNREFUSED", or "" for a number without a name in the table.
const char* name_of_code(std::int32_t code);

/// Turns a negative return value of the door into an Error.
inline Error error_of(Call call, std::intptr_t negative_result) {
    const auto code = static_cast<std::int32_t>(-negative_result);
    return Error(kind_of_code(code), call, code);
}

}  // namespace pollard
