// What a line of waiters does rarely.
#include "core/sync/waiter_line.h"

#include "core/event_loop.h"

namespace pollard {

unsigned WaiterLine::length() const {
    unsigned count = 0;
    for (const Work* waiter = waiters_.first(); waiter != nullptr; waiter = waiters_.next(*waiter)) ++count;
    return count;
}

void WaiterLine::move_to_running_loop() {
    POLLARD_REQUIRE(empty(), "frames of two loops wait for one thing: use one for each loop");
    scheduler_ = current_scheduler;
}

void WaiterLine::require_closed_loop() const {
    POLLARD_REQUIRE(scheduler_ != current_scheduler && !is_open(*scheduler_),
                    "a lock, event, condition, semaphore, barrier or queue is destroyed while "
                    "frames wait for it: cancel them and let them end first");
}

void WaiterLine::forget_the_lost() {
    require_closed_loop();
    while (!empty()) static_cast<LineWaiter&>(waiters_.pop_front()).place = LineWaiter::Place::over;
}

}  // namespace pollard
