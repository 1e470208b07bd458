// What a line of waiters does rarely.
#include "core/sync/waiter_line.h"

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

}  // namespace pollard
