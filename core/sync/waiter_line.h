// WaiterLine: frames that wait their turn, first come, first served.
//
// A lock, a semaphore, a condition, a barrier, a queue: whoever cannot go on at once joins a line, and whoever
// makes room wakes the first. What stands in the line is a part of the awaitable itself, which stands in its
// frame's slot; so waiting takes no memory.
//
//      line ->  [ C ] [ D ] [ E ]                 newcomers join here, at the end
//                 |wake_first
//      ready queue -> ... [ C ] ...               C is woken, and its turn will come
//                           |its turn
//                   takes what it waited for, and its frame goes on at once,
//                   or finds it gone, and waits again
//
// Between being woken and its turn, others run. So a newcomer may only pass when nobody is in line *and* nobody
// is woken: that is what keeps a lock from being snatched from under the one whose turn it is. A lock notes that it
// is handed on; a semaphore, which may have woken several, counts them (CountingLine).
//
// A waiter can be cancelled at both places. In line: it leaves at once, and its frame is told when its own turn
// in the ready queue comes. Woken: it keeps its turn, but only to pass on what it was woken for.
//
//      start --(must wait)--> in_line --wake--> woken --its turn--> over
//                                |                                   ^
//                                +--cancel--> leaving --its turn-----+
//
// Thread rule: the loop's thread only. A line belongs to the loop of those who stand in it; it may be woken from
// outside a run.
//
// Read next: core/sync/acquire.h, core/sync/event.h (the simplest user).
#pragma once

#include <cstdint>

#include "core/awaitable.h"
#include "core/scheduler.h"
#include "platform/result.h"
#include "platform/work.h"

namespace pollard {

/// A frame's place in a line, or, once woken, in the ready queue. Part of the awaitable it waits for.
struct LineWaiter : Work {
    enum class Place : std::uint8_t {
        nowhere,  // not started
        in_line,
        woken,    // in the ready queue, for what it waited for
        leaving,  // in the ready queue, because it was cancelled in line
        over,     // it waits no more
    };

    Frame* frame;  // written when it joins a line, like the links: most who ask need not wait
    Place place = Place::nowhere;
    bool cancelled = false;
    bool cancelled_when_woken;  // so that the request may still be taken back; written by `cancel`

    LineWaiter() : Work(unset) {}
    LineWaiter(const LineWaiter&) = delete;
};

class WaiterLine {
public:
    WaiterLine() = default;
    WaiterLine(const WaiterLine&) = delete;
    ~WaiterLine() {
        if (!empty()) [[unlikely]]
            forget_the_lost();
    }

    bool empty() const { return waiters_.empty(); }

    void join(LineWaiter& waiter) {
        if (scheduler_ != current_scheduler) [[unlikely]]
            move_to_running_loop();
        waiter.place = LineWaiter::Place::in_line;
        waiters_.push_back(waiter);
    }

    /// False: nobody is in line.
    bool wake_first() {
        if (empty()) return false;
        auto& waiter = static_cast<LineWaiter&>(waiters_.pop_front());
        waiter.place = LineWaiter::Place::woken;
        scheduler_->make_ready(waiter);
        return true;
    }
    void wake_all() {
        while (wake_first()) {
        }
    }

    /// How many stand in line; counted by walking along it, for people to read.
    unsigned length() const;

    /// For who is destroyed. Tasks that refused to end when their loop closed are lost, and wait for ever.
    void require_nobody(bool nobody_waits) const {
        if (!nobody_waits) [[unlikely]]
            require_closed_loop();
    }

private:
    void move_to_running_loop();
    void require_closed_loop() const;
    void forget_the_lost();

    WorkList waiters_;
    Scheduler* scheduler_ = nullptr;
};

/// A line that also knows how many were woken and have not had their turn. Whoever is woken says `turn_came`.
class CountingLine : public WaiterLine {
public:
    ~CountingLine() { require_nobody(woken_ == 0); }

    /// Somebody is in line, or was woken and has not run yet.
    bool anybody() const { return woken_ != 0 || !empty(); }

    bool wake_first() {
        if (!WaiterLine::wake_first()) return false;
        ++woken_;
        return true;
    }
    void wake_all() {
        while (wake_first()) {
        }
    }
    void turn_came() { --woken_; }

private:
    std::uint32_t woken_ = 0;
};

/// What awaitables derive from that wait in a line. `Self` says what happens when its turn comes:
///
///      bool take_turn(bool woken)   true: over, the frame goes on now (cancelled or not). False: it has
///                                   joined a line again. `woken` is false when it was cancelled in line
///      void give_up(bool woken)     the frame is destroyed: pass on what it was woken for
template <class Self>
class WaitsInLine : public LineWaiter {
public:
    /// Also after it was woken: then it passes on what it was given, and its frame is told `cancelled`.
    CancelOutcome cancel() {
        if (place == Place::over) return CancelOutcome::refused;
        if (!cancelled) cancelled_when_woken = place == Place::woken;
        cancelled = true;
        if (place != Place::in_line) return CancelOutcome::accepted;
        unlink();
        place = Place::leaving;
        current_scheduler->make_ready(*this);
        return CancelOutcome::accepted;
    }

    /// It keeps what it was woken for, as long as its turn has not come.
    void withdraw_cancel() {
        if (place == Place::woken && cancelled && cancelled_when_woken) cancelled = false;
    }

    void abandon() {
        if (place == Place::nowhere || place == Place::over) return;
        unlink();
        const bool woken = place == Place::woken;
        place = Place::over;
        cancelled = true;
        self().give_up(woken);
    }

protected:
    WaitsInLine() = default;
    ~WaitsInLine() = default;

    /// For `start`: there is no need to wait.
    bool finish_at_once() {
        place = Place::over;
        return true;
    }
    /// For `start`: `waiting` goes on when its turn has come.
    bool wait_in(WaiterLine& chosen_line, Frame& waiting) {
        frame = &waiting;
        type = &turn_type;
        chosen_line.join(*this);
        return false;
    }

private:
    Self& self() { return static_cast<Self&>(*this); }

    static void run_turn(Work* work) {
        auto* waiter = static_cast<WaitsInLine*>(work);
        const bool woken = waiter->place == Place::woken;
        waiter->place = Place::over;
        if (waiter->self().take_turn(woken)) go_on(waiter->frame);
    }
    static constexpr WorkType turn_type = {
        run_turn, "the turn of one who waited in line", false,
        [](const Work* work) -> Work* { return static_cast<const WaitsInLine*>(work)->frame; }};
};

}  // namespace pollard
