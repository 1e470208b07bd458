// Which of the two ended first: the child, or the waiting for it.
#include "core/combinators/shield.h"

namespace pollard {

bool Shielding::start(Frame& frame_waiting) {
    tell_await(frame_waiting);
    if (child_.child == nullptr || child_.done()) return true;
    waiter = &frame_waiting;
    child_.begin(*this);
    return false;
}

CancelOutcome Shielding::cancel() {
    child_.unlink();
    child_.see();
    tell_cancelled();
    return CancelOutcome::accepted;
}

Error Shielding::error() const {
    if (child_.child == nullptr) return refused_;
    if (told_cancelled) return cancelled_error("shield");
    return child_.take_error();
}

void Shielding::describe(Text& text) const {
    if (child_.child == nullptr) return;
    if (child_.is_task()) text.add("task ");
    child_.watch_type().describe(child_.child, text);
}

}  // namespace pollard
