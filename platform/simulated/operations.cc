// What each kind of operation does to a simulated socket, tried once.
#include "platform/simulated/operations.h"
#include "platform/system_sockets.h"

#include <cerrno>

namespace pollard::simulated {

namespace {

using Answer = std::optional<std::intptr_t>;

Answer unless_would_block(std::intptr_t result) { return result == -EAGAIN ? Answer() : Answer(result); }

Answer try_accept(SimulatedKernel& kernel, Socket& socket) {
    std::intptr_t result;
    // A connection that was aborted in the queue is nobody's failure; there may be another one behind it.
    do result = accept(kernel, socket, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (result == -ECONNABORTED);
    return unless_would_block(result);
}

/// `size` says whether the connection has been begun.
Answer try_connect(SimulatedKernel& kernel, Socket& socket, Operation& operation) {
    if (operation.size == 0) {
        const std::intptr_t result = connect(kernel, socket, operation.peer->raw(), operation.peer->length);
        // For a Unix socket EAGAIN is final: nothing tells when the listener's queue has room.
        if (result != -EINPROGRESS) return result;
        operation.size = 1;
    }
    if (socket.state == SocketState::connecting) return {};
    socket.connect_answered = true;
    return -take_error(socket);
}

Answer try_recv_borrowed(SimulatedKernel& kernel, Socket& socket, Operation& operation, BufferPool& buffers) {
    // A buffer is taken only when the answer is there: data, the end of the stream, or an error.
    if (recv_would_block(socket)) return {};
    std::byte* buffer = take_buffer(buffers, operation);
    if (buffer == nullptr) {
        if (!buffers.exhausted()) return -ENOMEM;
        buffers.waiting.push_back(operation);
        return {};
    }
    const Answer answer = unless_would_block(recv(kernel, socket, buffer, BufferPool::buffer_size, 0));
    if (answer && *answer >= 0)
        operation.data = buffer;
    else
        BufferPool::give_back(buffer);
    return answer;
}

Answer try_send_all(SimulatedKernel& kernel, Socket& socket, Operation& operation) {
    for (;;) {
        const std::intptr_t sent = send(kernel, socket, operation.data, operation.size, MSG_NOSIGNAL);
        if (sent < 0) return unless_would_block(sent);
        operation.data += sent;
        operation.size -= static_cast<std::size_t>(sent);
        if (operation.size == 0) return 0;
    }
}

Answer success_if(bool ready) { return ready ? Answer(0) : Answer(); }

}  // namespace

Answer try_operation(SimulatedKernel& kernel, Socket& socket, Operation& operation, BufferPool& buffers) {
    const Readiness ready = readiness(socket);
    switch (operation.kind) {
        case OperationKind::accept:
            return try_accept(kernel, socket);
        case OperationKind::connect:
            return try_connect(kernel, socket, operation);
        case OperationKind::recv:
            return unless_would_block(recv(kernel, socket, operation.data, operation.size, 0));
        case OperationKind::recv_borrowed:
            return try_recv_borrowed(kernel, socket, operation, buffers);
        case OperationKind::send:
            return unless_would_block(send(kernel, socket, operation.data, operation.size, MSG_NOSIGNAL));
        case OperationKind::send_all:
            return try_send_all(kernel, socket, operation);
        case OperationKind::readable:
            return success_if(ready.readable || ready.hang_up || ready.error);
        case OperationKind::writable:
            return success_if(ready.writable || ready.hang_up || ready.error);
        case OperationKind::read_at:
        case OperationKind::write_at:
            return -EBADF;  // there are no files
        case OperationKind::close:
            break;
    }
    return -EINVAL;
}

}  // namespace pollard::simulated
