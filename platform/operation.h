// Operation: one request to the kernel, and its answer.
//
//      Recv, 1024 bytes on fd 7           ->  "14 bytes"  |  an error
//
// The caller owns it and keeps it, and every buffer it names, where they are from `start` until `completed`
// is called (or start has returned true). In between the kernel may write into them. An operation completes
// exactly once. Cancelling is a request that can lose the race; then the true answer is delivered and no byte
// is lost.
//
//              start = true (the answer is there at once; `completed` is not called)
//           +-----------------------------------------------------------+
//           |                                                           v
//        [idle] --start = false--> [armed] --news--> [due] --its turn--> [answered]
//                                   ^   |              |      calls completed(operation)
//                                   |   +--cancel------+
//                                   +---would block after all (attempt adapter)
//
// Memory: one operation is 64 bytes on a 64-bit system (72 on a file), because an idle connection pays for one. A request's
// buffer and the answer share their storage: nobody needs the first once the second is there.
//
// An operation knows no frame. core/io/operation_await.h wraps it into something a frame can await.
//
// Read next: platform/completion_port.h.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>

#include "platform/buffer_pool.h"
#include "platform/handle.h"
#include "platform/result.h"
#include "platform/work.h"

namespace pollard {

struct Address;
struct CompletionPort;

enum class OperationKind : std::uint8_t {
    accept,         // a new connection's handle
    connect,        // success
    recv,           // bytes received into the caller's buffer; 0 = the peer will send no more
    recv_borrowed,  // a lease of a buffer of the port's, filled
    send,           // bytes sent: at least one
    send_all,       // success: everything was sent
    readable,       // a recv or accept would probably not block
    writable,       // a send would probably not block
    read_at,        // bytes of a file, from an offset on; 0 = the file ends there
    write_at,       // bytes written to a file from an offset on: at least one
    close,          // success: nothing is armed any more, the handle is closed
};
inline constexpr std::size_t operation_kinds = static_cast<std::size_t>(OperationKind::close) + 1;
const char* describe(OperationKind kind);

/// The side of a handle that an operation uses; one operation a side at a time.
enum class Direction : std::uint8_t { read, write };
constexpr Direction direction_of(OperationKind kind) {
    return kind == OperationKind::send || kind == OperationKind::send_all || kind == OperationKind::connect ||
                   kind == OperationKind::writable || kind == OperationKind::write_at
               ? Direction::write
               : Direction::read;
}

enum class OperationState : std::uint8_t { idle, armed, due, answered };

struct Operation : Work {
    void (*completed)(Operation*);
    Handle handle;
    OperationKind kind;
    Direction direction;
    OperationState state = OperationState::idle;
    bool cancel_requested = false;
    CompletionPort* port;  // set by start
    union {
        std::byte* data;      // recv, send, read_at, write_at: the buffer (sent ones are not written to)
        const Address* peer;  // connect: the address
    };
    union {
        std::size_t size;      // before the answer: bytes asked for, or still to send; connect: has it begun
        std::intptr_t answer;  // after it: what the door returned (>= 0, or minus an errno)
    };

    /// What `start` and the derived constructors write is left unwritten: an echo makes two of these.
    Operation(OperationKind which, Handle on)
        : Work(unset), handle(on), kind(which), direction(direction_of(which)) {
        next = nullptr;
    }
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;

    bool failed() const { return answer < 0; }
    /// Only when failed().
    Error error() const;
};

/// A buffer that an operation may keep: something whose bytes outlive the expression. A temporary vector is
/// rejected by the compiler; a span, an lvalue array or a string_view passes.
template <class R>
concept BorrowedBytes = std::ranges::contiguous_range<R> && std::ranges::sized_range<R> &&
                        std::ranges::borrowed_range<R> && sizeof(std::ranges::range_value_t<R>) == 1;

template <class R>
std::span<std::byte> writable_bytes(R&& range) {
    return std::as_writable_bytes(std::span(std::ranges::data(range), std::ranges::size(range)));
}
template <class R>
std::span<const std::byte> readable_bytes(R&& range) {
    return std::as_bytes(std::span(std::ranges::data(range), std::ranges::size(range)));
}

// Each kind with its own constructor and the type of its answer. `result` may be called once, after
// completion.

struct AcceptOperation : Operation {
    explicit AcceptOperation(Handle listener) : Operation(OperationKind::accept, listener) {}
    /// Instead of result(): a connection that nobody wants is closed.
    void drop_result();
    /// The new connection: non-blocking, opened on the port as a stream; the caller owns it.
    Result<Handle> result() {
        if (failed()) return error();
        return static_cast<Handle>(answer);
    }
};

struct ConnectOperation : Operation {
    /// `address` must stay where it is until completion.
    ConnectOperation(Handle on, const Address& address) : Operation(OperationKind::connect, on) {
        peer = &address;
        size = 0;
    }
    Result<void> result();
};

struct RecvOperation : Operation {
    RecvOperation(Handle on, std::span<std::byte> buffer) : Operation(OperationKind::recv, on) {
        data = buffer.data();
        size = buffer.size();
    }
    std::size_t value() const { return static_cast<std::size_t>(answer); }
    /// 0: the peer has closed its side, or the buffer was empty.
    Result<std::size_t> result() {
        if (failed()) return error();
        return value();
    }
};

struct BorrowedRecvOperation : Operation {
    explicit BorrowedRecvOperation(Handle on) : Operation(OperationKind::recv_borrowed, on) { size = 0; }
    /// Instead of result(): the buffer goes back.
    void drop_result() {
        if (!failed()) value().give_back();
    }
    /// When it has not failed: the lease itself.
    Lease value() { return Lease(data, static_cast<std::size_t>(answer)); }
    /// An empty lease: the peer has closed its side. `data` is the lease's buffer (null where an empty one needs
    /// none) and belongs to this operation until result() hands it over.
    Result<Lease> result() {
        if (failed()) return error();
        return value();
    }
};

struct SendOperation : Operation {
    SendOperation(Handle on, std::span<const std::byte> buffer) : Operation(OperationKind::send, on) {
        data = const_cast<std::byte*>(buffer.data());
        size = buffer.size();
    }
    /// Bytes taken by the kernel; may be fewer than given.
    Result<std::size_t> result() {
        if (failed()) return error();
        return static_cast<std::size_t>(answer);
    }
};

struct SendAllOperation : Operation {
    SendAllOperation(Handle on, std::span<const std::byte> buffer) : Operation(OperationKind::send_all, on) {
        data = const_cast<std::byte*>(buffer.data());
        size = buffer.size();
    }
    /// After an error nobody knows how much went, as with asyncio's sock_sendall.
    Result<void> result() {
        if (failed()) return error();
        return {};
    }
};

struct ReadableOperation : Operation {
    explicit ReadableOperation(Handle on) : Operation(OperationKind::readable, on) {}
    Result<void> result() {
        if (failed()) return error();
        return {};
    }
};

struct WritableOperation : Operation {
    explicit WritableOperation(Handle on) : Operation(OperationKind::writable, on) {}
    Result<void> result() {
        if (failed()) return error();
        return {};
    }
};

/// What is done at a place of a file. A file has no position that moves (two operations would fight for it), so each
/// operation says where; it may be behind the end. pread(2), pwrite(2).
struct FileOperation : Operation {
    std::int64_t offset;

protected:
    FileOperation(OperationKind which, Handle file, std::byte* bytes, std::size_t count, std::int64_t where)
        : Operation(which, file), offset(where) {
        data = bytes;
        size = count;
    }
};

struct ReadAtOperation : FileOperation {
    ReadAtOperation(Handle file, std::span<std::byte> buffer, std::int64_t where)
        : FileOperation(OperationKind::read_at, file, buffer.data(), buffer.size(), where) {}
    /// Fewer than asked for where the file ends, and seldom in its middle: then the rest is there for the next. 0: at
    /// the end or behind it, or the buffer was empty.
    Result<std::size_t> result() {
        if (failed()) return error();
        return static_cast<std::size_t>(answer);
    }
};

struct WriteAtOperation : FileOperation {
    WriteAtOperation(Handle file, std::span<const std::byte> buffer, std::int64_t where)
        : FileOperation(OperationKind::write_at, file, const_cast<std::byte*>(buffer.data()), buffer.size(),
                        where) {}
    /// Bytes taken by the file; fewer than given where the device is full in the middle.
    Result<std::size_t> result() {
        if (failed()) return error();
        return static_cast<std::size_t>(answer);
    }
};

/// Why no kernel is asked for an operation on a file: an errno, or 0. (A socket takes no offset and kernels disagree on
/// what to do with one; to some of them a negative offset means the file's own position, or its end.)
inline int refusal_on_file(const Operation& operation, bool is_file) {
    if (!is_file) return EBADF;
    const std::int64_t offset = static_cast<const FileOperation&>(operation).offset;
    const auto left = static_cast<std::uint64_t>(INT64_MAX) - static_cast<std::uint64_t>(offset);
    return offset < 0 || operation.size > left ? EINVAL : 0;
}

/// Cancels what is armed on the handle, waits until each of those has completed, forgets the handle, closes
/// it.
struct CloseOperation : Operation {
    explicit CloseOperation(Handle on) : Operation(OperationKind::close, on) {}
    Result<void> result() {
        if (failed()) return error();
        return {};
    }
};

// The line for buffers: a borrowed receive that finds the pool exhausted stands in `pool.waiting`, and is promised a
// buffer when its turn comes. `size` of such an operation, which needs none, says whether it was.

/// A buffer for this borrowed receive, the promised one if there is one; null as BufferPool::take.
inline std::byte* take_buffer(BufferPool& pool, Operation& operation) {
    if (operation.size == 0) [[likely]]
        return pool.take();
    operation.size = 0;
    return pool.take_promised();
}
/// The first of `pool.served`, which must not be empty: it may take its buffer now.
Operation& next_served(BufferPool& pool);
/// Takes a borrowed receive that ends early out of whatever list it stands in; a promise passes to the next.
void leave_buffer_line(BufferPool& pool, Operation& operation);

}  // namespace pollard
