// Bytes from one end of a connection to the other, and the ways in which that ends.
//
//      close, nothing unread     FIN:   the other end reads the rest, then 0
//      close, bytes unread       reset: the other end reads what has arrived, then ECONNRESET
//      bytes for a closed end    reset: the sender learns from its next call
//
// A Unix socket has no FIN on the wire: its close shuts both directions of the other end, and a send there is
// EPIPE from then on.
//
// Read next: platform/simulated/connecting.cc.

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "platform/simulated/socket.h"
#include "platform/system_sockets.h"

namespace pollard::simulated {

namespace {

void check_bytes(const SimulatedKernel& kernel, const End& end) {
    POLLARD_REQUIRE(
        end.sent == end.received + end.stored + end.discarded,
        "the simulated kernel has lost count of a connection's bytes: a mistake in platform/simulated");
    const auto& all = kernel.bytes;
    POLLARD_REQUIRE(all.sent == all.received + all.in_flight + all.discarded,
                    "the simulated kernel has lost count of its bytes: a mistake in platform/simulated");
}

Chunk* make_chunk(SimulatedKernel& kernel, Connection& connection, unsigned side, std::size_t wanted) {
    const auto capacity =
        static_cast<std::uint32_t>(std::min<std::size_t>(wanted, Chunk::largest_capacity()));
    void* block = kernel.blocks.take(sizeof(Chunk) + capacity);
    if (block == nullptr) return nullptr;
    auto* chunk = new (block) Chunk;
    chunk->capacity = capacity;
    chunk->side = static_cast<std::uint8_t>(side);
    chunk->connection = &connection;
    End& end = connection.ends[side];
    (end.last != nullptr ? end.last->next_chunk : end.first) = chunk;
    end.last = chunk;
    return chunk;
}

void release_chunk(SimulatedKernel& kernel, Chunk& chunk) {
    chunk.unlink();
    kernel.blocks.give_back(&chunk, sizeof(Chunk) + chunk.capacity);
}

/// Takes `count` of the bytes that have arrived; copies them where `into` says, or forgets them when that is
/// null.
void take_bytes(SimulatedKernel& kernel, End& end, std::byte* into, std::size_t count) {
    end.stored -= count;
    end.arrived -= count;
    kernel.bytes.in_flight -= count;
    (into != nullptr ? end.received : end.discarded) += count;
    (into != nullptr ? kernel.bytes.received : kernel.bytes.discarded) += count;
    while (count > 0) {
        Chunk& chunk = *end.first;
        const std::size_t here = std::min<std::size_t>(count, chunk.end - chunk.begin);
        if (into != nullptr) {
            std::memcpy(into, chunk.bytes() + chunk.begin, here);
            into += here;
        }
        chunk.begin += static_cast<std::uint32_t>(here);
        count -= here;
        if (chunk.begin < chunk.end) break;
        end.first = chunk.next_chunk;
        if (end.first == nullptr) end.last = nullptr;
        release_chunk(kernel, chunk);
    }
    check_bytes(kernel, end);
}

/// Forgets `chunk` and all behind it. None of them has arrived.
void cut_off(SimulatedKernel& kernel, End& end, Chunk& chunk) {
    Chunk* before = nullptr;
    for (Chunk* each = end.first; each != &chunk; each = each->next_chunk) before = each;
    (before != nullptr ? before->next_chunk : end.first) = nullptr;
    end.last = before;
    for (Chunk* each = &chunk; each != nullptr;) {
        Chunk* next = each->next_chunk;
        const std::size_t count = each->end - each->begin;
        end.stored -= count;
        end.discarded += count;
        kernel.bytes.in_flight -= count;
        kernel.bytes.discarded += count;
        release_chunk(kernel, *each);
        each = next;
    }
    check_bytes(kernel, end);
}

void drop_in_flight(SimulatedKernel& kernel, End& end) {
    Chunk* chunk = end.first;
    while (chunk != nullptr && !chunk->linked()) chunk = chunk->next_chunk;
    if (chunk != nullptr) cut_off(kernel, end, *chunk);
}

/// Nobody is left to see what is still on its way.
void free_connection(SimulatedKernel& kernel, Connection& connection) {
    for (End& end : connection.ends) {
        if (end.first != nullptr) cut_off(kernel, end, *end.first);
        end.end_delivery.unlink();
        end.reset_delivery.unlink();
    }
    kernel.blocks.give_back(&connection, sizeof connection);
}

void peek_bytes(const End& end, std::byte* into, std::size_t count) {
    for (Chunk* chunk = end.first; count > 0; chunk = chunk->next_chunk) {
        const std::size_t here = std::min<std::size_t>(count, chunk->end - chunk->begin);
        std::memcpy(into, chunk->bytes() + chunk->begin, here);
        into += here;
        count -= here;
    }
}

/// Writes to the end of a chunk and counts the bytes as sent. They are stored, and have not arrived.
void fill(SimulatedKernel& kernel, End& end, Chunk& chunk, const std::byte* bytes, std::size_t count) {
    std::memcpy(chunk.bytes() + chunk.end, bytes, count);
    chunk.end += static_cast<std::uint32_t>(count);
    end.stored += count;
    end.sent += count;
    kernel.bytes.sent += count;
    kernel.bytes.in_flight += count;
}

/// False: bytes that arrive there are answered with a reset. Linux does so too when shutdown has closed both
/// directions, though the descriptor is still open.
bool takes_data(const Connection& connection, const End& end) {
    const bool shut = connection.domain != AF_UNIX && end.shut_read && end.shut_write;
    return end.open && !end.broken && !shut;
}

/// Sends on to `side` what fits in memory; gives how much that was.
std::size_t transmit(SimulatedKernel& kernel, Connection& connection, unsigned side, const std::byte* bytes,
                     std::size_t size) {
    End& end = connection.ends[side];
    const bool at_once =
        kernel.latency_ns == 0 && end.last_arrival_ns <= kernel.now_ns && takes_data(connection, end);
    std::size_t done = 0;
    while (done < size) {
        Chunk* chunk = end.last;
        if (!at_once || chunk == nullptr || chunk->end == chunk->capacity) {
            // What travels goes in a chunk of its size; what is there at once leaves room for more.
            chunk = make_chunk(kernel, connection, side, at_once ? Chunk::largest_capacity() : size - done);
            if (chunk == nullptr) break;
        }
        const std::size_t here = std::min<std::size_t>(size - done, chunk->capacity - chunk->end);
        fill(kernel, end, *chunk, bytes + done, here);
        done += here;
        if (at_once)
            end.arrived += here;
        else
            dispatch(kernel, *chunk);
    }
    if (at_once && done > 0) notify(end.socket);
    check_bytes(kernel, end);
    return done;
}

/// The network breaks: this end finds out now, the other one when the reset reaches it.
void maybe_break(SimulatedKernel& kernel, Socket& socket) {
    if (socket.is_unix() || socket.end().dead() || !kernel.chance(kernel.faults.reset)) return;
    break_end(kernel, *socket.connection, socket.side, socket.end().end_arrived ? EPIPE : ECONNRESET);
    send_reset(kernel, *socket.connection, 1 - socket.side, ECONNRESET);
}

/// Some of `count`, at least one, when the fault strikes; else all.
std::size_t maybe_fewer(SimulatedKernel& kernel, std::size_t count, std::uint32_t fault) {
    if (count < 2 || !kernel.chance(fault)) return count;
    return 1 + kernel.random.below(count - 1);
}

}  // namespace

std::intptr_t send(SimulatedKernel& kernel, Socket& socket, const void* bytes, std::size_t size, int flags) {
    if ((flags & ~(MSG_NOSIGNAL | MSG_DONTWAIT | MSG_MORE)) != 0) return -EOPNOTSUPP;
    if (bytes == nullptr && size > 0) return -EFAULT;
    if (socket.state == SocketState::connecting) return -EAGAIN;
    // Linux: a TCP socket that was never connected says EPIPE too.
    if (socket.state != SocketState::connected) return socket.is_unix() ? -ENOTCONN : -EPIPE;
    maybe_break(kernel, socket);
    End& mine = socket.end();
    End& theirs = socket.peer();
    if (socket.is_unix() && mine.shut_write) return -EPIPE;
    if (mine.error != 0) return -take_error(socket);
    if (mine.shut_write) return -EPIPE;
    if (size == 0) return 0;
    const std::size_t room = theirs.capacity - std::min(theirs.capacity, theirs.stored);
    if (room == 0) return -EAGAIN;
    const std::size_t wanted = maybe_fewer(kernel, std::min(size, room), kernel.faults.short_write);
    const std::size_t done =
        transmit(kernel, *socket.connection, 1 - socket.side, static_cast<const std::byte*>(bytes), wanted);
    if (done == 0) return -ENOMEM;
    kernel.digest.add_bytes(bytes, done);
    return static_cast<std::intptr_t>(done);
}

bool recv_would_block(const Socket& socket) {
    if (socket.state != SocketState::connected) return socket.state == SocketState::connecting;
    const End& mine = socket.end();
    return mine.arrived == 0 && !mine.shut_read && mine.error == 0;
}

std::intptr_t recv(SimulatedKernel& kernel, Socket& socket, void* bytes, std::size_t size, int flags) {
    if ((flags & ~(MSG_PEEK | MSG_DONTWAIT | MSG_NOSIGNAL | MSG_WAITALL)) != 0) return -EOPNOTSUPP;
    if (bytes == nullptr && size > 0) return -EFAULT;
    if (socket.state == SocketState::connecting) return -EAGAIN;
    if (socket.state != SocketState::connected) return socket.is_unix() ? -EINVAL : -ENOTCONN;
    maybe_break(kernel, socket);
    End& mine = socket.end();
    if (recv_would_block(socket)) return -EAGAIN;
    if (mine.arrived == 0) return mine.end_arrived ? 0 : -take_error(socket);
    const std::size_t count = maybe_fewer(kernel, std::min(size, mine.arrived), kernel.faults.short_read);
    if ((flags & MSG_PEEK) != 0) {
        peek_bytes(mine, static_cast<std::byte*>(bytes), count);
    } else if (count > 0) {
        const bool had_room = mine.has_room();
        take_bytes(kernel, mine, static_cast<std::byte*>(bytes), count);
        if (!had_room && mine.has_room()) notify(socket.peer().socket);
    }
    kernel.digest.add_bytes(bytes, count);
    return static_cast<std::intptr_t>(count);
}

std::intptr_t shutdown(SimulatedKernel& kernel, Socket& socket, int how) {
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
    const bool reading = how != SHUT_WR;
    const bool writing = how != SHUT_RD;
    if (socket.state == SocketState::listening && !socket.is_unix()) {
        if (reading) stop_listening(kernel, socket);
        return 0;
    }
    if (socket.state == SocketState::connecting) {
        close_end(kernel, *socket.connection, socket.side, true);
        socket.connection = nullptr;
        socket.state = SocketState::idle;
        notify(&socket);
        return 0;
    }
    if (socket.state != SocketState::connected) return socket.is_unix() ? 0 : -ENOTCONN;
    End& mine = socket.end();
    if (!socket.is_unix() && mine.dead()) return -ENOTCONN;
    socket.connect_answered = true;
    const bool newly_closed = writing && !mine.shut_write;
    mine.shut_read |= reading;
    mine.shut_write |= writing;
    if (newly_closed) dispatch(kernel, socket.peer().end_delivery);
    if (reading && socket.is_unix()) {
        socket.peer().shut_write = true;
        notify(socket.peer().socket);
    }
    notify(&socket);
    return 0;
}

Readiness readiness(const Socket& socket) {
    if (socket.state == SocketState::listening) return {.readable = !socket.queue.empty()};
    if (socket.state == SocketState::connecting) return {};
    if (socket.state == SocketState::idle) return {.writable = true, .hang_up = true};
    const End& mine = socket.end();
    return {.readable = mine.arrived > 0 || mine.shut_read,
            .writable = (mine.shut_write && !socket.is_unix()) || socket.peer().has_room(),
            .read_closed = mine.shut_read,
            .hang_up = mine.dead() || (mine.shut_read && mine.shut_write),
            .error = mine.error != 0};
}

int take_error(Socket& socket) {
    if (socket.connection == nullptr) return 0;
    const int error = socket.end().error;
    socket.end().error = 0;
    return error;
}

void close_end(SimulatedKernel& kernel, Connection& connection, unsigned side, bool abort) {
    End& mine = connection.ends[side];
    End& theirs = connection.ends[1 - side];
    const bool unread = mine.arrived > 0;
    const bool said_end = mine.shut_write;
    mine.open = false;
    mine.socket = nullptr;
    mine.shut_read = mine.shut_write = true;
    take_bytes(kernel, mine, nullptr, mine.arrived);
    if (side == 0) {
        connection.request.unlink();
        connection.answer.unlink();
    }
    if (!theirs.open) {
        free_connection(kernel, connection);
    } else if (connection.domain == AF_UNIX) {
        send_reset(kernel, connection, 1 - side, unread || abort ? ECONNRESET : 0);
    } else if (mine.broken) {
        // The other end has been told, or told us.
    } else if (unread || abort) {
        send_reset(kernel, connection, 1 - side, ECONNRESET);
    } else if (!said_end) {
        dispatch(kernel, theirs.end_delivery);
    }
}

void send_reset(SimulatedKernel& kernel, Connection& connection, unsigned to_side, int error) {
    End& theirs = connection.ends[to_side];
    if (!theirs.open || theirs.reset_delivery.linked()) return;
    theirs.reset_error = error;
    dispatch(kernel, theirs.reset_delivery);
}

void break_end(SimulatedKernel& kernel, Connection& connection, unsigned side, int error) {
    End& end = connection.ends[side];
    drop_in_flight(kernel, end);
    end.broken = end.shut_read = end.shut_write = true;
    end.error = error;
    notify(end.socket);
}

void deliver_data(SimulatedKernel& kernel, Chunk& chunk) {
    Connection& connection = *chunk.connection;
    const unsigned side = chunk.side;
    End& end = connection.ends[side];
    if (!takes_data(connection, end)) {
        // The chunk has left the list of deliveries, and is the first of those that have not arrived.
        cut_off(kernel, end, chunk);
        if (connection.domain == AF_UNIX || end.broken) return;
        if (end.open) break_end(kernel, connection, side, ECONNRESET);
        return send_reset(kernel, connection, 1 - side, ECONNRESET);
    }
    end.arrived += chunk.end - chunk.begin;
    notify(end.socket);
}

void deliver_end_of_stream(Connection& connection, unsigned side) {
    End& end = connection.ends[side];
    if (!end.open || end.broken) return;
    end.shut_read = true;
    end.end_arrived = connection.domain != AF_UNIX;
    notify(end.socket);
}

void deliver_reset(SimulatedKernel& kernel, Connection& connection, unsigned side) {
    End& end = connection.ends[side];
    if (!end.open || end.dead()) return;
    if (connection.domain == AF_UNIX) {
        end.shut_read = end.shut_write = true;
        end.error = end.reset_error;
        notify(end.socket);
        return;
    }
    // Linux: after a FIN the reset is no news for the reader; it tells the sender EPIPE.
    break_end(kernel, connection, side, end.end_arrived ? EPIPE : end.reset_error);
}

}  // namespace pollard::simulated
