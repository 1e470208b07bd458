// Tasks: their beginning, their end, and being cancelled in between.
#include "core/task.h"

#include <new>

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

Error cancelled_error(std::string_view what, std::string_view message) {
    return Error(ErrorKind::cancelled, Call::await).on(message.empty() ? what : message);
}

Text name_of(TaskState& task) { return Text().add("%s#%u", task.root().frame_type().name, task.id); }

void register_task(TaskState& task) {
    Scheduler& scheduler = task.scheduler();
    task.id = scheduler.next_task_id++;
    task.in_all_tasks.next = &scheduler.tasks;
    task.in_all_tasks.previous = scheduler.tasks.previous;
    scheduler.tasks.previous->next = &task.in_all_tasks;
    scheduler.tasks.previous = &task.in_all_tasks;

    Frame& root = task.root();
    root.flags.started = true;
    root.flags.task_root = true;
    root.root_task = &task;
    root.since_turn = scheduler.turn_count;
    if (current_observer != nullptr) [[unlikely]]
        current_observer->task_created(*current_observer, task);
    scheduler.make_ready(root);
}

void task_finished(TaskState& task) {
    Frame& root = task.root();
    if (task.cancel_pending) {
        // It ended without another await to deliver the request. A value is lost, an error of its own is not.
        task.clear_pending_cancel();
        if (!root.flags.failed) root.frame_type().fail(&root, Error(ErrorKind::cancelled, Call::run));
    }
    task.done = true;
    if (current_observer != nullptr) [[unlikely]]
        current_observer->task_finished(*current_observer, task);
    task.in_all_tasks.unlink();
    task.scheduler().running = nullptr;
    task.scheduler().ready.splice_back(task.waiters);
    task.let_go();
}

void TaskState::let_go() {
    if (--references != 0) return;
    const Frame& ended = root();
    if (ended.flags.failed && !ended.flags.cancelled && !result_seen && home->scheduler != nullptr)
        home->scheduler->report(
            {"a task's error was never retrieved", ended.frame_type().error(&ended), this});
    TaskPool& from = *home;
    const std::size_t size = type->size;
    type->destroy(this);
    from.give_back(this, size);
}

bool TaskState::cancel() {
    if (done) return false;
    const SchedulerScope scope(
        scheduler());  // also from outside a run: what is cancelled belongs to this loop
    if (cancel_requests != 255) ++cancel_requests;
    Frame& first = root();
    if (first.linked() && first.site == nullptr) {
        // In the ready queue and at no site: it has not started, and its body never will.
        first.frame_type().fail(&first, Error(ErrorKind::cancelled, Call::run));
        first.resume_point = at_nowhere;
        return true;
    }
    if (cancel_chain(first) != CancelOutcome::accepted && !cancel_pending) {
        cancel_pending = true;
        ++scheduler().pending_cancels;
        scheduler().be_careful_from_now_on();
    }
    return true;
}

std::uint32_t TaskState::uncancel() {
    if (cancel_requests != 0 && --cancel_requests == 0) clear_pending_cancel();
    return cancel_requests;
}

void TaskState::clear_pending_cancel() {
    if (!cancel_pending) return;
    cancel_pending = false;
    --scheduler().pending_cancels;
}

void deliver_pending_cancel(Frame& frame) {
    TaskState* task = task_of(frame);
    if (task == nullptr || !task->cancel_pending) return;
    if (cancel_chain(task->root()) == CancelOutcome::accepted) task->clear_pending_cancel();
}

}  // namespace pollard
