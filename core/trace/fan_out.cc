// Passing on each event to each observer, in the order in which they were added.
#include "core/trace/fan_out.h"

namespace pollard {

template <auto function, class... Arguments>
void FanOut::tell(Observer& self, Arguments... arguments) {
    auto& fan_out = static_cast<FanOut&>(self);
    for (std::size_t i = 0; i < fan_out.count_; ++i) {
        Observer& observer = *fan_out.told_[i];
        (observer.*function)(observer, arguments...);
    }
}

FanOut::FanOut() {
    task_created = tell<&Observer::task_created, TaskState&>;
    task_finished = tell<&Observer::task_finished, TaskState&>;
    cancel_requested = tell<&Observer::cancel_requested, TaskState&>;
    cancel_asked = tell<&Observer::cancel_asked, Frame&, CancelOutcome>;
    frame_awaits = tell<&Observer::frame_awaits, Frame&>;
    frame_suspended = tell<&Observer::frame_suspended, Frame&>;
    frame_resumed = tell<&Observer::frame_resumed, Frame&>;
    operation_started = tell<&Observer::operation_started, Operation&>;
    operation_parked = tell<&Observer::operation_parked, Operation&>;
    operation_completed = tell<&Observer::operation_completed, Operation&>;
    kernel_called = tell<&Observer::kernel_called, const KernelCall&>;
    work_begins = tell<&Observer::work_begins, Work&>;
    timer_set = tell<&Observer::timer_set, Work&, std::int64_t>;
    wait_entered = tell<&Observer::wait_entered, std::int64_t>;
    wait_returned = tell<&Observer::wait_returned>;
    problem = tell<&Observer::problem, const char*, const Error&>;
}

void FanOut::add(Observer& observer) {
    POLLARD_REQUIRE(count_ < capacity, "a FanOut tells at most four observers: give one of them a FanOut");
    told_[count_++] = &observer;
}

}  // namespace pollard
