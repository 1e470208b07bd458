// What few tasks have (names, messages, context variables), and what few tasks do (change their mind, fail while their
// loop closes). All of it is rare, so it is built for size.
#include <cstdio>
#include <cstring>
#include <new>
#include <utility>

#include "core/task.h"

namespace pollard {

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

bool TaskState::equip(const TaskOptions* options) {
    const bool named = options != nullptr && options->name != nullptr;
    if (named && !set_name(options->name)) return false;
    Context context =
        options != nullptr && options->context != nullptr ? *options->context : copy_current_context(pool());
    if (context.empty()) return true;
    TaskExtras* extras = need_extras();
    if (extras != nullptr) extras->context = std::move(context);
    return extras != nullptr;
}

// --- the message of a cancellation ---

void TaskState::keep_cancel_message(std::string_view message) {
    TaskExtras* extras = need_extras();
    if (extras == nullptr || extras->cancel_message[0] != '\0') return;
    const Error error = Error().on(message);
    std::memcpy(extras->cancel_message, error.text, sizeof error.text);
    ++scheduler().cancel_messages;
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
    if (inner->site != nullptr && inner->site->awaited->withdraw_cancel != nullptr)
        inner->site->awaited->withdraw_cancel(awaited_by(*inner));
    return 0;
}

// --- at the end of a loop ---

void Scheduler::keep_for_the_end(TaskState& task) {
    const FrameFlags& ended = task.root().flags;
    if (!ended.failed || ended.cancelled) return task.let_go();
    task.in_all_tasks.insert_before(failed_at_the_end);
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

}  // namespace pollard
