// The calls that operations are made of. Each function makes one operation's call until it has an answer or
// the kernel says that it would block; nothing here knows of parking.
#include "platform/attempt/attempts.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "platform/address.h"
#include "platform/kernel.h"

namespace pollard {

namespace {

constexpr Attempt would_block = {AttemptOutcome::would_block, true};

Attempt answered(Operation& operation, std::intptr_t answer, bool drained = false) {
    operation.answer = answer;
    return {AttemptOutcome::answered, drained};
}

/// True for the answers after which the same call is simply made again: a signal came; or, when accepting,
/// the connection in question was reset while it stood in the queue (accept(2) lists these network errors).
bool try_again(std::intptr_t answer) { return answer == -EINTR; }
bool accept_next(std::intptr_t answer) {
    return answer == -EINTR || answer == -ECONNABORTED || answer == -EPROTO;
}

Attempt attempt_recv(CompletionPort& port, Operation& operation, std::byte* data, std::size_t size,
                     bool short_means_empty) {
    Kernel& kernel = *port.kernel;
    std::intptr_t answer;
    do answer = kernel.recv(kernel, operation.handle, data, size, 0);
    while (try_again(answer));
    if (answer == -EAGAIN) return would_block;
    const bool short_read = answer > 0 && static_cast<std::size_t>(answer) < size;
    return answered(operation, answer, short_read && short_means_empty);
}

Attempt attempt_borrowed_recv(CompletionPort& port, Operation& operation, bool short_means_empty) {
    std::byte* buffer = port.buffers.take();
    if (buffer == nullptr) {
        if (!port.buffers.exhausted()) return answered(operation, -ENOMEM);
        port.buffers.waiting.push_back(operation);
        return {AttemptOutcome::waits_for_buffer};
    }
    const Attempt made = attempt_recv(port, operation, buffer, BufferPool::buffer_size, short_means_empty);
    if (made.outcome == AttemptOutcome::answered && !operation.failed())
        operation.data = buffer;
    else
        BufferPool::give_back(buffer);
    return made;
}

Attempt attempt_send(CompletionPort& port, Operation& operation) {
    Kernel& kernel = *port.kernel;
    std::intptr_t answer;
    do answer = kernel.send(kernel, operation.handle, operation.data, operation.size, MSG_NOSIGNAL);
    while (try_again(answer));
    if (answer == -EAGAIN) return would_block;
    return answered(operation, answer);
}

Attempt attempt_send_all(CompletionPort& port, Operation& operation) {
    Kernel& kernel = *port.kernel;
    for (;;) {
        const std::intptr_t sent =
            kernel.send(kernel, operation.handle, operation.data, operation.size, MSG_NOSIGNAL);
        if (try_again(sent)) continue;
        if (sent == -EAGAIN) return would_block;
        if (sent < 0) return answered(operation, sent);
        operation.data += sent;
        operation.size -= static_cast<std::size_t>(sent);
        if (operation.size == 0) return answered(operation, 0);
    }
}

Attempt attempt_accept(CompletionPort& port, Operation& operation) {
    Kernel& kernel = *port.kernel;
    std::intptr_t answer;
    do answer = kernel.accept(kernel, operation.handle, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (accept_next(answer));
    if (answer == -EAGAIN) return would_block;
    return answered(operation, answer);
}

/// Is the connection that was begun there? connect(2): SO_ERROR tells a failure, but 0 may also mean that it
/// is still going on (an event can be spurious), and getpeername(2) tells those two apart.
Attempt attempt_finish_connect(Kernel& kernel, Operation& operation) {
    int error = 0;
    unsigned length = sizeof error;
    std::intptr_t answer = kernel.getsockopt(kernel, operation.handle, SOL_SOCKET, SO_ERROR, &error, &length);
    if (answer < 0) return answered(operation, answer);
    if (error != 0) return answered(operation, -error);
    Address peer;
    peer.length = sizeof peer.bytes;
    answer = kernel.getpeername(kernel, operation.handle, peer.raw(), &peer.length);
    if (answer == -ENOTCONN) return would_block;
    return answered(operation, answer < 0 ? answer : 0);
}

/// `size` says whether the connection has been begun.
Attempt attempt_connect(CompletionPort& port, Operation& operation) {
    Kernel& kernel = *port.kernel;
    if (operation.size != 0) return attempt_finish_connect(kernel, operation);
    const Address& address = *operation.peer;
    const std::intptr_t answer = kernel.connect(kernel, operation.handle, address.raw(), address.length);
    if (answer != -EINPROGRESS && answer != -EINTR) return answered(operation, answer);
    // Interrupted or not, it goes on by itself; calling connect again would say EALREADY.
    operation.size = 1;
    return would_block;
}

Attempt attempt_poll(CompletionPort& port, Operation& operation, short events) {
    Kernel& kernel = *port.kernel;
    pollfd descriptor = {.fd = operation.handle, .events = events, .revents = 0};
    std::intptr_t answer;
    do answer = kernel.poll(kernel, &descriptor, 1, 0);
    while (try_again(answer));
    if (answer == 0) return would_block;
    if (answer > 0 && (descriptor.revents & POLLNVAL) != 0) answer = -EBADF;
    return answered(operation, answer < 0 ? answer : 0);
}

}  // namespace

Attempt attempt(CompletionPort& port, Operation& operation, bool short_means_empty) {
    switch (operation.kind) {
        case OperationKind::recv:
            return attempt_recv(port, operation, operation.data, operation.size, short_means_empty);
        case OperationKind::recv_borrowed:
            return attempt_borrowed_recv(port, operation, short_means_empty);
        case OperationKind::send:
            return attempt_send(port, operation);
        case OperationKind::send_all:
            return attempt_send_all(port, operation);
        case OperationKind::accept:
            return attempt_accept(port, operation);
        case OperationKind::connect:
            return attempt_connect(port, operation);
        case OperationKind::readable:
            return attempt_poll(port, operation, POLLIN);
        case OperationKind::writable:
            return attempt_poll(port, operation, POLLOUT);
        case OperationKind::close:
            break;
    }
    return answered(operation, -EINVAL);
}

}  // namespace pollard
