// Watch: how a combinator waits for several tasks at once.
//
// A frame that waits for one task stands in that task's `waiters` with its own links. A combinator waits for many, so
// it needs one node for each: a Watch. When the task is done, its watch goes to the ready queue with everything else
// that waited, and in its turn tells the combinator, which decides whether the frame behind it goes on:
//
//      task A  waiters -> [watch]--.
//      task B  waiters -> [watch]---+--> Watcher (gather, wait, ...) --> waiter: the frame that awaits it
//      task C  waiters -> [watch]--'
//
// So from a task that ends to the frame behind a combinator it is two turns: one for the watch, one for the frame.
// asyncio counts the same (the done-callback, then the wake-up).
//
// The watches stand inside the combinator, which stands in the frame's slot: a fixed number of children needs no
// memory of its own, and a number known at run time takes one block (Watches). Who draws the graph of who waits for
// whom goes from a task through `WorkType::wakes` of its watches to the frame behind them (core/await_graph.h).
//
// What a child is, and why: asyncio makes a task of each coroutine that may go on when the waiting is over (in gather
// after the first error, behind a shield), and so does Pollard: a block from the loop's pool, used again afterwards.
// What always ends before its waiter does (wait_for, timeout) stands in place, with no task of its own.
//
// Thread rule: the loop's thread only.
//
// Read next: core/combinators/gather.h.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <ranges>
#include <span>
#include <type_traits>

#include "core/scheduler.h"
#include "core/task.h"
#include "platform/work.h"

namespace pollard {

struct Watch;

/// A combinator, as its children see it.
struct Watcher {
    /// In its turn, once for each child that has ended.
    void (*child_ended)(Watcher& watcher, Watch& child);
    /// The frame that awaits the combinator; null before and after.
    Frame* waiter = nullptr;

    explicit Watcher(void (*tell)(Watcher&, Watch&)) : child_ended(tell) {}
    Watcher(const Watcher&) = delete;

    /// The frame goes on in the next turn. Harmless when it will anyway.
    void wake() const {
        if (waiter != nullptr && !waiter->linked()) current_scheduler->make_ready(*waiter);
    }
};

/// A combinator's node in the list of one task, and its counted reference to that task.
struct Watch : Work {
    Watcher* watcher = nullptr;
    TaskState* task = nullptr;

    Watch() : Work(&run_type) {}
    Watch(const Watch&) = delete;
    ~Watch() { let_go(); }

    /// Refers to the task; does not wait yet.
    void hold(TaskState& child);
    /// From now on `by` is told of the end. If it has ended already: in the next turn.
    void begin(Watcher& by);
    /// Does not wait any more, and does not refer to the task any more.
    void let_go();

    bool failed() const { return task->root().flags.failed; }
    bool cancelled() const { return task->root().flags.cancelled; }
    /// What the task has failed with; now somebody knows of it.
    Error take_error() const;

    static const WorkType run_type;
};
static_assert(sizeof(void*) != 8 || sizeof(Watch) == 40);

/// A fixed number of watches, in place.
template <std::size_t count>
class Watches {
public:
    static constexpr bool reserve(std::size_t) { return true; }
    std::span<Watch> all() { return watches_; }
    std::span<const Watch> all() const { return watches_; }

private:
    std::array<Watch, count> watches_;
};

/// As many as there turn out to be, in one block of the loop's pool.
template <>
class Watches<std::dynamic_extent> {
public:
    Watches() = default;
    Watches(const Watches&) = delete;
    ~Watches();

    /// False: memory is out, and there are none.
    bool reserve(std::size_t count);
    std::span<Watch> all() { return {first_, count_}; }
    std::span<const Watch> all() const { return {first_, count_}; }

private:
    Watch* first_ = nullptr;
    std::size_t count_ = 0;
    TaskPool* home_ = nullptr;
};

/// "2 of 3 tasks: Fetch#4, Fetch#5": those that have not ended.
void describe_pending(std::span<const Watch> children, Text& text);

template <class T>
struct IsTaskRef : std::false_type {};
template <class T>
struct IsTaskRef<TaskRef<T>> : std::true_type {};
template <class T>
concept AnyTaskRef = IsTaskRef<std::remove_cvref_t<T>>::value;

/// Tasks in a row, in memory that outlives the expression: a span, or an array or vector that has a name.
template <class R>
concept RangeOfTasks = std::ranges::contiguous_range<R> && std::ranges::sized_range<R> &&
                       std::ranges::borrowed_range<R> && AnyTaskRef<std::ranges::range_value_t<R>>;
template <RangeOfTasks R>
using TaskValueOf = typename std::ranges::range_value_t<R>::value_type;

/// The state of a task that somebody names; he must have set it.
template <AnyTaskRef Ref>
TaskState& state_of(const Ref& task) {
    POLLARD_REQUIRE(task, "this TaskRef refers to no task: it was moved from, or never set");
    return task.state();
}

/// A task as it is; of a coroutine, a new task.
template <AnyTaskRef Ref>
Result<std::remove_cvref_t<Ref>> as_task(Ref&& task) {
    return std::remove_cvref_t<Ref>(std::forward<Ref>(task));
}
template <class C>
    requires(!AnyTaskRef<C>)
Result<TaskRef<ValueOf<C>>> as_task(C&& coroutine) {
    return create_task_on(*current_scheduler, std::forward<C>(coroutine));
}

}  // namespace pollard
