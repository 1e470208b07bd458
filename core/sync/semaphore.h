// Semaphore: so many at a time, in the order of asking.
//
//      Semaphore connections(10);
//      CO_AWAIT(permit, connections.permit());      permit: Result<SemaphoreGuard>; gives it back at its end
//      if (!permit) CO_RETURN(permit.error());
//
// A release gives its permit to the first in line at once: the value does not rise in between, and whoever was
// woken owns the permit already. If it is cancelled before its turn comes, it gives the permit to the next. A
// newcomer never passes somebody who is in line or was woken, even if a permit is free.
//
//      value 0, line: B C     release --> value 0, B owns a permit and is woken, line: C
//
// BoundedSemaphore takes no more back than it started with.
//
// Nothing is allocated, and nothing suspends when a permit is free. A semaphore must outlive its guards, and may
// not be destroyed while somebody waits for it.
//
// Thread rule: the loop's thread only. Read next: core/sync/acquire.h (the awaitables).
#pragma once

#include <cstdint>

#include "core/sync/acquire.h"

namespace pollard {

class Semaphore {
public:
    using Acquire = pollard::Acquire<Semaphore>;
    using AcquireGuard = pollard::AcquireGuard<Semaphore>;
    static constexpr const char* noun = "semaphore";

    explicit Semaphore(std::int64_t value = 1) : value_(value) {
        POLLARD_REQUIRE(value >= 0, "a semaphore begins with a value of 0 or more");
    }
    Semaphore(const Semaphore&) = delete;

    /// Waits for a permit: Result<void>. Pair it with release().
    Acquire acquire() { return Acquire(*this); }
    /// The same with a guard: Result<SemaphoreGuard>.
    AcquireGuard permit() { return AcquireGuard(*this); }

    /// One permit more: for the first in line, or for whoever comes.
    void release() {
        ++value_;
        give_to_next();
    }
    /// An acquire would have to wait now.
    bool locked() const { return value_ == 0 || line_.anybody(); }
    /// Permits that are free.
    std::int64_t value() const { return value_; }

    /// "semaphore, 0 free, 3 in line"
    void describe(Text& text) const {
        text.add("%s, %lld free", noun, static_cast<long long>(value_));
        if (const unsigned waiting = line_.length(); waiting != 0) text.add(", %u in line", waiting);
    }

private:
    template <class>
    friend class pollard::Acquire;
    template <class>
    friend class Guard;

    bool take_now() {
        if (locked()) return false;
        --value_;
        return true;
    }
    /// Its permit was given to it when it was woken. Some may have been released that nobody could be given
    /// then, and newcomers may have joined the line since.
    void take_in_turn() {
        line_.turn_came();
        give_out();
    }
    void pass_on() {
        line_.turn_came();
        ++value_;
        give_out();
    }
    bool give_to_next() {
        if (!line_.wake_first()) return false;
        --value_;
        return true;
    }
    void give_out() {
        while (value_ > 0 && give_to_next()) {
        }
    }
    void moved_to(const Guard<Semaphore>*) {}
    void release_from(const Guard<Semaphore>*) { release(); }

    CountingLine line_;
    std::int64_t value_;
};

using SemaphoreGuard = Guard<Semaphore>;

/// Never has more permits than it began with.
class BoundedSemaphore : private Semaphore {
public:
    explicit BoundedSemaphore(std::int64_t value = 1) : Semaphore(value), bound_(value) {}

    using Semaphore::acquire;
    using Semaphore::describe;
    using Semaphore::locked;
    using Semaphore::permit;
    using Semaphore::value;

    /// Error: invalid_argument when all permits are back already; nothing has changed then.
    Result<void> release() {
        if (value() >= bound_)
            return Error(ErrorKind::invalid_argument, Call::release).on("bounded semaphore");
        Semaphore::release();
        return {};
    }

private:
    std::int64_t bound_;
};

}  // namespace pollard
