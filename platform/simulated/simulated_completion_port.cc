// The native completion port of the simulated kernel: operations wait in its hands until a wait lets them progress.
#include "platform/simulated/simulated_completion_port.h"

#include <cerrno>
#include <new>

#include "platform/observer.h"
#include "platform/simulated/operations.h"
#include "platform/simulated/socket.h"
#include "platform/simulated/virtual_wait.h"
#include "platform/system_sockets.h"

namespace pollard {

namespace simulated::completion_port {
namespace {

struct NewsNode : Link {};
struct MemberNode : Link {};
struct SimulatedPort;

/// What the port knows of one handle.
struct OpenHandle : Watcher, NewsNode, MemberNode {
    OpenHandle(SimulatedPort& in, Socket& of, HandleKind what);

    SimulatedPort& port;
    Socket& socket;
    HandleKind kind;
    /// From start until `completed`: an answered operation keeps its direction busy until its turn.
    Operation* reading = nullptr;
    Operation* writing = nullptr;
    Operation* closing = nullptr;
    bool discarded = false;

    bool ending() const { return closing != nullptr || discarded; }
    bool idle() const { return reading == nullptr && writing == nullptr; }
};

struct SimulatedPort : CompletionPort {
    explicit SimulatedPort(SimulatedKernel& on) : simulated(on) {}

    SimulatedKernel& simulated;
    WakeSignal signal;
    List<OpenHandle, NewsNode> news;  // something may be able to go on
    List<OpenHandle, MemberNode> members;
    void (*cleanup)(void*) = nullptr;
    void* cleanup_context = nullptr;
};

SimulatedPort& self_of(CompletionPort& port) { return static_cast<SimulatedPort&>(port); }

// --- handles ---

void has_news(Watcher& watcher) {
    auto& handle = static_cast<OpenHandle&>(watcher);
    if (!static_cast<NewsNode&>(handle).linked()) handle.port.news.push_back(handle);
}

void forget(Watcher& watcher) {
    auto& handle = static_cast<OpenHandle&>(watcher);
    POLLARD_REQUIRE(handle.idle() && handle.closing == nullptr,
                    "a handle was closed under an armed operation: close it through its port");
    watcher.unlink();
    static_cast<NewsNode&>(handle).unlink();
    static_cast<MemberNode&>(handle).unlink();
    handle.port.simulated.blocks.give_back(&handle, sizeof handle);
}

OpenHandle::OpenHandle(SimulatedPort& in, Socket& of, HandleKind what)
    : Watcher(&in, has_news, forget), port(in), socket(of), kind(what) {}

/// Null when it is not open on this port.
OpenHandle* find(SimulatedPort& port, Handle handle) {
    std::intptr_t refusal = 0;
    Socket* socket = find_socket(port.simulated, handle, refusal);
    return socket == nullptr ? nullptr : static_cast<OpenHandle*>(find_watcher(*socket, &port));
}

Result<void> open(CompletionPort& base, Handle handle, HandleKind kind) {
    SimulatedPort& port = self_of(base);
    std::intptr_t refusal = 0;
    Socket* socket = find_socket(port.simulated, handle, refusal);
    if (socket == nullptr) return error_of(Call::open, refusal).on_descriptor(handle);
    if (find_watcher(*socket, &port) != nullptr)
        return Error(ErrorKind::busy, Call::open).on_descriptor(handle);
    void* block = port.simulated.blocks.take(sizeof(OpenHandle));
    if (block == nullptr) return Error(ErrorKind::out_of_memory, Call::open).on_descriptor(handle);
    auto* opened = new (block) OpenHandle(port, *socket, kind);
    socket->watchers.push_back(*opened);
    port.members.push_back(*opened);
    return {};
}

Operation*& slot_of(OpenHandle& handle, const Operation& operation) {
    return operation.direction == Direction::write ? handle.writing : handle.reading;
}

// --- answers ---

void note(SimulatedKernel& kernel, Call call, const Operation& operation) {
    kernel.digest.add(static_cast<std::int64_t>(call));
    kernel.digest.add(static_cast<std::int64_t>(operation.kind));
    kernel.digest.add(operation.handle);
}

void note_answer(SimulatedKernel& kernel, const Operation& operation) {
    note(kernel, Call::next, operation);
    kernel.digest.add(operation.answer);
}

void tell_completed(Operation& operation) {
    operation.state = OperationState::answered;
    if (current_observer != nullptr) [[unlikely]]
        current_observer->operation_completed(*current_observer, operation);
}

/// The operation's turn in the ready list.
void deliver(Work* work) {
    auto& operation = *static_cast<Operation*>(work);
    if (operation.kind != OperationKind::close) {
        OpenHandle& handle = *find(self_of(*operation.port), operation.handle);
        slot_of(handle, operation) = nullptr;
        if (handle.ending()) has_news(handle);
    }
    tell_completed(operation);
    operation.completed(&operation);
}

constexpr WorkType deliver_work = {deliver, "a completed operation"};

void make_due(SimulatedPort& port, Operation& operation, std::intptr_t answer, WorkList& ready) {
    operation.answer = answer;
    operation.state = OperationState::due;
    operation.type = &deliver_work;
    note_answer(port.simulated, operation);
    ready.push_back(operation);
}

bool answer_inline(SimulatedPort& port, Operation& operation, std::intptr_t answer) {
    operation.answer = answer;
    note_answer(port.simulated, operation);
    tell_completed(operation);
    return true;
}

// --- progress ---

/// An accepted connection belongs to the port from now on, like its listener.
std::intptr_t adopt_accepted(SimulatedPort& port, const OpenHandle& listener, std::intptr_t answer) {
    const auto accepted = static_cast<Handle>(answer);
    if (open(port, accepted, listener.kind)) return answer;
    std::intptr_t refusal = 0;
    simulated::close(port.simulated, *find_socket(port.simulated, accepted, refusal));
    return -ENOMEM;
}

std::optional<std::intptr_t> try_now(OpenHandle& handle, Operation& operation) {
    SimulatedPort& port = handle.port;
    const auto answer = try_operation(port.simulated, handle.socket, operation, port.buffers);
    if (operation.kind == OperationKind::accept && answer && *answer >= 0)
        return adopt_accepted(port, handle, *answer);
    return answer;
}

void progress(OpenHandle& handle, Operation* operation, WorkList& ready) {
    if (operation == nullptr || operation->state != OperationState::armed) return;
    SimulatedPort& port = handle.port;
    if (!operation->cancel_requested) {
        if (operation->linked()) return;  // in the line for a buffer, whatever happens to the socket
        if (const auto answer = try_now(handle, *operation))
            make_due(port, *operation, *answer, ready);
        else if (current_observer != nullptr) [[unlikely]]
            current_observer->operation_parked(*current_observer, *operation);
        return;
    }
    std::optional<std::intptr_t> answer;
    if (port.simulated.chance(port.simulated.faults.late_cancel) && !operation->linked())
        answer = try_now(handle, *operation);
    if (!answer && operation->kind == OperationKind::recv_borrowed)
        leave_buffer_line(port.buffers, *operation);
    make_due(port, *operation, answer.value_or(-ECANCELED), ready);
}

/// Closes the socket when nothing is left on it.
void progress_ending(OpenHandle& handle, WorkList& ready) {
    if (!handle.ending() || !handle.idle()) return;
    SimulatedPort& port = handle.port;
    Operation* closing = std::exchange(handle.closing, nullptr);
    const bool discarded = handle.discarded;
    const Handle number = handle.socket.descriptor;
    const std::intptr_t closed = simulated::close(port.simulated, handle.socket);  // forgets `handle`
    if (closing != nullptr)
        make_due(port, *closing, closed, ready);
    else if (discarded && closed < 0)
        report_problem("closing a handle failed", error_of(Call::close, closed).on_descriptor(number));
}

struct Progress {
    SimulatedPort& port;
    WorkList& ready;

    /// Served by a lease that has ended.
    void serve_line() {
        while (!port.buffers.served.empty()) {
            Operation& operation = next_served(port.buffers);
            progress(*find(port, operation.handle), &operation, ready);
            // Somebody else may have read what it waited for: the buffer is for the next then.
            if (operation.state == OperationState::armed && operation.size != 0)
                leave_buffer_line(port.buffers, operation);
        }
    }

    void serve_news() {
        SimulatedKernel& kernel = port.simulated;
        const bool in_order = !kernel.chance(kernel.faults.out_of_order_events);
        List<OpenHandle, NewsNode> batch;
        while (OpenHandle* handle = port.news.pop_front()) {
            if (in_order || kernel.random.below(2) == 0)
                batch.push_back(*handle);
            else
                batch.push_front(*handle);
        }
        while (OpenHandle* handle = batch.pop_front()) {
            // A connect begins before a receive that was started with it: until then there is no connection.
            if (handle->writing != nullptr && handle->writing->kind == OperationKind::connect)
                progress(*handle, handle->writing, ready);
            progress(*handle, handle->reading, ready);
            progress(*handle, handle->writing, ready);
            progress_ending(*handle, ready);
        }
    }

    static bool look(void* context) {
        auto& self = *static_cast<Progress*>(context);
        // What one operation does may be news for another.
        do {
            self.serve_line();
            self.serve_news();
        } while (self.ready.empty() && !(self.port.news.empty() && self.port.buffers.served.empty()));
        return !self.ready.empty();
    }
};

// --- the contract ---

/// It ends at the next wait.
void request_cancel(OpenHandle& handle, Operation* operation) {
    if (operation == nullptr) return;
    operation->cancel_requested = true;
    has_news(handle);
}

/// Null: nothing may start there.
OpenHandle* find_for_start(SimulatedPort& port, Operation& operation) {
    operation.cancel_requested = false;
    note(port.simulated, Call::start, operation);
    OpenHandle* handle = find(port, operation.handle);
    return handle == nullptr || handle->ending() ? nullptr : handle;
}

bool start(CompletionPort& base, Operation& operation) {
    SimulatedPort& port = self_of(base);
    OpenHandle* handle = find_for_start(port, operation);
    if (handle == nullptr) return answer_inline(port, operation, -EBADF);
    Operation*& slot = slot_of(*handle, operation);
    if (slot != nullptr) return answer_inline(port, operation, -EBUSY);
    operation.state = OperationState::armed;
    if (port.simulated.chance(port.simulated.faults.finish_inline))
        if (const auto answer = try_now(*handle, operation)) return answer_inline(port, operation, *answer);
    slot = &operation;
    has_news(*handle);
    return false;
}

bool start_close(CompletionPort& base, Operation& operation) {
    SimulatedPort& port = self_of(base);
    OpenHandle* handle = find_for_start(port, operation);
    if (handle == nullptr) return answer_inline(port, operation, -EBADF);
    request_cancel(*handle, handle->reading);
    request_cancel(*handle, handle->writing);
    handle->closing = &operation;
    operation.state = OperationState::armed;
    has_news(*handle);
    return false;
}

void cancel(CompletionPort& base, Operation& operation) {
    operation.cancel_requested = true;
    OpenHandle* handle = find(self_of(base), operation.handle);
    if (handle == nullptr || operation.kind == OperationKind::close) return;
    if (slot_of(*handle, operation) == &operation) request_cancel(*handle, &operation);
}

void discard(CompletionPort& base, Handle number) {
    OpenHandle* handle = find(self_of(base), number);
    if (handle == nullptr || handle->ending()) return;
    request_cancel(*handle, handle->reading);
    request_cancel(*handle, handle->writing);
    handle->discarded = true;
    WorkList nobody_listens;
    progress_ending(*handle, nobody_listens);
}

Result<void> wait(CompletionPort& base, std::int64_t timeout_ns, WorkList& ready) {
    SimulatedPort& port = self_of(base);
    SimulatedKernel& kernel = port.simulated;
    const std::int64_t began_ns = kernel.now_ns;
    WorkList finished;
    Progress context{port, finished};
    const WaitEnd end = wait_on_virtual_clock(kernel, &port.signal, timeout_ns, Progress::look, &context);
    std::size_t count = 0;
    for (Work* each = finished.first(); each != nullptr; each = finished.next(*each)) ++count;
    ready.splice_back(finished);
    const std::intptr_t answer = end == WaitEnd::deadlock      ? -EDEADLK
                                 : end == WaitEnd::interrupted ? -EINTR
                                                               : static_cast<std::intptr_t>(count);
    note_wait(kernel, began_ns, timeout_ns, 0, answer);
    if (end == WaitEnd::deadlock) return deadlock_error();
    return {};
}

void wake(CompletionPort& base) { self_of(base).signal.give(); }

void destroy(CompletionPort& base) {
    SimulatedPort& port = self_of(base);
    while (OpenHandle* handle = port.members.first()) {
        POLLARD_REQUIRE(handle->idle() && handle->closing == nullptr,
                        "a port was destroyed with operations armed: cancel them and wait first");
        if (handle->discarded)
            simulated::close(port.simulated, handle->socket);
        else
            forget(*handle);
    }
    --port.simulated.open_ports;
    void (*cleanup)(void*) = port.cleanup;
    void* context = port.cleanup_context;
    port.~SimulatedPort();
    release(&port);
    if (cleanup != nullptr) cleanup(context);
}

constexpr CompletionPortType port_type = {
    .name = "simulated_completion",
    .open = open,
    .start = start_table(start, start, start_close),
    .cancel = cancel,
    .wait = wait,
    .wake = wake,
    .discard = discard,
    .destroy = destroy,
};

}  // namespace
}  // namespace simulated::completion_port

Result<CompletionPort*> open_simulated_completion_port(SimulatedKernel& kernel, Kernel& door,
                                                       void (*cleanup)(void* context), void* context) {
    void* block = allocate(sizeof(simulated::completion_port::SimulatedPort));
    if (block == nullptr) return Error(ErrorKind::out_of_memory, Call::open);
    auto* port = new (block) simulated::completion_port::SimulatedPort(kernel);
    port->type = &simulated::completion_port::port_type;
    port->kernel = &door;
    port->cleanup = cleanup;
    port->cleanup_context = context;
    ++kernel.open_ports;
    return port;
}

}  // namespace pollard
