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

Text name_of(TaskState& task) {
    const TaskExtras* extras = task.extras();
    if (extras != nullptr && extras->name[0] != '\0') return Text().add("%s", extras->name);
    return Text().add("%s#%u", task.root().frame_type().name, task.id);
}

// --- the extras ---

TaskExtras* TaskState::need_extras() {
    if (has_extras) return extras_;
    void* memory = pool_->blocks.take(sizeof(TaskExtras));
    if (memory == nullptr) return nullptr;
    extras_ = ::new (memory) TaskExtras{.pool = pool_};
    has_extras = true;
    return extras_;
}

void TaskState::drop_extras() {
    TaskPool& from = pool();
    extras_->~TaskExtras();
    from.give_back(extras_, sizeof(TaskExtras));
    pool_ = &from;
    has_extras = false;
}

Result<void> TaskState::set_name(std::string_view name) {
    TaskExtras* extras = need_extras();
    if (extras == nullptr) return Error(ErrorKind::out_of_memory, Call::allocate).on(name);
    std::snprintf(extras->name, sizeof extras->name, "%.*s", static_cast<int>(name.size()), name.data());
    return {};
}

namespace {
/// The name and the context. False: out of memory.
bool equip(TaskState& task, const TaskOptions* options) {
    const bool named = options != nullptr && options->name != nullptr;
    if (named && !task.set_name(options->name)) return false;
    Context context = options != nullptr && options->context != nullptr ? *options->context
                                                                        : copy_current_context(task.pool());
    if (context.empty()) return true;
    TaskExtras* extras = task.need_extras();
    if (extras != nullptr) extras->context = std::move(context);
    return extras != nullptr;
}

void take_first_step(Scheduler& scheduler, Frame& root) {
    Frame* creator = scheduler.running;
    Context* context_of_creator = std::exchange(scheduler.callback_context, nullptr);
    run_chain(&root);
    scheduler.callback_context = context_of_creator;
    scheduler.running = creator;
}
}  // namespace

// --- beginning and end ---

namespace {
/// To the end of the list whose head is `list`.
void link_behind(Link& list, Link& link) {
    link.next = &list;
    link.previous = list.previous;
    list.previous->next = &link;
    list.previous = &link;
}
}  // namespace

bool begin_task(TaskState& task, const TaskOptions* options) {
    Scheduler& scheduler = task.scheduler();
    Frame& root = task.root();
    root.flags.started = true;
    root.flags.task_root = true;
    root.root_task = &task;
    if (options != nullptr || task.pool().bindings != 0) [[unlikely]]
        if (!equip(task, options)) {
            --task.references;  // the loop's
            return false;
        }
    task.id = scheduler.next_task_id++;
    link_behind(scheduler.tasks, task.in_all_tasks);
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

void Scheduler::keep_for_the_end(TaskState& task) {
    const FrameFlags& ended = task.root().flags;
    if (!ended.failed || ended.cancelled) return task.let_go();
    link_behind(failed_at_the_end, task.in_all_tasks);
}

void Scheduler::report_failed_at_the_end() {
    while (failed_at_the_end.next != &failed_at_the_end) {
        TaskState& task = *TaskState::of(failed_at_the_end.next);
        task.in_all_tasks.unlink();
        task.result_seen = true;
        const Frame& root = task.root();
        report({"unhandled error during run() shutdown", root.frame_type().error(&root), &task});
        task.let_go();
    }
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

namespace {
/// Passes the request on to the innermost await, and the message to whatever that passes it on to.
CancelOutcome cancel_with_message(TaskState& task, std::string_view message) {
    std::string_view& on_its_way = task.scheduler().message_on_its_way;
    const std::string_view before = std::exchange(on_its_way, message);
    const CancelOutcome outcome = cancel_chain(task.root());
    on_its_way = before;
    return outcome;
}

/// Without memory for it, the request goes without its message.
void keep_message(TaskState& task, std::string_view message) {
    TaskExtras* extras = task.need_extras();
    if (extras == nullptr || extras->cancel_message[0] != '\0') return;
    const Error error = Error().on(message);
    std::memcpy(extras->cancel_message, error.text, sizeof error.text);
    ++task.scheduler().cancel_messages;
}
}  // namespace

bool TaskState::cancel(std::string_view message) {
    if (done || pool().scheduler == nullptr) {
        result_seen = true;  // who cancels does not want to know how it ended
        return false;
    }
    const SchedulerScope scope(
        scheduler());  // also from outside a run: what is cancelled belongs to this loop
    if (message.empty()) message = scheduler().message_on_its_way;
    if (cancel_requests != 255) ++cancel_requests;
    if (!message.empty()) [[unlikely]]
        keep_message(*this, message);
    Frame& first = root();
    if (first.linked() && first.site == nullptr) {
        // In the ready queue and at no site: it has not started, and its body never will.
        if (!first.flags.finished)
            first.frame_type().fail(&first, with_cancel_message(Error(ErrorKind::cancelled, Call::run)));
        first.resume_point = at_nowhere;
        return true;
    }
    if (cancel_with_message(*this, message) != CancelOutcome::accepted && !cancel_pending) {
        cancel_pending = true;
        ++scheduler().pending_cancels;
        scheduler().be_careful_from_now_on();
    }
    return true;
}

Error with_cancel_message(const Error& error) {
    if (error.kind != ErrorKind::cancelled || current_scheduler->cancel_messages == 0) return error;
    TaskState* task = current_task();
    return task == nullptr ? error : task->with_cancel_message(error);
}

Error cancelled_error(std::string_view what) {
    return with_cancel_message(Error(ErrorKind::cancelled, Call::await).on(what));
}

Error TaskState::with_cancel_message(const Error& error) {
    if (!has_extras || extras_->cancel_message[0] == '\0') return error;
    const Error with_message = error.on(extras_->cancel_message);
    forget_cancel_message();
    return with_message;
}

void TaskState::forget_cancel_message() {
    if (!has_extras || extras_->cancel_message[0] == '\0') return;
    extras_->cancel_message[0] = '\0';
    --scheduler().cancel_messages;
}

void forget_cancel_message_here() {
    TaskState* task = current_task();
    if (task != nullptr && !task->cancel_pending) task->forget_cancel_message();
}

std::uint32_t TaskState::uncancel() {
    if (cancel_requests == 0 || --cancel_requests != 0) return cancel_requests;
    clear_pending_cancel();
    forget_cancel_message();
    Frame& first = root();
    if (first.linked() && first.resume_point == at_nowhere) {
        // It has not started yet, and will after all. The error stored in it needs no destruction.
        first.flags.finished = first.flags.failed = first.flags.cancelled = false;
        first.resume_point = at_beginning;
    }
    // What it waited for was there already, and it has not run since.
    Frame* inner = innermost(first);
    if (inner->linked() && inner->site != nullptr && inner->site->awaited->withdraw_cancel != nullptr)
        inner->site->awaited->withdraw_cancel(awaited_by(*inner));
    return 0;
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
    if (cancel_with_message(*task, message) == CancelOutcome::accepted) task->clear_pending_cancel();
}

}  // namespace pollard
