// The wheel: putting timers into slots, taking slots apart, and sorting the narrow ones.
#include "core/timers.h"

#include <algorithm>
#include <bit>

#include "platform/result.h"

namespace pollard {

namespace {

Timer* timer_of(Link* link) { return static_cast<Timer*>(link); }

// While they are sorted, timers hang together by `next` alone, and the last one's is null: a chain.

/// Takes from the front as many as stand in order already.
Timer* take_run(WorkList& timers) {
    Timer* const first = timer_of(&timers.pop_front());
    Timer* last = first;
    while (!timers.empty() && timer_of(timers.first())->deadline_ns >= last->deadline_ns) {
        last->next = &timers.pop_front();
        last = timer_of(last->next);
    }
    return first;
}

/// Equal deadlines: first those of `older`.
Timer* merge_chains(Timer* older, Timer* younger) {
    Link front;
    Link* last = &front;
    while (older != nullptr && younger != nullptr) {
        Timer*& earlier = younger->deadline_ns < older->deadline_ns ? younger : older;
        last->next = earlier;
        last = earlier;
        earlier = timer_of(earlier->next);
    }
    last->next = older != nullptr ? older : younger;
    return timer_of(front.next);
}

/// Merge sort from below. chains[n] is null or made of 2^n runs, and older than those with lower n: a binary
/// counter, in which a carry is a merge.
Timer* take_sorted(WorkList& timers) {
    Timer* chains[48];  // 2^48 timers do not fit into an address space
    int used = 0;
    while (!timers.empty()) {
        Timer* chain = take_run(timers);
        int n = 0;
        for (; n < used && chains[n] != nullptr; ++n) {
            chain = merge_chains(chains[n], chain);
            chains[n] = nullptr;
        }
        chains[n] = chain;
        used = std::max(used, n + 1);
    }
    Timer* sorted = nullptr;
    for (int n = 0; n < used; ++n) sorted = merge_chains(chains[n], sorted);
    return sorted;
}

void move_sorted(WorkList& timers, WorkList& ready) {
    Timer* timer = take_sorted(timers);
    while (timer != nullptr) {
        Timer* const next = timer_of(timer->next);
        ready.push_back(*timer);
        timer = next;
    }
}

/// The same order without a sign, so that also the highest digit counts upwards from negative to positive.
std::uint64_t digits_of(std::int64_t time_ns) {
    return static_cast<std::uint64_t>(time_ns) ^ (std::uint64_t{1} << 63);
}

}  // namespace

void Timers::insert(Timer& timer) {
    POLLARD_REQUIRE(!timer.linked(), "this timer is set, or due and not yet run: cancel it first");
    if (timer.deadline_ns <= position_ns_)
        overdue_.push_back(timer);
    else
        put(timer);
}

std::int64_t Timers::find_earliest_ns() const {
    if (!overdue_.timers.empty()) return overdue_.earliest_ns;
    Place first;
    return find_first(first) ? slots_[first.level][first.index].earliest_ns : INT64_MAX;
}

bool Timers::empty() const {
    Place first;
    return overdue_.timers.empty() && !find_first(first);
}

void Timers::advance(std::int64_t now_ns, WorkList& ready) {
    now_ns = std::max(now_ns, position_ns_);
    move_sorted(overdue_.timers, ready);
    Place first;
    while (find_first(first)) {
        Slot& slot = slots_[first.level][first.index];
        const std::int64_t width_ns = std::int64_t{1} << (first.level * digit_bits);
        const std::int64_t begin_ns = slot.earliest_ns & -width_ns;
        const std::int64_t last_ns = begin_ns + (width_ns - 1);
        if (begin_ns > now_ns) break;
        if (last_ns <= now_ns && first.level < narrow_levels)
            move_sorted(slot.timers, ready);
        else
            take_apart(slot, begin_ns);
    }
    position_ns_ = now_ns;
}

/// Every timer leaves the slot, since seen from the slot's begin its deadline differs in lower digits only.
void Timers::take_apart(Slot& slot, std::int64_t begin_ns) {
    position_ns_ = begin_ns;
    while (!slot.timers.empty()) put(*timer_of(&slot.timers.pop_front()));
}

/// The deadline must not lie before the position.
void Timers::put(Timer& timer) {
    const std::uint64_t digits = digits_of(timer.deadline_ns);
    const std::uint64_t difference = digits ^ digits_of(position_ns_);
    const int level = (63 - std::countl_zero(difference | 1)) / digit_bits;
    const auto index = (digits >> (level * digit_bits)) % slots_per_level;
    levels_in_use_ |= std::uint32_t{1} << level;
    slots_in_use_[level] |= std::uint64_t{1} << index;
    slots_[level][index].push_back(timer);
}

void Timers::Slot::push_back(Timer& timer) {
    if (timers.empty() || timer.deadline_ns < earliest_ns) earliest_ns = timer.deadline_ns;
    timers.push_back(timer);
}

/// The first slot, in time, that is not empty; false when all are.
bool Timers::find_first(Place& place) const {
    for (; levels_in_use_ != 0; levels_in_use_ &= levels_in_use_ - 1) {
        place.level = std::countr_zero(levels_in_use_);
        std::uint64_t& in_use = slots_in_use_[place.level];
        for (; in_use != 0; in_use &= in_use - 1) {
            place.index = std::countr_zero(in_use);
            if (!slots_[place.level][place.index].timers.empty()) return true;
        }
    }
    return false;
}

}  // namespace pollard
