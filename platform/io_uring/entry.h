// What the port knows of each handle, and how a request is named.
//
// Read next: kept.h, requests.h.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "platform/completion_port.h"
#include "platform/handle_table.h"
#include "platform/io_uring/receive_buffers.h"
#include "platform/io_uring/ring.h"
#include "platform/io_uring/time_limit.h"

namespace pollard::io_uring {

/// What the kernel has of one side of a handle.
enum class Request : std::uint8_t { none, single, stream };

inline constexpr std::uint32_t nothing = UINT32_MAX;

/// What the port knows of one handle; paid by every connection.
struct Entry {
    Operation* operation[2];  // by Direction: armed, or due and not told yet
    Request request[2];
    bool stopping[2];  // its cancellation is on its way
    bool is_changed;   // stands in the list
    bool is_open;
    HandleKind kind;
    bool listens;  // what is kept are connections
    bool ending;   // no operation may start; when nothing is under way any more, it is closed
    // What a stream has brought and nobody has taken, in order: numbers of filled buffers, or accepted handles.
    std::uint32_t first_kept;
    std::uint32_t last_kept;
    std::int32_t kept_error;  // what comes behind it; 0: nothing
    // Seldom looked at: the end, so that the rest stands in one cache line.
    Operation* closing;
    std::uint32_t next_kept;  // behind this handle, which its listener keeps
    Handle next_changed;

    bool has_kept() const { return first_kept != nothing; }
    bool has_several_kept() const { return first_kept != last_kept; }
};

struct Port : CompletionPort {
    Ring ring;
    ReceiveBuffers ready_buffers;
    HandleTable<Entry> table;
    Handle first_changed = no_handle;
    Handle last_changed = no_handle;
    /// Requests that the kernel has and will answer.
    std::size_t under_way = 0;
    /// Answered operations, for the ready queue.
    WorkList news;
    std::size_t news_count = 0;
    /// One operation or none was answered by the last wait: there is no turn to share, see `send_now`.
    bool quiet = true;
    /// Of operations that are not answered yet; see time_limit.h.
    TimeLimit* limits = nullptr;
    Handle wake_event = no_handle;
    bool wake_is_read = false;  // the kernel has the request that waits for it
    std::atomic<bool> wake_pending{false};
    std::uint64_t wake_count;
};

inline Port& self_of(CompletionPort& port) { return static_cast<Port&>(port); }

// --- names of requests: 64 bits that come back with the answer ---

enum class Name : std::uint32_t { request, cancellation, wake };

struct RequestName {
    Name name;
    int side = 0;
    Handle handle = 0;

    std::uint64_t packed() const {
        const std::uint32_t upper = static_cast<std::uint32_t>(name) << 1 | static_cast<std::uint32_t>(side);
        return static_cast<std::uint64_t>(upper) << 32 | static_cast<std::uint32_t>(handle);
    }
    static RequestName unpack(std::uint64_t bits) {
        return {static_cast<Name>(bits >> 33), static_cast<int>(bits >> 32 & 1),
                static_cast<Handle>(bits & 0xffffffff)};
    }
};

// The two sides of a handle, as indices.
inline constexpr int reading = static_cast<int>(Direction::read);
inline constexpr int writing = static_cast<int>(Direction::write);
inline int side_of(const Operation& operation) { return static_cast<int>(operation.direction); }

/// The operation that waits on this side, if one does.
inline Operation* waiting_on(const Entry& entry, int side) {
    Operation* operation = entry.operation[side];
    return operation != nullptr && operation->state == OperationState::armed ? operation : nullptr;
}

}  // namespace pollard::io_uring
