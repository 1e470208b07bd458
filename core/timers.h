// Timers: what shall happen when, kept in a hierarchical wheel.
//
// A program sets many timers and cancels most of them before they are due: each is the time limit of a
// request that was answered in time. So setting and cancelling must cost next to nothing, and sorting must be
// put off until it is known that somebody needs it. A heap sorts when a timer is set. A wheel only says
// "about then", and becomes more precise as the time draws near.
//
// The wheel is a row of levels of 64 slots, each slot a list. A slot of level 0 is one nanosecond wide, a
// slot of the next level is as wide as the whole level below it; eleven levels hold all of the 64-bit time.
// Read time as a number of eleven digits of six bits: a timer's level is that of the first digit in which its
// deadline differs from the wheel's position (the time of the last `advance`), and the digit is its slot.
//
//      level           10    ...      5        4        3        2        1        0
//      a slot is      37 y          1.1 s    17 ms   262 us   4.1 us    64 ns     1 ns   wide
//
//      position     000000   ...   000011   010110   111000   000001   101100   010000
//      deadline     000000   ...   000011   011000   000110   110010   000000   001001
//                                           ~~~~~~  the first that differs: level 4, slot 24
//
// From this follows the rest:
//   - All of a level comes before all of the next level, and within a level the lower slot comes first. One
//     bit a slot says which are in use, so the first slot is found by counting zeros, and a clock that jumps
//     over hours or years in which nothing is due takes one step.
//   - When the clock enters a slot, the slot is taken apart: its timers are put anew, each at least one level
//     lower. That happens to a timer ten times at the most, and usually never, because it is cancelled before.
//   - Equal deadlines stand in the same slot in the order in which they were set, and a slot is taken apart
//     from first to last, so they fire in that order. This is why a slot must not wait when the clock has
//     entered it: a timer set then goes to a lower level, and would overtake an older one left behind.
//   - A narrow slot that has passed is sorted, which for a few timers is cheaper than walking them through
//     levels where each has a slot to itself.
//
// So no turn of the loop costs more because more timers are set: each pays for its own way down.
//
// A timer waits with the same links that put it on the ready list later. Setting one allocates nothing and
// cannot fail.
//
// Read next: core/timers.cc. tools/bench/timers_benchmark.cc shows how fast it is, beside libev's heap.
#pragma once

#include <cstdint>

#include "platform/work.h"

namespace pollard {

/// The caller owns it and keeps it where it is while it is set. `type->run` is what happens when it is due.
struct Timer : Work {
    /// On the clock that `advance` is told. Must not change while the timer is set.
    std::int64_t deadline_ns = 0;

    explicit constexpr Timer(const WorkType* type_of_timer) : Work(type_of_timer) {}
    explicit Timer(Unset) : Work(unset) {}
};

/// The timers of one loop: 17 KiB, pinned, for one thread. Timers that are still set when it goes must not be
/// cancelled any more.
class Timers {
public:
    /// `now_ns`: what the clock shows; any number will do, also a negative one.
    explicit Timers(std::int64_t now_ns = 0) : position_ns_(now_ns) {}
    Timers(const Timers&) = delete;
    Timers& operator=(const Timers&) = delete;

    /// Sets `timer`, which must stand nowhere. If its deadline has passed it is due at the next `advance`.
    void insert(Timer& timer);

    /// Takes `timer` out of the wheel, or out of the ready list to which `advance` has moved it. Harmless
    /// when it stands nowhere.
    void cancel(Timer& timer) { timer.unlink(); }

    /// The earliest deadline; INT64_MAX when there is none. If the earliest timer was cancelled it may still
    /// be the deadline of that one: then whoever sleeps until it wakes in vain, once, and the `advance` that
    /// follows forgets it.
    std::int64_t earliest_ns() const {
        return levels_in_use_ == 0 && overdue_.timers.empty() ? INT64_MAX : find_earliest_ns();
    }

    /// Appends to `ready` all timers with deadline_ns <= now_ns, by deadline, equal ones in the order in
    /// which they were set. A clock that goes back counts as standing still.
    void advance(std::int64_t now_ns, WorkList& ready);

    bool empty() const;

private:
    static constexpr int digit_bits = 6;
    static constexpr int slots_per_level = 1 << digit_bits;
    static constexpr int levels = (64 + digit_bits - 1) / digit_bits;
    /// Slots of so many levels are narrow (262 us at the most): they are sorted when they have passed.
    static constexpr int narrow_levels = 4;

    struct Slot {
        WorkList timers;
        /// Of all that was put here since the list was last empty, so not later than what still stands here.
        std::int64_t earliest_ns = INT64_MAX;

        void push_back(Timer& timer);
    };
    struct Place {
        int level;
        int index;
    };

    void put(Timer& timer);
    void take_apart(Slot& slot, std::int64_t begin_ns);
    std::int64_t find_earliest_ns() const;
    bool find_first(Place& place) const;

    std::int64_t position_ns_;
    /// Deadlines that had passed when they were set: the wheel has no place for what lies behind it.
    Slot overdue_;
    // One bit a slot, and one a level: 0 means empty. 1 may be out of date, since cancelling the last timer
    // of a slot leaves it; whoever looks for the first slot corrects it, which changes nothing that can be
    // seen.
    mutable std::uint32_t levels_in_use_ = 0;
    mutable std::uint64_t slots_in_use_[levels] = {};
    Slot slots_[levels][slots_per_level];
};

}  // namespace pollard
