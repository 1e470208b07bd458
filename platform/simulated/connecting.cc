// How two sockets find each other.
//
//      connect()                                             listen()
//         |  connection request, latency_ns                     |
//         +------------------------------------------------> [queue] ---accept()---> a new descriptor
//         |  answer, latency_ns: connected, or refused          |
//      [connected] <--------------------------------------------+
//
// A listener whose queue is full drops the request, and the connecting side asks again after 1 s, 2 s, 4 s
// ... and gives up with ETIMEDOUT after the seventh time, as Linux does. As there, a queue holds one more
// than its backlog. A Unix socket asks nobody twice: its connect is EAGAIN.
//
// Read next: platform/simulated/streams.cc.

#include <algorithm>
#include <cerrno>
#include <new>

#include "platform/simulated/socket.h"
#include "platform/system_sockets.h"

namespace pollard::simulated {

namespace {

constexpr unsigned largest_backlog = 4096;  // net.core.somaxconn
constexpr unsigned request_tries = 7;       // net.ipv4.tcp_syn_retries is 6
constexpr std::int64_t first_retry_ns = second_ns;

bool queue_full(const Socket& listener) { return listener.queue_length > listener.backlog; }

std::size_t send_capacity(const SimulatedKernel& kernel, const Socket& socket) {
    return socket.options.send_buffer > 0 ? static_cast<std::size_t>(socket.options.send_buffer)
                                          : kernel.buffer_size;
}

Connection* make_connection(SimulatedKernel& kernel, Socket& client) {
    void* block = kernel.blocks.take(sizeof(Connection));
    if (block == nullptr) return nullptr;
    auto* connection = new (block) Connection;
    connection->domain = client.domain;
    connection->request.connection = connection->answer.connection = connection;
    connection->request.side = 1;
    for (unsigned side = 0; side < 2; ++side) {
        End& end = connection->ends[side];
        end.end_delivery.connection = end.reset_delivery.connection = connection;
        end.end_delivery.side = end.reset_delivery.side = static_cast<std::uint8_t>(side);
        end.capacity = kernel.buffer_size;
    }
    connection->ends[0].socket = &client;
    connection->ends[0].open = true;
    connection->ends[1].capacity = send_capacity(kernel, client);
    client.connection = connection;
    client.side = 0;
    return connection;
}

void enqueue(SimulatedKernel& kernel, Socket& listener, Connection& connection) {
    connection.ends[0].capacity = send_capacity(kernel, listener);
    connection.ends[1].open = true;
    listener.queue.push_back(connection);
    ++listener.queue_length;
    notify(&listener);
}

Connection& dequeue(Socket& listener) {
    --listener.queue_length;
    return *listener.queue.pop_front();
}

void answer_request(SimulatedKernel& kernel, Connection& connection, int refusal) {
    connection.refusal = refusal;
    dispatch(kernel, connection.answer);
}

std::intptr_t connect_unix(SimulatedKernel& kernel, Socket& socket, const Address& address) {
    bool somebody_has_it = false;
    Socket* listener = find_listener(kernel, address, somebody_has_it);
    if (listener == nullptr) return somebody_has_it ? -ECONNREFUSED : -ENOENT;
    if (kernel.chance(kernel.faults.refused)) return -ECONNREFUSED;
    if (queue_full(*listener)) return -EAGAIN;
    // Linux looks at the peer first and only then at what the caller is.
    if (socket.state == SocketState::listening) return -EINVAL;
    if (socket.state == SocketState::connected) return -EISCONN;
    Connection* connection = make_connection(kernel, socket);
    if (connection == nullptr) return -ENOMEM;
    connection->pending = false;
    connection->names[0] = socket.bound ? socket.local : unnamed_unix_address();
    connection->names[1] = address;
    socket.state = SocketState::connected;
    enqueue(kernel, *listener, *connection);
    notify(&socket);
    return 0;
}

std::intptr_t connect_tcp(SimulatedKernel& kernel, Socket& socket, Address address) {
    if (const std::intptr_t refusal = resolve_destination(address); refusal < 0) return refusal;
    if (!socket.bound)
        if (const std::intptr_t refusal = bind_to_free_port(kernel, socket); refusal < 0) return refusal;
    Connection* connection = make_connection(kernel, socket);
    if (connection == nullptr) return -ENOMEM;
    specialize(socket.local);
    connection->names[0] = socket.local;
    connection->names[1] = address;
    socket.state = SocketState::connecting;
    socket.connect_answered = false;
    dispatch(kernel, connection->request);
    return -EINPROGRESS;
}

/// connect() on a socket that has tried before: the outcome, once.
std::intptr_t connect_again(SimulatedKernel& kernel, Socket& socket) {
    if (socket.connect_answered) return -EISCONN;
    socket.connect_answered = true;
    if (!socket.end().dead()) return 0;
    const int error = take_error(socket);
    close_end(kernel, *socket.connection, socket.side, false);
    socket.connection = nullptr;
    socket.state = SocketState::idle;
    return error != 0 ? -error : -ECONNABORTED;
}

}  // namespace

std::intptr_t listen(SimulatedKernel& kernel, Socket& socket, int backlog) {
    if (socket.state != SocketState::idle && socket.state != SocketState::listening) return -EINVAL;
    if (!socket.bound) {
        if (socket.is_unix()) return -EINVAL;
        if (const std::intptr_t refusal = bind_to_free_port(kernel, socket); refusal < 0) return refusal;
    }
    // Two may share an unused name by SO_REUSEADDR, but only one of them can listen on it.
    if (const std::intptr_t refusal = check_name_is_free(kernel, socket, socket.local); refusal < 0)
        return refusal;
    socket.state = SocketState::listening;
    // A negative backlog means the largest, because the kernel compares without sign.
    socket.backlog = std::min(static_cast<unsigned>(backlog), largest_backlog);
    return 0;
}

std::intptr_t accept(SimulatedKernel& kernel, Socket& listener, sockaddr* address, unsigned* length,
                     int flags) {
    if ((flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != 0) return -EINVAL;
    // As on Linux the number is taken first: without one it is EMFILE even if nobody waits.
    if (kernel.chance(kernel.faults.descriptors_exhausted)) return -EMFILE;
    if (const std::intptr_t number = reserve_descriptor(kernel); number < 0) return number;
    if (listener.state != SocketState::listening) return -EINVAL;
    if (listener.queue.empty()) return -EAGAIN;
    if (kernel.chance(kernel.faults.accept_aborted)) {
        close_end(kernel, dequeue(listener), 1, true);
        return -ECONNABORTED;
    }
    Socket* socket = make_socket(kernel, listener.domain);
    if (socket == nullptr) return -ENOMEM;
    Connection& connection = dequeue(listener);
    socket->options = listener.options;
    socket->state = SocketState::connected;
    socket->connection = &connection;
    socket->side = 1;
    socket->local = connection.names[1];
    connection.ends[1].socket = socket;
    write_address(kernel, connection.names[0], address, length);
    return install_socket(kernel, *socket);
}

std::intptr_t connect(SimulatedKernel& kernel, Socket& socket, const sockaddr* raw, unsigned length) {
    Address address;
    if (const std::intptr_t refusal = read_address(socket, raw, length, address); refusal < 0) return refusal;
    kernel.digest.add_bytes(address.bytes, address.length);
    if (socket.is_unix()) return connect_unix(kernel, socket, address);
    switch (socket.state) {
        case SocketState::idle:
            return connect_tcp(kernel, socket, address);
        case SocketState::listening:
            return -EISCONN;
        case SocketState::connecting:
            return -EALREADY;
        case SocketState::connected:
            return connect_again(kernel, socket);
    }
    return -EINVAL;
}

void deliver_connection_request(SimulatedKernel& kernel, Connection& connection) {
    bool somebody_has_it = false;
    Socket* listener = find_listener(kernel, connection.names[1], somebody_has_it);
    if (listener == nullptr || kernel.chance(kernel.faults.refused))
        return answer_request(kernel, connection, ECONNREFUSED);
    if (!queue_full(*listener)) {
        enqueue(kernel, *listener, connection);
        return answer_request(kernel, connection, 0);
    }
    if (++connection.tries == request_tries) return answer_request(kernel, connection, ETIMEDOUT);
    dispatch_at(kernel, connection.request, kernel.now_ns + (first_retry_ns << (connection.tries - 1)));
}

void deliver_connection_answer(SimulatedKernel& kernel, Connection& connection) {
    Socket& socket = *connection.ends[0].socket;
    connection.pending = false;
    socket.state = SocketState::connected;
    if (connection.refusal != 0)
        break_end(kernel, connection, 0, connection.refusal);
    else
        notify(&socket);
}

void stop_listening(SimulatedKernel& kernel, Socket& listener) {
    while (!listener.queue.empty()) close_end(kernel, dequeue(listener), 1, true);
    listener.state = SocketState::idle;
    notify(&listener);
}

}  // namespace pollard::simulated
