// IOCP: Windows' completion, natively.
//
// An I/O completion port is a queue of packets. A handle is tied to it once; from then on each operation that was
// started on the handle with an OVERLAPPED leaves a packet when it is finished, and the packet brings the OVERLAPPED
// back. GetQueuedCompletionStatusEx takes many packets at once.
//
//      start --> WSARecv(handle, buffer, &overlapped) --there at once--> true, and no packet comes
//                   | pending
//                   v
//                [in the kernel's hands: buffer and OVERLAPPED are its own]
//                   | packet
//                   v
//                 due: stands in the ready queue, with the packet's answer
//                   | its turn
//                   v
//                 proceed --answered--> completed(operation)
//                   +--more to do (the rest of a send_all, the bytes of a borrowed receive)--> started again
//
// The OVERLAPPED of an operation does not stand in the operation (64 bytes have no room for it), but in what the port
// knows of the handle, one for each direction. So neither moves or goes before the packet has been taken.
//
//      accept          AcceptEx into a socket that is made beforehand
//      connect         ConnectEx, for which the socket must have a name of its own
//      recv            WSARecv
//      recv_borrowed   WSARecv of no bytes: finished when something is there, which a plain recv then fetches. So an
//                      idle connection holds no buffer
//      send, send_all  WSASend, a bounded piece at a time
//      readable, writable   a poll of AFD, the driver that sockets are made of
//
// What one would not guess:
//  - A finished cancel is not the end: CancelIoEx only asks, and the packet still comes, perhaps with bytes. Nothing
//    that the kernel may write to is given back before that.
//  - Closing a handle with a send in the kernel's hands is worse than a lost send: the bytes can go into the
//    connection that gets the same number next. So a close cancels, waits for the packets, and closes then.
//  - A send takes everything or waits; where POSIX says "so many went", Windows keeps the rest in its hands. The
//    bounded piece keeps the two alike enough.
//  - AcceptEx and ConnectEx leave a socket that half of Winsock does not take for connected, until an option says so.
//  - The time-out counts in ticks of the system's clock and can end too early: then it is waited again.
//
// In an unoptimised build what the kernel has in its hands is poisoned (see `hand_over`), so that who touches it finds
// nothing of use, and who gives it back too early is told.
//
// Read next: platform/windows/overlapped_calls.cc (the calls), platform/attempt/attempt_port.cc (the same contract on
// readiness).
#include <atomic>
#include <cerrno>
#include <cstring>
#include <new>
#include <optional>

#include "platform/address.h"
#include "platform/backend.h"
#include "platform/clock.h"
#include "platform/completion_port.h"
#include "platform/kernel.h"
#include "platform/memory.h"
#include "platform/observer.h"
#include "platform/posix/interposed_kernel.h"
#include "platform/system_sockets.h"
#include "platform/windows/errors.h"
#include "platform/windows/overlapped_calls.h"

namespace pollard {

namespace iocp {
namespace {

#ifdef __OPTIMIZE__
constexpr bool poisons = false;
#else
constexpr bool poisons = true;
#endif

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
        AfdPoll poll;  // readable, writable
        struct {       // accept
            Handle socket;
            void* names;
        } accepted;
        struct {  // recv, send, send_all: what stood in the operation before it was poisoned
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

constexpr int packet_batch = 64;

struct IocpPort : CompletionPort {
    Handle port = no_handle;
    Handle afd = no_handle;
    /// A wake was posted and not yet seen by wait: further wakes have nothing to do.
    std::atomic<bool> wake_pending{false};
    /// By number; Windows' handles are multiples of four.
    OpenHandle** table = nullptr;
    std::size_t capacity = 0;
    BlockPool blocks;
    /// Work that came up outside of wait.
    WorkList news;
    OVERLAPPED_ENTRY packets[packet_batch];
};

constexpr std::size_t names_size = 2 * windows::accept_name_size;
/// A send hands over so much at a time.
constexpr std::size_t largest_piece = 256 * 1024;

IocpPort& self_of(CompletionPort& port) { return static_cast<IocpPort&>(port); }

// --- the table ---

std::size_t index_of(Handle handle) { return static_cast<std::size_t>(static_cast<unsigned>(handle)) / 4; }

/// Null when it is not open on this port.
OpenHandle* find(IocpPort& port, Handle handle) {
    const std::size_t index = index_of(handle);
    if (handle < 0 || index >= port.capacity) return nullptr;
    OpenHandle* found = port.table[index];
    return found != nullptr && found->number == handle ? found : nullptr;
}

bool make_room(IocpPort& port, std::size_t index) {
    if (index < port.capacity) return true;
    std::size_t capacity = port.capacity == 0 ? 64 : port.capacity;
    while (capacity <= index) capacity *= 2;
    auto** grown = static_cast<OpenHandle**>(allocate_zeroed(capacity * sizeof(OpenHandle*)));
    if (grown == nullptr) return false;
    if (port.capacity != 0) std::memcpy(grown, port.table, port.capacity * sizeof(OpenHandle*));
    release(port.table);
    port.table = grown;
    port.capacity = capacity;
    return true;
}

Result<void> open(CompletionPort& base, Handle number, HandleKind kind) {
    IocpPort& port = self_of(base);
    const auto refuse = [number](ErrorKind why) { return Error(why, Call::open).on_descriptor(number); };
    if (number < 0) return refuse(ErrorKind::bad_handle);
    if (find(port, number) != nullptr) return refuse(ErrorKind::busy);
    void* block = port.blocks.take(sizeof(OpenHandle));
    if (block == nullptr || !make_room(port, index_of(number))) {
        if (block != nullptr) port.blocks.give_back(block, sizeof(OpenHandle));
        return refuse(ErrorKind::out_of_memory);
    }
    const std::intptr_t added = port.kernel->iocp_add(*port.kernel, port.port, number);
    if (added < 0) {
        port.blocks.give_back(block, sizeof(OpenHandle));
        return error_of(Call::iocp_add, added).on_descriptor(number);
    }
    auto* handle = ::new (block) OpenHandle{};
    handle->port = &port;
    handle->sides[0].handle = handle->sides[1].handle = handle;
    handle->number = number;
    handle->kind = kind;
    handle->skips_packets = added == 1;
    port.table[index_of(number)] = handle;
    return {};
}

void forget(OpenHandle& handle) {
    IocpPort& port = *handle.port;
    port.table[index_of(handle.number)] = nullptr;
    port.blocks.give_back(&handle, sizeof handle);
}

// --- answers ---

void proceed(Work* work);
void deliver_close(Work* work);
constexpr WorkType proceed_work = {proceed, "an operation with a packet"};
constexpr WorkType close_work = {deliver_close, "a handle that was closed"};

void tell_completed(Operation& operation) {
    operation.state = OperationState::answered;
    if (current_observer != nullptr) [[unlikely]]
        current_observer->operation_completed(*current_observer, operation);
}

bool answer_inline(Operation& operation, std::intptr_t answer) {
    operation.answer = answer;
    tell_completed(operation);
    return true;
}

void make_due(Side& side, std::intptr_t answer, WorkList& ready) {
    side.answer = answer;
    side.operation->state = OperationState::due;
    side.operation->type = &proceed_work;
    ready.push_back(*side.operation);
}

// --- in the kernel's hands ---

constexpr unsigned char poison_byte = 0xDB;
constexpr std::size_t poison_size = static_cast<std::size_t>(0xDBDBDBDBDBDBDBDB);

bool owns_buffer(const Operation& operation) {
    return operation.kind == OperationKind::recv || operation.kind == OperationKind::send ||
           operation.kind == OperationKind::send_all;
}

/// From now on, until its packet is taken, all of it belongs to the kernel.
void hand_over(Side& side) {
    side.in_kernel = true;
    Operation& operation = *side.operation;
    if (current_observer != nullptr) [[unlikely]]
        current_observer->operation_parked(*current_observer, operation);
    if (!poisons || !owns_buffer(operation)) return;
    side.buffer = {operation.data, operation.size};
    operation.data = nullptr;
    operation.size = poison_size;
}

void take_back(Side& side) {
    POLLARD_REQUIRE(side.in_kernel, "the kernel sent a packet for an operation that it does not have");
    side.in_kernel = false;
    if (!poisons) return;
    if (owns_buffer(*side.operation)) {
        POLLARD_REQUIRE(side.operation->data == nullptr && side.operation->size == poison_size,
                        "an operation was changed or freed while the kernel had it: wait for its completion");
        side.operation->data = side.buffer.data;
        side.operation->size = side.buffer.size;
    }
    std::memset(&side.overlapped, poison_byte, sizeof side.overlapped);
}

using Answer = std::optional<std::intptr_t>;

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

/// What a packet says; a receive or send that was cut short by a cancel tells the bytes that went.
std::intptr_t answer_of(const Side& side) {
    const std::int32_t code = windows::code_of_status(static_cast<std::uint32_t>(side.overlapped.Internal));
    const auto count = static_cast<std::intptr_t>(side.overlapped.InternalHigh);
    if (code == 0 || (code == ECANCELED && count > 0) || code == EMSGSIZE) return count;
    return -code;
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

Answer submit_send(Side& side) {
    Kernel& kernel = *side.handle->port->kernel;
    const Operation& operation = *side.operation;
    const std::size_t size = operation.size < largest_piece ? operation.size : largest_piece;
    return unless_pending(side, kernel.wsa_send(kernel, side.handle->number, operation.data, size,
                                                fresh_overlapped(side)));
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

/// Bits of AFD's language.
enum AfdEvents : std::uint32_t {
    afd_receive = 0x1,
    afd_send = 0x4,
    afd_disconnect = 0x8,
    afd_abort = 0x10,
    afd_accept = 0x80,
    afd_connect_fail = 0x100,
};

Answer submit_poll(Side& side) {
    IocpPort& port = *side.handle->port;
    if (port.afd == no_handle) return -EOPNOTSUPP;
    const bool reads = side.operation->direction == Direction::read;
    side.poll.events = afd_abort | afd_connect_fail | afd_disconnect | (reads ? afd_receive | afd_accept : afd_send);
    return unless_pending(side, port.kernel->afd_poll(*port.kernel, port.afd, side.handle->number, &side.poll,
                                                      fresh_overlapped(side)));
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
            return submit_send(side);
        case OperationKind::readable:
        case OperationKind::writable:
            return submit_poll(side);
        case OperationKind::close:
            break;
    }
    return -EINVAL;
}

// --- what is left to do when the kernel has answered ---

Answer submit_and_finish(Side& side);

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
    return update_context(*side.handle->port->kernel, side.handle->number, SO_UPDATE_CONNECT_CONTEXT, nullptr, 0);
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

/// The operation's own answer, or nothing: it goes on.
Answer finish(Side& side, std::intptr_t answer) {
    switch (side.operation->kind) {
        case OperationKind::accept:
            return finish_accept(side, answer);
        case OperationKind::connect:
            return finish_connect(side, answer);
        case OperationKind::recv_borrowed:
            return finish_borrowed(side, answer);
        case OperationKind::send_all:
            return finish_send_all(side, answer);
        default:
            return answer;
    }
}

/// What was there at once is finished at once. (An accept that failed has cleaned up after itself.)
Answer submit_and_finish(Side& side) {
    const Answer begun = submit(side);
    if (!begun || *begun < 0) return begun;
    return finish(side, *begun);
}

/// The last operation of a handle that ends has had its answer: it is closed, and the close has its turn later.
void close_now(OpenHandle& handle) {
    IocpPort& port = *handle.port;
    Operation* closing = handle.closing;
    const Handle number = handle.number;
    forget(handle);
    const std::intptr_t closed = port.kernel->close(*port.kernel, number);
    if (closing != nullptr) {
        closing->answer = closed;
        closing->state = OperationState::due;
        closing->type = &close_work;
        port.news.push_back(*closing);
    } else if (closed < 0) {
        report_problem("closing a handle failed", error_of(Call::close, closed).on_descriptor(number));
    }
}

void complete(Operation& operation) {
    tell_completed(operation);
    operation.completed(&operation);
}

void deliver_close(Work* work) { complete(*static_cast<Operation*>(work)); }

/// The turn of an operation with a packet.
void proceed(Work* work) {
    auto& operation = *static_cast<Operation*>(work);
    OpenHandle& handle = *find(self_of(*operation.port), operation.handle);
    Side& side = handle.sides[static_cast<int>(operation.direction)];
    operation.state = OperationState::armed;
    const Answer answer = finish(side, side.answer);
    if (!answer) return;
    side.operation = nullptr;
    if (handle.ending() && handle.idle()) close_now(handle);
    operation.answer = *answer;
    complete(operation);
}

// --- the contract ---

bool start(CompletionPort& base, Operation& operation) {
    operation.cancel_requested = false;
    OpenHandle* handle = find(self_of(base), operation.handle);
    if (handle == nullptr || handle->ending()) return answer_inline(operation, -EBADF);
    Side& side = handle->sides[static_cast<int>(operation.direction)];
    if (side.operation != nullptr) return answer_inline(operation, -EBUSY);
    side.operation = &operation;
    operation.state = OperationState::armed;
    const Answer answer = submit_and_finish(side);
    if (!answer) return false;
    side.operation = nullptr;
    return answer_inline(operation, *answer);
}

/// The kernel is asked to end it; its packet comes in any case. What only stands in the line for a buffer leaves it.
void request_cancel(Side& side) {
    Operation* operation = side.operation;
    if (operation == nullptr) return;
    IocpPort& port = *side.handle->port;
    operation->cancel_requested = true;
    if (side.in_kernel) {
        const bool polls =
            operation->kind == OperationKind::readable || operation->kind == OperationKind::writable;
        const Handle where = polls ? port.afd : side.handle->number;
        const std::intptr_t asked = port.kernel->cancel_io(*port.kernel, where, &side.overlapped);
        if (asked < 0 && asked != -ENOENT)
            report_problem("an operation cannot be cancelled", error_of(Call::cancel_io, asked).on_descriptor(where));
    } else if (operation->state == OperationState::armed) {
        leave_buffer_line(port.buffers, *operation);
        make_due(side, -ECANCELED, port.news);
    } else if (operation->kind == OperationKind::recv_borrowed && side.answer >= 0) {
        side.answer = -ECANCELED;  // nothing has been fetched yet
        if (operation->size != 0) port.buffers.drop_promise();
        operation->size = 0;
    }
}

void cancel(CompletionPort& base, Operation& operation) {
    operation.cancel_requested = true;
    OpenHandle* handle = find(self_of(base), operation.handle);
    if (handle == nullptr || operation.kind == OperationKind::close) return;
    Side& side = handle->sides[static_cast<int>(operation.direction)];
    if (side.operation == &operation) request_cancel(side);
}

bool start_close(CompletionPort& base, Operation& operation) {
    OpenHandle* handle = find(self_of(base), operation.handle);
    if (handle == nullptr || handle->ending()) return answer_inline(operation, -EBADF);
    if (handle->idle()) {
        forget(*handle);
        return answer_inline(operation, base.kernel->close(*base.kernel, operation.handle));
    }
    handle->closing = &operation;
    operation.state = OperationState::armed;
    for (Side& side : handle->sides) request_cancel(side);
    return false;
}

void discard(CompletionPort& base, Handle number) {
    OpenHandle* handle = find(self_of(base), number);
    if (handle == nullptr || handle->ending()) return;
    handle->discarded = true;
    for (Side& side : handle->sides) request_cancel(side);
    if (handle->idle()) close_now(*handle);
}

/// Packets into `packets`; the system's clock may have been too early.
std::intptr_t take_packets(IocpPort& port, std::int64_t timeout_ns) {
    Kernel& kernel = *port.kernel;
    constexpr int capacity = packet_batch;
    if (timeout_ns <= 0)
        return kernel.iocp_wait(kernel, port.port, port.packets, capacity, round_up_to_ms(timeout_ns));
    const std::int64_t began_ns = kernel.clock(kernel);
    std::int64_t left_ns = timeout_ns;
    for (;;) {
        const std::intptr_t count =
            kernel.iocp_wait(kernel, port.port, port.packets, capacity, round_up_to_ms(left_ns));
        if (count != 0) return count;
        left_ns = timeout_ns - (kernel.clock(kernel) - began_ns);
        if (left_ns <= 0) return 0;
    }
}

void take_packet(IocpPort& port, const OVERLAPPED_ENTRY& packet, WorkList& ready) {
    if (packet.lpCompletionKey == iocp_wake_key) {
        // An exchange and not a store: what a waker did before it found the flag set is visible after this.
        port.wake_pending.exchange(false);
        return;
    }
    Side& side = *reinterpret_cast<Side*>(packet.lpOverlapped);
    const std::intptr_t answer = answer_of(side);
    take_back(side);
    make_due(side, answer, ready);
}

// STOP: wait
Result<void> wait(CompletionPort& base, std::int64_t timeout_ns, WorkList& ready) {
    IocpPort& port = self_of(base);
    const bool has_news = !port.news.empty() || !port.buffers.served.empty();
    const std::intptr_t count = take_packets(port, has_news ? 0 : timeout_ns);
    while (!port.buffers.served.empty()) {
        Operation& operation = next_served(port.buffers);
        OpenHandle& handle = *find(port, operation.handle);
        make_due(handle.sides[static_cast<int>(Direction::read)], 0, ready);
    }
    ready.splice_back(port.news);
    if (count < 0 && count != -EINTR) return error_of(Call::iocp_wait, count).on_descriptor(port.port);
    for (std::intptr_t index = 0; index < count; ++index) take_packet(port, port.packets[index], ready);
    return {};
}

void wake(CompletionPort& base) {
    IocpPort& port = self_of(base);
    if (port.wake_pending.exchange(true)) return;
    if (port.kernel->iocp_post(*port.kernel, port.port) < 0) port.wake_pending.exchange(false);
}

void destroy(CompletionPort& base) {
    IocpPort& port = self_of(base);
    for (std::size_t index = 0; index < port.capacity; ++index) {
        OpenHandle* handle = port.table[index];
        if (handle == nullptr) continue;
        POLLARD_REQUIRE(handle->idle() && handle->closing == nullptr,
                        "a port was destroyed with operations armed: cancel them and wait first");
        forget(*handle);
    }
    Kernel& kernel = *port.kernel;
    if (port.afd != no_handle) kernel.close(kernel, port.afd);
    if (port.port != no_handle) kernel.close(kernel, port.port);
    release(port.table);
    port.~IocpPort();
    release(&port);
}

static_assert(static_cast<std::size_t>(OperationKind::close) == 8);

constexpr CompletionPortType port_type = {
    .name = "iocp",
    .open = open,
    // All kinds alike, but the last one, close.
    .start = {start, start, start, start, start, start, start, start, start_close},
    .cancel = cancel,
    .wait = wait,
    .wake = wake,
    .discard = discard,
    .destroy = destroy,
};

Result<CompletionPort*> open_port(const PortOptions& options) {
    Kernel& kernel = put_in_front(options.in_front, system_kernel());
    void* memory = allocate(sizeof(IocpPort));
    if (memory == nullptr) return Error(ErrorKind::out_of_memory, Call::open).on("iocp");
    auto* port = ::new (memory) IocpPort;
    port->type = &port_type;
    port->kernel = &kernel;
    const auto give_up = [port](const Error& error) {
        port->destroy();
        return error;
    };
    const std::intptr_t made = kernel.iocp_create(kernel);
    if (made < 0) return give_up(error_of(Call::iocp_create, made));
    port->port = static_cast<Handle>(made);
    const std::intptr_t afd = kernel.afd_open(kernel);
    if (afd < 0) return give_up(error_of(Call::afd_open, afd));
    port->afd = static_cast<Handle>(afd);
    const std::intptr_t added = kernel.iocp_add(kernel, port->port, port->afd);
    if (added < 0) return give_up(error_of(Call::iocp_add, added));
    return port;
}

}  // namespace
}  // namespace iocp

extern const Backend iocp_backend;
const Backend iocp_backend = {
    .name = "iocp",
    .native_contract = "completion",
    .why_unavailable = []() -> const char* { return nullptr; },
    .open = iocp::open_port,
};

}  // namespace pollard
