// What a stream has brought and nobody has taken yet, and how it becomes an operation's answer.
//
//      stream --keep()--> first <- ... <- last --take_kept()--> accept: the handle
//                                                               recv_borrowed: the buffer itself, as a lease
//                                                               recv: a copy, as much as fits
//                                                               readable: yes
//
// Buffers are known by their numbers, connections by their handles; both stand in a row by links of their own.
//
// These functions are inline because io_uring_port.cc, on the hottest way, is made of them.
#pragma once

#include <sys/socket.h>

#include <cstring>
#include <utility>

#include "platform/io_uring/entry.h"
#include "platform/kernel.h"

namespace pollard::io_uring {

/// Whether a stream can serve this kind here. (A datagram of no bytes would end one, as the end of a connection does.)
inline bool comes_by_stream(const Port& port, const Entry& entry, OperationKind kind) {
    const bool has_begun = entry.has_kept() || entry.request[reading] == Request::stream;
    if (has_begun && entry.listens != (kind == OperationKind::accept)) return false;
    if (kind == OperationKind::accept) return port.ring.features().streams;
    return kind == OperationKind::recv_borrowed && entry.kind == HandleKind::stream &&
           port.ready_buffers.usable();
}

inline std::uint32_t& next_of(Port& port, const Entry& entry, std::uint32_t kept) {
    if (entry.listens) return port.table[static_cast<Handle>(kept)].next_kept;
    return port.ready_buffers.next_of(static_cast<std::uint16_t>(kept));
}

inline void keep(Port& port, Entry& entry, std::uint32_t which) {
    next_of(port, entry, which) = nothing;
    if (entry.has_kept())
        next_of(port, entry, entry.last_kept) = which;
    else
        entry.first_kept = which;
    entry.last_kept = which;
}

inline std::uint32_t take_first_kept(Port& port, Entry& entry) {
    const std::uint32_t first = entry.first_kept;
    entry.first_kept = next_of(port, entry, first);
    if (!entry.has_kept()) entry.last_kept = nothing;
    return first;
}

/// Into the caller's own buffer, as much as fits.
inline void copy_kept(Port& port, Entry& entry, Operation& operation) {
    const auto number = static_cast<std::uint16_t>(entry.first_kept);
    const std::span<std::byte> bytes = port.ready_buffers.bytes(number);
    const std::size_t size = operation.size < bytes.size() ? operation.size : bytes.size();
    std::memcpy(operation.data, bytes.data(), size);
    operation.answer = static_cast<std::intptr_t>(size);
    port.ready_buffers.drop_front(number, size);
    if (size < bytes.size()) return;
    take_first_kept(port, entry);
    port.ready_buffers.recycle(number);
}

/// False: all buffers are lent, the operation stands in line. (In `size`: whether one was promised to it.)
inline bool lend_kept(Port& port, Entry& entry, Operation& operation) {
    if (operation.size == 0) {
        if (port.buffers.exhausted()) [[unlikely]] {
            port.buffers.waiting.push_back(operation);
            return false;
        }
        port.buffers.count_as_lent();
    }
    const auto number = static_cast<std::uint16_t>(take_first_kept(port, entry));
    operation.answer = static_cast<std::intptr_t>(port.ready_buffers.bytes(number).size());
    operation.data = port.ready_buffers.take(number);
    return true;
}

/// True: the operation's answer was there.
inline bool take_kept(Port& port, Entry& entry, Operation& operation) {
    if (!entry.has_kept() && entry.kept_error == 0) return false;
    if (operation.kind == OperationKind::readable) {
        operation.answer = 0;
        return true;
    }
    if (!entry.has_kept()) {
        operation.answer = std::exchange(entry.kept_error, 0);
        return true;
    }
    // A receive from a listener, or the other way round: the kernel shall say what it thinks of that.
    if (entry.listens != (operation.kind == OperationKind::accept)) return false;
    if (operation.kind == OperationKind::recv_borrowed) return lend_kept(port, entry, operation);
    if (operation.kind == OperationKind::recv)
        copy_kept(port, entry, operation);
    else
        operation.answer = static_cast<std::intptr_t>(take_first_kept(port, entry));
    return true;
}

/// Closing shall reset the peer, as it does where the kernel itself still holds what nobody has read.
inline void reset_at_close(Port& port, Handle handle) {
    const linger at_once = {.l_onoff = 1, .l_linger = 0};
    port.kernel->setsockopt(*port.kernel, handle, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

/// The handle itself is closed next.
inline void drop_kept(Port& port, Entry& entry, Handle handle) {
    if (entry.has_kept() && !entry.listens) reset_at_close(port, handle);
    while (entry.has_kept()) {
        const std::uint32_t kept = take_first_kept(port, entry);
        if (!entry.listens) {
            port.ready_buffers.recycle(static_cast<std::uint16_t>(kept));
            continue;
        }
        port.table[static_cast<Handle>(kept)].is_open = false;
        reset_at_close(port, static_cast<Handle>(kept));
        port.kernel->close(*port.kernel, static_cast<Handle>(kept));
    }
}

}  // namespace pollard::io_uring
