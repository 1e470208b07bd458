// Which of the two ended first: the task, or the waiting for it.
#include "core/combinators/shield.h"

namespace pollard {

bool Shielding::start(Frame& frame_waiting) {
    tell_await(frame_waiting);
    if (child_.task == nullptr || child_.task->done) return true;
    waiter = &frame_waiting;
    child_.begin(*this);
    return false;
}

CancelOutcome Shielding::cancel() {
    if (!cancelled_) cancelled_after_end_ = waiter->linked();
    cancelled_ = true;
    child_.unlink();
    child_.task->result_seen = true;
    wake();
    return CancelOutcome::accepted;
}

Error Shielding::error() const {
    if (child_.task == nullptr) return refused_;
    if (cancelled_) return cancelled_error("shield");
    return child_.take_error();
}

void Shielding::describe(Text& text) const {
    if (child_.task != nullptr) text.add("task %s", name_of(*child_.task).c_str());
}

}  // namespace pollard
