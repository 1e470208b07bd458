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
//      send_all        WSASend, a bounded piece at a time
//      send            what there is room for: a plain send, after a poll if need be
//      readable, writable   a poll of AFD, the driver that sockets are made of
//
// What one would not guess:
//  - A finished cancel is not the end: CancelIoEx only asks, and the packet still comes, perhaps with bytes. Nothing
//    that the kernel may write to is given back before that.
//  - Closing a handle with a send in the kernel's hands is worse than a lost send: the bytes can go into the
//    connection that gets the same number next. So a close cancels, waits for the packets, and closes then.
//  - WSASend takes everything or waits until it can, and a cancelled one does not know for sure how much went. That
//    is what send_all promises, and no more; a `send`, which tells how much went, is made without it.
//  - AcceptEx and ConnectEx leave a socket that half of Winsock does not take for connected, until an option says so.
//  - The time-out counts in ticks of the system's clock and can end too early: then it is waited again.
//
// In an unoptimised build what the kernel has in its hands is poisoned (see `hand_over`), so that who touches it finds
// nothing of use, and who gives it back too early is told.
//
// Read next: platform/windows/overlapped_calls.cc (the calls), platform/attempt/attempt_port.cc (the same contract on
// readiness).
#include <cerrno>
#include <cstring>
#include <new>

#include "platform/backend.h"
#include "platform/interposed_kernel.h"
#include "platform/iocp/iocp.h"
#include "platform/memory.h"
#include "platform/observer.h"
#include "platform/system_sockets.h"
#include "platform/windows/errors.h"
#include "platform/windows/overlapped_calls.h"

namespace pollard {

namespace iocp {

namespace {

IocpPort& self_of(CompletionPort& port) { return static_cast<IocpPort&>(port); }

// --- the table ---

/// Null when it is not open on this port.
OpenHandle* find(IocpPort& port, Handle handle) {
    OpenHandle** place = port.table.find(place_of(handle));
    return place != nullptr && *place != nullptr && (*place)->number == handle ? *place : nullptr;
}

}  // namespace

Result<void> open(CompletionPort& base, Handle number, HandleKind kind) {
    IocpPort& port = self_of(base);
    const auto refuse = [number](ErrorKind why) { return Error(why, Call::open).on_descriptor(number); };
    if (number < 0) return refuse(ErrorKind::bad_handle);
    if (find(port, number) != nullptr) return refuse(ErrorKind::busy);
    void* block = port.blocks.take(sizeof(OpenHandle));
    if (block == nullptr || !port.table.make_room(place_of(number))) {
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
    port.table[place_of(number)] = handle;
    return {};
}

namespace {

void forget(OpenHandle& handle) {
    IocpPort& port = *handle.port;
    port.table[place_of(handle.number)] = nullptr;
    port.blocks.give_back(&handle, sizeof handle);
}

// --- answers ---

void proceed(Work* work);
}  // namespace

const WorkType proceed_work = {proceed, "an operation with a packet"};

namespace {
void deliver_close(Work* work);
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

#ifdef __OPTIMIZE__
constexpr bool poisons = false;
#else
constexpr bool poisons = true;
#endif
constexpr unsigned char poison_byte = 0xDB;
constexpr std::size_t poison_size = static_cast<std::size_t>(0xDBDBDBDBDBDBDBDB);

bool owns_buffer(const Operation& operation) {
    return operation.kind == OperationKind::recv || operation.kind == OperationKind::send_all ||
           operation.kind == OperationKind::read_at || operation.kind == OperationKind::write_at;
}

}  // namespace

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

namespace {

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

/// What a packet says; a receive or send that was cut short by a cancel tells the bytes that went.
std::intptr_t answer_of(const Side& side) {
    const std::int32_t code = windows::code_of_status(static_cast<std::uint32_t>(side.overlapped.Internal));
    const auto count = static_cast<std::intptr_t>(side.overlapped.InternalHigh);
    if (code == 0 || (code == ECANCELED && count > 0) || code == EMSGSIZE) return count;
    return -code;
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

bool start_on_file(CompletionPort& base, Operation& operation) {
    const OpenHandle* handle = find(self_of(base), operation.handle);
    if (handle == nullptr) return answer_inline(operation, -EBADF);
    const int code = refusal_on_file(operation, handle->kind == HandleKind::file);
    return code != 0 ? answer_inline(operation, -code) : start(base, operation);
}

/// The kernel is asked to end it; its packet comes in any case. What only stands in the line for a buffer leaves it.
void request_cancel(Side& side) {
    Operation* operation = side.operation;
    if (operation == nullptr) return;
    IocpPort& port = *side.handle->port;
    operation->cancel_requested = true;
    if (side.in_kernel) {
        const bool polls = operation->kind == OperationKind::readable ||
                           operation->kind == OperationKind::writable ||
                           operation->kind == OperationKind::send;
        const Handle where = polls ? port.afd : side.handle->number;
        const std::intptr_t asked = port.kernel->cancel_io(*port.kernel, where, &side.overlapped);
        if (asked < 0 && asked != -ENOENT)
            report_problem("an operation cannot be cancelled",
                           error_of(Call::cancel_io, asked).on_descriptor(where));
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
    const std::intptr_t count =
        wait_for_packets(*port.kernel, port.port, port.packets, packet_batch, has_news ? 0 : timeout_ns);
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
    std::intptr_t posted;
    do posted = port.kernel->iocp_post(*port.kernel, port.port);
    while (posted == -EINTR);
    if (posted < 0) port.wake_pending.exchange(false);
}

void destroy(CompletionPort& base) {
    IocpPort& port = self_of(base);
    for (OpenHandle* handle : std::span(port.table.entries, port.table.capacity)) {
        if (handle == nullptr) continue;
        POLLARD_REQUIRE(handle->idle() && handle->closing == nullptr,
                        "a port was destroyed with operations armed: cancel them and wait first");
        forget(*handle);
    }
    Kernel& kernel = *port.kernel;
    if (port.afd != no_handle) kernel.close(kernel, port.afd);
    if (port.port != no_handle) kernel.close(kernel, port.port);
    port.~IocpPort();
    release(&port);
}

constexpr CompletionPortType port_type = {
    .name = "iocp",
    .open = open,
    .start = start_table(start, start_on_file, start_close),
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
