// The barrier's rounds: arriving, opening, leaving.
#include "core/sync/barrier.h"

namespace pollard {

void Barrier::describe(Text& text) const {
    switch (state_) {
        case State::filling:
            text.add("barrier, filling, %u of %u are here", count_, parties_);
            break;
        case State::draining:
            text.add("barrier, open, %u of %u have yet to leave", count_, parties_);
            break;
        case State::resetting:
            text.add("barrier, being reset, %u have yet to leave", count_);
            break;
        case State::broken:
            text.add("barrier, broken");
            break;
    }
}

void Barrier::leave() {
    if (--count_ != 0) return;
    if (is_emptying()) state_ = State::filling;
    line_.wake_all();  // those who waited for this round to end
}

bool Barrier::Wait::arrive() {
    if (barrier_->is_emptying()) return wait_in(barrier_->line_, *frame);
    if (barrier_->state_ == State::broken) {
        broken_ = true;
        return end();
    }
    index_ = barrier_->count_++;
    counted_ = true;
    if (index_ + 1 < barrier_->parties_) return wait_in(barrier_->line_, *frame);
    barrier_->open();
    barrier_->leave();
    return end();
}

bool Barrier::Wait::take_turn(bool woken) {
    if (woken) barrier_->line_.turn_came();
    if (!counted_) return cancelled || arrive();
    broken_ = barrier_->state_ != State::draining;
    barrier_->leave();
    return true;
}

void Barrier::Wait::give_up(bool woken) {
    if (woken) barrier_->line_.turn_came();
    if (counted_) barrier_->leave();
}

Result<std::uint32_t> Barrier::Wait::result() const {
    if (cancelled) return cancelled_error("barrier");
    if (broken_) return Error(ErrorKind::barrier_broken, Call::wait).on("barrier");
    return index_;
}

}  // namespace pollard
