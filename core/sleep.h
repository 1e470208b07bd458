// Sleep: wait for time, or just for one's next turn.
//
//      CO_TRY(sleep_ns(2 * second_ns));   at least two seconds
//      CO_TRY(sleep_ns(0));               let the others run, then go on
//
// (asyncio's `sleep`; that name belongs to the C library here.)
//
// A sleep of nothing needs no timer: the frame goes to the end of the ready queue. That is the shortest way
// from one frame to the next, and what tools/bench counts in instructions.
#pragma once

#include <cstdint>

#include "core/awaitable.h"
#include "core/scheduler.h"
#include "core/task.h"
#include "core/timers.h"
#include "platform/clock.h"

namespace pollard {

/// Puts a timer on the running loop, `delay_ns` from now (see EventLoop::time_ns); needs an event loop.
void insert_on_running_loop(Timer& timer, std::int64_t delay_ns);
void cancel_on_running_loop(Timer& timer);

class [[nodiscard]] Sleep : Timer {
public:
    /// Zero and negative delays wait one turn.
    explicit Sleep(std::int64_t delay_ns) : Timer(unset) { deadline_ns = delay_ns > 0 ? delay_ns : 0; }
    Sleep(const Sleep&) = delete;

    bool start(Frame& waiter) {
        if (deadline_ns != 0)
            start_timer(waiter);
        else
            current_scheduler->make_ready(waiter);
        return false;
    }

    bool failed() const { return deadline_ns < 0; }
    Result<void> result() const {
        if (failed()) return cancelled_error("sleep");
        return {};
    }

    /// Also when it is over and the frame has not run yet: then it is told `cancelled` all the same.
    CancelOutcome cancel() {
        if (failed()) return CancelOutcome::accepted;
        if (has_timer() && !waiter_->linked()) {
            cancel_on_running_loop(*this);
            current_scheduler->make_ready(*waiter_);
            deadline_ns = cancelled;
        } else {
            deadline_ns = cancelled_after_end;
        }
        return CancelOutcome::accepted;
    }
    void withdraw_cancel() {
        if (deadline_ns == cancelled_after_end) deadline_ns = 0;
    }

    void abandon() {
        if (has_timer()) cancel_on_running_loop(*this);
    }

    void describe(Text& text) const {
        if (has_timer()) describe_deadline(text, deadline_ns);
    }

private:
    static constexpr std::int64_t cancelled = -1;
    static constexpr std::int64_t cancelled_after_end = -2;
    bool has_timer() const { return deadline_ns > 0; }

    void start_timer(Frame& waiter) {
        waiter_ = &waiter;
        next = nullptr;
        type = &wake_type;
        insert_on_running_loop(*this, deadline_ns);
        tell_await(waiter);
    }
    /// "1.000 s left" on the running loop's clock.
    static void describe_deadline(Text& text, std::int64_t deadline_ns);

    /// The timer's turn has come: go on with the frame at once.
    static void wake(Work* work) { go_on(static_cast<Sleep*>(static_cast<Timer*>(work))->waiter_); }
    static constexpr WorkType wake_type = {wake, "a sleeper's timer"};

    Frame* waiter_;  // only set when there is a timer, like all of Timer but the deadline
};

/// `delay_ns` of at least that many nanoseconds.
inline Sleep sleep_ns(std::int64_t delay_ns) { return Sleep(delay_ns); }

}  // namespace pollard
