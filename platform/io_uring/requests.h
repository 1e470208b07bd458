// Operations as io_uring writes them: which opcode, and what stands in which field.
//
// Manual page: io_uring_enter(2). A field that is not written is zero.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <cstdint>

#include "platform/address.h"
#include "platform/io_uring/entry.h"

namespace pollard::io_uring {

inline std::uint32_t size_of_request(const Operation& operation) {
    constexpr std::size_t largest = 1u << 30;
    return static_cast<std::uint32_t>(operation.size < largest ? operation.size : largest);
}

inline void ask_for_bytes(io_uring_sqe& request, const Operation& operation, std::uint8_t opcode,
                          std::uint32_t flags) {
    request.opcode = opcode;
    request.addr = reinterpret_cast<std::uintptr_t>(operation.data);
    request.len = size_of_request(operation);
    request.msg_flags = flags;
}

/// The kernel reads or writes what its page cache has at once, and lets a thread of its own wait for the disk.
inline void ask_for_bytes_of_file(io_uring_sqe& request, const Operation& operation, std::uint8_t opcode) {
    ask_for_bytes(request, operation, opcode, 0);
    request.off = static_cast<std::uint64_t>(static_cast<const FileOperation&>(operation).offset);
}

inline void ask_for_readiness(io_uring_sqe& request, std::uint32_t events) {
    request.opcode = IORING_OP_POLL_ADD;
    request.poll32_events = events;
}

inline void ask_for_accept(io_uring_sqe& request, std::uint16_t stream) {
    request.opcode = IORING_OP_ACCEPT;
    request.accept_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    request.ioprio = stream;
}

inline void describe_stream(io_uring_sqe& request, const Operation& operation) {
    if (operation.kind == OperationKind::accept) return ask_for_accept(request, IORING_ACCEPT_MULTISHOT);
    request.opcode = IORING_OP_RECV;
    request.ioprio = IORING_RECV_MULTISHOT;
    request.flags = IOSQE_BUFFER_SELECT;
    request.buf_group = ReceiveBuffers::group;
}

inline void describe_request(io_uring_sqe& request, const Operation& operation) {
    switch (operation.kind) {
        case OperationKind::accept:
            return ask_for_accept(request, 0);
        case OperationKind::connect:
            request.opcode = IORING_OP_CONNECT;
            request.addr = reinterpret_cast<std::uintptr_t>(operation.peer->raw());
            request.off = operation.peer->length;
            return;
        case OperationKind::recv:
            return ask_for_bytes(request, operation, IORING_OP_RECV, 0);
        case OperationKind::send:
        case OperationKind::send_all:
            return ask_for_bytes(request, operation, IORING_OP_SEND, MSG_NOSIGNAL);
        case OperationKind::recv_borrowed:  // received in its turn, see receive_now
        case OperationKind::readable:
            return ask_for_readiness(request, POLLIN);
        case OperationKind::writable:
            return ask_for_readiness(request, POLLOUT);
        case OperationKind::read_at:
            return ask_for_bytes_of_file(request, operation, IORING_OP_READ);
        case OperationKind::write_at:
            return ask_for_bytes_of_file(request, operation, IORING_OP_WRITE);
        case OperationKind::close:
            return;
    }
}

/// The second half of a pair: ends the request before it, when the time is over.
inline void add_time_limit(Port& port, io_uring_sqe& first, const TimeLimit& limit, const RequestName& name) {
    first.flags |= IOSQE_IO_LINK;
    io_uring_sqe* request = port.ring.next_request();
    request->opcode = IORING_OP_LINK_TIMEOUT;
    request->fd = no_handle;
    request->addr = reinterpret_cast<std::uintptr_t>(&limit.duration);
    request->len = 1;
    request->user_data = RequestName{Name::cancellation, name.side, name.handle}.packed();
}

/// Ends another request. False: the queue is full, later.
inline bool request_stop(Port& port, RequestName which) {
    io_uring_sqe* request = port.ring.next_request();
    if (request == nullptr) return false;
    request->opcode = IORING_OP_ASYNC_CANCEL;
    request->fd = no_handle;
    request->addr = which.packed();
    request->flags = IOSQE_CQE_SKIP_SUCCESS;  // one that worked needs no answer of its own
    request->user_data = RequestName{Name::cancellation, which.side, which.handle}.packed();
    return true;
}

/// The kernel shall end what it has on this side. False: the queue is full, later.
inline bool stop(Port& port, Entry& entry, Handle handle, int side) {
    if (!entry.stopping[side]) entry.stopping[side] = request_stop(port, {Name::request, side, handle});
    return entry.stopping[side];
}

}  // namespace pollard::io_uring
