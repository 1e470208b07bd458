// Parking: which operation waits on which handle, and what an event means for it.
//
// A table indexed by handle holds, for each, the two operations that may wait on it (one a direction) and
// what is known of its readiness. Descriptors are small numbers, so the table is an array, in chunks that
// never move.
//
// Read next: attempts.cc, the calls; platform/epoll/epoll_poller.cc, who sends the events.
#include "platform/attempt/attempt_port.h"

#include <cerrno>
#include <new>

#include "platform/attempt/attempts.h"
#include "platform/kernel.h"
#include "platform/memory.h"
#include "platform/observer.h"

namespace pollard {

namespace {

/// What the port knows of one handle: 24 bytes, paid by every connection.
struct Registration {
    Operation* parked[2] = {nullptr, nullptr};  // by Direction
    std::uint32_t generation = 0;               // counts the owners of this number
    bool open : 1 = false;
    bool closing : 1 = false;            // nothing new may start
    bool watched : 1 = false;            // added to the poller
    bool stream : 1 = false;             // HandleKind::stream
    bool behind_data : 1 = false;        // the last event told of something that a short read would hide
    bool maybe_ready[2] = {true, true};  // false: known to block until the next event
};

static_assert(sizeof(void*) != 8 || sizeof(Registration) == 24);

constexpr std::size_t chunk_size = 256;
struct Chunk {
    Registration registrations[chunk_size];
};

struct AttemptPort : CompletionPort {
    Poller* poller = nullptr;
    void (*cleanup)(void*) = nullptr;
    void* cleanup_context = nullptr;
    Chunk** chunks = nullptr;
    std::size_t chunk_count = 0;
    /// Work that came up outside of wait: cancelled operations, above all.
    WorkList news;
    Event events[64];
};

AttemptPort& self_of(CompletionPort& port) { return static_cast<AttemptPort&>(port); }
int index_of(Direction direction) { return static_cast<int>(direction); }

// --- the table ---

Registration* find(AttemptPort& port, Handle handle) {
    const std::size_t chunk = static_cast<std::size_t>(handle) / chunk_size;
    if (chunk >= port.chunk_count || port.chunks[chunk] == nullptr) return nullptr;
    return &port.chunks[chunk]->registrations[static_cast<std::size_t>(handle) % chunk_size];
}

bool make_room(AttemptPort& port, std::size_t chunk) {
    if (chunk >= port.chunk_count) {
        const std::size_t count = chunk + 1 + port.chunk_count;
        auto** grown = static_cast<Chunk**>(allocate(count * sizeof(Chunk*)));
        if (grown == nullptr) return false;
        for (std::size_t i = 0; i < count; ++i) grown[i] = i < port.chunk_count ? port.chunks[i] : nullptr;
        release(port.chunks);
        port.chunks = grown;
        port.chunk_count = count;
    }
    if (port.chunks[chunk] == nullptr) {
        void* memory = allocate(sizeof(Chunk));
        if (memory == nullptr) return false;
        port.chunks[chunk] = ::new (memory) Chunk;
    }
    return true;
}

Result<void> open(CompletionPort& base, Handle handle, HandleKind kind) {
    AttemptPort& port = self_of(base);
    if (handle < 0) return Error(ErrorKind::bad_handle, Call::open).on_descriptor(handle);
    if (!make_room(port, static_cast<std::size_t>(handle) / chunk_size))
        return Error(ErrorKind::out_of_memory, Call::open).on_descriptor(handle);
    Registration& registration = *find(port, handle);
    if (registration.open) return Error(ErrorKind::busy, Call::open).on_descriptor(handle);
    const std::uint32_t generation = registration.generation + 1;
    registration = Registration{};
    registration.generation = generation;
    registration.open = true;
    registration.stream = kind == HandleKind::stream;
    return {};
}

// --- completion ---

void retry(Work* work);
void deliver(Work* work);
void finish_close(Work* work);
constexpr WorkType retry_work = {retry, "an operation to try again"};
constexpr WorkType deliver_work = {deliver, "an answered operation"};
constexpr WorkType close_work = {finish_close, "a handle to close"};

/// The answer is there and the owner is told now: this is the operation's turn in the ready queue.
void complete(Operation& operation) {
    operation.state = OperationState::answered;
    if (current_observer != nullptr) [[unlikely]]
        current_observer->operation_completed(*current_observer, operation);
    operation.completed(&operation);
}

void deliver(Work* work) { complete(*static_cast<Operation*>(work)); }

/// The answer was there at once: whoever called start learns it from the return value.
bool answer_inline(Operation& operation) {
    operation.state = OperationState::answered;
    if (current_observer != nullptr) [[unlikely]]
        current_observer->operation_completed(*current_observer, operation);
    return true;
}

bool refuse(Operation& operation, int code) {
    operation.answer = -code;
    return answer_inline(operation);
}

/// An accepted connection belongs to the port from now on, like its listener.
void adopt_accepted(AttemptPort& port, const Registration& listener, Operation& operation) {
    if (operation.kind != OperationKind::accept || operation.failed()) return;
    const auto accepted = static_cast<Handle>(operation.answer);
    const Result<void> opened =
        open(port, accepted, listener.stream ? HandleKind::stream : HandleKind::other);
    if (opened) return;
    port.kernel->close(*port.kernel, accepted);
    operation.answer = -ENOMEM;
}

// --- attempt and park ---

/// True: answered.
bool try_now(AttemptPort& port, Registration& registration, Operation& operation, Direction direction) {
    const Attempt made = attempt(port, operation, registration.stream && !registration.behind_data);
    registration.maybe_ready[index_of(direction)] = !made.drained;
    if (made.outcome != AttemptOutcome::answered) return false;
    if (operation.kind == OperationKind::accept) adopt_accepted(port, registration, operation);
    return true;
}

/// True: could not be parked, the error is the answer.
bool park(AttemptPort& port, Registration& registration, Operation& operation, Direction direction) {
    registration.parked[index_of(direction)] = &operation;
    operation.state = OperationState::armed;
    if (operation.linked()) return false;  // stands in the buffer pool's line; no event is needed
    if (current_observer != nullptr) [[unlikely]]
        current_observer->operation_parked(*current_observer, operation);
    const Token token = {operation.handle, registration.generation};
    Result<void> armed;
    if (!registration.watched) {
        armed = port.poller->add(token);
        if (armed) registration.watched = true;
    }
    if (armed) armed = port.poller->arm(token, direction);
    if (armed) [[likely]]
        return false;
    registration.parked[index_of(direction)] = nullptr;
    // A kernel that cannot watch this kind of thing (epoll and a regular file: EPERM) has not denied a
    // permission.
    const bool cannot = armed.error().kind == ErrorKind::not_supported;
    operation.answer = cannot ? -EOPNOTSUPP : armed.error().code != 0 ? -armed.error().code : -ENOMEM;
    return true;
}

bool start_close(AttemptPort& port, Registration& registration, Operation& operation);

// STOP: start
bool start(CompletionPort& base, Operation& operation) {
    AttemptPort& port = self_of(base);
    operation.port = &port;
    if (current_observer != nullptr) [[unlikely]]
        current_observer->operation_started(*current_observer, operation);
    Registration* registration = find(port, operation.handle);
    if (registration == nullptr || !registration->open || registration->closing)
        return refuse(operation, EBADF);
    if (operation.kind == OperationKind::close) return start_close(port, *registration, operation);
    const Direction direction = direction_of(operation.kind);
    if (registration->parked[index_of(direction)] != nullptr) return refuse(operation, EBUSY);
    if (registration->maybe_ready[index_of(direction)] || operation.kind == OperationKind::connect) {
        if (try_now(port, *registration, operation, direction)) return answer_inline(operation);
    }
    if (park(port, *registration, operation, direction)) return answer_inline(operation);
    return false;
}

/// The operation's turn: the poller said that its direction may be ready.
void retry(Work* work) {
    auto& operation = *static_cast<Operation*>(work);
    AttemptPort& port = self_of(*operation.port);
    Registration& registration = *find(port, operation.handle);
    const Direction direction = direction_of(operation.kind);
    registration.parked[index_of(direction)] = nullptr;
    if (try_now(port, registration, operation, direction) || park(port, registration, operation, direction))
        complete(operation);
}

// --- events ---

void wake_parked(Registration& registration, Direction direction, WorkList& ready) {
    registration.maybe_ready[index_of(direction)] = true;
    Operation* operation = registration.parked[index_of(direction)];
    if (operation == nullptr || operation->linked()) return;
    operation->state = OperationState::due;
    operation->type = &retry_work;
    ready.push_back(*operation);
}

void handle_event(AttemptPort& port, const Event& event, WorkList& ready) {
    Registration* registration = find(port, event.token.handle);
    // An event of a former owner of this number, fetched in the same batch as its end.
    if (registration == nullptr || !registration->open || registration->generation != event.token.generation)
        return;
    const bool ending = event.hang_up || event.error;
    registration->behind_data = ending || event.urgent;
    if (event.readable || ending || event.urgent) wake_parked(*registration, Direction::read, ready);
    if (event.writable || ending) wake_parked(*registration, Direction::write, ready);
}

/// A lease has ended: the receives that waited for a buffer may try again.
void serve_buffer_waiters(AttemptPort& port, WorkList& ready) {
    while (!port.buffers.served.empty()) {
        auto& operation = static_cast<Operation&>(port.buffers.served.pop_front());
        operation.state = OperationState::due;
        operation.type = &retry_work;
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
    registration.parked[index_of(direction_of(operation.kind))] = nullptr;
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
    if (registration->parked[index_of(direction_of(operation.kind))] != &operation) return;
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
    const std::intptr_t closed = port.kernel->close(*port.kernel, handle);
    if (closed < 0) return closed;
    return removed ? 0 : -static_cast<std::intptr_t>(removed.error().code);
}

bool start_close(AttemptPort& port, Registration& registration, Operation& operation) {
    registration.closing = true;
    if (!cancel_all(port, registration)) {
        operation.answer = forget_and_close(port, registration, operation.handle);
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
    if (registration == nullptr || !registration->open || registration->closing) return;
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
    for (std::size_t i = 0; i < port.chunk_count; ++i) release(port.chunks[i]);
    release(port.chunks);
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
