// Leaving what was entered into a stack.
#include "core/async_scope.h"

namespace pollard {

bool LeaveEntry::start(Frame& waiter) {
    frame_->flags.started = true;
    frame_->waiter = &waiter;
    tell_await(waiter);
    return !frame_->frame_type().resume(frame_).suspended();
}

Progress LeaveAll::body() {
    CO_BEGIN;
    while (!stack->empty()) {
        CO_AWAIT(left, LeaveEntry(stack->pop(), error));
        if (!left) {
            error = left.error();
            failed_to_leave = true;
        } else if (*left) {
            error = Error{};
            failed_to_leave = false;
        }
    }
    if (failed_to_leave) CO_RETURN(error);
    CO_RETURN(had_error && error.kind == ErrorKind::none);
    CO_END;
}

}  // namespace pollard
