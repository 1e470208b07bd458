// A timeout's states.
#include "core/combinators/timeout.h"

namespace pollard {

std::int64_t deadline_after(std::int64_t delay_ns) {
    if (delay_ns == never_ns) return never_ns;
    return running_loop().time_ns() + (delay_ns > 0 ? delay_ns : 0);
}

namespace {
/// Also from outside a run.
EventLoop& loop_of(TaskState& task) {
    EventLoop* loop = task.pool().scheduler->loop;
    POLLARD_REQUIRE(loop != nullptr, "a timeout needs an event loop: a bare Scheduler has no clock");
    return *loop;
}
}  // namespace

TimeoutScope::TimeoutScope() : timer_([](void* self) { static_cast<TimeoutScope*>(self)->fire(); }, this) {}

TimeoutScope::TimeoutScope(TimeoutScope&& other) noexcept : TimeoutScope() {
    POLLARD_REQUIRE(other.state_ == State::created, "a TimeoutScope that was entered cannot move");
}

void TimeoutScope::enter(std::int64_t delay_ns) { enter_at(deadline_after(delay_ns)); }

void TimeoutScope::enter_at(std::int64_t when_ns) {
    POLLARD_REQUIRE(current_scheduler != nullptr && current_scheduler->running != nullptr,
                    "a timeout needs a task that it can cancel: enter it in a coroutine");
    enter_at(when_ns, *current_scheduler->running);
}

void TimeoutScope::enter_at(std::int64_t when_ns, Frame& inside) {
    POLLARD_REQUIRE(state_ == State::created, "a timeout can be entered once only: make a second one");
    task_ = task_of(inside);
    POLLARD_REQUIRE(task_ != nullptr, "a timeout needs a task that it can cancel: enter it in a coroutine");
    requests_before_ = task_->cancel_requests;
    state_ = State::active;
    when_ns_ = when_ns;
    set_timer();
}

/// A deadline that has passed is a callback in the ready queue: it comes before what the body makes ready from now on.
void TimeoutScope::set_timer() {
    timer_.unlink();
    if (when_ns_ == never_ns) return;
    EventLoop& loop = loop_of(*task_);
    if (when_ns_ <= loop.time_ns())
        loop.make_ready(timer_);
    else
        loop.call_at(timer_, when_ns_);
}

void TimeoutScope::fire() {
    state_ = State::expiring;
    task_->cancel();
}

bool TimeoutScope::leave(bool body_was_cancelled) {
    timer_.unlink();
    if (state_ == State::active) state_ = State::finished;
    if (state_ != State::expiring) return false;
    state_ = State::expired;
    return task_->uncancel() <= requests_before_ && body_was_cancelled;
}

Error TimeoutScope::timed_out_error() { return Error(ErrorKind::timed_out, Call::await).on("timeout"); }

Result<void> TimeoutScope::reschedule(std::int64_t when_ns) {
    if (state_ != State::active) return Error(ErrorKind::invalid_state, Call::reschedule).on("timeout");
    when_ns_ = when_ns;
    set_timer();
    return {};
}

void TimeoutScope::describe(Text& text) const {
    if (state_ == State::expiring) text.add(", the time is over");
    if (state_ != State::active || when_ns_ == never_ns) return;
    const std::int64_t left_ns = when_ns_ - loop_of(*task_).time_ns();
    text.add(", %.3f s left", static_cast<double>(left_ns) / static_cast<double>(second_ns));
}

}  // namespace pollard
