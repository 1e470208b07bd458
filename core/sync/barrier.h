// Barrier: nobody goes on before all have arrived.
//
//      Barrier start(3);
//      CO_AWAIT(index, start.wait());      index: 0, 1, 2 in the order of arrival
//
// The last to arrive opens the barrier and goes on without waiting; the others are woken, in order. Whoever
// arrives while they leave waits until all have left, and then counts for the next round:
//
//               the last arrives                    abort
//      filling ------------------> draining        ------> broken: waiting and coming fail until reset
//         ^                           |
//         |   the last leaves         |             reset, with some here
//         +---------------------------+            ------> resetting: those fail, then filling
//
// "Fail" is Error{barrier_broken}, also for one that was woken to go on and has not yet. A waiter that is
// cancelled leaves the count when its turn comes.
//
// In asyncio `abort` and `reset` are awaited, because they take a lock; here they never wait. A barrier may not
// be destroyed while somebody waits for it or has yet to leave.
//
// Thread rule: the loop's thread only. Read next: core/sync/waiter_line.h.
#pragma once

#include <cstdint>

#include "core/sync/waiter_line.h"
#include "core/task.h"

namespace pollard {

class Barrier {
public:
    class Wait;

    explicit Barrier(std::uint32_t parties) : parties_(parties) {
        POLLARD_REQUIRE(parties >= 1, "a barrier is for one party or more");
    }
    Barrier(const Barrier&) = delete;
    ~Barrier() { line_.require_nobody(count_ == 0); }

    /// Waits until all have arrived: Result<std::uint32_t>, this one's place in the order of arrival. Error:
    /// barrier_broken.
    Wait wait();
    /// Those who wait, and who come before the next reset, fail.
    void abort() {
        state_ = State::broken;
        line_.wake_all();
    }
    /// Empty again. Those who wait fail; those who come, or wait for others to leave, do not.
    void reset() {
        state_ = count_ > 0 ? State::resetting : State::filling;
        line_.wake_all();
    }

    std::uint32_t parties() const { return parties_; }
    /// How many have arrived and wait for the rest.
    std::uint32_t n_waiting() const { return state_ == State::filling ? count_ : 0; }
    bool broken() const { return state_ == State::broken; }

    /// "barrier, filling, 2 of 3 are here"
    void describe(Text& text) const;

private:
    enum class State : std::uint8_t { filling, draining, resetting, broken };

    bool is_emptying() const { return state_ == State::draining || state_ == State::resetting; }
    void open() {
        state_ = State::draining;
        line_.wake_all();
    }
    /// One of those who had arrived goes on, or gives up.
    void leave();

    CountingLine line_;  // of those who wait for the rest, or for others to leave
    std::uint32_t parties_;
    std::uint32_t count_ = 0;
    State state_ = State::filling;
};

class [[nodiscard]] Barrier::Wait : public WaitsInLine<Barrier::Wait> {
public:
    explicit Wait(Barrier& barrier) : barrier_(&barrier) {}

    bool start(Frame& waiter) {
        tell_await(waiter);
        frame = &waiter;
        return arrive();
    }
    bool failed() const { return cancelled || broken_; }
    Result<std::uint32_t> result() const;
    void describe(Text& text) const { barrier_->describe(text); }

    bool take_turn(bool woken);
    void give_up(bool woken);

private:
    bool arrive();
    bool end() {
        place = Place::over;
        return true;
    }

    Barrier* barrier_;
    std::uint32_t index_ = 0;
    bool counted_ = false;  // it has arrived; before that it waits for others to leave
    bool broken_ = false;
};

inline Barrier::Wait Barrier::wait() { return Wait(*this); }

}  // namespace pollard
