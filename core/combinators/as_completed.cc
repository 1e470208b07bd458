// Finished tasks in a line, and whoever waits for the next.
#include "core/combinators/as_completed.h"

namespace pollard {

CompletionOrder::CompletionOrder()
    : Watcher(on_child_ended),
      deadline_([](void* self) { static_cast<CompletionOrder*>(self)->on_timeout(); }, this) {}

void CompletionOrder::begin(std::span<Watch> children, std::int64_t timeout_ns) {
    begun_ = true;
    children_ = children;
    running_ = to_give_ = children.size();
    if (running_ == 0) return;
    for (Watch& child : children) child.begin(*this);
    if (timeout_ns != never_ns) running_loop().call_later(deadline_, timeout_ns);
}

void CompletionOrder::on_child_ended(Watcher& watcher, Watch& child) {
    auto& self = static_cast<CompletionOrder&>(watcher);
    child.watcher = nullptr;
    self.finished_.push_back(child);
    if (--self.running_ == 0) self.deadline_.unlink();
    self.wake();
}

/// Who is not in the line of the finished by now is missing, also a task whose watch would have its turn next.
void CompletionOrder::on_timeout() {
    timed_out_ = true;
    for (Watch& child : children_)
        if (child.watcher != nullptr) child.unlink();
    wake();
}

CompletionOrder::Answer CompletionOrder::answer_now() const {
    if (refused_) return Answer::out_of_memory;
    if (to_give_ == 0) return Answer::stopped;
    if (!finished_.empty()) return Answer::task;
    return timed_out_ ? Answer::timed_out : Answer::pending;
}

bool CompletionOrder::start_next(Frame& frame_waiting, Answer& answer) {
    POLLARD_REQUIRE(begun_, "next() of an AsCompleted that has not begun: call begin(tasks) first");
    tell_await(frame_waiting);
    answer = waiter != nullptr ? Answer::busy : answer_now();
    if (answer != Answer::pending) return true;
    waiter = &frame_waiting;
    return false;
}

void CompletionOrder::end_next(Answer& answer) {
    if (answer != Answer::pending) return;
    waiter = nullptr;
    answer = answer_now();
}

void CompletionOrder::cancel_next(Answer& answer) {
    if (waiter != nullptr) cancelled_after_end_ = waiter->linked();
    answer = Answer::cancelled;
    wake();
    waiter = nullptr;
}

const Watch* CompletionOrder::take(Answer answer) {
    if (answer != Answer::task && answer != Answer::timed_out) return nullptr;
    --to_give_;
    if (answer == Answer::timed_out) return nullptr;
    return &static_cast<const Watch&>(finished_.pop_front());
}

Error CompletionOrder::error_of(Answer answer) {
    switch (answer) {
        case Answer::timed_out:
            return Error(ErrorKind::timed_out, Call::next).on("as_completed");
        case Answer::stopped:
            return Error(ErrorKind::stopped, Call::next).on("as_completed");
        case Answer::busy:
            return Error(ErrorKind::busy, Call::next).on("as_completed");
        case Answer::out_of_memory:
            return Error(ErrorKind::out_of_memory, Call::next).on("as_completed");
        default:
            return cancelled_error("as_completed");
    }
}

void CompletionOrder::describe(Text& text) const {
    text.add("the next of ");
    describe_pending(children_, text);
}

}  // namespace pollard
