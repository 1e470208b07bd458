// The event loop: asyncio's, in one place.
//
// It does one thing over and over, a turn. The order of a turn is a contract, and each arrow has a test:
//
//   how long may we sleep?   0 if anything is ready or stop was asked; else until the first timer; else for ever
//     -> wait in the kernel   what has news goes to the end of the ready queue
//     -> due timers           behind it, by deadline, equal deadlines as they were set
//     -> the batch            what is ready now, first in, first out; what it makes ready waits for the next turn
//     -> leave if stop was asked, else again
//
// Only the waiter of a frame that has just finished goes on at once, in the same turn. While work is ready, a
// turn leaves out its look into the kernel and at the clock until 64 works have run since the last look: a
// look is a system call, and by count (not by time) a run repeats itself exactly.
//
//      EventLoop loop;
//      Result<void> opened = loop.open({.kernel = "epoll"});
//      Result<int> answer = loop.run_until_complete(Main{...});
//
// Names and rules are asyncio's: call_soon, call_later, call_at, call_soon_threadsafe, create_task,
// run_until_complete, run_forever, stop, close.
//
// Thread rule: everything on the thread that runs the loop, except what a LoopHandle offers.
//
// Read next: core/event_loop.cc (a turn fits on one screen), core/task.h, core/timers.h.
#pragma once

#include <atomic>
#include <cstdint>
#include <new>
#include <utility>

#include "core/callback.h"
#include "core/scheduler.h"
#include "core/task.h"
#include "core/timers.h"
#include "platform/backend.h"
#include "platform/clock.h"
#include "platform/completion_port.h"

namespace pollard {

template <class T>
class Future;

/// What other threads and signal handlers share with a loop; outlives it as long as anybody holds it.
struct LoopGate {
    std::atomic<std::uint32_t> references{1};
    /// Threads that are inside a call right now; the loop waits for them before it closes its port.
    std::atomic<std::uint32_t> inside{0};
    std::atomic<bool> closed{false};
    std::atomic<bool> stop_requested{false};
    /// Callbacks from other threads, last first.
    std::atomic<Callback*> callbacks{nullptr};
    CompletionPort* port = nullptr;

    /// Calls the port's wake unless the loop has closed. False: it has.
    bool wake();
    void let_go();
};

/// A counted reference to a loop for other threads; the only part of it they may touch. Copying is
/// thread-safe.
class LoopHandle {
public:
    explicit LoopHandle(LoopGate& gate) : gate_(&gate) { gate_->references.fetch_add(1); }
    LoopHandle(const LoopHandle& other) : LoopHandle(*other.gate_) {}
    LoopHandle& operator=(const LoopHandle&) = delete;
    ~LoopHandle() { gate_->let_go(); }

    /// Queues the callback and wakes the loop; callbacks of one thread run in the order of their calls.
    /// False: the loop has closed, the callback was not taken. (asyncio: call_soon_threadsafe.)
    /// A signal handler may call it too: it takes no lock, it exchanges a pointer and writes to a descriptor. As for
    /// everybody, not with a callback that is on its way already; a handler can come a second time before the first
    /// callback has run, so it needs a flag that says so (see demos/demo_loop.cc).
    bool call_soon_threadsafe(Callback& callback) const;
    /// As EventLoop::stop, from any thread or a signal handler. False: the loop has closed.
    bool stop() const;

private:
    LoopGate* gate_;
};

struct LoopOptions {
    /// A backend's name; null: POLLARD_KERNEL from the environment, or else this system's own.
    const char* kernel = nullptr;
    PortOptions port = {};
    /// Reports slow callbacks, each with its name.
    bool debug = false;
};

struct EventLoop : Scheduler {
    EventLoop() = default;
    /// As close().
    ~EventLoop();

    /// Errors: not_found for an unknown kernel, not_supported for one this machine has not, and what the
    /// kernel answers to making a port. After an error the loop is as before and may be opened again.
    Result<void> open(const LoopOptions& options = {});

    // --- running ---

    /// Makes a task of the coroutine and runs until it is done. Errors of the run itself: stopped (by stop(),
    /// and the task goes on in the next run), deadlock (simulated kernels: nothing can ever happen any more),
    /// invalid_state (it is running, or closed).
    template <class C>
    Result<ValueOf<C>> run_until_complete(C&& coroutine) {
        auto task = create_task(std::forward<C>(coroutine));
        if (!task) return task.error();
        return run_until_complete(*task);
    }
    template <class T>
    Result<T> run_until_complete(const TaskRef<T>& task) {
        if (const Result<void> ran = run_until_done(task.state()); !ran) return ran.error();
        return task.result();
    }
    template <class T>
    Result<T> run_until_complete(TaskRef<T>& task) {
        return run_until_complete(std::as_const(task));
    }
    template <class T>
    Result<T> run_until_complete(TaskRef<T>&& task) {
        return run_until_complete(std::as_const(task));
    }
    /// A future of this loop: Future<T> future(loop).
    template <class T>
    Result<T> run_until_complete(Future<T>& future) {
        Callback leave(stop_from_callback, this);
        future.add_done_callback(leave);
        const Result<void> ran = run();
        leave.cancel();
        if (!ran) return ran.error();
        if (!future.done()) return Error(ErrorKind::stopped, Call::run).on("future");
        return future.result();
    }
    Result<void> run_forever();
    /// This turn's batch still runs whole; then the run ends. Before a run: exactly one turn.
    void stop() { stopping_ = true; }
    /// Cancels every task and turns until all are done, drops what else is queued, closes the port. Closing
    /// twice is fine. Error: invalid_state while it runs.
    Result<void> close();
    bool is_running() const { return running_; }
    bool is_closed() const { return port_ == nullptr; }

    // --- what to run ---

    template <class C>
    Result<TaskRef<ValueOf<C>>> create_task(C&& coroutine) {
        return create_task_with(std::forward<C>(coroutine), nullptr);
    }
    template <class C>
    Result<TaskRef<ValueOf<C>>> create_task(C&& coroutine, const TaskOptions& options) {
        return create_task_with(std::forward<C>(coroutine), &options);
    }
    /// A closed loop takes no callbacks of the caller's: that is a mistake. Nor, in debug mode, does a running one from
    /// another thread (LoopHandle::call_soon_threadsafe does).
    void call_soon(Callback& callback) {
        check_call();
        make_ready(callback);
    }
    void call_at(TimedCallback& callback, std::int64_t when_ns) {
        check_call();
        insert_timer(callback, when_ns);
        if (current_observer != nullptr) [[unlikely]]
            tell_timer_set(callback);
    }
    void call_later(TimedCallback& callback, std::int64_t delay_ns) {
        check_call();
        call_at(callback, time_ns() + delay_ns);
    }
    void cancel(TimedCallback& callback) { timers_.cancel(callback); }

    /// The same for a lambda, in a pooled block. Errors: out_of_memory, closed.
    template <class F>
    Result<CallHandle> call_soon(F function) {
        PooledCall* call = make_pooled_call(pool, std::move(function));
        if (call == nullptr) return why_no_call();
        check_call();
        make_ready(*call);
        return CallHandle(*call);
    }
    template <class F>
    Result<CallHandle> call_at(F function, std::int64_t when_ns) {
        PooledCall* call = make_pooled_call(pool, std::move(function));
        if (call == nullptr) return why_no_call();
        check_call();
        insert_timer(*call, when_ns);
        if (current_observer != nullptr) [[unlikely]]
            tell_timer_set(*call);
        return CallHandle(*call);
    }
    template <class F>
    Result<CallHandle> call_later(F function, std::int64_t delay_ns) {
        return call_at(std::move(function), is_closed() ? 0 : time_ns() + delay_ns);
    }

    // --- the rest ---

    /// Nanoseconds on the kernel's clock; read at most once a turn, so it stands still while a batch runs.
    std::int64_t time_ns();
    /// Makes `time_ns` look at the clock again. For who has computed for long and counts a delay from now on: a sleep
    /// begins at time_ns().
    void update_time() { time_is_known_ = false; }
    CompletionPort& port() { return *port_; }
    LoopHandle handle() { return LoopHandle(*gate_); }
    const char* kernel_name() const { return backend_->name; }
    void set_error_handler(void (*handler)(void*, const ErrorReport&), void* context) {
        error_handler = handler;
        error_context = context;
    }
    void set_debug(bool on) { debug_ = on; }
    /// In debug mode a work that runs this long is reported.
    std::int64_t slow_callback_duration_ns = 100 * millisecond_ns;
    std::size_t task_count() const;

    void insert_timer(Timer& timer, std::int64_t when_ns) {
        timer.deadline_ns = when_ns;
        timers_.insert(timer);
    }
    void cancel_timer(Timer& timer) { timers_.cancel(timer); }

private:
    template <class C>
    Result<TaskRef<ValueOf<C>>> create_task_with(C&& coroutine, const TaskOptions* options) {
        if (is_closed()) {
            coroutine.close_unstarted();
            return Error(ErrorKind::closed, Call::create_task);
        }
        return create_task_on(static_cast<Scheduler&>(*this), std::forward<C>(coroutine), options);
    }
    void check_call() const {
        POLLARD_REQUIRE(!is_closed(), "this loop is closed: open it before giving it callbacks");
        POLLARD_REQUIRE(!debug_ || !running_ || current_scheduler == this,
                        "this loop runs in another thread: use LoopHandle::call_soon_threadsafe");
    }
    Error why_no_call() const;
    static void stop_from_callback(void* self) { static_cast<EventLoop*>(self)->stop(); }
    void tell_timer_set(Timer& timer);
    Result<void> run();
    Result<void> run_until_done(TaskState& task);
    void turn();
    void look_into_the_kernel();
    /// The run ends with this error.
    void fail_run(const Error& error);
    void run_batch_in_debug_mode();
    void take_from_other_threads();
    void take_callbacks_of_other_threads();
    std::int64_t sleep_limit_ns(std::int64_t earliest_ns);
    void shut_down();
    void cancel_all_tasks_and_wait();
    void close_async_generators();
    void report_pending_tasks();
    void drop_queued_works();

    Timers timers_;
    CompletionPort* port_ = nullptr;
    const Backend* backend_ = nullptr;
    LoopGate* gate_ = nullptr;
    EventLoop* next_loop_ = nullptr;  // in the list of all loops
    std::int64_t time_ns_ = 0;
    bool time_is_known_ = false;
    bool running_ = false;
    bool stopping_ = false;
    bool debug_ = false;
    Error run_error_;
    std::uint64_t look_due_ = 0;  // value of works_run at which a busy loop looks into the kernel again

    friend struct LoopList;
};

/// Works that may run before a busy loop looks into the kernel again.
inline constexpr std::uint64_t works_between_looks = 64;

/// The loop that runs on this thread; there must be one.
EventLoop& running_loop();

/// All loops of the process, for debuggers: tools/gdb begins here.
extern constinit EventLoop* all_loops;

/// The scheduler is that of an open loop. Any pointer will do, also one to a loop that has gone.
bool is_open(const Scheduler& scheduler);

}  // namespace pollard
