// What the two halves of the IOCP port share: the port, its handles, and who has an operation in his hands.
//
//      iocp_port.cc     the contract: handles, packets, turns, cancelling, closing
//      operations.cc    what each kind of operation asks the kernel for, and what is left to do with its answer
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "platform/completion_port.h"
#include "platform/handle_table.h"
#include "platform/kernel.h"
#include "platform/memory.h"
#include "platform/system_sockets.h"
#include "platform/windows/overlapped_calls.h"

namespace pollard::iocp {

/// Windows' handles are multiples of four. (What is negative stays so, and is found nowhere.)
constexpr Handle place_of(Handle handle) { return handle >> 2; }

struct IocpPort;
struct OpenHandle;

/// One direction of a handle, and the operation on it.
struct Side {
    OVERLAPPED overlapped;  // the first field: a packet's OVERLAPPED is its side
    OpenHandle* handle;
    /// From start until `completed`: a due operation keeps its side busy until its turn.
    Operation* operation;
    /// A packet will come.
    bool in_kernel;
    /// What the last packet said: a value or minus a code.
    std::intptr_t answer;
    /// What the kernel has in its hands besides, by kind of operation.
    union {
        AfdPoll poll;  // readable, writable, send
        struct {       // accept
            Handle socket;
            void* names;
        } accepted;
        struct {  // recv, send_all, read_at, write_at: what stood in the operation before it was poisoned
            std::byte* data;
            std::size_t size;
        } buffer;
    };
};

struct OpenHandle {
    IocpPort* port;
    Side sides[2];  // by Direction
    Operation* closing;
    Handle number;
    int family;  // of a listener; 0: not asked yet
    HandleKind kind;
    bool skips_packets;  // what is answered at once leaves none
    bool discarded;

    bool ending() const { return closing != nullptr || discarded; }
    bool idle() const { return sides[0].operation == nullptr && sides[1].operation == nullptr; }
};

/// Bits of AFD's language.
enum AfdEvents : std::uint32_t {
    afd_receive = 0x1,
    afd_urgent = 0x2,
    afd_send = 0x4,
    afd_disconnect = 0x8,
    afd_abort = 0x10,
    afd_accept = 0x80,
    afd_connect_fail = 0x100,
};

constexpr int packet_batch = 64;

struct IocpPort : CompletionPort {
    Handle port = no_handle;
    Handle afd = no_handle;
    /// A wake was posted and not yet seen by wait: further wakes have nothing to do.
    std::atomic<bool> wake_pending{false};
    HandleTable<OpenHandle*> table;  // by place_of
    BlockPool blocks;
    /// Work that came up outside of wait.
    WorkList news;
    OVERLAPPED_ENTRY packets[packet_batch];
};

/// Nothing: it is not there yet.
using Answer = std::optional<std::intptr_t>;

// Of iocp_port.cc.

Result<void> open(CompletionPort& port, Handle number, HandleKind kind);
/// The kind of work of an operation whose packet has been taken, or that got a buffer from the line.
extern const WorkType proceed_work;
/// From now on, until its packet is taken, all of it belongs to the kernel.
void hand_over(Side& side);

// Of operations.cc.

/// Begins the side's operation, and finishes it if its answer is there at once.
Answer submit_and_finish(Side& side);
/// The operation's own answer to what the kernel has said of it, or nothing: it goes on.
Answer finish(Side& side, std::intptr_t answer);

// Of wait_for_packets.cc.

/// As the door's iocp_wait, but with nanoseconds, and never too early: the system's clock may be.
std::intptr_t wait_for_packets(Kernel& kernel, Handle port, OVERLAPPED_ENTRY* packets, int capacity,
                               std::int64_t timeout_ns);

}  // namespace pollard::iocp
