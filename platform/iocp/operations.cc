// What each kind of operation asks the kernel for, and what is left to do when it has answered.
//
//      submit   -->  the answer, or nothing: a packet will bring it
//      finish   -->  the operation's own answer, or nothing: it was submitted again
//
// Read next: platform/windows/overlapped_calls.cc.
#include <cerrno>

#include "platform/address.h"
#include "platform/iocp/iocp.h"
#include "platform/windows/errors.h"
#include "platform/windows/overlapped_calls.h"

namespace pollard::iocp {

namespace {

constexpr std::size_t names_size = 2 * windows::accept_name_size;
/// A send hands over so much at a time.
constexpr std::size_t largest_piece = 256 * 1024;

/// What an overlapped call has returned: the answer, or nothing when a packet will bring it.
Answer unless_pending(Side& side, std::intptr_t result) {
    // Where packets come in any case, an answer that is there already is waited for like one that is not.
    if (result != -EINPROGRESS && (result < 0 || side.handle->skips_packets)) return result;
    hand_over(side);
    return {};
}

OVERLAPPED* fresh_overlapped(Side& side) {
    side.overlapped = {};
    return &side.overlapped;
}

// --- starting each kind ---

Answer submit_recv(Side& side, void* bytes, std::size_t size, int flags) {
    Kernel& kernel = *side.handle->port->kernel;
    return unless_pending(
        side, kernel.wsa_recv(kernel, side.handle->number, bytes, size, flags, fresh_overlapped(side)));
}

/// Of no bytes. A datagram would be taken away by that, so it is only looked at.
Answer submit_borrowed(Side& side) {
    const int flags = side.handle->kind == HandleKind::stream ? 0 : MSG_PEEK;
    return submit_recv(side, nullptr, 0, flags);
}

Answer submit_send_all(Side& side) {
    Kernel& kernel = *side.handle->port->kernel;
    const Operation& operation = *side.operation;
    const std::size_t size = operation.size < largest_piece ? operation.size : largest_piece;
    return unless_pending(
        side, kernel.wsa_send(kernel, side.handle->number, operation.data, size, fresh_overlapped(side)));
}

/// Behind its end a file has nothing: for a read that is an answer.
std::intptr_t or_nothing(const Operation& operation, std::intptr_t answer) {
    return operation.kind == OperationKind::read_at && answer == -windows::end_of_file ? 0 : answer;
}

Answer submit_on_file(Side& side) {
    Kernel& kernel = *side.handle->port->kernel;
    const Operation& operation = *side.operation;
    const std::int64_t offset = static_cast<const FileOperation&>(operation).offset;
    OVERLAPPED* overlapped = fresh_overlapped(side);
    if (operation.kind == OperationKind::read_at)
        return unless_pending(side, kernel.read_file(kernel, operation.handle, operation.data, operation.size,
                                                     offset, overlapped));
    return unless_pending(side, kernel.write_file(kernel, operation.handle, operation.data, operation.size,
                                                  offset, overlapped));
}

/// The socket for the connection to come must be of the listener's family.
std::intptr_t make_accept_socket(OpenHandle& listener) {
    Kernel& kernel = *listener.port->kernel;
    if (listener.family == 0) {
        Address name;
        name.length = sizeof name.bytes;
        const std::intptr_t named = kernel.getsockname(kernel, listener.number, name.raw(), &name.length);
        if (named < 0) return named;
        listener.family = name.raw()->sa_family;
    }
    return kernel.socket(kernel, listener.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

void drop_accepted(Side& side, bool close_socket) {
    IocpPort& port = *side.handle->port;
    if (close_socket) port.kernel->close(*port.kernel, side.accepted.socket);
    port.blocks.give_back(side.accepted.names, names_size);
}

Answer submit_accept(Side& side) {
    OpenHandle& listener = *side.handle;
    Kernel& kernel = *listener.port->kernel;
    const std::intptr_t made = make_accept_socket(listener);
    if (made < 0) return made;
    side.accepted = {static_cast<Handle>(made), listener.port->blocks.take(names_size)};
    if (side.accepted.names == nullptr) {
        kernel.close(kernel, side.accepted.socket);
        return -ENOMEM;
    }
    const std::intptr_t begun = kernel.accept_ex(kernel, listener.number, side.accepted.socket,
                                                 side.accepted.names, fresh_overlapped(side));
    const Answer answer = unless_pending(side, begun);
    if (answer && *answer < 0) drop_accepted(side, true);
    return answer;
}

/// ConnectEx wants a socket that has a name; any will do. EINVAL: it has one.
std::intptr_t bind_to_any(Kernel& kernel, Handle handle, const Address& peer) {
    Address any;
    any.length = peer.length;
    any.raw()->sa_family = peer.raw()->sa_family;
    const std::intptr_t bound = kernel.bind(kernel, handle, any.raw(), any.length);
    return bound == -EINVAL ? 0 : bound;
}

Answer submit_connect(Side& side) {
    Kernel& kernel = *side.handle->port->kernel;
    const Address& peer = *side.operation->peer;
    if (const std::intptr_t bound = bind_to_any(kernel, side.handle->number, peer); bound < 0) return bound;
    return unless_pending(side, kernel.connect_ex(kernel, side.handle->number, peer.raw(), peer.length,
                                                  fresh_overlapped(side)));
}

Answer submit_poll(Side& side) {
    IocpPort& port = *side.handle->port;
    if (port.afd == no_handle) return -EOPNOTSUPP;
    if (side.handle->kind == HandleKind::file) return -EBADF;  // AFD knows sockets only
    const bool reads = side.operation->direction == Direction::read;
    side.poll.events =
        afd_abort | afd_connect_fail | afd_disconnect | (reads ? afd_receive | afd_accept : afd_send);
    return unless_pending(side, port.kernel->afd_poll(*port.kernel, port.afd, side.handle->number, &side.poll,
                                                      fresh_overlapped(side)));
}

/// What there is room for, now or when there is room.
Answer submit_send(Side& side) {
    Kernel& kernel = *side.handle->port->kernel;
    const Operation& operation = *side.operation;
    for (;;) {
        const std::intptr_t sent =
            kernel.send(kernel, operation.handle, operation.data, operation.size, MSG_NOSIGNAL);
        if (sent == -EINTR) continue;
        if (sent != -EAGAIN) return sent;
        const Answer room = submit_poll(side);
        if (!room || *room < 0) return room;
    }
}

Answer submit(Side& side) {
    Operation& operation = *side.operation;
    switch (operation.kind) {
        case OperationKind::accept:
            return submit_accept(side);
        case OperationKind::connect:
            return submit_connect(side);
        case OperationKind::recv:
            // A receive of no bytes waits on Windows; here as elsewhere it is done at once.
            if (operation.size == 0) return 0;
            return submit_recv(side, operation.data, operation.size, 0);
        case OperationKind::recv_borrowed:
            return submit_borrowed(side);
        case OperationKind::send:
        case OperationKind::send_all:
            // A send of nothing waits for room where the socket is full; here as elsewhere it is done at once.
            if (operation.size == 0 && side.handle->kind == HandleKind::stream) return 0;
            return operation.kind == OperationKind::send ? submit_send(side) : submit_send_all(side);
        case OperationKind::readable:
        case OperationKind::writable:
            return submit_poll(side);
        case OperationKind::read_at:
        case OperationKind::write_at:
            return submit_on_file(side);
        case OperationKind::close:
            break;
    }
    return -EINVAL;
}

// --- what is left to do when the kernel has answered ---

/// A socket that AcceptEx or ConnectEx has connected is told so.
std::intptr_t update_context(Kernel& kernel, Handle handle, int option, const void* value, unsigned size) {
    return kernel.setsockopt(kernel, handle, SOL_SOCKET, option, value, size);
}

/// The connection belongs to the port from now on, like its listener.
Answer finish_accept(Side& side, std::intptr_t answer) {
    OpenHandle& listener = *side.handle;
    IocpPort& port = *listener.port;
    const Handle accepted = side.accepted.socket;
    if (answer >= 0) {
        const auto raw_listener = static_cast<SOCKET>(static_cast<std::intptr_t>(listener.number));
        answer = update_context(*port.kernel, accepted, SO_UPDATE_ACCEPT_CONTEXT, &raw_listener,
                                sizeof raw_listener);
        if (answer >= 0) answer = open(port, accepted, listener.kind) ? accepted : -ENOMEM;
    }
    drop_accepted(side, answer < 0);
    // That one was reset while it stood in the queue; another may come.
    if (answer == -ECONNABORTED && !side.operation->cancel_requested) return submit_and_finish(side);
    return answer;
}

Answer finish_connect(Side& side, std::intptr_t answer) {
    if (answer < 0) return answer;
    return update_context(*side.handle->port->kernel, side.handle->number, SO_UPDATE_CONNECT_CONTEXT, nullptr,
                          0);
}

/// Something is there (or an end, or an error): a plain receive fetches it.
Answer finish_borrowed(Side& side, std::intptr_t answer) {
    if (answer < 0) return answer;
    IocpPort& port = *side.handle->port;
    Operation& operation = *side.operation;
    std::byte* buffer = take_buffer(port.buffers, operation);
    if (buffer == nullptr) {
        if (!port.buffers.exhausted()) return -ENOMEM;
        operation.state = OperationState::armed;
        operation.type = &proceed_work;
        side.answer = 0;
        port.buffers.waiting.push_back(operation);
        return {};
    }
    Kernel& kernel = *port.kernel;
    std::intptr_t received;
    do received = kernel.recv(kernel, operation.handle, buffer, BufferPool::buffer_size, 0);
    while (received == -EINTR);
    if (received >= 0) {
        operation.data = buffer;
        return received;
    }
    BufferPool::give_back(buffer);
    // Somebody else has read it.
    if (received == -EAGAIN) return operation.cancel_requested ? Answer(-ECANCELED) : submit(side);
    return received;
}

Answer finish_send_all(Side& side, std::intptr_t answer) {
    Operation& operation = *side.operation;
    while (answer >= 0) {
        operation.data += answer;
        operation.size -= static_cast<std::size_t>(answer);
        if (operation.size == 0) return 0;
        if (operation.cancel_requested) return -ECANCELED;
        const Answer next = submit(side);
        if (!next) return {};
        answer = *next;
    }
    return answer;
}

}  // namespace

Answer finish(Side& side, std::intptr_t answer) {
    switch (side.operation->kind) {
        case OperationKind::accept:
            return finish_accept(side, answer);
        case OperationKind::connect:
            return finish_connect(side, answer);
        case OperationKind::recv_borrowed:
            return finish_borrowed(side, answer);
        case OperationKind::send:
            // There is room now.
            if (answer < 0) return answer;
            return side.operation->cancel_requested ? Answer(-ECANCELED) : submit_send(side);
        case OperationKind::send_all:
            return finish_send_all(side, answer);
        case OperationKind::read_at:
            return or_nothing(*side.operation, answer);
        default:
            return answer;
    }
}

/// What was there at once is finished at once. (An accept that failed has cleaned up after itself; a send that was
/// begun has been made.)
Answer submit_and_finish(Side& side) {
    const Answer begun = submit(side);
    if (!begun || side.operation->kind == OperationKind::send) return begun;
    if (*begun < 0) return or_nothing(*side.operation, *begun);
    return finish(side, *begun);
}

}  // namespace pollard::iocp
