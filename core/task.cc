// Tasks: their beginning, their end, and being cancelled in between.
#include "core/task.h"

#include <cstdio>
#include <cstring>
#include <new>
#include <utility>

#include "platform/observer.h"

namespace pollard {

TaskPool* TaskPool::create(Scheduler& owner) {
    void* memory = allocate(sizeof(TaskPool));
    if (memory == nullptr) return nullptr;
    auto* pool = ::new (memory) TaskPool;
    pool->scheduler = &owner;
    return pool;
}

void TaskPool::orphan() {
    scheduler = nullptr;
    if (blocks.blocks_in_use() != 0) return;
    this->~TaskPool();
    release(this);
}

void TaskPool::give_back(void* block, std::size_t size) {
    blocks.give_back(block, size);
    if (scheduler == nullptr) orphan();
}

void Scheduler::report(const ErrorReport& report) {
    if (error_handler != nullptr)
        error_handler(error_context, report);
    else
        report_problem(report.message, report.error);
}

TaskState* Scheduler::running_task() { return running == nullptr ? nullptr : task_of(*running); }

TaskState* current_task() {
    return current_scheduler == nullptr ? nullptr : current_scheduler->running_task();
}

namespace {
void take_first_step(Scheduler& scheduler, Frame& root) {
    Frame* creator = scheduler.running;
    Context* context_of_creator = std::exchange(scheduler.callback_context, nullptr);
    run_chain(&root);
    scheduler.callback_context = context_of_creator;
    scheduler.running = creator;
}
}  // namespace

// --- beginning and end ---

bool begin_task(TaskState& task, const TaskOptions* options) {
    Scheduler& scheduler = task.scheduler();
    Frame& root = task.root();
    root.flags.started = true;
    root.flags.task_root = true;
    root.root_task = &task;
    if (options != nullptr || task.pool().bindings != 0) [[unlikely]]
        if (!task.equip(options)) {
            --task.references;  // the loop's
            return false;
        }
    task.id = scheduler.next_task_id++;
    task.in_all_tasks.insert_before(scheduler.tasks);
    root.since_turn = scheduler.turn_count;
    if (current_observer != nullptr) [[unlikely]]
        current_observer->task_created(*current_observer, task);
    if (options != nullptr && options->eager_start && current_scheduler == &scheduler) [[unlikely]]
        take_first_step(scheduler, root);
    else
        scheduler.make_ready(root);
    return true;
}

void task_finished(TaskState& task) {
    Frame& root = task.root();
    if (task.cancel_pending) {
        // It ended without another await to deliver the request. A value is lost, an error of its own is not.
        task.clear_pending_cancel();
        if (!root.flags.failed)
            root.frame_type().fail(&root, task.with_cancel_message(Error(ErrorKind::cancelled, Call::run)));
    }
    task.done = true;
    if (current_observer != nullptr) [[unlikely]]
        current_observer->task_finished(*current_observer, task);
    task.in_all_tasks.unlink();
    Scheduler& scheduler = task.scheduler();
    scheduler.running = nullptr;
    scheduler.ready.splice_back(task.waiters);
    if (scheduler.cancel_messages != 0) [[unlikely]]
        task.forget_cancel_message();
    if (task.cancelled_by_close) [[unlikely]]
        return scheduler.keep_for_the_end(task);
    task.let_go();
}

void TaskState::let_go() {
    if (--references != 0) return;
    const Frame& ended = root();
    if (ended.flags.failed && !ended.flags.cancelled && !result_seen && pool().scheduler != nullptr)
        scheduler().report({"a task's error was never retrieved", ended.frame_type().error(&ended), this});
    if (has_extras) [[unlikely]]
        drop_extras();
    TaskPool& from = *pool_;
    const std::size_t size = type->size;
    type->destroy(this);
    from.give_back(this, size);
}

// --- cancelling ---

void TaskState::note_request(std::string_view message) {
    if (cancel_requests != 255) ++cancel_requests;
    if (!message.empty()) [[unlikely]]
        keep_cancel_message(message);
    if (current_observer != nullptr) [[unlikely]]
        current_observer->cancel_requested(*current_observer, *this);
}

/// In the ready queue and at no site: it has not started, and its body never will.
bool TaskState::ends_unstarted() {
    Frame& first = root();
    if (!first.linked() || first.site != nullptr) return false;
    if (!first.flags.finished)
        first.frame_type().fail(&first, with_cancel_message(Error(ErrorKind::cancelled, Call::run)));
    first.resume_point = at_nowhere;
    return true;
}

CancelOutcome TaskState::ask_await() {
    const CancelOutcome outcome = cancel_chain(root());
    const bool kept = outcome == CancelOutcome::refused || outcome == CancelOutcome::open;
    if (kept && !cancel_pending) {
        cancel_pending = true;
        ++scheduler().pending_cancels;
        scheduler().be_careful_from_now_on();
    }
    return outcome;
}

namespace {

/// The task that the innermost frame of this one waits for by its name, or null.
TaskState* task_behind(TaskState& task) {
    Frame& inner = *innermost(task.root());
    if (inner.site == nullptr || inner.site->awaited->task_behind == nullptr) return nullptr;
    return inner.site->awaited->task_behind(awaited_by(inner));
}

/// Down the row of tasks that await one another by name, to the first that waits for something else, or that has the
/// request already: the await there is asked. A loop, because a row may be longer than a stack is deep; only awaits of
/// several tasks at once (gather, a group) call this again.
CancelOutcome pass_request_on(TaskState& first, std::string_view message) {
    std::string_view& on_its_way = first.scheduler().message_on_its_way;
    const std::string_view before = std::exchange(on_its_way, message);
    TaskState* last = &first;
    TaskState* last_but_one = nullptr;
    CancelOutcome outcome = CancelOutcome::accepted;
    for (;;) {
        last->request_passes = true;
        TaskState* next = task_behind(*last);
        if (next == nullptr || next->request_passes) {
            outcome = last->ask_await();
            break;
        }
        if (current_observer != nullptr) [[unlikely]]
            current_observer->cancel_asked(*current_observer, *innermost(last->root()), outcome);
        last_but_one = std::exchange(last, next);
        last->note_request(message);
        if (last->ends_unstarted()) break;
    }
    if (last_but_one != nullptr)  // `last` is marked: an await of it that cannot be cut elsewhere is cut here
        outcome = outcome == CancelOutcome::goes_round ? last_but_one->ask_await() : CancelOutcome::accepted;
    for (TaskState* task = &first; task != last; task = task_behind(*task)) task->request_passes = false;
    last->request_passes = false;
    on_its_way = before;
    return outcome;
}

}  // namespace

CancelOutcome TaskState::ask_to_end(std::string_view message) {
    if (request_passes) return CancelOutcome::goes_round;
    if (done || pool().scheduler == nullptr) {
        result_seen = true;  // who cancels does not want to know how it ended
        return CancelOutcome::refused;
    }
    const SchedulerScope scope(
        scheduler());  // also from outside a run: what is cancelled belongs to this loop
    if (message.empty()) message = scheduler().message_on_its_way;
    note_request(message);
    if (ends_unstarted()) return CancelOutcome::accepted;
    const CancelOutcome outcome = pass_request_on(*this, message);
    return outcome == CancelOutcome::goes_round ? outcome : CancelOutcome::accepted;
}

void TaskState::clear_pending_cancel() {
    if (!cancel_pending) return;
    cancel_pending = false;
    --scheduler().pending_cancels;
}

void deliver_pending_cancel(Frame& frame) {
    TaskState* task = task_of(frame);
    if (task == nullptr || !task->cancel_pending) return;
    const std::string_view message = task->has_extras ? task->extras()->cancel_message : "";
    if (pass_request_on(*task, message) == CancelOutcome::accepted) task->clear_pending_cancel();
}

}  // namespace pollard
