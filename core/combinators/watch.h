// Watch: how a combinator waits for several tasks and futures at once.
//
// A frame that waits for one task stands in that task's `waiters` with its own links. A combinator waits for many, so
// it needs one node for each: a Watch. When the task is done, its watch goes to the ready queue with everything else
// that waited, and in its turn tells the combinator, which decides whether the frame behind it goes on. With a future it
// is the same; what differs between the two stands in the watch's type (WatchType).
//
//      task A  waiters -> [watch]--.
//      task B  waiters -> [watch]---+--> Watcher (gather, wait, ...) --> waiter: the frame that awaits it
//      future  waiters -> [watch]--'
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
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include "core/combinators/child.h"
#include "core/future.h"
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

    // For those that pass no request on: the frame is told `cancelled`, unless the request is taken back after the end
    // and before its turn.
    bool told_cancelled = false;
    bool told_after_end = false;
    void tell_cancelled() {
        if (!told_cancelled) told_after_end = waiter->linked();
        told_cancelled = true;
        wake();
    }
    void take_back_cancel() {
        if (told_after_end) told_cancelled = false;
    }
};

/// What a combinator asks of a child, for tasks and for futures of each type. One constexpr record a type.
struct WatchType : WorkType {
    /// Stays until `let_go`; it is a mistake if it belongs to another loop.
    void (*hold)(void* child);
    void (*let_go)(void* child);
    bool (*done)(const void* child);
    void (*add_waiter)(void* child, Work& watch);
    CancelOutcome (*ask_to_end)(void* child);
    /// Somebody knows how it ended, or does not want to.
    void (*see)(void* child);
    void (*describe)(void* child, Text& text);
    // When it is done:
    bool (*failed)(const void* child);
    bool (*cancelled)(const void* child);
    Error (*error)(const void* child);
};

/// A child without its type.
struct Watched {
    const WatchType* type;
    void* child;
};

/// A combinator's node in the list of one child, and its reference to that child: of a task a counted one.
struct Watch : Work {
    Watcher* watcher = nullptr;
    void* child = nullptr;

    Watch() : Work(&on_task) {}
    Watch(const Watch&) = delete;
    ~Watch() { let_go(); }

    /// Refers to the child; does not wait yet.
    void hold(const Watched& what);
    /// From now on `by` is told of the end. If it has ended already: in the next turn.
    void begin(Watcher& by);
    /// Does not wait any more, and does not refer to the child any more.
    void let_go();

    const WatchType& watch_type() const { return *static_cast<const WatchType*>(type); }
    bool is_task() const { return type == &on_task; }
    TaskState& task() const { return *static_cast<TaskState*>(child); }
    template <class T>
    Future<T>& future() const {
        return static_cast<Future<T>&>(*static_cast<FutureState*>(child));
    }

    bool done() const { return watch_type().done(child); }
    bool failed() const { return watch_type().failed(child); }
    bool cancelled() const { return watch_type().cancelled(child); }
    void see() const { watch_type().see(child); }
    /// As TaskState::ask_to_end.
    CancelOutcome ask_to_end() const { return watch_type().ask_to_end(child); }
    /// What the child has failed with; now somebody knows of it.
    Error take_error() const {
        see();
        return watch_type().error(child);
    }
    /// What it has ended with.
    template <class T>
    Result<T> result() const {
        return is_task() ? TaskRef<T>(task()).result() : future<T>().result();
    }

    /// In its turn.
    static void run_turn(Work* work);
    static Work* frame_behind(const Work* work) { return static_cast<const Watch*>(work)->watcher->waiter; }
    static const WatchType on_task;
};
static_assert(sizeof(void*) != 8 || sizeof(Watch) == 40);

/// What a watch on a future needs not know the value's type for.
struct WatchOnFuture {
    static FutureState& state(void* child) { return *static_cast<FutureState*>(child); }
    static void hold(void* child) { state(child).bind(); }
    static void let_go(void*) {}
    static bool done(const void* child) { return static_cast<const FutureState*>(child)->done(); }
    static bool cancelled(const void* child) { return static_cast<const FutureState*>(child)->cancelled(); }
    static void add_waiter(void* child, Work& watch) { state(child).add_waiter(watch); }
    static void see(void* child) { state(child).see(); }
    static void describe(void* child, Text& text) { state(child).describe(text); }
};
template <class T>
struct WatchOn : WatchOnFuture {
    static const Future<T>& future(const void* child) {
        return static_cast<const Future<T>&>(*static_cast<const FutureState*>(child));
    }
    static CancelOutcome ask_to_end(void* child) {
        const bool taken = static_cast<Future<T>&>(state(child)).cancel();
        return taken ? CancelOutcome::accepted : CancelOutcome::refused;
    }
    static bool failed(const void* child) { return future(child).failed(); }
    static Error error(const void* child) { return future(child).error(); }
};
template <class T>
inline constexpr WatchType watch_on_future{
    {Watch::run_turn, "a watch on a future", false, Watch::frame_behind},
    WatchOn<T>::hold,
    WatchOn<T>::let_go,
    WatchOn<T>::done,
    WatchOn<T>::add_waiter,
    WatchOn<T>::ask_to_end,
    WatchOn<T>::see,
    WatchOn<T>::describe,
    WatchOn<T>::failed,
    WatchOn<T>::cancelled,
    WatchOn<T>::error,
};

template <class T>
Watched watched(const TaskRef<T>& task) {
    POLLARD_REQUIRE(task, "this TaskRef refers to no task: it was moved from, or never set");
    return {&Watch::on_task, &task.state()};
}
template <class T>
Watched watched(Future<T>& future) {
    return {&watch_on_future<T>, static_cast<FutureState*>(&future)};
}
template <class T>
Watched watched(Future<T>* future) {
    POLLARD_REQUIRE(future != nullptr, "a null pointer stands where a future is awaited");
    return watched(*future);
}
template <class T>
Watched watched(const Child<T>& child) {
    return child.future() != nullptr ? watched(*child.future()) : watched(child.task());
}

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

/// "2 of 3 tasks: Fetch#4, a future": those that have not ended.
void describe_pending(std::span<const Watch> children, Text& text);

/// A task or a future as it is; of a coroutine, a new task. What it gives is why there is none.
template <class C>
Error hold_child(Watch& watch, C&& child) {
    static_assert(!AnyChild<C> || NamedChild<C>, "a future is waited for where it stands: give it a name");
    static_assert(AnyChild<C> || !std::is_lvalue_reference_v<C>,
                  "a task is made of a coroutine: pass it by value or std::move, or pass a task or a future");
    if constexpr (AnyChild<C>) {
        watch.hold(watched(child));
    } else {
        const auto task = create_task_on(*current_scheduler, std::forward<C>(child));
        if (!task) return task.error();
        watch.hold(watched(*task));
    }
    return {};
}

}  // namespace pollard
