// as_completed: one task after the other, in the order in which they end.
//
//      struct First : Coroutine<First, int, Awaits<AsCompleted<int>::Next>> {
//          std::span<const TaskRef<int>> tasks;
//          AsCompleted<int> finished;
//          Result<TaskRef<int>> task;
//          Progress body() {
//              CO_BEGIN;
//              finished.begin(tasks, 2 * second_ns);
//              for (;;) {
//                  CO_AWAIT(task, finished.next());
//                  if (!task && task.error().kind == ErrorKind::stopped) break;    all have been given
//                  ...                                                            timed_out, or (*task).result()
//
// `next` gives the task itself; its value or its error is its own business: `task->result()`. Tasks that end in the same
// turn come in the order in which they ended. At the timeout each one that is still missing gives one
// Error{timed_out}; nothing is cancelled, neither then nor when the waiter is.
//
//      running --ends--> in the line of the finished --next()--> given
//         \-----the timeout------------------------> missing --next()--> timed_out, once each
//
// AsCompleted<int> takes any number of tasks, with one block for the watches; AsCompleted<int, 3> takes three and has
// them in place. AsCompleted<Future<int>*> takes futures, AsCompleted<Child<int>> both (core/combinators/child.h).
// It may move until it has begun. One frame at a time may wait in next(): a second one is told Error{busy}.
//
// Read next: core/combinators/as_completed.cc.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <type_traits>

#include "core/awaitable.h"
#include "core/combinators/watch.h"
#include "core/event_loop.h"
#include "platform/clock.h"

namespace pollard {

/// The part that is the same for all.
class CompletionOrder : Watcher {
public:
    CompletionOrder();
    ~CompletionOrder() { deadline_.unlink(); }

    void require_unused() const {
        POLLARD_REQUIRE(!begun_, "this AsCompleted has begun: it cannot move or begin again");
    }
    void begin(std::span<Watch> children, std::int64_t timeout_ns);
    /// The memory for the watches is out.
    void refuse() { refused_ = true; }
    void describe(Text& text) const;

protected:
    enum class Answer : std::uint8_t { pending, task, timed_out, stopped, busy, out_of_memory, cancelled };

    /// True: the answer is there.
    bool start_next(Frame& frame_waiting, Answer& answer);
    void end_next(Answer& answer);
    void cancel_next(Answer& answer);
    void withdraw_cancel(Answer& answer) {
        if (cancelled_after_end_) answer = Answer::pending;
    }
    void forget_waiter() { waiter = nullptr; }
    /// The answer has been taken by its waiter; null: it is an error.
    const Watch* take(Answer answer);
    static Error error_of(Answer answer);

private:
    Answer answer_now() const;
    static void on_child_ended(Watcher& watcher, Watch& child);
    void on_timeout();

    TimedCallback deadline_;
    std::span<Watch> children_;
    /// Watches of tasks that have ended and were not given yet.
    WorkList finished_;
    std::size_t running_ = 0;
    std::size_t to_give_ = 0;
    bool begun_ = false;
    bool timed_out_ = false;
    bool refused_ = false;
    bool cancelled_after_end_ = false;
};

template <class Key, std::size_t count = std::dynamic_extent>
class AsCompleted : public CompletionOrder {
public:
    class Next;

    AsCompleted() = default;
    AsCompleted(AsCompleted&& other) noexcept { other.require_unused(); }

    /// From now on these are watched. The row itself need not stay.
    template <RangeOfChildren R>
        requires std::convertible_to<std::ranges::range_value_t<R>, ItemOf<Key>>
    void begin(R&& tasks, std::int64_t timeout_ns = never_ns) {
        require_unused();
        POLLARD_REQUIRE(count == std::dynamic_extent || std::ranges::size(tasks) == count,
                        "AsCompleted<T, n> takes n tasks");
        if (!watches_.reserve(std::ranges::size(tasks))) refuse();
        for (std::size_t i = 0; i < watches_.all().size(); ++i)
            watches_.all()[i].hold(watched(std::ranges::data(tasks)[i]));
        CompletionOrder::begin(watches_.all(), timeout_ns);
    }
    /// The next task that has ended. Errors: timed_out, stopped (there is none left), busy, cancelled.
    Next next() { return Next(*this); }

private:
    Watches<count> watches_;
};

template <class Key, std::size_t count>
class [[nodiscard]] AsCompleted<Key, count>::Next {
public:
    explicit Next(AsCompleted& of) : of_(&of) {}

    bool start(Frame& waiter) { return of_->start_next(waiter, answer_); }
    bool failed() const {
        of_->end_next(answer_);
        return answer_ != Answer::task;
    }
    Result<ItemOf<Key>> result() {
        of_->end_next(answer_);
        if (const Watch* watch = of_->take(answer_)) return item_of(*watch);
        return error_of(answer_);
    }
    CancelOutcome cancel() {
        of_->cancel_next(answer_);
        return CancelOutcome::accepted;
    }
    void withdraw_cancel() { of_->withdraw_cancel(answer_); }
    void abandon() { of_->forget_waiter(); }
    void describe(Text& text) const { of_->describe(text); }

private:
    static ItemOf<Key> item_of(const Watch& watch) {
        using Item = ItemOf<Key>;
        using T = typename ChildTraits<Item>::Value;
        if constexpr (std::is_same_v<Item, TaskRef<T>>)
            return Item(watch.task());
        else if constexpr (std::is_same_v<Item, Future<T>*>)
            return &watch.future<T>();
        else
            return watch.is_task() ? Item(TaskRef<T>(watch.task())) : Item(watch.future<T>());
    }

    AsCompleted* of_;
    /// Settled when it is first asked for, not when the waiter is woken: it may be cancelled in between.
    mutable Answer answer_ = Answer::pending;
};

}  // namespace pollard
