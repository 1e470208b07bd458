// gather: several at once, and the results of all, in the order of the arguments.
//
//      struct Both : Coroutine<Both, int, Awaits<Gather<int, void>>> {
//          Result<Gather<int, void>::Values> both;
//          Progress body() {
//              CO_BEGIN;
//              CO_AWAIT(both, gather(Fetch{...}, Log{...}));       a tuple: int, Nothing (core/frame.h)
//              if (!both) CO_RETURN(both.error());                 the first error
//              CO_RETURN(std::get<0>(*both));
//              CO_END;
//          }
//      };
//
//      gather(a, b, c)          a tuple of values; the first error (or cancelled child) goes out at once
//      gather_results(a, b, c)  a tuple of Results; waits for all of them
//      gather(tasks)            for a number known at run time: a row of TaskRefs, or of futures or both (child.h), which
//      gather_results(tasks)    must stay where it is. Gives that row again, all of it done: the values stay in the tasks
//
// A child is a task (its name, or a copy), a future (its name), or a coroutine, of which a task is made at once, in
// argument order. After the
// first error the others run on, as in asyncio; so they cannot stand inside the waiting frame. What they end with counts
// as seen. A task that stands twice among the arguments has two places in the result.
//
//      children run ---the last ends----------------------------> values
//          |  \---one fails (gather)------------------------------> its error; the others run on
//          \------the waiter is cancelled: all children are cancelled; the await ends when they have:
//                 gather: with the first that ends cancelled (or fails); gather_results: after all, cancelled.
//                 `cancelled` even if a child handled the request and gave a value.
//
// Read next: core/combinators/gather.cc.
#pragma once

#include <cstddef>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include "core/awaitable.h"
#include "core/combinators/watch.h"

namespace pollard {

/// The part that is the same for all.
class Gathering : Watcher {
public:
    explicit Gathering(bool collects) : Watcher(on_child_ended), collects_(collects) {}

    /// Before start: it fails with this error, and the children made so far are cancelled.
    void refuse(const Error& error) { refused_ = error; }
    bool refused() const { return refused_.kind != ErrorKind::none; }
    bool start(std::span<Watch> children, Frame& frame_waiting);
    CancelOutcome cancel();
    void withdraw_cancel() { told_cancelled = false; }
    bool failed() const;
    /// Why it failed.
    Error error() const;

private:
    static void on_child_ended(Watcher& watcher, Watch& child);
    void count(Watch& child);
    void fail_with(Watch& child);
    void finish();

    std::span<Watch> children_;
    std::size_t left_ = 0;
    Watch* first_failed_ = nullptr;
    bool collects_;
    bool finished_ = false;
    bool children_cancelled_ = false;
    Error refused_;
};

template <class T>
using ValueOrNothing = std::conditional_t<std::is_void_v<T>, Nothing, T>;

/// The await of gather and gather_results with the children as arguments.
template <bool collects, class... T>
class [[nodiscard]] GatherTuple {
public:
    /// Its children do not need a waiter: see wait_for.h.
    static constexpr bool runs_by_itself = true;
    using Values = std::conditional_t<collects, std::tuple<Result<T>...>, std::tuple<ValueOrNothing<T>...>>;

    template <class... Children>
    explicit GatherTuple(std::in_place_t, Children&&... children) : gathering_(collects) {
        std::size_t i = 0;
        (add(i, std::forward<Children>(children)), ...);
    }

    bool start(Frame& waiter) { return gathering_.start(watches_.all(), waiter); }
    bool failed() const { return gathering_.failed(); }
    Result<Values> result() {
        if (failed()) return gathering_.error();
        return take(std::index_sequence_for<T...>());
    }
    CancelOutcome cancel() { return gathering_.cancel(); }
    void withdraw_cancel() { gathering_.withdraw_cancel(); }
    void describe(Text& text) const { describe_pending(watches_.all(), text); }

private:
    template <class Child>
    void add(std::size_t& i, Child&& child) {
        if (gathering_.refused()) {
            if constexpr (!AnyChild<Child>) child.close_unstarted();
            return;
        }
        const Error refusal = hold_child(watches_.all()[i++], std::forward<Child>(child));
        if (refusal.kind != ErrorKind::none) gathering_.refuse(refusal);
    }
    template <class Value>
    static auto value_of(const Watch& watch) {
        if constexpr (collects)
            return watch.result<Value>();
        else if constexpr (std::is_void_v<Value>)
            return Nothing{};
        else
            return watch.result<Value>().value();
    }
    template <std::size_t... i>
    Result<Values> take(std::index_sequence<i...>) {
        return Values(value_of<T>(watches_.all()[i])...);
    }

    Watches<sizeof...(T)> watches_;
    Gathering gathering_;
};

template <class... T>
using Gather = GatherTuple<false, T...>;
template <class... T>
using GatherResults = GatherTuple<true, T...>;

template <class... Children>
Gather<ValueOf<Children>...> gather(Children&&... children) {
    return Gather<ValueOf<Children>...>(std::in_place, std::forward<Children>(children)...);
}
template <class... Children>
GatherResults<ValueOf<Children>...> gather_results(Children&&... children) {
    return GatherResults<ValueOf<Children>...>(std::in_place, std::forward<Children>(children)...);
}

/// The await of both for a row: GatherMany<int> of tasks, GatherMany<Future<int>*>, GatherMany<Child<int>>. Errors of its
/// own: out_of_memory.
template <class Key>
class [[nodiscard]] GatherMany {
public:
    static constexpr bool runs_by_itself = true;
    using Values = std::span<const ItemOf<Key>>;

    GatherMany(Values tasks, bool collects) : tasks_(tasks), gathering_(collects) {
        if (!watches_.reserve(tasks.size())) gathering_.refuse(Error(ErrorKind::out_of_memory, Call::gather));
        for (std::size_t i = 0; i < watches_.all().size(); ++i) watches_.all()[i].hold(watched(tasks[i]));
    }

    bool start(Frame& waiter) { return gathering_.start(watches_.all(), waiter); }
    bool failed() const { return gathering_.failed(); }
    Result<Values> result() {
        if (failed()) return gathering_.error();
        return tasks_;
    }
    CancelOutcome cancel() { return gathering_.cancel(); }
    void withdraw_cancel() { gathering_.withdraw_cancel(); }
    void describe(Text& text) const { describe_pending(watches_.all(), text); }

private:
    Values tasks_;
    Watches<std::dynamic_extent> watches_;
    Gathering gathering_;
};

template <RangeOfChildren R>
GatherMany<KeyOfRange<R>> gather(R&& tasks) {
    return GatherMany<KeyOfRange<R>>(std::span(std::ranges::data(tasks), std::ranges::size(tasks)), false);
}
template <RangeOfChildren R>
GatherMany<KeyOfRange<R>> gather_results(R&& tasks) {
    return GatherMany<KeyOfRange<R>>(std::span(std::ranges::data(tasks), std::ranges::size(tasks)), true);
}

}  // namespace pollard
