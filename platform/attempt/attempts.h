// Attempts: the calls that operations are made of.
//
// Each function here makes one kind of operation's call, again after an interruption by a signal, until it has an
// answer or the kernel says that it would block. Nothing here knows of parking.
//
// They are inline because attempt_port.cc builds one start and one retry around each, with nothing in between.
#pragma once

#include <cerrno>
#include <cstdint>

#include "platform/address.h"
#include "platform/completion_port.h"
#include "platform/kernel.h"
#include "platform/operation.h"
#include "platform/system_sockets.h"

namespace pollard::attempts {

enum class Outcome : std::uint8_t {
    answered,          // operation.answer is set
    answered_drained,  // the same, and a further call on this direction would block until the next event
    would_block,       // ask the poller
    waits_for_buffer,  // the operation stands in the pool's line
};
using enum Outcome;

inline Outcome answer_with(Operation& operation, std::intptr_t answer) {
    operation.answer = answer;
    return answered;
}

/// True for the answers after which the same call is simply made again: a signal came; or, when accepting,
/// the connection in question was reset while it stood in the queue (accept(2) lists these network errors).
inline bool try_again(std::intptr_t answer) { return answer == -EINTR; }
inline bool accept_next(std::intptr_t answer) {
    return answer == -EINTR || answer == -ECONNABORTED || answer == -EPROTO;
}

/// Receives into `data`. The usual case is looked at first: this is the hottest place of all. `short_means_empty`: a
/// short receive proves that nothing is left.
[[gnu::always_inline]] inline Outcome receive(CompletionPort& port, Operation& operation, std::byte* data,
                                              std::size_t size, bool short_means_empty) {
    for (;;) {
        const std::intptr_t received = port.kernel->recv(*port.kernel, operation.handle, data, size, 0);
        if (received > 0) [[likely]] {
            operation.answer = received;
            const bool drained = short_means_empty && static_cast<std::size_t>(received) < size;
            return drained ? answered_drained : answered;
        }
        if (try_again(received)) continue;
        if (received == -EAGAIN) return would_block;
        return answer_with(operation, received);
    }
}

[[gnu::always_inline]] inline Outcome recv_borrowed(CompletionPort& port, Operation& operation,
                                                    bool short_means_empty) {
    std::byte* buffer = take_buffer(port.buffers, operation);
    if (buffer == nullptr) [[unlikely]] {
        if (!port.buffers.exhausted()) return answer_with(operation, -ENOMEM);
        port.buffers.waiting.push_back(operation);
        return waits_for_buffer;
    }
    operation.data = buffer;
    const Outcome outcome = receive(port, operation, buffer, BufferPool::buffer_size, short_means_empty);
    if (outcome == would_block || operation.failed()) [[unlikely]]
        BufferPool::give_back(buffer);
    return outcome;
}

inline Outcome send(CompletionPort& port, Operation& operation) {
    Kernel& kernel = *port.kernel;
    std::intptr_t answer;
    do answer = kernel.send(kernel, operation.handle, operation.data, operation.size, MSG_NOSIGNAL);
    while (try_again(answer));
    if (answer == -EAGAIN) return would_block;
    return answer_with(operation, answer);
}

[[gnu::always_inline]] inline Outcome send_all(CompletionPort& port, Operation& operation) {
    Kernel& kernel = *port.kernel;
    for (;;) {
        const std::size_t size = operation.size;
        const std::intptr_t sent = kernel.send(kernel, operation.handle, operation.data, size, MSG_NOSIGNAL);
        if (sent == static_cast<std::intptr_t>(size)) [[likely]]
            return answer_with(operation, 0);
        if (sent >= 0) {
            operation.data += sent;
            operation.size -= static_cast<std::size_t>(sent);
            continue;
        }
        if (try_again(sent)) continue;
        if (sent == -EAGAIN) return would_block;
        return answer_with(operation, sent);
    }
}

inline Outcome accept(CompletionPort& port, Operation& operation) {
    Kernel& kernel = *port.kernel;
    std::intptr_t answer;
    do answer = kernel.accept(kernel, operation.handle, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (accept_next(answer));
    if (answer == -EAGAIN) return would_block;
    return answer_with(operation, answer);
}

/// Is the connection that was begun there? connect(2): SO_ERROR tells a failure, but 0 may also mean that it
/// is still going on (an event can be spurious), and getpeername(2) tells those two apart.
inline Outcome finish_connect(Kernel& kernel, Operation& operation) {
    int error = 0;
    unsigned length = sizeof error;
    std::intptr_t answer = kernel.getsockopt(kernel, operation.handle, SOL_SOCKET, SO_ERROR, &error, &length);
    if (answer < 0) return answer_with(operation, answer);
    if (error != 0) return answer_with(operation, -error);
    Address peer;
    peer.length = sizeof peer.bytes;
    answer = kernel.getpeername(kernel, operation.handle, peer.raw(), &peer.length);
    if (answer != -ENOTCONN) return answer_with(operation, answer < 0 ? answer : 0);
    // Not yet, or it has failed and a receive that waited too has taken the error: only the hang-up tells.
    pollfd entry = poll_entry(operation.handle, POLLOUT);
    do answer = kernel.poll(kernel, &entry, 1, 0);
    while (try_again(answer));
    if (answer >= 0 && (entry.revents & (POLLERR | POLLHUP)) == 0) return would_block;
    return answer_with(operation, answer < 0 ? answer : -ENOTCONN);
}

/// `size` says whether the connection has been begun.
inline Outcome connect(CompletionPort& port, Operation& operation) {
    Kernel& kernel = *port.kernel;
    if (operation.size != 0) return finish_connect(kernel, operation);
    const Address& address = *operation.peer;
    const std::intptr_t answer = kernel.connect(kernel, operation.handle, address.raw(), address.length);
    if (answer != -EINPROGRESS && answer != -EINTR) return answer_with(operation, answer);
    // Interrupted or not, it goes on by itself; calling connect again would say EALREADY.
    operation.size = 1;
    return would_block;
}

inline Outcome poll(CompletionPort& port, Operation& operation, int events) {
    Kernel& kernel = *port.kernel;
    pollfd descriptor = poll_entry(operation.handle, events);
    std::intptr_t answer;
    do answer = kernel.poll(kernel, &descriptor, 1, 0);
    while (try_again(answer));
    if (answer == 0) return would_block;
    if (answer > 0 && (descriptor.revents & POLLNVAL) != 0) answer = -EBADF;
    return answer_with(operation, answer < 0 ? answer : 0);
}

/// On a file: it never says that it would block. While the disk works, the call does, and so does the thread.
template <auto call>
Outcome on_file(CompletionPort& port, Operation& operation) {
    Kernel& kernel = *port.kernel;
    const std::int64_t offset = static_cast<const FileOperation&>(operation).offset;
    std::intptr_t answer;
    do answer = (kernel.*call)(kernel, operation.handle, operation.data, operation.size, offset);
    while (try_again(answer));
    return answer_with(operation, answer);
}
inline constexpr auto& read_at = on_file<&Kernel::pread>;
inline constexpr auto& write_at = on_file<&Kernel::pwrite>;

/// The attempt of each kind of operation. (Closing is no attempt: see attempt_port.cc.)
template <OperationKind kind>
[[gnu::always_inline]] inline Outcome attempt(CompletionPort& port, Operation& operation,
                                              bool short_means_empty) {
    if constexpr (kind == OperationKind::accept) return accept(port, operation);
    if constexpr (kind == OperationKind::connect) return connect(port, operation);
    if constexpr (kind == OperationKind::recv)
        return receive(port, operation, operation.data, operation.size, short_means_empty);
    if constexpr (kind == OperationKind::recv_borrowed)
        return recv_borrowed(port, operation, short_means_empty);
    if constexpr (kind == OperationKind::send) return send(port, operation);
    if constexpr (kind == OperationKind::send_all) return send_all(port, operation);
    if constexpr (kind == OperationKind::readable) return poll(port, operation, POLLIN);
    if constexpr (kind == OperationKind::writable) return poll(port, operation, POLLOUT);
}

}  // namespace pollard::attempts
