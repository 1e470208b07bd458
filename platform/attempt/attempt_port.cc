// Parking: which operation waits on which handle, and what an event means for it.
//
// A table indexed by handle holds, for each, the two operations that may wait on it (one a direction) and
// what is known of its readiness. Descriptors are small numbers, so the table is an array, in chunks that
// never move.
//
// For each kind of operation there are two functions, made from two templates: `start_by`, which tries the call and
// parks, and `retry_by`, which does so again when the poller has spoken.
//
// Read next: attempts.h, the calls; platform/epoll/epoll_poller.cc, who sends the events.
#include "platform/attempt/attempt_port.h"

#include <cerrno>
#include <cstring>
#include <new>

#include "platform/attempt/attempts.h"
#include "platform/kernel.h"
#include "platform/memory.h"
#include "platform/observer.h"

namespace pollard {

namespace {

/// What the port knows of one handle: 24 bytes, paid by every connection. All zero: not open.
struct Registration {
    Operation* parked[2];      // by Direction
    std::uint32_t generation;  // counts the owners of this number
    bool open : 1;             // operations may start
    bool watched : 1;          // added to the poller
    bool self_arming : 1;      // and that is all it takes: its poller has no `arm`
    bool closing : 1;          // waits for its last operation, or for its close; not open any more
    bool stream : 1;           // HandleKind::stream
    bool behind_data;          // the last event told of something that a short read would hide
    bool blocks[2];            // by Direction: known to block until the next event
};
static_assert(sizeof(void*) != 8 || sizeof(Registration) == 24);

struct AttemptPort : CompletionPort {
    Poller* poller = nullptr;
    void (*cleanup)(void*) = nullptr;
    void* cleanup_context = nullptr;
    /// Indexed by handle. It moves when it grows: no reference into it lives across `open`.
    Registration* table = nullptr;
    std::size_t capacity = 0;
    /// Work that came up outside of wait: cancelled operations, above all.
    WorkList news;
    Event events[64];
};

AttemptPort& self_of(CompletionPort& port) { return static_cast<AttemptPort&>(port); }
int index_of(Direction direction) { return static_cast<int>(direction); }

// --- the table ---

Registration* find(AttemptPort& port, Handle handle) {
    const auto index = static_cast<std::size_t>(handle);
    return index < port.capacity ? &port.table[index] : nullptr;
}

bool make_room(AttemptPort& port, std::size_t index) {
    if (index < port.capacity) return true;
    std::size_t capacity = port.capacity == 0 ? 64 : port.capacity;
    while (capacity <= index) capacity *= 2;
    // A large block of zeros costs only the pages that are written to.
    auto* grown = static_cast<Registration*>(allocate_zeroed(capacity * sizeof(Registration)));
    if (grown == nullptr) return false;
    if (port.capacity != 0) std::memcpy(grown, port.table, port.capacity * sizeof(Registration));
    release(port.table);
    port.table = grown;
    port.capacity = capacity;
    return true;
}

Result<void> open(CompletionPort& base, Handle handle, HandleKind kind) {
    AttemptPort& port = self_of(base);
    if (handle < 0) return Error(ErrorKind::bad_handle, Call::open).on_descriptor(handle);
    if (!make_room(port, static_cast<std::size_t>(handle)))
        return Error(ErrorKind::out_of_memory, Call::open).on_descriptor(handle);
    Registration& registration = *find(port, handle);
    if (registration.open || registration.closing) return Error(ErrorKind::busy, Call::open).on_descriptor(handle);
    registration = {.parked = {},
                    .generation = registration.generation + 1,
                    .open = true,
                    .watched = false,
                    .self_arming = false,
                    .closing = false,
                    .stream = kind == HandleKind::stream,
                    .behind_data = false,
                    .blocks = {}};
    return {};
}

// --- completion ---

void deliver(Work* work);
void finish_close(Work* work);
constexpr WorkType deliver_work = {deliver, "an answered operation"};
constexpr WorkType close_work = {finish_close, "a handle to close"};

[[gnu::cold, gnu::noinline]] void tell_completed(Operation& operation) {
    current_observer->operation_completed(*current_observer, operation);
}

/// The answer is there and the owner is told now: this is the operation's turn in the ready queue.
void complete(Operation& operation) {
    operation.state = OperationState::answered;
    if (current_observer != nullptr) [[unlikely]] tell_completed(operation);
    operation.completed(&operation);
}

void deliver(Work* work) { complete(*static_cast<Operation*>(work)); }

/// The answer was there at once: whoever called start learns it from the return value, which is true.
bool answer_inline(Operation& operation) {
    operation.state = OperationState::answered;
    if (current_observer != nullptr) [[unlikely]] tell_completed(operation);
    return true;
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

using attempts::Outcome;
using AttemptFunction = Outcome (*)(CompletionPort&, Operation&, bool short_means_empty);

/// True: answered.
template <AttemptFunction attempt>
[[gnu::always_inline]] inline bool try_now(AttemptPort& port, Registration& registration, Operation& operation) {
    const Outcome outcome = attempt(port, operation, registration.stream && !registration.behind_data);
    bool& blocks = registration.blocks[index_of(operation.direction)];
    blocks = outcome == Outcome::answered_drained || outcome == Outcome::would_block;
    if (outcome == Outcome::would_block || outcome == Outcome::waits_for_buffer) [[unlikely]] return false;
    if constexpr (attempt == attempts::accept) adopt_accepted(port, registration.stream, operation);
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
    registration.parked[index_of(operation.direction)] = nullptr;
    // A kernel that cannot watch this kind of thing (epoll and a regular file: EPERM) has not denied a permission.
    const bool cannot = asked.error().kind == ErrorKind::not_supported;
    operation.answer = cannot ? -EOPNOTSUPP : asked.error().code != 0 ? -asked.error().code : -ENOMEM;
    return true;
}

template <AttemptFunction attempt>
void retry_by(Work* work);
template <AttemptFunction attempt>
constexpr WorkType retry_work = {retry_by<attempt>, "an operation to try again"};

/// True: could not be parked, the error is the answer.
template <AttemptFunction attempt>
bool park(AttemptPort& port, Registration& registration, Operation& operation) {
    registration.parked[index_of(operation.direction)] = &operation;
    operation.state = OperationState::armed;
    operation.type = &retry_work<attempt>;
    if (operation.linked()) [[unlikely]] return false;  // stands in the buffer pool's line and needs no event
    if (registration.self_arming && current_observer == nullptr) [[likely]] return false;
    return ask_poller(port, registration, operation);
}

template <AttemptFunction attempt>
[[gnu::noinline]] bool try_or_park(AttemptPort& port, Registration& registration, Operation& operation) {
    if (try_now<attempt>(port, registration, operation) || park<attempt>(port, registration, operation))
        return answer_inline(operation);
    return false;
}

/// Tries, and parks if it would block. True: answered.
template <AttemptFunction attempt>
bool start_by(AttemptPort& port, Operation& operation) {
    const auto index = static_cast<std::size_t>(operation.handle);
    if (index >= port.capacity || !port.table[index].open) [[unlikely]] return refuse(operation, EBADF);
    Registration& registration = port.table[index];
    if (registration.parked[index_of(operation.direction)] != nullptr) [[unlikely]] return refuse(operation, EBUSY);
    // What is known to block is not tried. (The first call of a connect is what begins it.)
    if (registration.blocks[index_of(operation.direction)] && attempt != attempts::connect)
        return park<attempt>(port, registration, operation) && answer_inline(operation);
    return try_or_park<attempt>(port, registration, operation);
}

/// The operation's turn: the poller said that its direction may be ready.
template <AttemptFunction attempt>
void retry_by(Work* work) {
    auto& operation = *static_cast<Operation*>(work);
    AttemptPort& port = self_of(*operation.port);
    Registration& registration = port.table[operation.handle];
    registration.parked[index_of(operation.direction)] = nullptr;
    if (try_now<attempt>(port, registration, operation) || park<attempt>(port, registration, operation))
        complete(operation);
}

bool start_close(AttemptPort& port, Operation& operation);

/// Indexed by OperationKind.
constexpr bool (*starts[])(AttemptPort&, Operation&) = {
    start_by<attempts::accept>, start_by<attempts::connect>, start_by<attempts::recv>, start_by<attempts::recv_borrowed>,
    start_by<attempts::send>,   start_by<attempts::send_all>, start_by<attempts::readable>, start_by<attempts::writable>,
    start_close,
};

[[gnu::cold, gnu::noinline]] bool start_observed(AttemptPort& port, Operation& operation) {
    current_observer->operation_started(*current_observer, operation);
    return starts[static_cast<std::size_t>(operation.kind)](port, operation);
}

// STOP: start
bool start(CompletionPort& base, Operation& operation) {
    operation.port = &base;
    if (current_observer != nullptr) [[unlikely]] return start_observed(self_of(base), operation);
    return starts[static_cast<std::size_t>(operation.kind)](self_of(base), operation);
}

// --- events ---

void wake_parked(Registration& registration, Direction direction, WorkList& ready) {
    registration.blocks[index_of(direction)] = false;
    Operation* operation = registration.parked[index_of(direction)];
    if (operation == nullptr || operation->linked()) return;
    operation->state = OperationState::due;
    ready.push_back(*operation);
}

void handle_event(AttemptPort& port, const Event& event, WorkList& ready) {
    using enum EventBits;
    Registration& registration = port.table[event.token.handle];
    // An event of a former owner of this number, fetched in the same batch as its end.
    if (registration.generation != event.token.generation) [[unlikely]] return;
    registration.behind_data = any(event.what, hang_up | error | urgent);
    if (any(event.what, readable | hang_up | error | urgent)) wake_parked(registration, Direction::read, ready);
    if (any(event.what, writable | hang_up | error)) wake_parked(registration, Direction::write, ready);
}

/// A lease has ended: the receives that waited for a buffer may try again.
void serve_buffer_waiters(AttemptPort& port, WorkList& ready) {
    while (!port.buffers.served.empty()) {
        auto& operation = static_cast<Operation&>(port.buffers.served.pop_front());
        operation.state = OperationState::due;
        ready.push_back(operation);
    }
}

Result<void> wait(CompletionPort& base, std::int64_t timeout_ns, WorkList& ready) {
    AttemptPort& port = self_of(base);
    const bool has_news = !port.news.empty() || !port.buffers.served.empty();
    const Result<std::size_t> count = port.poller->wait(port.events, has_news ? 0 : timeout_ns);
    if (!port.buffers.served.empty()) serve_buffer_waiters(port, ready);
    ready.splice_back(port.news);
    if (!count) return count.error();
    for (std::size_t i = 0; i < *count; ++i) handle_event(port, port.events[i], ready);
    return {};
}

// --- cancelling and closing ---

/// Takes a parked operation out and answers it; its owner is told when `news` has its turn.
void answer_parked(AttemptPort& port, Registration& registration, Operation& operation,
                   std::intptr_t answer) {
    registration.parked[index_of(operation.direction)] = nullptr;
    if (operation.linked()) {
        operation.unlink();
        port.buffers.serve_next();  // it may have stood in that line with a free buffer meant for it
    }
    operation.answer = answer;
    operation.state = OperationState::due;
    operation.type = &deliver_work;
    port.news.push_back(operation);
}

void cancel(CompletionPort& base, Operation& operation) {
    AttemptPort& port = self_of(base);
    operation.cancel_requested = true;
    Registration* registration = find(port, operation.handle);
    if (registration == nullptr || operation.kind == OperationKind::close) return;
    if (registration->parked[index_of(operation.direction)] != &operation) return;
    answer_parked(port, *registration, operation, -ECANCELED);
}

/// True: something was armed.
bool cancel_all(AttemptPort& port, Registration& registration) {
    bool any = false;
    for (Operation* operation : {registration.parked[0], registration.parked[1]}) {
        if (operation == nullptr) continue;
        answer_parked(port, registration, *operation, -ECANCELED);
        any = true;
    }
    return any;
}

/// The poller forgets the handle before it is closed: a duplicate elsewhere could keep the registration
/// alive.
std::intptr_t forget_and_close(AttemptPort& port, Registration& registration, Handle handle) {
    Result<void> removed;
    if (registration.watched) removed = port.poller->remove({handle, registration.generation});
    registration.open = false;
    registration.closing = false;
    ++registration.generation;  // an event that is on its way finds nobody
    const std::intptr_t closed = port.kernel->close(*port.kernel, handle);
    if (closed < 0) return closed;
    return removed ? 0 : -static_cast<std::intptr_t>(removed.error().code);
}

bool start_close(AttemptPort& port, Operation& operation) {
    Registration* registration = find(port, operation.handle);
    if (registration == nullptr || !registration->open) return refuse(operation, EBADF);
    registration->open = false;
    registration->closing = true;
    if (!cancel_all(port, *registration)) {
        operation.answer = forget_and_close(port, *registration, operation.handle);
        return answer_inline(operation);
    }
    // Behind the cancelled ones in the queue: when its turn comes, each of them has been told.
    operation.state = OperationState::due;
    operation.type = &close_work;
    port.news.push_back(operation);
    return false;
}

void finish_close(Work* work) {
    auto& operation = *static_cast<Operation*>(work);
    AttemptPort& port = self_of(*operation.port);
    operation.answer = forget_and_close(port, *find(port, operation.handle), operation.handle);
    complete(operation);
}

void discard(CompletionPort& base, Handle handle) {
    AttemptPort& port = self_of(base);
    Registration* registration = find(port, handle);
    if (registration == nullptr || !registration->open) return;
    cancel_all(port, *registration);
    const std::intptr_t closed = forget_and_close(port, *registration, handle);
    if (closed < 0)
        report_problem("closing a handle failed", error_of(Call::close, closed).on_descriptor(handle));
}

void wake(CompletionPort& base) { self_of(base).poller->wake(); }

void destroy(CompletionPort& base) {
    AttemptPort& port = self_of(base);
    port.poller->close();
    if (port.cleanup != nullptr) port.cleanup(port.cleanup_context);
    release(port.table);
    port.~AttemptPort();
    release(&port);
}

constexpr CompletionPortType attempt_port_type = {
    .name = "attempt",
    .open = open,
    .start = start,
    .cancel = cancel,
    .wait = wait,
    .wake = wake,
    .discard = discard,
    .destroy = destroy,
};

}  // namespace

Result<CompletionPort*> open_attempt_port(Poller* poller, void (*cleanup)(void* context), void* context) {
    void* memory = allocate(sizeof(AttemptPort));
    if (memory == nullptr) return Error(ErrorKind::out_of_memory, Call::open);
    auto* port = ::new (memory) AttemptPort;
    port->type = &attempt_port_type;
    port->kernel = poller->kernel;
    port->poller = poller;
    port->cleanup = cleanup;
    port->cleanup_context = context;
    return port;
}

}  // namespace pollard
