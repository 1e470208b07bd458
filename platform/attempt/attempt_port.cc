// Parking: which operation waits on which handle, and what an event means for it.
//
// A table holds for each handle the two operations that may wait on it, one a direction, and what is known of its
// readiness (registration.h).
//
// For each kind of operation there are two functions, made from two templates: `start_by`, which tries the call and
// parks, and `retry_by`, which does so again when the poller has spoken. (One on a file is answered at once.)
//
// Read next: registration.h; attempts.h, the calls; platform/epoll/epoll_poller.cc, who sends the events.
#include "platform/attempt/attempt_port.h"

#include <cerrno>
#include <new>

#include "platform/attempt/attempts.h"
#include "platform/attempt/registration.h"
#include "platform/handle_table.h"
#include "platform/kernel.h"
#include "platform/memory.h"
#include "platform/observer.h"

namespace pollard {

namespace {

using attempts::index_of;
using attempts::Outcome;
using attempts::Registration;
using attempts::Side;

struct AttemptPort : CompletionPort {
    Poller* poller = nullptr;
    void (*cleanup)(void*) = nullptr;
    void* cleanup_context = nullptr;
    /// It moves when it grows: no reference into it lives across `open`.
    HandleTable<Registration> table;
    /// Work that came up outside of wait: cancelled operations, above all.
    WorkList news;
    PollerEvent events[64];
};

AttemptPort& self_of(CompletionPort& port) { return static_cast<AttemptPort&>(port); }

// --- the table ---

Error refuse_to_open(ErrorKind why, Handle handle) { return Error(why, Call::open).on_descriptor(handle); }

Result<void> open(CompletionPort& base, Handle handle, HandleKind kind) {
    AttemptPort& port = self_of(base);
    if (handle < 0) return refuse_to_open(ErrorKind::bad_handle, handle);
    if (!port.table.make_room(handle)) return refuse_to_open(ErrorKind::out_of_memory, handle);
    Registration& registration = port.table[handle];
    if (registration.side[0] != Side::closed) return refuse_to_open(ErrorKind::busy, handle);
    registration = {.parked = {},
                    .generation = registration.generation + 1,
                    .side = {Side::maybe_ready, Side::maybe_ready},
                    .short_means_empty = kind == HandleKind::stream,
                    .stream = kind == HandleKind::stream,
                    .file = kind == HandleKind::file,
                    .watched = false,
                    .self_arming = false};
    return {};
}

// --- completion ---

void make_due(Operation& operation, WorkList& ready) {
    operation.state = OperationState::due;
    ready.push_back(operation);
}

void deliver(Work* work);
void finish_close(Work* work);
constexpr WorkType deliver_work = {deliver, "an answered operation"};
constexpr WorkType close_work = {finish_close, "a handle to close"};

[[gnu::cold, gnu::noinline]] void tell_completed(Operation& operation) {
    current_observer->operation_completed(*current_observer, operation);
}

/// The answer was there at once: whoever called start learns it from the return value, which is true.
bool answer_inline(Operation& operation) {
    operation.state = OperationState::answered;
    if (current_observer != nullptr) [[unlikely]]
        tell_completed(operation);
    return true;
}

/// The answer is there and the owner is told now: this is the operation's turn in the ready queue.
void complete(Operation& operation) {
    answer_inline(operation);
    operation.completed(&operation);
}

[[gnu::cold, gnu::noinline]] bool refuse(Operation& operation, int code) {
    operation.answer = -code;
    return answer_inline(operation);
}

/// An accepted connection belongs to the port from now on, like its listener.
[[gnu::noinline]] void adopt_accepted(AttemptPort& port, bool is_stream, Operation& operation) {
    if (operation.failed()) return;
    const auto accepted = static_cast<Handle>(operation.answer);
    const Result<void> opened = open(port, accepted, is_stream ? HandleKind::stream : HandleKind::other);
    if (opened) return;
    port.kernel->close(*port.kernel, accepted);
    operation.answer = -ENOMEM;
}

// --- attempt and park ---

/// True: answered.
template <OperationKind kind>
[[gnu::always_inline]] inline bool try_now(AttemptPort& port, Registration& registration,
                                           Operation& operation) {
    const Outcome outcome = attempts::attempt<kind>(port, operation, registration.short_means_empty);
    if (outcome == Outcome::would_block || outcome == Outcome::waits_for_buffer) [[unlikely]]
        return false;
    registration.side[index_of(direction_of(kind))] =
        outcome == Outcome::answered_drained ? Side::blocks : Side::maybe_ready;
    if constexpr (kind == OperationKind::accept) adopt_accepted(port, registration.stream, operation);
    return true;
}

/// The poller shall tell of this direction. True: it cannot, the error is the answer.
[[gnu::noinline]] bool ask_poller(AttemptPort& port, Registration& registration, Operation& operation) {
    if (current_observer != nullptr) current_observer->operation_parked(*current_observer, operation);
    if (registration.self_arming) return false;
    const Token token = {operation.handle, registration.generation};
    Result<void> asked;
    if (!registration.watched) asked = port.poller->add(token);
    if (asked) {
        registration.watched = true;
        registration.self_arming = port.poller->type->arm == nullptr;
        asked = port.poller->arm(token, operation.direction);
    }
    if (asked) return false;
    registration.side[index_of(operation.direction)] = Side::maybe_ready;
    // A kernel that cannot watch this kind of thing (epoll and a regular file: EPERM) has not denied a permission.
    const bool cannot = asked.error().kind == ErrorKind::not_supported;
    operation.answer = cannot ? -EOPNOTSUPP : asked.error().code != 0 ? -asked.error().code : -ENOMEM;
    return true;
}

template <OperationKind kind>
void retry_by(Work* work);
template <OperationKind kind>
constexpr WorkType retry_work = {retry_by<kind>, "an operation to try again"};

/// True: could not be parked, the error is the answer.
template <OperationKind kind>
bool park(AttemptPort& port, Registration& registration, Operation& operation) {
    registration.parked[index_of(direction_of(kind))] = &operation;
    registration.side[index_of(direction_of(kind))] = Side::occupied;
    operation.state = OperationState::armed;
    operation.type = &retry_work<kind>;
    if (operation.linked()) [[unlikely]]
        return false;  // stands in the buffer pool's line and needs no event
    if (registration.self_arming && current_observer == nullptr) [[likely]]
        return false;
    return ask_poller(port, registration, operation);
}

[[gnu::cold, gnu::noinline]] bool refuse_side(Operation& operation, Side side) {
    return refuse(operation, side == Side::occupied ? EBUSY : EBADF);
}

template <OperationKind kind>
[[gnu::noinline]] bool park_or_refuse(AttemptPort& port, Registration& registration, Operation& operation) {
    return park<kind>(port, registration, operation) && answer_inline(operation);
}

template <OperationKind kind>
[[gnu::noinline]] bool try_or_park(AttemptPort& port, Registration& registration, Operation& operation) {
    if (try_now<kind>(port, registration, operation)) return answer_inline(operation);
    return park_or_refuse<kind>(port, registration, operation);
}

template <OperationKind kind>
constexpr bool reads = direction_of(kind) == Direction::read;

/// Tries, and parks if it would block. True: answered.
// STOP: start_by
template <OperationKind kind>
bool start_by(CompletionPort& base, Operation& operation) {
    AttemptPort& port = self_of(base);
    if (static_cast<std::size_t>(operation.handle) >= port.table.capacity) [[unlikely]]
        return refuse_side(operation, Side::closed);
    Registration& registration = port.table[operation.handle];
    const Side side = registration.side[index_of(direction_of(kind))];
    // Most receives come too early, most sends go out at once: only what is usual stands right here.
    if (reads<kind> && side == Side::maybe_ready) return try_or_park<kind>(port, registration, operation);
    if (!reads<kind> && side == Side::maybe_ready) {
        if (try_now<kind>(port, registration, operation)) return answer_inline(operation);
        return park_or_refuse<kind>(port, registration, operation);
    }
    if (side != Side::blocks) [[unlikely]]
        return refuse_side(operation, side);
    // What is known to block is not tried. (But the first call of a connect is what begins it.)
    if constexpr (kind == OperationKind::connect) return try_or_park<kind>(port, registration, operation);
    return park<kind>(port, registration, operation) && answer_inline(operation);
}

/// On a file: nothing to park.
template <Outcome (*attempt)(CompletionPort&, Operation&)>
bool start_on_file(CompletionPort& base, Operation& operation) {
    Registration* registration = self_of(base).table.find(operation.handle);
    if (registration == nullptr) return refuse_side(operation, Side::closed);
    const Side side = registration->side[index_of(operation.direction)];
    if (side == Side::closed || side == Side::occupied) return refuse_side(operation, side);
    if (const int code = refusal_on_file(operation, registration->file); code != 0)
        return refuse(operation, code);
    attempt(base, operation);
    return answer_inline(operation);
}

/// The operation's turn: the poller said that its direction may be ready.
template <OperationKind kind>
void retry_by(Work* work) {
    auto& operation = *static_cast<Operation*>(work);
    AttemptPort& port = self_of(*operation.port);
    Registration& registration = port.table[operation.handle];
    if (try_now<kind>(port, registration, operation) || park<kind>(port, registration, operation))
        complete(operation);
}

// --- events ---

void wake_side(Registration& registration, Direction direction, WorkList& ready) {
    Side& side = registration.side[index_of(direction)];
    if (side == Side::occupied) {
        Operation& operation = *registration.parked[index_of(direction)];
        if (operation.linked()) return;  // due already
        make_due(operation, ready);
    } else if (side == Side::blocks) {
        side = Side::maybe_ready;
    }
}

void handle_event(AttemptPort& port, const PollerEvent& event, WorkList& ready) {
    using enum EventBits;
    Registration& registration = port.table[event.token.handle];
    // An event of a former owner of this number, fetched in the same batch as its end.
    if (registration.generation != event.token.generation) [[unlikely]]
        return;
    if (any(event.what, readable | hang_up | error | urgent)) {
        // An event of writing alone (kqueue sends them apart) knows nothing of what stands behind the data.
        registration.short_means_empty = registration.stream && !any(event.what, hang_up | error | urgent);
        wake_side(registration, Direction::read, ready);
    }
    if (any(event.what, writable | hang_up | error)) wake_side(registration, Direction::write, ready);
}

Result<void> wait(CompletionPort& base, std::int64_t timeout_ns, WorkList& ready) {
    AttemptPort& port = self_of(base);
    const bool has_news = !port.news.empty() || !port.buffers.served.empty();
    const Result<std::size_t> count = port.poller->wait(port.events, has_news ? 0 : timeout_ns);
    // A lease has ended: receives that waited for a buffer may try again.
    while (!port.buffers.served.empty()) make_due(next_served(port.buffers), ready);
    ready.splice_back(port.news);
    if (!count) return count.error();
    for (std::size_t i = 0; i < *count; ++i) handle_event(port, port.events[i], ready);
    return {};
}

// --- cancelling and closing ---

/// Answers a parked operation; its owner is told when `news` has its turn. Its side stays occupied until then, so that
/// whatever comes later (a new operation, the close) comes after it.
void answer_parked(AttemptPort& port, Operation& operation, std::intptr_t answer) {
    if (operation.type == &deliver_work) return;  // answered already
    if (operation.kind == OperationKind::recv_borrowed)
        leave_buffer_line(port.buffers, operation);
    else
        operation.unlink();
    operation.answer = answer;
    operation.type = &deliver_work;
    make_due(operation, port.news);
}

bool is_parked(const Registration& registration, const Operation& operation) {
    const int index = index_of(operation.direction);
    return registration.side[index] == Side::occupied && registration.parked[index] == &operation;
}

/// The turn of an answered operation: its side is free for the next one, unless the handle has gone meanwhile.
void deliver(Work* work) {
    auto& operation = *static_cast<Operation*>(work);
    Registration& registration = self_of(*operation.port).table[operation.handle];
    if (is_parked(registration, operation))
        registration.side[index_of(operation.direction)] = Side::maybe_ready;
    complete(operation);
}

void cancel(CompletionPort& base, Operation& operation) {
    AttemptPort& port = self_of(base);
    operation.cancel_requested = true;
    Registration* registration = port.table.find(operation.handle);
    if (registration != nullptr && is_parked(*registration, operation))
        answer_parked(port, operation, -ECANCELED);
}

/// Nothing may start any more, and what is armed ends. True: something was.
bool shut(AttemptPort& port, Registration& registration) {
    bool any = false;
    for (int index = 0; index < 2; ++index) {
        if (registration.side[index] == Side::occupied) {
            answer_parked(port, *registration.parked[index], -ECANCELED);
            any = true;
        }
        registration.side[index] = Side::closed;
    }
    return any;
}

/// The poller forgets the handle first: a duplicate elsewhere could keep the registration alive.
std::intptr_t forget_and_close(AttemptPort& port, Registration& registration, Handle handle) {
    Result<void> removed;
    if (registration.watched) removed = port.poller->remove({handle, registration.generation});
    ++registration.generation;  // an event that is on its way finds nobody
    const std::intptr_t closed = port.kernel->close(*port.kernel, handle);
    if (closed < 0) return closed;
    return removed ? 0 : -static_cast<std::intptr_t>(removed.error().code);
}

bool start_close(CompletionPort& base, Operation& operation) {
    AttemptPort& port = self_of(base);
    Registration* registration = port.table.find(operation.handle);
    if (registration == nullptr || registration->side[0] == Side::closed) return refuse(operation, EBADF);
    if (!shut(port, *registration)) {
        operation.answer = forget_and_close(port, *registration, operation.handle);
        return answer_inline(operation);
    }
    // Behind the cancelled ones in the queue: when its turn comes, each of them has been told.
    operation.type = &close_work;
    make_due(operation, port.news);
    return false;
}

void finish_close(Work* work) {
    auto& operation = *static_cast<Operation*>(work);
    AttemptPort& port = self_of(*operation.port);
    operation.answer = forget_and_close(port, port.table[operation.handle], operation.handle);
    complete(operation);
}

void discard(CompletionPort& base, Handle handle) {
    AttemptPort& port = self_of(base);
    Registration* registration = port.table.find(handle);
    if (registration == nullptr || registration->side[0] == Side::closed) return;
    shut(port, *registration);
    const std::intptr_t closed = forget_and_close(port, *registration, handle);
    if (closed < 0)
        report_problem("closing a handle failed", error_of(Call::close, closed).on_descriptor(handle));
}

void wake(CompletionPort& base) { self_of(base).poller->wake(); }

void destroy(CompletionPort& base) {
    AttemptPort& port = self_of(base);
    port.poller->close();
    if (port.cleanup != nullptr) port.cleanup(port.cleanup_context);
    port.~AttemptPort();
    release(&port);
}

constexpr CompletionPortType attempt_port_type = {
    .name = "attempt",
    .open = open,
    .start = {start_by<OperationKind::accept>, start_by<OperationKind::connect>,
              start_by<OperationKind::recv>, start_by<OperationKind::recv_borrowed>,
              start_by<OperationKind::send>, start_by<OperationKind::send_all>,
              start_by<OperationKind::readable>, start_by<OperationKind::writable>,
              start_on_file<attempts::read_at>, start_on_file<attempts::write_at>, start_close},
    .cancel = cancel,
    .wait = wait,
    .wake = wake,
    .discard = discard,
    .destroy = destroy,
};

}  // namespace

Result<CompletionPort*> open_attempt_port(const Result<Poller*>& opened, void (*cleanup)(void* context),
                                          void* context) {
    if (!opened) return opened.error();
    void* memory = allocate(sizeof(AttemptPort));
    if (memory == nullptr) {
        (*opened)->close();
        return Error(ErrorKind::out_of_memory, Call::open);
    }
    auto* port = ::new (memory) AttemptPort;
    port->type = &attempt_port_type;
    port->kernel = (*opened)->kernel;
    port->poller = *opened;
    port->cleanup = cleanup;
    port->cleanup_context = context;
    return port;
}

}  // namespace pollard
