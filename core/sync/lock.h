// Lock: one at a time, in the order of asking.
//
//      Lock lock;
//      CO_AWAIT(guard, lock.lock());      guard: Result<LockGuard>, a field; waits while somebody holds the lock
//      if (!guard) CO_RETURN(guard.error());
//      ...                                nobody else is here, also across the awaits of this section
//      guard->release();                  or leave it to the guard's end
//
// `release` does not hand the lock to the next in line; it frees the lock and wakes the next, who takes it when
// its turn in the ready queue comes. Until then the lock is free, and yet nobody can take it: newcomers, and also the
// one who has just released it, join the line behind.
//
//      A holds        A releases           B's turn         C's turn ...
//      held           free, B is woken     held             (B released it before)
//      line: B C      line: C A            line: C A
//
// A waiter that is cancelled in line leaves it; one that was woken already wakes the next instead of taking the
// lock. A lock has no owner: whoever wants to may release it, as in asyncio. It may not be destroyed while
// somebody waits for it, or while a guard holds it.
//
// Nothing is allocated, and nothing suspends when the lock is free.
//
// Thread rule: the loop's thread only; it keeps coroutines from one another, not threads.
//
// Read next: core/sync/acquire.h (the awaitables), core/sync/condition.h.
#pragma once

#include <cstdint>
#include <utility>

#include "core/sync/acquire.h"

namespace pollard {

class Lock {
public:
    using Acquire = pollard::Acquire<Lock>;
    using AcquireGuard = pollard::AcquireGuard<Lock>;
    static constexpr const char* noun = "lock";

    Lock() = default;
    Lock(const Lock&) = delete;
    ~Lock() {
        line_.require_nobody(state_ != State::handed_on);
        POLLARD_REQUIRE(guard_ == nullptr,
                        "a lock is destroyed while a guard holds it: let the guard end first");
    }

    /// Waits until the lock is this frame's: Result<void>. Pair it with release().
    Acquire acquire() { return Acquire(*this); }
    /// The same with a guard: Result<LockGuard>.
    AcquireGuard lock() { return AcquireGuard(*this); }

    /// Frees the lock and wakes the first in line.
    void release() {
        if (state_ != State::held) [[unlikely]]
            explain_wrong_release();
        free_it();
    }
    /// Somebody holds it. False also after a release, while the one who was woken has not run.
    bool locked() const { return state_ >= State::held; }

    /// "lock, held, 3 in line"
    void describe(Text& text) const {
        static constexpr const char* words[] = {"free", "handed on", "held", "held"};
        text.add("%s, %s", noun, words[static_cast<int>(state_)]);
        if (const unsigned waiting = line_.length(); waiting != 0) text.add(", %u in line", waiting);
    }

private:
    template <class>
    friend class pollard::Acquire;
    template <class>
    friend class Guard;
    friend class Condition;
    template <class>
    friend class WaitsForCondition;

    /// handed_on: released, and the first in line is woken to take it. Somebody stands in line only while the
    /// lock is held or handed on.
    enum class State : std::uint8_t { free, handed_on, held, held_by_guard };

    bool take_now() {
        if (state_ != State::free) return false;
        state_ = State::held;
        return true;
    }
    void take_in_turn() { state_ = State::held; }
    void free_it() { state_ = line_.wake_first() ? State::handed_on : State::free; }
    void pass_on() { free_it(); }
    void moved_to(Guard<Lock>* guard) {
        guard_ = guard;
        state_ = State::held_by_guard;
    }
    void release_from(const Guard<Lock>* guard) {
        POLLARD_REQUIRE(guard_ == guard,
                        "a guard ends whose frame still waits for a condition of its lock, and "
                        "so does not hold it: let that wait end first");
        guard_ = nullptr;
        free_it();
    }
    /// For a condition: the lock without its guard, and back. A guard left alone gives nothing back.
    Guard<Lock>* set_guard_aside() { return std::exchange(guard_, nullptr); }
    void give_back_to(Guard<Lock>* guard) {
        if (guard != nullptr) moved_to(guard);
    }
    static void forget(Guard<Lock>& guard) { guard.held_ = nullptr; }

    [[noreturn]] void explain_wrong_release() const;

    WaiterLine line_;
    /// Who releases it; null: nobody holds it, or somebody who calls release().
    Guard<Lock>* guard_ = nullptr;
    State state_ = State::free;
};

using LockGuard = Guard<Lock>;

}  // namespace pollard
