// io_uring: Linux's completion.
//
// The kernel holds the operations and carries them out; nothing is tried and parked here. All that this file does
// is to know, for each handle, what the kernel has of it, what somebody waits for, and what has come meanwhile:
//
//      start, cancel, close     note what is wanted, and put the handle on the list `changed`
//        wait                   advance(): for each changed handle, requests make wanted and real the same
//                               enter: hands them over and sleeps, in one call
//                               on_answer(): what has come finds its operation, or is kept for the next one
//        its turn               completed(operation)
//
// Of each side of a handle the kernel has at most one request:
//
//      nothing --start--> single --answer--> nothing                    connect, recv, send, readable, writable
//      nothing --start--> stream --answer, answer, ... last--> nothing  accept, recv into a borrowed buffer
//
// A stream (multishot) goes on by itself: a server asks once and gets each message or connection with one answer.
// What comes while nobody waits is kept, in order, and is the result of the next operation. After the second such
// answer the stream is stopped, and begun again when somebody waits: a peer that sends what nobody reads fills two
// buffers, and then its own. (One burst between two turns may bring more: the kernel goes on until we stop it.)
// Whoever asks for something else in between (a receive into a buffer of his own, readable)
// stops the stream first and gets what was kept.
//
// A cancellation is a request of its own that can lose; whatever the cancelled one answers is the truth. Closing
// cancels, and closes when the kernel has answered everything. So an answer never meets a number's next owner, and
// handle and side are all the name that a request needs.
//
// An operation may have a time limit of the kernel's own (time_limit.h): its request then is a pair.
//
// What one would not guess:
//  - A send is carried out while it is handed over, and its answer is there when enter returns: this costs one turn
//    more. When there is nothing else to do in a turn, a plain send(2) saves that turn, at the same number of calls.
//  - A socket tells of a reset once. So an error that ends a stream is kept too; and send_all does without
//    MSG_WAITALL, which would let the kernel send on by itself, and swallow the error behind the first bytes.
//  - A descriptor is closed by the plain call: what is left to wait for was waited for before.
//
// Read next: ring.h, receive_buffers.h; then entry.h, kept.h, requests.h.
#include "platform/io_uring/io_uring_port.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <new>

#include "platform/backend.h"
#include "platform/clock.h"
#include "platform/interposed_kernel.h"
#include "platform/io_uring/entry.h"
#include "platform/io_uring/kept.h"
#include "platform/io_uring/requests.h"
#include "platform/kernel.h"
#include "platform/memory.h"

namespace pollard {

namespace io_uring {

namespace {

// --- handles ---

/// The handle has something for `advance`.
void note_change(Port& port, Handle handle) {
    Entry& entry = port.table[handle];
    if (entry.is_changed) return;
    entry.is_changed = true;
    entry.next_changed = no_handle;
    if (port.last_changed == no_handle)
        port.first_changed = handle;
    else
        port.table[port.last_changed].next_changed = handle;
    port.last_changed = handle;
}

Result<void> open(CompletionPort& base, Handle handle, HandleKind kind) {
    Port& port = self_of(base);
    if (handle < 0) return Error(ErrorKind::bad_handle, Call::open).on_descriptor(handle);
    if (!port.table.make_room(handle))
        return Error(ErrorKind::out_of_memory, Call::open).on_descriptor(handle);
    Entry& entry = port.table[handle];
    if (entry.is_open) return Error(ErrorKind::busy, Call::open).on_descriptor(handle);
    entry = {.operation = {},
             .request = {},
             .stopping = {},
             .is_changed = entry.is_changed,
             .is_open = true,
             .kind = kind,
             .listens = false,
             .ending = false,
             .first_kept = nothing,
             .last_kept = nothing,
             .kept_error = 0,
             .closing = nullptr,
             .next_kept = nothing,
             .next_changed = entry.next_changed};
    return {};
}

// --- answers ---

[[gnu::cold, gnu::noinline]] void tell_completed(Operation& operation) {
    current_observer->operation_completed(*current_observer, operation);
}

bool answer_inline(Operation& operation) {
    operation.state = OperationState::answered;
    if (current_observer != nullptr) [[unlikely]]
        tell_completed(operation);
    return true;
}

bool refuse(Operation& operation, int code) {
    operation.answer = -code;
    return answer_inline(operation);
}

void complete(Operation& operation) {
    answer_inline(operation);
    operation.completed(&operation);
}

TimeLimit* limit_of(const Port& port, const Operation& operation) {
    TimeLimit* limit = port.limits;
    while (limit != nullptr && limit->operation != &operation) limit = limit->next;
    return limit;
}

void forget_limit(Port& port, const Operation& operation) {
    TimeLimit** place = &port.limits;
    while (*place != nullptr && (*place)->operation != &operation) place = &(*place)->next;
    if (*place != nullptr) *place = (*place)->next;
}

/// The turn of an answered operation: its side is free, unless the handle has gone meanwhile.
void deliver(Work* work) {
    auto& operation = *static_cast<Operation*>(work);
    Port& port = self_of(*operation.port);
    if (port.limits != nullptr) [[unlikely]]
        forget_limit(port, operation);
    if (operation.kind != OperationKind::close) {
        Entry& entry = port.table[operation.handle];
        if (entry.operation[side_of(operation)] == &operation) {
            entry.operation[side_of(operation)] = nullptr;
            if (entry.ending) note_change(port, operation.handle);
        }
    }
    complete(operation);
}
constexpr WorkType deliver_work = {deliver, "a completed operation"};

void make_due(Port& port, Operation& operation, const WorkType& type) {
    operation.state = OperationState::due;
    operation.type = &type;
    port.news.push_back(operation);
    ++port.news_count;
}

void finish(Port& port, Operation& operation, std::intptr_t answer) {
    operation.answer = answer;
    make_due(port, operation, deliver_work);
}

/// Gives the kernel what is asked for here. False: the queue is full, later.
bool submit(Port& port, Entry& entry, Operation& operation) {
    bool by_stream = comes_by_stream(port, entry, operation.kind);
    if (by_stream && operation.kind == OperationKind::recv_borrowed &&
        !port.ready_buffers.fill(port.buffers)) {
        if (!port.ready_buffers.all_filled()) {
            finish(port, operation, -ENOMEM);
            return true;
        }
        by_stream = false;  // every buffer holds what nobody takes: this one goes without
    }
    const TimeLimit* limit = limit_of(port, operation);
    io_uring_sqe* request = port.ring.next_request(limit != nullptr ? 2 : 1);
    if (request == nullptr) return false;
    const int side = side_of(operation);
    const RequestName name = {Name::request, side, operation.handle};
    request->fd = operation.handle;
    request->user_data = name.packed();
    if (by_stream)
        describe_stream(*request, operation);
    else
        describe_request(*request, operation);
    if (limit != nullptr) add_time_limit(port, *request, *limit, name);
    entry.request[side] = by_stream ? Request::stream : Request::single;
    if (by_stream) entry.listens = operation.kind == OperationKind::accept;
    ++port.under_way;
    return true;
}

// --- making wanted and real the same ---

/// False: the queue is full, later.
bool advance_side(Port& port, Entry& entry, Handle handle, int side) {
    Operation* waiting = waiting_on(entry, side);
    const bool unwanted = entry.ending || (waiting != nullptr && waiting->cancel_requested);
    // Its owner is told when the kernel lets go of it.
    if (entry.request[side] == Request::single) return !unwanted || stop(port, entry, handle, side);
    if (waiting != nullptr && unwanted) {
        if (waiting->kind == OperationKind::recv_borrowed) leave_buffer_line(port.buffers, *waiting);
        finish(port, *waiting, -ECANCELED);
        waiting = nullptr;
    }
    const bool idle = waiting == nullptr || waiting->linked();  // or in line for a buffer
    if (entry.request[side] == Request::stream) {
        const bool helps = idle ? !entry.has_several_kept() : comes_by_stream(port, entry, waiting->kind);
        return (helps && !unwanted) || stop(port, entry, handle, side);
    }
    return idle || submit(port, entry, *waiting);
}

/// When nothing is under way any more, and everybody was told (of a discarded handle nobody is waited for).
void close_if_over(Port& port, Entry& entry, Handle handle) {
    if (!entry.ending || entry.request[reading] != Request::none || entry.request[writing] != Request::none)
        return;
    if (entry.closing != nullptr &&
        (entry.operation[reading] != nullptr || entry.operation[writing] != nullptr))
        return;
    drop_kept(port, entry, handle);
    entry.is_open = false;
    Operation* closing = std::exchange(entry.closing, nullptr);
    const std::intptr_t closed = port.kernel->close(*port.kernel, handle);
    if (closing != nullptr)
        finish(port, *closing, closed);
    else if (closed < 0)
        report_problem("closing a handle failed", error_of(Call::close, closed).on_descriptor(handle));
}

/// False: the queue is full, later.
bool advance(Port& port, Handle handle) {
    Entry& entry = port.table[handle];
    if (!entry.is_open) return true;
    // A connect first: before it has begun there is nothing to receive from.
    if (!advance_side(port, entry, handle, writing) || !advance_side(port, entry, handle, reading))
        return false;
    close_if_over(port, entry, handle);
    return true;
}

bool advance_all(Port& port) {
    while (port.first_changed != no_handle) {
        const Handle handle = port.first_changed;
        if (!advance(port, handle)) return false;
        Entry& entry = port.table[handle];
        entry.is_changed = false;
        port.first_changed = entry.next_changed;
    }
    port.last_changed = no_handle;
    return true;
}

// --- answers of the kernel ---

/// An accepted connection belongs to the port from now on, like its listener. Gives its handle or minus an errno.
std::intptr_t adopt_accepted(Port& port, Handle listener, std::int32_t answer) {
    if (answer < 0) return answer;
    if (open(port, answer, port.table[listener].kind)) return answer;
    port.kernel->close(*port.kernel, answer);
    return -ENOMEM;
}

/// A borrowed receive without a stream: there is data, and only now, in its turn, it takes a buffer.
void receive_now(Work* work) {
    auto& operation = *static_cast<Operation*>(work);
    Port& port = self_of(*operation.port);
    Entry& entry = port.table[operation.handle];
    if (entry.operation[reading] != &operation || entry.ending || operation.cancel_requested) {
        leave_buffer_line(port.buffers, operation);
        operation.answer = -ECANCELED;
        return deliver(work);
    }
    operation.state = OperationState::armed;
    std::byte* buffer = take_buffer(port.buffers, operation);
    if (buffer == nullptr) {
        if (port.buffers.exhausted()) return port.buffers.waiting.push_back(operation);
        operation.answer = -ENOMEM;
        return deliver(work);
    }
    const std::intptr_t received =
        port.kernel->recv(*port.kernel, operation.handle, buffer, BufferPool::buffer_size, MSG_DONTWAIT);
    operation.data = buffer;
    if (received < 0) BufferPool::give_back(buffer);
    if (received == -EAGAIN || received == -EINTR) return note_change(port, operation.handle);
    operation.answer = received;
    deliver(work);
}
constexpr WorkType receive_work = {receive_now, "a borrowed receive whose data has come"};

/// What the kernel may say of a request that is simply to be made again.
bool is_passing(std::intptr_t answer) { return answer == -EINTR || answer == -EAGAIN; }
bool is_lost_connection(std::intptr_t answer) { return answer == -ECONNABORTED || answer == -EPROTO; }

/// True: it is over, or goes on as something else.
bool settle_send_all(Port& port, Operation& operation, std::int32_t sent) {
    if (sent < 0) return finish(port, operation, sent), true;
    operation.data += sent;
    operation.size -= static_cast<std::size_t>(sent);
    if (operation.size == 0) return finish(port, operation, 0), true;
    if (!operation.cancel_requested) return false;
    return finish(port, operation, -ECANCELED), true;
}

/// Somebody has cancelled it, and it was neither its owner nor the end of its handle.
bool ended_by_limit(Port& port, const Operation& operation) {
    return limit_of(port, operation) != nullptr && !operation.cancel_requested &&
           !port.table[operation.handle].ending;
}

/// The answer to a single request; false: it is to be made again.
bool settle(Port& port, Operation& operation, std::int32_t answer) {
    if (is_passing(answer)) {
        if (!operation.cancel_requested) return false;
        answer = -ECANCELED;
    }
    if (answer == -ECANCELED && ended_by_limit(port, operation)) answer = -ETIMEDOUT;
    switch (operation.kind) {
        case OperationKind::accept:
            if (is_lost_connection(answer)) return false;
            finish(port, operation, adopt_accepted(port, operation.handle, answer));
            return true;
        case OperationKind::recv_borrowed:
            if (answer < 0)
                finish(port, operation, answer);
            else
                make_due(port, operation, receive_work);
            return true;
        case OperationKind::send_all:
            return settle_send_all(port, operation, answer);
        case OperationKind::recv:
        case OperationKind::send:
        case OperationKind::read_at:
        case OperationKind::write_at:
            finish(port, operation, answer);
            return true;
        default:
            finish(port, operation, answer < 0 ? answer : 0);
            return true;
    }
}

/// The stream is over. What of that is the next operation's to know?
void note_end_of_stream(Port& port, Entry& entry, std::int32_t answer) {
    Operation* waiting = waiting_on(entry, reading);
    if (entry.listens) {
        // When nobody waits, the next accept meets the same trouble, or its end.
        if (answer < 0 && waiting != nullptr && !is_lost_connection(answer)) entry.kept_error = answer;
    } else if (answer == -ENOBUFS) {
        port.ready_buffers.grow();
    } else if (answer < 0) {
        entry.kept_error = answer;
    } else if (answer == 0 && waiting != nullptr && waiting->kind == OperationKind::recv_borrowed &&
               !entry.has_kept()) {
        waiting->data = nullptr;
        finish(port, *waiting, 0);
    }
}

/// The usual case: somebody waits for just this, and a buffer may be lent.
bool hand_over(Port& port, Entry& entry, std::uint16_t number, std::int32_t size) {
    Operation* waiting = waiting_on(entry, reading);
    if (waiting == nullptr || waiting->kind != OperationKind::recv_borrowed || entry.has_kept() ||
        port.buffers.exhausted())
        return false;
    port.buffers.count_as_lent();
    waiting->data = port.ready_buffers.take(number);
    finish(port, *waiting, size);
    return true;
}

/// Where an answer of a stream goes.
void keep_answer(Port& port, Handle handle, std::int32_t answer, std::uint32_t flags) {
    if (port.table[handle].listens) {
        if (answer < 0) return;
        const std::intptr_t accepted = adopt_accepted(port, handle, answer);
        Entry& listener = port.table[handle];
        if (accepted >= 0)
            keep(port, listener, static_cast<std::uint32_t>(accepted));
        else if (waiting_on(listener, reading) != nullptr)
            listener.kept_error = static_cast<std::int32_t>(accepted);
        else
            report_problem("a connection was closed at once", error_of(Call::accept, accepted));
    } else if ((flags & IORING_CQE_F_BUFFER) != 0) {
        const auto number = static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT);
        port.ready_buffers.filled(number, answer > 0 ? static_cast<std::size_t>(answer) : 0);
        Entry& entry = port.table[handle];
        if (answer <= 0)
            port.ready_buffers.recycle(number);
        else if (!hand_over(port, entry, number, answer))
            keep(port, entry, number);
    }
}

void on_stream_answer(Port& port, Handle handle, std::int32_t answer, std::uint32_t flags, bool last) {
    keep_answer(port, handle, answer, flags);
    Entry& entry = port.table[handle];
    if (last && answer != -ECANCELED && !is_passing(answer)) note_end_of_stream(port, entry, answer);
    Operation* waiting = waiting_on(entry, reading);
    if (waiting != nullptr && !waiting->linked() && take_kept(port, entry, *waiting))
        finish(port, *waiting, waiting->answer);
    if (last || entry.has_several_kept()) note_change(port, handle);
}

void on_request_answer(Port& port, const RequestName& name, const io_uring_cqe& answer) {
    Entry& entry = port.table[name.handle];
    const bool last = (answer.flags & IORING_CQE_F_MORE) == 0;
    const Request was = entry.request[name.side];
    if (last) {
        entry.request[name.side] = Request::none;
        entry.stopping[name.side] = false;
        --port.under_way;
        if (entry.ending) note_change(port, name.handle);
    }
    if (was == Request::stream)
        on_stream_answer(port, name.handle, answer.res, answer.flags, last);
    else if (!settle(port, *entry.operation[name.side], answer.res))
        note_change(port, name.handle);
}

void on_answer(Port& port, const io_uring_cqe& answer) {
    const RequestName name = RequestName::unpack(answer.user_data);
    switch (name.name) {
        case Name::request:
            return on_request_answer(port, name, answer);
        case Name::cancellation:
            // Found nothing: its answer has come meanwhile. If not, ask again.
            if (answer.res != -ENOENT) return;
            port.table[name.handle].stopping[name.side] = false;
            return note_change(port, name.handle);
        case Name::wake:
            port.wake_is_read = false;
            --port.under_way;
            // An exchange and not a store: what a waker did before it found the flag set is visible after this.
            port.wake_pending.exchange(false);
            return;
    }
}

void take_answers(Port& port) {
    port.ring.each_answer([&port](const io_uring_cqe& answer) { on_answer(port, answer); });
}

// --- the contract ---

/// With nothing else to do in this turn, a plain call is as good as a request, and its answer is there at once.
/// True: answered.
bool send_now(Port& port, Operation& operation) {
    port.quiet = false;
    const std::intptr_t sent = port.kernel->send(*port.kernel, operation.handle, operation.data,
                                                 operation.size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (is_passing(sent)) return false;
    const bool all = operation.kind == OperationKind::send_all;
    if (sent >= 0 && all && static_cast<std::size_t>(sent) < operation.size) {
        operation.data += sent;
        operation.size -= static_cast<std::size_t>(sent);
        return false;
    }
    operation.answer = sent > 0 && all ? 0 : sent;
    return true;
}

// STOP: start
bool start(CompletionPort& base, Operation& operation) {
    Port& port = self_of(base);
    Entry* entry = port.table.find(operation.handle);
    if (entry == nullptr || !entry->is_open || entry->ending) return refuse(operation, EBADF);
    const int side = side_of(operation);
    if (entry->operation[side] != nullptr) return refuse(operation, EBUSY);
    operation.cancel_requested = false;
    const bool sends = operation.kind == OperationKind::send || operation.kind == OperationKind::send_all;
    if (side == reading ? take_kept(port, *entry, operation)
                        : sends && port.quiet && send_now(port, operation))
        return answer_inline(operation);
    operation.state = OperationState::armed;
    entry->operation[side] = &operation;
    const Request request = entry->request[side];
    const bool comes_anyway =
        request == Request::stream && !entry->stopping[side] && comes_by_stream(port, *entry, operation.kind);
    if (comes_anyway || operation.linked()) return false;
    // Written into the queue at once, if it is so simple.
    if (request != Request::none || !submit(port, *entry, operation)) note_change(port, operation.handle);
    return false;
}

bool start_on_file(CompletionPort& base, Operation& operation) {
    const Entry* entry = self_of(base).table.find(operation.handle);
    if (entry == nullptr || !entry->is_open) return refuse(operation, EBADF);
    const int code = refusal_on_file(operation, entry->kind == HandleKind::file);
    return code != 0 ? refuse(operation, code) : start(base, operation);
}

/// From now on nothing may start; what is armed ends, then the handle is closed.
void end(Port& port, Entry& entry, Handle handle) {
    entry.ending = true;
    if (!advance(port, handle)) note_change(port, handle);
}

bool start_close(CompletionPort& base, Operation& operation) {
    Port& port = self_of(base);
    Entry* entry = port.table.find(operation.handle);
    if (entry == nullptr || !entry->is_open || entry->ending) return refuse(operation, EBADF);
    operation.state = OperationState::armed;
    entry->closing = &operation;
    end(port, *entry, operation.handle);
    return false;
}

void discard(CompletionPort& base, Handle handle) {
    Port& port = self_of(base);
    Entry* entry = port.table.find(handle);
    if (entry != nullptr && entry->is_open && !entry->ending) end(port, *entry, handle);
}

void cancel(CompletionPort& base, Operation& operation) {
    Port& port = self_of(base);
    operation.cancel_requested = true;
    Entry* entry = port.table.find(operation.handle);
    if (entry == nullptr || operation.kind == OperationKind::close) return;
    if (waiting_on(*entry, side_of(operation)) == &operation) note_change(port, operation.handle);
}

/// A lease has ended: its buffer is promised to these.
void serve_buffer_line(Port& port) {
    while (!port.buffers.served.empty()) {
        Operation& operation = next_served(port.buffers);
        Entry& entry = port.table[operation.handle];
        if (!entry.has_kept())
            make_due(port, operation, receive_work);
        else if (take_kept(port, entry, operation))
            finish(port, operation, operation.answer);
    }
}

/// The kernel shall read what `wake` writes. False: the queue is full, later.
bool read_wake(Port& port) {
    if (port.wake_is_read) return true;
    io_uring_sqe* request = port.ring.next_request();
    if (request == nullptr) return false;
    request->opcode = IORING_OP_READ;
    request->fd = port.wake_event;
    request->addr = reinterpret_cast<std::uintptr_t>(&port.wake_count);
    request->len = sizeof port.wake_count;
    request->user_data = RequestName{Name::wake}.packed();
    port.wake_is_read = true;
    ++port.under_way;
    return true;
}

/// What the next wait makes good: a signal or the deadline came; the kernel is short of memory, or wants its answers
/// fetched first.
bool is_no_failure(std::intptr_t entered) {
    return entered >= 0 || entered == -ETIME || entered == -EINTR || entered == -EAGAIN || entered == -EBUSY;
}

// STOP: wait
Result<void> wait(CompletionPort& base, std::int64_t timeout_ns, WorkList& ready) {
    Port& port = self_of(base);
    serve_buffer_line(port);
    const bool all_told = read_wake(port) && advance_all(port);
    if (port.ready_buffers.low()) port.ready_buffers.fill(port.buffers);
    const bool no_sleep = !all_told || !port.news.empty() || port.ring.has_answers();
    const std::intptr_t entered = port.ring.enter(no_sleep ? 0 : timeout_ns);
    take_answers(port);
    port.quiet = port.news_count <= 1;
    port.news_count = 0;
    ready.splice_back(port.news);
    if (is_no_failure(entered)) return {};
    return error_of(Call::io_uring_enter, entered).on_descriptor(port.ring.handle());
}

void wake(CompletionPort& base) {
    Port& port = self_of(base);
    if (port.wake_pending.exchange(true)) return;
    const std::uint64_t one = 1;
    std::intptr_t written;
    do written = port.kernel->write(*port.kernel, port.wake_event, &one, sizeof one);
    while (written == -EINTR);
    if (written < 0) port.wake_pending.exchange(false);
}

/// Ends what goes on by itself, and waits until the kernel has let go of it all. False: it does not.
bool drain(Port& port) {
    for (std::size_t index = 0; index < port.table.capacity; ++index) {
        const auto handle = static_cast<Handle>(index);
        Entry& entry = port.table[handle];
        if (!entry.is_open) continue;
        POLLARD_REQUIRE(waiting_on(entry, reading) == nullptr && waiting_on(entry, writing) == nullptr,
                        "a port was destroyed with operations armed: cancel them and wait first");
        if (entry.request[reading] == Request::stream && !stop(port, entry, handle, reading)) return false;
    }
    if (port.wake_is_read && !request_stop(port, {Name::wake})) return false;
    while (port.under_way > 0) {
        advance_all(port);
        if (!is_no_failure(port.ring.enter(-1))) return false;
        take_answers(port);
    }
    for (std::size_t index = 0; index < port.table.capacity; ++index) {
        const auto handle = static_cast<Handle>(index);
        if (Entry& entry = port.table[handle]; entry.is_open) drop_kept(port, entry, handle);
    }
    return advance_all(port);
}

void destroy(CompletionPort& base) {
    Port& port = self_of(base);
    Kernel& kernel = *port.kernel;
    const bool drained = drain(port);
    port.ring.close();
    // Else the kernel may still write into the buffers: they are lost.
    if (drained)
        port.ready_buffers.close(kernel);
    else
        report_problem("io_uring did not let go of its buffers",
                       Error(ErrorKind::busy, Call::io_uring_enter));
    if (port.wake_event != no_handle) kernel.close(kernel, port.wake_event);
    port.~Port();
    release(&port);
}

constexpr CompletionPortType port_type = {
    .name = "io_uring",
    .open = open,
    .start = start_table(start, start_on_file, start_close),
    .cancel = cancel,
    .wait = wait,
    .wake = wake,
    .discard = discard,
    .destroy = destroy,
};

}  // namespace
}  // namespace io_uring

Result<CompletionPort*> open_io_uring_port(Kernel& kernel) {
    void* memory = allocate(sizeof(io_uring::Port));
    if (memory == nullptr) return Error(ErrorKind::out_of_memory, Call::open).on("io_uring");
    auto* port = ::new (memory) io_uring::Port;
    port->type = &io_uring::port_type;
    port->kernel = &kernel;
    const auto give_up = [port](const Error& error) {
        port->destroy();
        return error;
    };
    if (const Result<void> opened = port->ring.open(kernel); !opened) return give_up(opened.error());
    // Not EFD_NONBLOCK: the kernel would answer the read of an empty one with EAGAIN instead of waiting.
    const std::intptr_t event = kernel.eventfd(kernel, 0, EFD_CLOEXEC);
    if (event < 0) return give_up(error_of(Call::eventfd, event));
    port->wake_event = static_cast<Handle>(event);
    if (port->ring.features().streams) {
        const Result<void> provided = port->ready_buffers.open(kernel, port->ring.handle());
        if (!provided) return give_up(provided.error());
    }
    return port;
}

bool start_with_limit(CompletionPort& port, Operation& operation, TimeLimit& limit, std::int64_t limit_ns) {
    POLLARD_REQUIRE(port.type == &io_uring::port_type,
                    "only io_uring keeps time limits: use the loop's timers");
    POLLARD_REQUIRE(operation.kind == OperationKind::connect || operation.kind == OperationKind::recv ||
                        operation.kind == OperationKind::send || operation.kind == OperationKind::readable ||
                        operation.kind == OperationKind::writable,
                    "a linked time limit is for connect, recv, send, readable and writable");
    io_uring::Port& self = io_uring::self_of(port);
    limit = {.operation = &operation,
             .duration = {.tv_sec = limit_ns / second_ns, .tv_nsec = limit_ns % second_ns},
             .next = self.limits};
    self.limits = &limit;
    const bool answered = port.start(operation);
    if (answered) io_uring::forget_limit(self, operation);
    return answered;
}

extern const Backend io_uring_backend;
const Backend io_uring_backend = {
    .name = "io_uring",
    .native_contract = "completion",
    .why_unavailable = []() -> const char* { return io_uring::why_unavailable(system_kernel()); },
    .open = [](const PortOptions& options) -> Result<CompletionPort*> {
        return open_io_uring_port(put_in_front(options.in_front, system_kernel()));
    },
};

}  // namespace pollard
