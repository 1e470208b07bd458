// What a gathering decides when a child has ended, and when it is cancelled.
#include "core/combinators/gather.h"

namespace pollard {

bool Gathering::start(std::span<Watch> children, Frame& frame_waiting) {
    tell_await(frame_waiting);
    children_ = children;
    if (refused()) {
        for (const Watch& child : children)
            if (child.child != nullptr) (void)child.ask_to_end();
        return true;
    }
    left_ = children.size();
    // First all get in line, then those that are done are counted, in order: if one of them has failed, that is the
    // outcome, and none of the others is waited for.
    bool any_done = false;
    for (Watch& child : children) {
        if (child.done())
            any_done = true;
        else
            child.begin(*this);
    }
    if (any_done)
        for (Watch& child : children)
            if (!finished_ && child.done()) count(child);
    if (left_ == 0 && !finished_) finish();
    waiter = &frame_waiting;
    return finished_;
}

void Gathering::on_child_ended(Watcher& watcher, Watch& child) {
    static_cast<Gathering&>(watcher).count(child);
}

void Gathering::count(Watch& child) {
    --left_;
    if (child.failed()) {
        if (collects_)
            child.see();
        else
            return fail_with(child);
    }
    if (left_ == 0) finish();
}

/// Nothing that happens to the others from here on changes the outcome; their errors count as seen.
void Gathering::fail_with(Watch& child) {
    first_failed_ = &child;
    for (Watch& other : children_) {
        if (&other == &child) continue;
        other.unlink();
        other.see();
    }
    finish();
}

void Gathering::finish() {
    finished_ = true;
    wake();
}

CancelOutcome Gathering::cancel() {
    bool taken = false;
    if (!finished_) {
        for (Watch& child : children_) {
            const CancelOutcome outcome = child.ask_to_end();
            taken |= outcome != CancelOutcome::refused;
            // This child ends after the one who waits here: it cannot be waited for.
            if (outcome == CancelOutcome::goes_round && child.linked()) {
                child.unlink();
                --left_;
            }
        }
        if (left_ == 0) finish();
    }
    if (taken)
        children_cancelled_ = true;
    else
        told_cancelled = true;  // no child could take the request any more
    return CancelOutcome::accepted;
}

bool Gathering::failed() const {
    return refused() || told_cancelled || children_cancelled_ || first_failed_ != nullptr;
}

Error Gathering::error() const {
    if (refused()) return refused_;
    if (told_cancelled || first_failed_ == nullptr) return cancelled_error("gather");
    forget_cancel_message_here();
    return first_failed_->take_error();
}

}  // namespace pollard
