// Task: a coroutine that runs by itself.
//
// A coroutine runs while somebody waits for it. A task is a coroutine that waits in the ready queue instead:
// the loop is its waiter. It lives in one block, which ends with the coroutine itself:
//
//      block:  [ TaskState | the coroutine: Frame, slot, locals ]
//
// The block is counted: the loop holds one count until the task is done, each TaskRef one; whoever lets go
// last returns the block to the pool. Nobody needs to keep a TaskRef to keep a task running.
//
// Waiting for a task costs no memory: the waiting frame, which stands in no queue while it is suspended,
// stands in the task's list `waiters` with its own links, and the whole list joins the ready queue when the
// task is done.
//
// Cancelling, as asyncio has it: `cancel` asks the innermost await of the task to end early, and that await
// then gives Error{cancelled}. A task that has not started never runs. A task that is running, or whose await
// is answered already, keeps the request: its next await that would suspend gives `cancelled`. One
// difference: a kernel operation that has finished before it could be cancelled gives its true result (no
// byte and no accepted connection is lost), and the request stays for the next await.
//
// A task that waits for another one passes the request on to it, and so on down the row; each of them ends when the one
// below has. Tasks that wait for one another in a circle would never end so: where the request meets a task for the
// second time, the await that leads there ends at once with `cancelled`, and the others follow.
//
//      cancel -> a --awaits--> b --awaits--> c --awaits--> a     the request is here already: c goes on, then b, then a
//
// Thread rule: the loop's thread only.
//
// Read next: core/task.cc, core/event_loop.h.
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>
#include <utility>

#include "core/awaitable.h"
#include "core/callback.h"
#include "core/context.h"
#include "core/frame.h"
#include "core/scheduler.h"
#include "platform/result.h"
#include "platform/work.h"

namespace pollard {

/// What a task's block needs to know of the coroutine in it.
struct TaskType {
    void (*destroy)(TaskState*);  // the coroutine, then the state; not the block
    std::uint32_t size;           // of the block
    std::uint16_t root_offset;    // of the coroutine's Frame in the block,
    bool root_indirect;           // or of a pointer to it (a compiler's coroutine)
};

/// How a task begins. asyncio's names.
struct TaskOptions {
    /// For narration and reports; null: "Serve#2", after the coroutine's type. Cut to 31 characters.
    const char* name = nullptr;
    /// Its first step runs inside create_task, if the loop runs: what needs not wait is done on return.
    bool eager_start = false;
    /// Instead of a copy of the creator's context.
    const Context* context = nullptr;
};

/// What few tasks have, in a block of its own from the loop's pool.
struct TaskExtras {
    TaskPool* pool;
    char name[32] = {};
    /// Until an await has taken it. As long as an Error can say.
    char cancel_message[sizeof(ErrorObject::text)] = {};
    Context context;
};

/// The part of a task that is the same for all: 56 bytes.
struct TaskState {
    Link in_all_tasks;  // the loop's list of tasks that are not done
    const TaskType* type;
    /// Frames and callbacks that become ready when this task is done, in the order in which they came.
    WorkList waiters;
    std::uint32_t references : 24 = 1;
    std::uint32_t cancel_requests : 8 = 0;  // stays at 255
    std::uint32_t id : 26 = 0;
    std::uint32_t has_extras : 1 = false;
    std::uint32_t done : 1 = false;
    /// A cancellation that no await has delivered yet.
    std::uint32_t cancel_pending : 1 = false;
    /// Somebody has seen, or will see, how it ended: no report when it is freed.
    std::uint32_t result_seen : 1 = false;
    std::uint32_t cancelled_by_close : 1 = false;
    /// A request is being passed on through this task at this moment. If it comes here again, it has gone in a circle.
    std::uint32_t request_passes : 1 = false;

    TaskState(const TaskType& task_type, Scheduler& owner) : type(&task_type), pool_(owner.pool) {}

    Frame& root() {
        auto* place = reinterpret_cast<std::byte*>(this) + type->root_offset;
        return type->root_indirect ? **reinterpret_cast<Frame**>(place) : *reinterpret_cast<Frame*>(place);
    }
    TaskPool& pool() { return has_extras ? *extras_->pool : *pool_; }
    Scheduler& scheduler() { return *pool().scheduler; }
    TaskExtras* extras() { return has_extras ? extras_ : nullptr; }
    static TaskState* of(Link* link) { return reinterpret_cast<TaskState*>(link); }

    /// Asks the task to end. True: asked; it will end some turns later, or not at all if it handles the
    /// request. False: it is done already. The message goes with the request into the error that the task's await gives
    /// (cut to 23 characters, like every error's object); of several requests at one await the first message wins.
    bool cancel(std::string_view message = {}) { return ask_to_end(message) != CancelOutcome::refused; }
    /// The same for awaits that pass a request on to a task. refused: it is done. goes_round: it waits for the task from
    /// which the request comes, and ends only after that one.
    CancelOutcome ask_to_end(std::string_view message = {});
    /// Takes one request back (not below none), for who made it: a timeout, a group. With the last, a request that no
    /// await has delivered yet is withdrawn. Returns how many are left.
    std::uint32_t uncancel();
    void clear_pending_cancel();
    /// The error, with the message of the request as its object; the message is then taken.
    Error with_cancel_message(const Error& error);
    /// The await that got the request ended otherwise.
    void forget_cancel_message();
    /// Error: out_of_memory.
    Result<void> set_name(std::string_view name);
    /// Gives a new task its name and its context. False: out of memory.
    bool equip(const TaskOptions* options);
    /// Without memory for it, the request goes without its message.
    void keep_cancel_message(std::string_view message);
    void note_request(std::string_view message);
    /// It has not started: then it never will. False: it has.
    bool ends_unstarted();
    /// Asks its innermost await; if that cannot take the request, the task keeps it.
    CancelOutcome ask_await();
    /// Null: out of memory.
    TaskExtras* need_extras();
    void drop_extras();
    void hold() {
        ++references;
        POLLARD_REQUIRE(references != 0, "too many references to one task: sixteen million");
    }
    void let_go();

private:
    /// Where its block came from; when it has extras, they say so.
    union {
        TaskPool* pool_;      // NOLINT(readability-identifier-naming): as private as the union
        TaskExtras* extras_;  // NOLINT(readability-identifier-naming): as private as the union
    };
};
static_assert(sizeof(void*) != 8 || sizeof(TaskState) == 56);

/// Told by run_chain when a task's root frame has finished.
void task_finished(TaskState& task);
/// A frame has suspended while some task has a cancellation pending: delivers it if it is this frame's.
void deliver_pending_cancel(Frame& frame);

/// The error as it is; of a cancellation, with the message of the running task's request, which is then taken.
Error with_cancel_message(const Error& error);
/// What an await of the running task answers when it was cancelled: `what` names what was waited for ("sleep"). The
/// message of the request, if there is one, takes its place.
Error cancelled_error(std::string_view what);
/// An await of the running task ends otherwise than by the request that it may have got.
void forget_cancel_message_here();

/// How a task is called in narration and reports: its name, or "Serve#2".
Text name_of(TaskState& task);

/// The task whose frame runs now; null in a callback, and outside a run.
TaskState* current_task();

/// The tasks of a loop that are not done, in the order of their creation: `for (TaskState& task : all_tasks(loop))`.
/// None of them may end inside this `for`; cancelling them is fine, since that ends them later.
class AllTasks {
public:
    explicit AllTasks(Scheduler& scheduler) : tasks_(&scheduler.tasks) {}
    struct Iterator {
        Link* link;
        TaskState& operator*() const { return *TaskState::of(link); }
        Iterator& operator++() {
            link = link->next;
            return *this;
        }
        bool operator==(const Iterator&) const = default;
    };
    Iterator begin() const { return {tasks_->next}; }
    Iterator end() const { return {tasks_}; }

private:
    Link* tasks_;
};
inline AllTasks all_tasks(Scheduler& scheduler) { return AllTasks(scheduler); }

/// A counted reference to a task that ends with a Result<T>.
template <class T>
class TaskRef {
public:
    using value_type = T;
    struct AwaitedByName;

    TaskRef() = default;
    explicit TaskRef(TaskState& state) : state_(&state) { state.hold(); }
    TaskRef(const TaskRef& other) : state_(other.state_) {
        if (state_ != nullptr) state_->hold();
    }
    TaskRef(TaskRef&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    TaskRef& operator=(TaskRef other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~TaskRef() {
        if (state_ != nullptr) state_->let_go();
    }

    explicit operator bool() const { return state_ != nullptr; }
    TaskState& state() const { return *state_; }
    bool done() const { return state_->done; }
    /// Ended with Error{cancelled}.
    bool cancelled() const { return done() && state_->root().flags.cancelled; }
    bool cancel(std::string_view message = {}) const { return state_->cancel(message); }
    std::uint32_t cancel_requests() const { return state_->cancel_requests; }
    std::uint32_t uncancel() const { return state_->uncancel(); }

    /// What it ended with; Error{invalid_state} while it runs. May be asked any number of times.
    Result<T> result() const {
        if (!done()) return Error(ErrorKind::invalid_state, Call::await).on(name_of(*state_).view());
        state_->result_seen = true;
        return *static_cast<const Result<T>*>(state_->root().slot());
    }
    /// The error it ended with (kind `none`: it has a value); invalid_state while it runs.
    Error error() const { return result().error(); }

    Text name() const { return name_of(*state_); }
    /// Cut to 31 characters. Error: out_of_memory.
    Result<void> set_name(std::string_view name) const { return state_->set_name(name); }

    /// As Future::add_done_callback.
    void add_done_callback(Callback& callback) const {
        pollard::add_done_callback(done(), state_->waiters, state_->scheduler(), callback);
    }
    template <class F>
    Result<CallHandle> add_done_callback(F function) const {
        return add_done_lambda(done(), state_->waiters, state_->scheduler(), std::move(function));
    }
    int remove_done_callback(Callback& callback) const {
        return pollard::remove_done_callback(done(), callback);
    }

private:
    TaskState* state_ = nullptr;
};

/// `CO_AWAIT(result, task)`: waits until the task is done. Cancelling the one who waits cancels the task too. A task that
/// waits for itself would never end: it is told Error{invalid_state} at once.
template <class T>
struct TaskRef<T>::AwaitedByName {
    TaskState* task;
    bool told_cancelled = false;
    bool waits_for_itself = false;
    static constexpr AwaitedType::Kind awaited_kind = AwaitedType::Kind::task_pointer;

    explicit AwaitedByName(TaskRef& named) : task(named.state_) {
        POLLARD_REQUIRE(task != nullptr, "this TaskRef refers to no task: it was moved from, or never set");
        POLLARD_REQUIRE(task->pool().scheduler == current_scheduler, "this task belongs to another loop");
    }

    bool start(Frame& frame_waiting) {
        tell_await(frame_waiting);
        if (task->done) return true;
        if (task_of(frame_waiting) == task) [[unlikely]]
            return waits_for_itself = true;
        task->waiters.push_back(frame_waiting);
        return false;
    }
    bool failed() const { return told_cancelled || waits_for_itself || task->root().flags.failed; }
    Result<T> result() {
        if (told_cancelled) return cancelled_error(name_of(*task).view());
        if (current_scheduler->cancel_messages != 0) [[unlikely]]
            forget_cancel_message_here();
        return TaskRef(*task).result();  // (of a task that waits for itself: invalid_state, it is not done)
    }
    /// Done, and the waiter is in the ready queue: it is told `cancelled` all the same, unless that is what it will be
    /// told.
    CancelOutcome cancel() {
        const CancelOutcome outcome = task->ask_to_end();
        if (outcome == CancelOutcome::refused)
            told_cancelled = told_cancelled || !task->root().flags.cancelled;
        if (outcome != CancelOutcome::goes_round) return CancelOutcome::accepted;
        // Each of them would wait for the other's end for ever: this one waits no more.
        told_cancelled = true;
        return CancelOutcome::ends_now;
    }
    void withdraw_cancel() { told_cancelled = told_cancelled && !task->done; }
    TaskState* task_behind() const { return task->done ? nullptr : task; }
    void describe(Text& text) const { text.add("task %s", name_of(*task).c_str()); }
};

/// The block of a task that runs a C.
template <class C>
struct TaskBlock : TaskState {
    C coroutine;
    TaskBlock(Scheduler& owner, C&& to_run) : TaskState(record, owner), coroutine(std::move(to_run)) {}

    static constexpr std::size_t coroutine_offset() {
        return (sizeof(TaskState) + alignof(C) - 1) / alignof(C) * alignof(C);
    }
    static constexpr TaskType record = {
        .destroy =
            [](TaskState* state) {
                auto* block = static_cast<TaskBlock*>(state);
                if (!block->root().flags.finished) destroy_awaited(block->root());
                block->~TaskBlock();
            },
        .size = static_cast<std::uint32_t>(coroutine_offset() + sizeof(C)),
        .root_offset = static_cast<std::uint16_t>(coroutine_offset()),
        .root_indirect = !std::derived_from<C, Frame>,
    };
};

/// What a coroutine ends with; also of a reference to one, so that the mistake is named where it is made.
template <class C>
using ValueOf = typename std::remove_reference_t<C>::value_type;

/// Gives the new task its number, its place among the others and in the ready queue; eager ones take their first step.
/// False: out of memory; it goes when the last reference to it goes.
bool begin_task(TaskState& task, const TaskOptions* options);

/// Makes `coroutine` a task and puts it in the ready queue; nothing of it runs now, unless the options say so. Errors:
/// out_of_memory.
template <class C>
Result<TaskRef<ValueOf<C>>> create_task_on(Scheduler& scheduler, C&& coroutine,
                                           const TaskOptions* options = nullptr) {
    static_assert(!std::is_lvalue_reference_v<C>,
                  "a task takes the coroutine over: pass it by value or std::move");
    using Block = TaskBlock<std::remove_reference_t<C>>;
    if constexpr (requires { coroutine.allocation_failed(); }) {
        if (coroutine.allocation_failed()) return Error(ErrorKind::out_of_memory, Call::create_task);
    }
    void* memory = scheduler.pool->blocks.take(sizeof(Block));
    if (memory == nullptr) {
        coroutine.close_unstarted();
        return Error(ErrorKind::out_of_memory, Call::create_task);
    }
    TaskRef<ValueOf<C>> task(*::new (memory) Block(scheduler, std::forward<C>(coroutine)));
    if (!begin_task(task.state(), options)) return Error(ErrorKind::out_of_memory, Call::create_task);
    return task;
}

}  // namespace pollard
