// Condition: wait, with a lock, until somebody says that things have changed.
//
//      Condition not_empty;                          with a lock of its own, or Condition(lock) to share one
//      CO_AWAIT(guard, not_empty.lock());
//      if (!guard) CO_RETURN(guard.error());
//      CO_TRY(not_empty.wait_for([this] { return !items->empty(); }));
//      ...                                           the lock is held here, whatever has happened meanwhile
//
// `wait` gives the lock up, waits to be notified, and takes the lock again before it ends:
//
//      lock held --wait--> in the condition's line --notify--> its turn: is the lock free?
//                                 |                                |yes              |no
//                                 | cancel                         |          in the lock's line
//                                 +------> its turn (the same) ----+                 | its turn
//                                                                  +--> lock held <--+
//
// It ends with the lock held also when it was cancelled, however often: a cancellation meanwhile is remembered
// and comes out at the end. (asyncio sends a waiter that is cancelled in the lock's line to that line's end;
// here it keeps its place.) One that was notified, and then cancelled, notifies another in its stead.
// Wake-ups without reason are allowed: look again, or use wait_for, which does.
//
// A guard that held the lock holds it again afterwards. If the frame is destroyed while it waits, its guard
// holds nothing and releases nothing.
//
// Thread rule: the loop's thread only. Read next: core/sync/barrier.h, core/queue.h.
#pragma once

#include <type_traits>
#include <utility>

#include "core/sync/lock.h"

namespace pollard {

class Condition {
public:
    class Wait;
    template <class Predicate>
    class WaitFor;

    Condition() : lock_(&own_lock_) {}
    /// Shares `lock` with whoever else uses it; the lock must outlive the condition.
    explicit Condition(Lock& lock) : lock_(&lock) {}
    Condition(const Condition&) = delete;
    ~Condition() { line_.require_nobody(waits_ == 0); }

    Lock::Acquire acquire() { return lock_->acquire(); }
    Lock::AcquireGuard lock() { return lock_->lock(); }
    void release() { lock_->release(); }
    bool locked() const { return lock_->locked(); }

    /// Gives the lock up, waits to be notified, takes the lock again: Result<void>.
    Wait wait();
    /// Waits until `predicate()` is true, asking it now and after each notification, always with the lock held:
    /// Result of what the predicate gives.
    template <class Predicate>
    WaitFor<Predicate> wait_for(Predicate predicate);

    /// Wakes the first `count` in line; each goes on when it has got the lock.
    void notify(unsigned count = 1) {
        POLLARD_REQUIRE(locked(), "notify() of a condition needs its lock: acquire it first");
        wake(count);
    }
    void notify_all() { notify(~0u); }

    /// "condition, 2 in line, its lock is held"
    void describe(Text& text) const {
        text.add("condition, %u in line, its lock is %s", line_.length(), locked() ? "held" : "free");
    }

private:
    template <class>
    friend class WaitsForCondition;

    void wake(unsigned count) {
        while (count != 0 && line_.wake_first()) --count;
    }

    WaiterLine line_;
    unsigned waits_ = 0;  // all that have begun and not ended
    Lock* lock_;
    Lock own_lock_;
};

/// What `wait` and `wait_for` share. `Self` has `bool satisfied()`, asked with the lock held; false: wait again.
template <class Self>
class WaitsForCondition : public WaitsInLine<Self> {
    using Base = WaitsInLine<Self>;

public:
    explicit WaitsForCondition(Condition& condition) : condition_(&condition) {}

    bool failed() const { return this->cancelled; }
    CancelOutcome cancel() {
        // The predicate cancels its own task: heard when the task suspends, if it does.
        if (stage_ == Stage::has_lock) return CancelOutcome::refused;
        if (stage_ == Stage::needs_notification) return Base::cancel();
        if (!this->cancelled) this->cancelled_when_woken = this->place == LineWaiter::Place::woken;
        this->cancelled = true;  // comes out when it holds the lock, and not before
        return CancelOutcome::accepted;
    }
    void describe(Text& text) const {
        condition_->describe(text);
        if (stage_ == Stage::needs_lock) {
            text.add("; wants it back: ");
            lock().describe(text);
        }
    }

    bool take_turn(bool woken) {
        if (stage_ == Stage::needs_lock) {
            lock().take_in_turn();
        } else {
            notified_ = woken;
            if (!lock().take_now()) return wait_for_lock();
        }
        stage_ = Stage::has_lock;
        --condition_->waits_;
        lock().give_back_to(guard_);
        if (this->cancelled && notified_) condition_->wake(1);
        return this->cancelled || static_cast<Self*>(this)->satisfied();
    }
    void give_up(bool woken) {
        --condition_->waits_;
        if (stage_ != Stage::needs_lock)
            notified_ = woken;
        else if (woken)
            lock().pass_on();
        if (notified_) condition_->wake(1);
        if (guard_ != nullptr) Lock::forget(*guard_);
    }

protected:
    /// Gives the lock up and joins the line; always false: it has to wait.
    bool begin_wait(Frame& waiter) {
        POLLARD_REQUIRE(lock().locked(), "wait() of a condition needs its lock: acquire it first");
        guard_ = lock().set_guard_aside();
        lock().free_it();
        ++condition_->waits_;
        stage_ = Stage::needs_notification;
        notified_ = false;
        return this->wait_in(condition_->line_, waiter);
    }

private:
    enum class Stage : std::uint8_t { has_lock, needs_notification, needs_lock };

    Lock& lock() const { return *condition_->lock_; }
    bool wait_for_lock() {
        this->cancelled_when_woken = false;
        stage_ = Stage::needs_lock;
        return this->wait_in(lock().line_, *this->frame);
    }

    Condition* condition_;
    LockGuard* guard_ = nullptr;
    Stage stage_ = Stage::has_lock;
    bool notified_ = false;
};

class [[nodiscard]] Condition::Wait : public WaitsForCondition<Condition::Wait> {
public:
    using WaitsForCondition::WaitsForCondition;

    bool start(Frame& waiter) {
        tell_await(waiter);
        return begin_wait(waiter);
    }
    Result<void> result() const {
        if (failed()) return cancelled_error("condition");
        return {};
    }
    bool satisfied() { return true; }
};

template <class Predicate>
class [[nodiscard]] Condition::WaitFor : public WaitsForCondition<Condition::WaitFor<Predicate>> {
    using Base = WaitsForCondition<WaitFor>;
    using Value = std::decay_t<std::invoke_result_t<Predicate&>>;

public:
    WaitFor(Condition& condition, Predicate predicate) : Base(condition), predicate_(std::move(predicate)) {}

    bool start(Frame& waiter) {
        tell_await(waiter);
        if (is_true()) return this->finish_at_once();
        return this->begin_wait(waiter);
    }
    Result<Value> result() {
        if (this->failed()) return cancelled_error("condition");
        return std::move(value_);
    }
    bool satisfied() {
        current_scheduler->running = this->frame;  // the predicate is its frame's code
        const bool enough = is_true();
        current_scheduler->running = nullptr;
        if (enough) return true;
        this->begin_wait(*this->frame);
        if (current_scheduler->pending_cancels != 0) [[unlikely]]
            deliver_pending_cancel(*this->frame);
        return false;
    }

private:
    bool is_true() {
        value_ = predicate_();
        return static_cast<bool>(*value_);
    }

    Predicate predicate_;
    Result<Value> value_;
};

inline Condition::Wait Condition::wait() { return Wait(*this); }
template <class Predicate>
Condition::WaitFor<Predicate> Condition::wait_for(Predicate predicate) {
    return WaitFor<Predicate>(*this, std::move(predicate));
}

}  // namespace pollard
