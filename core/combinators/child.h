// Child: what the combinators take, beside coroutines: a task or a future.
//
//      CO_AWAIT(both, gather(fetch, answer));        fetch: a TaskRef<int>, answer: a Future<int>; both by their names
//
//      Child<int> row[] = {fetch, answer};           a row of both
//      CO_AWAIT(counts, wait(row));
//
// asyncio takes anything that is a Future, and its tasks are futures. Here a task is counted and a future is an object
// of whoever made it, so in a row a task stands as a TaskRef<T>, a future as a Future<T>*, and where the two are mixed
// each stands as a Child<T>. Whoever holds a Child keeps the task, but not the future: that must stay where it is as
// long as anybody waits for it, as ever.
//
// Read next: core/combinators/watch.h.
#pragma once

#include <concepts>
#include <ranges>
#include <type_traits>
#include <utility>

#include "core/future.h"
#include "core/task.h"

namespace pollard {

/// A task or a future that ends with a Result<T>.
template <class T>
class Child {
public:
    using value_type = T;

    Child() = default;
    Child(TaskRef<T> task)
        : task_(std::move(task)) {}                 // NOLINT(google-explicit-constructor): see the row above
    Child(Future<T>& future) : future_(&future) {}  // NOLINT(google-explicit-constructor)
    Child(Future<T>* future) : future_(future) {}   // NOLINT(google-explicit-constructor)

    explicit operator bool() const { return future_ != nullptr || task_; }
    /// One of the two; the other one is empty.
    const TaskRef<T>& task() const { return task_; }
    Future<T>* future() const { return future_; }

    bool done() const { return future_ != nullptr ? future_->done() : task_.done(); }
    bool cancelled() const { return future_ != nullptr ? future_->cancelled() : task_.cancelled(); }
    bool cancel(std::string_view message = {}) const {
        return future_ != nullptr ? future_->cancel(message) : task_.cancel(message);
    }
    /// As that of a TaskRef.
    Result<T> result() const { return future_ != nullptr ? future_->result() : task_.result(); }
    Error error() const { return result().error(); }

private:
    TaskRef<T> task_;
    Future<T>* future_ = nullptr;
};

/// What stands in a row, and the value it ends with. `Key` is what names such a row in GatherMany and AsCompleted:
/// `int` for tasks, as everywhere; `Future<int>*` or `Child<int>`.
template <class Item>
struct ChildTraits {
    static constexpr bool is_child = false;
    static constexpr bool stands_in_rows = false;
};
template <class T>
struct ChildTraits<TaskRef<T>> {
    static constexpr bool is_child = true;
    static constexpr bool stands_in_rows = true;
    using Value = T;
    using Key = T;
};
template <class T>
struct ChildTraits<Child<T>> : ChildTraits<TaskRef<T>> {
    using Key = Child<T>;
};
template <class T>
struct ChildTraits<Future<T>*> : ChildTraits<TaskRef<T>> {
    static constexpr bool is_child = false;  // by its name, it is no pointer
    using Key = Future<T>*;
};
template <class T>
struct ChildTraits<Future<T>> : ChildTraits<TaskRef<T>> {
    static constexpr bool stands_in_rows = false;
};

/// Something that runs whether or not somebody waits for it, given by its name. (Anything else: a coroutine.)
template <class C>
concept AnyChild = ChildTraits<std::remove_cvref_t<C>>::is_child;
/// A child where it can be watched: a future only by its name, because it is waited for where it stands.
template <class C>
concept NamedChild =
    AnyChild<C> && (ChildTraits<std::remove_cvref_t<C>>::stands_in_rows || std::is_lvalue_reference_v<C>);

/// Children in a row, in memory that outlives the expression: a span, or an array or vector that has a name.
template <class R>
concept RangeOfChildren =
    std::ranges::contiguous_range<R> && std::ranges::sized_range<R> && std::ranges::borrowed_range<R> &&
    ChildTraits<std::ranges::range_value_t<R>>::stands_in_rows;
template <RangeOfChildren R>
using KeyOfRange = typename ChildTraits<std::ranges::range_value_t<R>>::Key;

template <class Key>
struct ItemOfKey {
    using Type = TaskRef<Key>;
};
template <class Key>
    requires ChildTraits<Key>::stands_in_rows
struct ItemOfKey<Key> {
    using Type = Key;
};
/// What stands in a row of this key.
template <class Key>
using ItemOf = typename ItemOfKey<Key>::Type;

}  // namespace pollard
