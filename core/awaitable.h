// Awaitable: anything a frame can wait for.
//
//      bool start(Frame& waiter)   begins. True: the result is there. False: `waiter` will be made ready
//      auto result()               a Result<T>; asked once, when it is there
//      bool failed()               the result, when it is there, is an error
//      T value()                   if there is one: the value alone, when it has not failed
//      CancelOutcome cancel()      asks for an early end; see CancelOutcome in core/frame.h
//      void describe(Text&) const  what exactly is waited for, for people
//      void abandon()              if there is one: the frame is destroyed without waiting for the result
//      void withdraw_cancel()      if there is one: the result was there already when `cancel` was asked, and the request
//                                  has been taken back before the frame ran: it gives its result after all
//      TaskState* task_behind()    if there is one: the task to which a request is passed on; null: none, ask `cancel`
//
// `start` calls tell_await, so that an observer hears of it before what it leads to.
//
// Sleep, an operation, a task, another coroutine: all alike to a frame, to `co_await`, and to what combines
// them.
//
// A value (`peer.recv(bytes)`, `Child{...}`) is built in the frame's slot and destroyed when its result has
// been taken. A named thing (a task held in a field) is waited for where it is.
#pragma once

#include <concepts>
#include <type_traits>

#include "core/frame.h"
#include "core/scheduler.h"

namespace pollard {

/// For `start`: notes since when the frame waits, and tells the observer, if there is one.
inline void tell_await(Frame& waiter) {
    waiter.since_turn = current_scheduler->turn_count;
    if (current_observer != nullptr) [[unlikely]]
        current_observer->frame_awaits(*current_observer, waiter);
}

template <class A>
concept Awaitable = requires(A awaitable, const A& constant, Frame& waiter, Text& text) {
    { awaitable.start(waiter) } -> std::same_as<bool>;
    { constant.failed() } -> std::same_as<bool>;
    { awaitable.cancel() } -> std::same_as<CancelOutcome>;
    awaitable.result();
    constant.describe(text);
};

/// Waits for a named thing without owning it. Begins with a pointer, as AwaitedType::Kind::child_pointer
/// asks.
template <class A>
struct Reference {
    A* target;
    explicit Reference(A& named) : target(&named) {}

    bool start(Frame& waiter) { return target->start(waiter); }
    auto result() { return target->result(); }
    bool failed() const { return target->failed(); }
    CancelOutcome cancel() { return target->cancel(); }
    void describe(Text& text) const { target->describe(text); }

    static constexpr AwaitedType::Kind awaited_kind =
        std::derived_from<A, Frame> ? AwaitedType::Kind::child_pointer : AwaitedType::Kind::leaf;
};

template <class Expression>
struct SlotTypeOf {
    using Type = Expression;
};
template <class A>
struct SlotTypeOf<A&> {
    using Type = Reference<A>;
};
template <class A>
    requires requires { typename A::AwaitedByName; }
struct SlotTypeOf<A&> {
    using Type = typename A::AwaitedByName;
};
template <class A>
struct SlotTypeOf<A&&> {
    static_assert(!std::is_same_v<A, A>, "await a value, made here, or a named thing; not something moved");
};
/// What stands in the slot while a frame waits for an expression of this type.
template <class Expression>
using SlotType = typename SlotTypeOf<Expression>::Type;

template <class A>
constexpr AwaitedType::Kind awaited_kind_of() {
    if constexpr (requires { A::awaited_kind; })
        return A::awaited_kind;
    else
        return std::derived_from<A, Frame> ? AwaitedType::Kind::child : AwaitedType::Kind::leaf;
}

template <class A>
constexpr auto withdraw_cancel_of() -> void (*)(void*) {
    if constexpr (requires(A& a) { a.withdraw_cancel(); })
        return [](void* awaited) { static_cast<A*>(awaited)->withdraw_cancel(); };
    else
        return nullptr;
}

template <class A>
constexpr auto task_behind_of() -> TaskState* (*)(void*) {
    if constexpr (requires(A& a) { a.task_behind(); })
        return [](void* awaited) { return static_cast<A*>(awaited)->task_behind(); };
    else
        return nullptr;
}

template <class A>
inline constexpr AwaitedType awaited_type = {
    .name = type_name<A>,
    .kind = awaited_kind_of<A>(),
    .cancel = [](void* awaited) { return static_cast<A*>(awaited)->cancel(); },
    .abandon =
        [](void* awaited) {
            if constexpr (requires(A& a) { a.abandon(); }) static_cast<A*>(awaited)->abandon();
        },
    .destroy = [](void* awaited) { static_cast<A*>(awaited)->~A(); },
    .describe = [](const void* awaited, Text& text) { static_cast<const A*>(awaited)->describe(text); },
    .withdraw_cancel = withdraw_cancel_of<A>(),
    .task_behind = task_behind_of<A>(),
};

/// The value type of what awaiting an expression of this type gives.
template <class Expression>
using AwaitResult = decltype(std::declval<SlotType<Expression>&>().result());

}  // namespace pollard
