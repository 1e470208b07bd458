// The loop's turn, its beginning and its end.
#include "core/event_loop.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/await_graph.h"
#include "core/sleep.h"
#include "platform/kernel.h"
#include "platform/observer.h"

namespace pollard {

constinit EventLoop* all_loops = nullptr;

/// Guards the list of all loops, which only opening and closing change.
struct LoopList {
    static constinit std::atomic_flag lock;
    struct Guard {
        Guard() {
            while (lock.test_and_set(std::memory_order_acquire)) {
            }
        }
        ~Guard() { lock.clear(std::memory_order_release); }
    };
    static void add(EventLoop& loop) {
        const Guard guard;
        loop.next_loop_ = all_loops;
        all_loops = &loop;
    }
    static void remove(EventLoop& loop) {
        const Guard guard;
        EventLoop** place = &all_loops;
        while (*place != &loop) place = &(*place)->next_loop_;
        *place = loop.next_loop_;
    }
    static bool has(const Scheduler& scheduler) {
        const Guard guard;
        const EventLoop* loop = all_loops;
        while (loop != nullptr && loop != &scheduler) loop = loop->next_loop_;
        return loop != nullptr;
    }
};
constinit std::atomic_flag LoopList::lock = ATOMIC_FLAG_INIT;

bool is_open(const Scheduler& scheduler) { return LoopList::has(scheduler); }

EventLoop& running_loop() {
    POLLARD_REQUIRE(current_scheduler != nullptr && current_scheduler->loop != nullptr,
                    "this needs a running event loop: await it in a coroutine that an EventLoop runs");
    return *current_scheduler->loop;
}

// --- a turn ---

/// Looks first and only then exchanges: most turns there is nothing, and a look is two loads.
inline void EventLoop::take_from_other_threads() {
    if (gate_->stop_requested.load(std::memory_order_relaxed)) [[unlikely]] {
        gate_->stop_requested.store(false);
        stopping_ = true;
    }
    if (gate_->callbacks.load(std::memory_order_relaxed) != nullptr) [[unlikely]]
        take_callbacks_of_other_threads();
}

// STOP: turn
void EventLoop::turn() {
    const bool idle = ready.empty() && !stopping_;
    if (idle || works_run >= look_due_)
        look_into_the_kernel();
    else
        take_from_other_threads();
    if (debug_) [[unlikely]]
        return run_batch_in_debug_mode();
    run_turn();
}

/// What other threads have left is taken afterwards: each of them wakes the port, so the wait does not keep it.
void EventLoop::look_into_the_kernel() {
    const std::int64_t earliest_ns = timers_.earliest_ns();
    const std::int64_t timeout_ns = sleep_limit_ns(earliest_ns);
    if (current_observer != nullptr) [[unlikely]]
        current_observer->wait_entered(*current_observer, timeout_ns);
    if (const Result<void> waited = port_->wait(timeout_ns, ready); !waited) [[unlikely]]
        fail_run(waited.error());
    time_is_known_ = false;
    look_due_ = works_run + works_between_looks;
    if (current_observer != nullptr) [[unlikely]]
        current_observer->wait_returned(*current_observer);
    take_from_other_threads();
    if (earliest_ns != never_ns) timers_.advance(time_ns(), ready);
}

/// Counted from now: the last batch may have computed for long.
std::int64_t EventLoop::sleep_limit_ns(std::int64_t earliest_ns) {
    if (!ready.empty() || stopping_) return 0;
    if (earliest_ns == never_ns) return -1;
    update_time();
    return std::max<std::int64_t>(0, earliest_ns - time_ns());
}

void EventLoop::fail_run(const Error& error) {
    run_error_ = error;
    stopping_ = true;
}

std::int64_t EventLoop::time_ns() {
    if (!time_is_known_) {
        time_ns_ = port_->kernel->clock(*port_->kernel);
        time_is_known_ = true;
    }
    return time_ns_;
}

void EventLoop::run_batch_in_debug_mode() {
    ++turn_count;
    batch.splice_back(ready);
    Kernel& kernel = *port_->kernel;
    while (!batch.empty()) {
        Work& work = batch.pop_front();
        const char* name = work.type->name;
        const std::int64_t began_ns = kernel.clock(kernel);
        run_one_carefully(work);
        ++works_run;
        const std::int64_t took_ns = kernel.clock(kernel) - began_ns;
        if (took_ns < slow_callback_duration_ns) continue;
        Text message;
        message.add("%s ran for %lld.%03lld s without letting others run", name,
                    static_cast<long long>(took_ns / second_ns),
                    static_cast<long long>(took_ns % second_ns / millisecond_ns));
        report({message.c_str(), Error(ErrorKind::timed_out, Call::run).on(name), nullptr});
    }
    running = nullptr;
}

void EventLoop::take_callbacks_of_other_threads() {
    // The stack has the last one on top: turn it round, so that each thread's come in its order.
    Callback* last_first = gate_->callbacks.exchange(nullptr, std::memory_order_acquire);
    Callback* in_order = nullptr;
    while (last_first != nullptr) {
        Callback* next = last_first->next_from_other_threads;
        last_first->next_from_other_threads = in_order;
        in_order = last_first;
        last_first = next;
    }
    while (in_order != nullptr) {
        Callback* next = in_order->next_from_other_threads;
        make_ready(*in_order);
        in_order = next;
    }
}

void EventLoop::tell_timer_set(Timer& timer) {
    current_observer->timer_set(*current_observer, timer, timer.deadline_ns - time_ns());
}

// --- running ---

Result<void> EventLoop::run() {
    if (is_closed()) return Error(ErrorKind::closed, Call::run).on("event loop");
    if (running_ || (current_scheduler != nullptr && current_scheduler->loop != nullptr))
        return Error(ErrorKind::invalid_state, Call::run).on("a loop is running here");
    const SchedulerScope scope(*this);
    running_ = true;
    look_due_ = works_run;
    run_error_ = Error{};
    do turn();
    while (!stopping_);
    stopping_ = false;
    running_ = false;
    if (run_error_.kind == ErrorKind::deadlock) {
        std::fprintf(stderr,
                     "pollard: nothing can ever happen any more on the kernel '%s', but these still wait:\n",
                     kernel_name());
        print_tree(*this, stderr);
    }
    if (run_error_.kind != ErrorKind::none) return run_error_;
    return {};
}

Result<void> EventLoop::run_forever() { return run(); }

Result<void> EventLoop::run_until_done(TaskState& task) {
    POLLARD_REQUIRE(task.pool().scheduler == this, "this task belongs to another loop");
    Callback leave(stop_from_callback, this);
    if (task.done)
        make_ready(leave);
    else
        task.waiters.push_back(leave);
    const Result<void> ran = run();
    leave.cancel();
    if (!ran) return ran;
    if (!task.done) return Error(ErrorKind::stopped, Call::run).on(name_of(task).view());
    return {};
}

// --- opening and closing ---

Result<void> EventLoop::open(const LoopOptions& options) {
    POLLARD_REQUIRE(is_closed(), "this loop is open already");
    const char* name = options.kernel != nullptr ? options.kernel : std::getenv("POLLARD_KERNEL");
    const Backend* backend = name != nullptr ? find_backend(name) : &default_backend();
    if (backend == nullptr) return Error(ErrorKind::not_found, Call::open).on(name);
    if (backend->why_unavailable() != nullptr)
        return Error(ErrorKind::not_supported, Call::open).on(backend->name);

    const Error no_memory(ErrorKind::out_of_memory, Call::open);
    void* gate = allocate(sizeof(LoopGate));
    if (gate == nullptr) return no_memory;
    TaskPool* tasks_pool = TaskPool::create(*this);
    if (tasks_pool == nullptr) {
        release(gate);
        return no_memory;
    }
    const Result<CompletionPort*> port = backend->open(options.port);
    if (!port) {
        tasks_pool->orphan();
        release(gate);
        return port.error();
    }
    port_ = *port;
    pool = tasks_pool;
    gate_ = ::new (gate) LoopGate;
    gate_->port = port_;
    backend_ = backend;
    loop = this;
    debug_ = options.debug;
    time_is_known_ = false;
    timers_.~Timers();
    ::new (&timers_) Timers(time_ns());
    LoopList::add(*this);
    return {};
}

Result<void> EventLoop::close() {
    if (is_closed()) return {};
    if (running_) return Error(ErrorKind::invalid_state, Call::close).on("a running event loop");
    {
        const SchedulerScope scope(*this);
        shut_down();
    }
    gate_->closed.store(true);
    while (gate_->inside.load() != 0) {
    }
    LoopList::remove(*this);
    gate_->let_go();
    gate_ = nullptr;
    port_->destroy();
    port_ = nullptr;
    pool->orphan();
    pool = nullptr;
    loop = nullptr;
    return {};
}

EventLoop::~EventLoop() { (void)close(); }

/// asyncio's order. What else must end before the kernel's door shuts has its place between these steps.
void EventLoop::shut_down() {
    run_error_ = Error{};
    cancel_all_tasks_and_wait();
    report_failed_at_the_end();
    close_async_generators();
    report_pending_tasks();
    drop_queued_works();
}

void EventLoop::close_async_generators() {
    if (pool->begin_shutdown_asyncgens == nullptr) return;
    const Result<TaskRef<void>> task = pool->begin_shutdown_asyncgens(*this);
    if (!task)
        return report({"closing the loop: asynchronous generators were not closed", task.error(), nullptr});
    while (run_error_.kind == ErrorKind::none && !task->done()) turn();
}

void EventLoop::cancel_all_tasks_and_wait() {
    while (run_error_.kind == ErrorKind::none && tasks.next != &tasks) {
        for (TaskState& task : all_tasks(*this)) {
            if (task.cancelled_by_close) continue;
            task.cancelled_by_close = true;
            task.cancel();
        }
        turn();
    }
    if (run_error_.kind != ErrorKind::none)
        report({"closing the loop: some tasks could not end", run_error_, nullptr});
}

/// They have refused to end, and nothing can wake them. Their blocks are lost: what they wait for may still point there.
void EventLoop::report_pending_tasks() {
    while (tasks.next != &tasks) {
        TaskState& task = *TaskState::of(tasks.next);
        const Error pending = Error(ErrorKind::invalid_state, Call::close).on(name_of(task).view());
        report({"a task was destroyed but it is pending", pending, &task});
        task.in_all_tasks.unlink();
        innermost(task.root())->unlink();  // what it stands in line for may go now
    }
}

void EventLoop::drop_queued_works() {
    take_from_other_threads();
    timers_.advance(never_ns, ready);
    while (!ready.empty()) {
        Work& work = ready.pop_front();
        if (work.type == &PooledCall::run_type) static_cast<PooledCall&>(work).finish();
    }
}

std::size_t EventLoop::task_count() const {
    std::size_t count = 0;
    for (const Link* link = tasks.next; link != &tasks; link = link->next) ++count;
    return count;
}

// --- what others hold ---

Error EventLoop::why_no_call() const {
    if (is_closed()) return Error(ErrorKind::closed, Call::start).on("a callback");
    return Error(ErrorKind::out_of_memory, Call::allocate).on("a callback");
}

bool LoopGate::wake() {
    inside.fetch_add(1);
    const bool open = !closed.load();
    if (open) port->wake();
    inside.fetch_sub(1);
    return open;
}

void LoopGate::let_go() {
    if (references.fetch_sub(1) == 1) release(this);
}

bool LoopHandle::call_soon_threadsafe(Callback& callback) const {
    if (gate_->closed.load()) return false;
    Callback* top = gate_->callbacks.load(std::memory_order_relaxed);
    do callback.next_from_other_threads = top;
    while (!gate_->callbacks.compare_exchange_weak(top, &callback, std::memory_order_release));
    return gate_->wake();
}

bool LoopHandle::stop() const {
    gate_->stop_requested.store(true);
    return gate_->wake();
}

// --- sleeping ---

void insert_on_running_loop(Timer& timer, std::int64_t delay_ns) {
    EventLoop& loop = running_loop();
    loop.insert_timer(timer, loop.time_ns() + delay_ns);
}

void cancel_on_running_loop(Timer& timer) { running_loop().cancel_timer(timer); }

void Sleep::describe_deadline(Text& text, std::int64_t deadline_ns) {
    if (current_scheduler == nullptr || current_scheduler->loop == nullptr) return;
    const std::int64_t left_ns = deadline_ns - current_scheduler->loop->time_ns();
    text.add("%.3f s left", static_cast<double>(left_ns) / static_cast<double>(second_ns));
}

}  // namespace pollard
