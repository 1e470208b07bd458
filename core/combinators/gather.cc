// What a gathering decides when a child has ended, and when it is cancelled.
#include "core/combinators/gather.h"

namespace pollard {

bool Gathering::start(std::span<Watch> children, Frame& frame_waiting) {
    tell_await(frame_waiting);
    children_ = children;
    if (refused()) {
        for (const Watch& child : children)
            if (child.task != nullptr) child.task->cancel();
        return true;
    }
    left_ = children.size();
    // First all get in line, then those that are done are counted, in order: if one of them has failed, that is the
    // outcome, and none of the others is waited for.
    for (Watch& child : children)
        if (!child.task->done) child.begin(*this);
    for (Watch& child : children)
        if (!finished_ && child.task->done) count(child);
    if (left_ == 0 && !finished_) finish();
    waiter = &frame_waiting;
    return finished_;
}

void Gathering::on_child_ended(Watcher& watcher, Watch& child) {
    static_cast<Gathering&>(watcher).count(child);
}

void Gathering::count(Watch& child) {
    --left_;
    if (child.failed() && !collects_) {
        first_failed_ = &child;
        finish();
    } else if (left_ == 0) {
        finish();
    }
}

/// Nothing that happens to the children from here on changes the outcome; their errors count as seen.
void Gathering::finish() {
    finished_ = true;
    for (Watch& child : children_) {
        child.unlink();
        if (&child != first_failed_) child.task->result_seen = true;
    }
    wake();
}

CancelOutcome Gathering::cancel() {
    bool taken = false;
    if (!finished_)
        for (const Watch& child : children_) taken |= child.task->cancel();
    if (taken)
        children_cancelled_ = true;
    else
        told_cancelled_ = true;
    return CancelOutcome::accepted;
}

bool Gathering::failed() const {
    return refused() || told_cancelled_ || children_cancelled_ || first_failed_ != nullptr;
}

Error Gathering::error() const {
    if (refused()) return refused_;
    if (told_cancelled_ || first_failed_ == nullptr) return cancelled_error("gather");
    forget_cancel_message_here();
    return first_failed_->take_error();
}

}  // namespace pollard
