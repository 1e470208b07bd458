// wait_for: one thing, for so long at most.
//
//      CO_AWAIT(page, wait_for(Fetch{...}, 2 * second_ns));      asyncio's order of arguments
//      CO_AWAIT(page, wait_for(task, 2 * second_ns));            task: by its name, like any await
//
// It is a timeout around one await (core/combinators/timeout.h): at the deadline what is waited for is cancelled, and
// **waited for until it has ended**, however long that takes. Then it gives timed_out; or the value, or the error of
// its own, that the awaited thing ended with after all. `never_ns` is a plain await.
//
// A time of nothing (zero or negative) is more than a short timeout. What runs by itself (a task, a future, a gather, a
// shield) gives its value if it is done, or else is cancelled and waited for. Anything else (a coroutine, an operation)
// is not begun at all.
//
// Read next: core/combinators/task_group.h.
#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "core/combinators/timeout.h"

namespace pollard {

/// Awaited things that run whether or not somebody waits for them: asyncio's futures.
template <class Expression>
concept RunsByItself = requires { typename std::remove_reference_t<Expression>::AwaitedByName; } ||
                       requires { requires Expression::runs_by_itself; };

/// The await of wait_for: `WaitFor<Fetch>`, or `WaitFor<TaskRef<int>&>` for a named thing.
template <class Expression>
class [[nodiscard]] WaitFor {
public:
    /// It begins with what it waits for.
    static constexpr AwaitedType::Kind awaited_kind = Timeout<Expression>::awaited_kind;

    template <class... Made>
    explicit WaitFor(std::int64_t timeout_ns, Made&&... made)
        : limited_(deadline_after(timeout_ns), std::forward<Made>(made)...), no_time_(timeout_ns <= 0) {}

    bool start(Frame& waiter) {
        if (!no_time_) return limited_.start(waiter);
        if constexpr (RunsByItself<Expression>)
            return take_or_cancel(waiter);
        else
            return refuse();
    }
    bool failed() const { return how_ == How::not_begun || how_ == How::left || limited_.failed(); }
    auto result() {
        using Ended = decltype(limited_.result());
        if (how_ == How::not_begun) return Ended(timed_out_error());
        if (how_ == How::left) return Ended(cancelled_error("wait_for"));
        Ended ended = limited_.result();
        if (how_ == How::cancelled_it && !ended && ended.error().kind == ErrorKind::cancelled)
            ended = Ended(timed_out_error());
        return ended;
    }
    CancelOutcome cancel() {
        if (how_ == How::limited) return limited_.cancel();
        // It was cancelled before, and its end is no longer waited for.
        how_ = How::left;
        waiter_->unlink();
        current_scheduler->make_ready(*waiter_);
        return CancelOutcome::accepted;
    }
    void withdraw_cancel() {
        if (how_ == How::limited) limited_.withdraw_cancel();
    }
    TaskState* task_behind() { return how_ == How::limited ? limited_.task_behind() : nullptr; }
    void abandon() { limited_.abandon(); }
    void describe(Text& text) const { limited_.describe(text); }

private:
    enum class How : std::uint8_t {
        limited,       // by the timeout; also: it was done at once
        not_begun,     // no time
        cancelled_it,  // no time, and its end is waited for
        left,          // the waiter was cancelled meanwhile
    };

    bool take_or_cancel(Frame& waiter) {
        waiter_ = &waiter;
        if (limited_.awaited().start(waiter)) return true;
        how_ = How::cancelled_it;
        limited_.awaited().cancel();
        return false;
    }
    bool refuse() {
        how_ = How::not_begun;
        if constexpr (requires { limited_.awaited().close_unstarted(); })
            limited_.awaited().close_unstarted();
        else if constexpr (requires { limited_.awaited().target->close_unstarted(); })
            limited_.awaited().target->close_unstarted();
        return true;
    }
    static Error timed_out_error() { return Error(ErrorKind::timed_out, Call::await).on("wait_for"); }

    Timeout<Expression> limited_;
    Frame* waiter_ = nullptr;
    How how_ = How::limited;
    bool no_time_;
};

template <class Expression>
WaitFor<Inside<Expression>> wait_for(Expression&& awaitable, std::int64_t timeout_ns) {
    if constexpr (std::invocable<Expression>)
        return WaitFor<Inside<Expression>>(timeout_ns, std::in_place, awaitable);
    else
        return WaitFor<Expression>(timeout_ns, std::forward<Expression>(awaitable));
}

}  // namespace pollard
