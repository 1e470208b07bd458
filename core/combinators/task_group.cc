// A group's beginning, its children's ends, and its own.
#include "core/combinators/task_group.h"

#include <new>
#include <utility>

namespace pollard {

GroupErrors::~GroupErrors() {
    while (!failed.empty()) static_cast<Watch&>(failed.pop_front()).let_go();
}

GroupChild::~GroupChild() { drop_nested(); }

void GroupChild::drop_nested() {
    GroupErrors* errors = std::exchange(nested, nullptr);
    if (errors == nullptr) return;
    if (errors->group != nullptr) {
        errors->group->nested_in_ = nullptr;
        return;
    }
    TaskPool& from = *errors->home;
    errors->~GroupErrors();
    from.give_back(errors, sizeof(GroupErrors));
}

TaskGroup::TaskGroup() : Watcher(on_child_ended) {
    children_.next = children_.previous = &children_;
    errors_.group = this;
}

TaskGroup::TaskGroup(TaskGroup&& other) noexcept : TaskGroup() {
    POLLARD_REQUIRE(other.state_ == State::created, "a TaskGroup that was entered cannot move");
    aborting_ = other.aborting_;
}

TaskGroup::~TaskGroup() {
    POLLARD_REQUIRE(running_ == 0,
                    "a TaskGroup went while its tasks run: await join() on every way out, or use with_group");
    if (nested_in_ != nullptr) leave_errors_behind();
}

/// To the group around, which looks at them later. Without memory for it, they go with this group.
void TaskGroup::leave_errors_behind() {
    TaskPool& pool = parent_->pool();  // in whose block `nested_in_` stands
    void* memory = pool.blocks.take(sizeof(GroupErrors));
    if (memory == nullptr) {
        nested_in_->nested = nullptr;
        return;
    }
    auto* errors = ::new (memory) GroupErrors;
    errors->home = &pool;
    errors->failed.splice_back(errors_.failed);
    errors->body = errors_.body;
    nested_in_->nested = errors;
}

void TaskGroup::enter() {
    POLLARD_REQUIRE(state_ == State::created, "a TaskGroup can be entered once only: make a second one");
    parent_ = current_scheduler != nullptr ? current_scheduler->running_task() : nullptr;
    POLLARD_REQUIRE(parent_ != nullptr,
                    "a TaskGroup needs a task that waits for it: enter it in a coroutine");
    state_ = State::in_body;
    if (aborting_) cancel_parent();
}

// --- children ---

Error TaskGroup::why_no_more() const {
    const char* reason = nullptr;
    if (state_ == State::created)
        reason = "group not entered";
    else if (state_ == State::finished || (state_ == State::waiting && running_ == 0))
        reason = "group has ended";
    else if (aborting_)
        reason = "group is aborting";
    if (reason == nullptr) return {};
    return Error(ErrorKind::invalid_state, Call::create_task).on(reason);
}

void TaskGroup::add(GroupChild& child, TaskState& task) {
    const SchedulerScope scope(task.scheduler());  // also from outside a run
    static_cast<GroupLink&>(child).insert_before(children_);
    ++running_;
    child.hold({&Watch::on_task, &task});
    child.begin(*this);
}

void TaskGroup::on_child_ended(Watcher& watcher, Watch& watch) {
    auto& self = static_cast<TaskGroup&>(watcher);
    auto& child = static_cast<GroupChild&>(watch);
    child.GroupLink::unlink();
    if (--self.running_ == 0) self.wake();
    if (!child.failed() || child.cancelled())
        return child.let_go();  // with the last count the child goes too
    child.see();
    self.errors_.failed.push_back(child);
    if (self.aborting_) return;
    self.abort();
    self.cancel_parent();
}

bool TaskGroup::abort() {
    aborting_ = true;
    bool in_a_circle = false;
    for (Link* link = children_.next; link != &children_; link = link->next) {
        auto* child = static_cast<GroupChild*>(static_cast<GroupLink*>(link));
        in_a_circle |= child->ask_to_end() == CancelOutcome::goes_round;
    }
    return !in_a_circle;
}

void TaskGroup::cancel_parent() {
    parent_cancelled_ = true;
    parent_->cancel();
}

void TaskGroup::cancel() {
    if (state_ == State::finished || aborting_) return;
    abort();
    if (state_ == State::in_body) cancel_parent();
}

// --- the end ---

bool TaskGroup::start_join(Frame& frame_waiting, const Error& body) {
    POLLARD_REQUIRE(state_ != State::created,
                    "join() of a TaskGroup that was not entered: call enter() first");
    POLLARD_REQUIRE(state_ == State::in_body, "a TaskGroup is joined once only");
    tell_await(frame_waiting);
    state_ = State::waiting;
    errors_.body = body;
    cancelled_outside_ = body.kind == ErrorKind::cancelled;
    if (body.kind != ErrorKind::none && !aborting_) abort();
    if (running_ == 0) return true;
    waiter = &frame_waiting;
    return false;
}

/// A request from outside, or this group's own: then it is aborting already.
CancelOutcome TaskGroup::cancel_join() {
    // Its outcome is being taken at this moment: the request is for the next await.
    if (state_ == State::finished) return CancelOutcome::refused;
    if (!aborting_) {
        cancelled_outside_ = true;
        cancelled_after_end_ = running_ == 0;
        // The group waits for its children whatever happens.
        if (!abort()) return CancelOutcome::goes_round;
    }
    return CancelOutcome::accepted;
}

/// The waiting frame is destroyed: the children are nobody's any more.
void TaskGroup::abandon_join() {
    waiter = nullptr;
    state_ = State::finished;
    while (children_.next != &children_) {
        auto* child = static_cast<GroupChild*>(static_cast<GroupLink*>(children_.next));
        child->GroupLink::unlink();
        child->let_go();
    }
    running_ = 0;
}

const Error& TaskGroup::settle() {
    if (state_ == State::finished) return outcome_;
    state_ = State::finished;
    waiter = nullptr;
    // Its own request goes; if that was the only one, nothing from outside is left.
    if (parent_cancelled_ && parent_->uncancel() == 0) cancelled_outside_ = false;
    if (!errors().empty()) {
        // The errors come first, but a request from outside is not lost: it is made anew, and the count stays.
        if (parent_->cancel_requests != 0) {
            parent_->uncancel();
            parent_->cancel();
        }
        outcome_ = group_error();
        tell_group_around();
    } else if (cancelled_outside_) {
        // The body's own error, with the message of the request, unless it came only afterwards.
        outcome_ = errors_.body.kind == ErrorKind::cancelled ? errors_.body : cancelled_error("task group");
    }
    forget_cancel_message_here();  // if that is not how it ended
    return outcome_;
}

Error TaskGroup::group_error() const {
    const std::size_t count = errors().count();
    const Text text = Text().add("%zu error%s", count, count == 1 ? "" : "s");
    return Error(ErrorKind::group, Call::wait).on(text.view());
}

/// If this task is itself a group's child, its entry in that group's errors leads to the errors here.
void TaskGroup::tell_group_around() {
    for (Work* work = parent_->waiters.first(); work != nullptr; work = parent_->waiters.next(*work)) {
        if (work->type != &Watch::on_task) continue;
        auto* watch = static_cast<Watch*>(work);
        if (watch->watcher->child_ended != on_child_ended) continue;
        nested_in_ = static_cast<GroupChild*>(watch);
        nested_in_->drop_nested();
        nested_in_->nested = &errors_;
    }
}

void TaskGroup::describe_children(Text& text) const {
    text.add("%zu task%s", running_, running_ == 1 ? "" : "s");
    constexpr int names = 4;
    int named = 0;
    for (const Link* link = children_.next; link != &children_; link = link->next) {
        const auto* child = static_cast<const GroupChild*>(static_cast<const GroupLink*>(link));
        if (named == names) {
            text.add(" ...");
            return;
        }
        text.add("%s %s", named == 0 ? ":" : ",", name_of(child->task()).c_str());
        ++named;
    }
}

// --- its errors ---

TaskGroup::Errors::Item TaskGroup::Errors::Iterator::operator*() const {
    if (at_ == nullptr) return {.task = nullptr, .error = errors_->body, .nested = Errors(nullptr)};
    const auto* child = static_cast<const GroupChild*>(at_);
    const Error error = child->take_error();
    // (It may have handled the error of the group inside it, and failed otherwise.)
    return {.task = &child->task(),
            .error = error,
            .nested = Errors(error.kind == ErrorKind::group ? child->nested : nullptr)};
}

TaskGroup::Errors::Iterator& TaskGroup::Errors::Iterator::operator++() {
    if (at_ != nullptr)
        at_ = errors_->failed.next(*at_);
    else
        before_body_ = false;
    return *this;
}

std::size_t TaskGroup::Errors::count() const {
    std::size_t count = 0;
    for (auto it = begin(); it != end(); ++it) ++count;
    return count;
}

}  // namespace pollard
