// timeout: whatever is inside has only so much time.
//
//      CO_AWAIT(page, timeout(2 * second_ns, Fetch{...}));        around one await: timed_out, or what Fetch gives
//
//      limit.enter(2 * second_ns);                                around several: `limit` is a TimeoutScope,
//      CO_AWAIT(hello, peer.recv(bytes));                         a field of the frame
//      if (hello) CO_AWAIT(sent, peer.send_all(bytes));
//      sent = limit.exit(hello ? sent : hello.error());
//
// A timeout is a cancellation that its own maker catches. When the time has passed it cancels the task that it was
// entered in. Whatever the task waits for then ends with `cancelled`, and in `exit` that becomes `timed_out`. Between
// this request and others decides the task's count of requests, which is remembered in `enter`:
//
//      created --enter--> active --the time has passed: cancel the task--> expiring
//                            |                                                |
//                            exit: as the body ended                          exit: uncancel. The body ended
//                            v                                                v   - cancelled, and no request is left that
//                         finished                                         expired  was not there in `enter`: timed_out
//                                                                             - otherwise: as it ended. So a value that
//                                                                               came after all is kept, and somebody
//                                                                               else's request goes on outwards
//
// So two nested timeouts of the same deadline do the right thing: the inner one sees one request too many and lets
// `cancelled` pass, the outer one makes it `timed_out`. And a kernel operation that has won against the request (its
// result is there) is delivered; then the request meets the next await of the body, or is taken back in `exit`.
//
// `timeout` holds what it waits for at its own beginning, so that for the tools it looks like that thing itself. It has
// no frame and no task of its own, because what is inside ends first. What cannot move into it (a Sleep, a receive) is
// made in place by a lambda: `timeout(second_ns, [&] { return peer.recv(bytes); })`, of the type Timeout<Recv>. Behind
// a co_await a hand-written frame is one of these (see in_place in core/co_await.h).
//
// Read next: core/combinators/wait_for.h.
#pragma once

#include <cstdint>
#include <utility>

#include "core/awaitable.h"
#include "core/event_loop.h"
#include "core/task.h"
#include "platform/clock.h"
#include "platform/result.h"

namespace pollard {

class TimeoutScope {
public:
    TimeoutScope();
    /// Only before it is entered.
    TimeoutScope(TimeoutScope&& other) noexcept;
    /// A scope that was not left is left here: the timer goes, and the request is taken back.
    ~TimeoutScope() { leave(false); }

    /// In a task, once. `never_ns`: no deadline for now (see reschedule). A deadline that has passed meets the first
    /// await that suspends; a body without one is not met.
    void enter(std::int64_t delay_ns);
    void enter_at(std::int64_t when_ns);
    /// For an awaitable: the frame it is entered for.
    void enter_at(std::int64_t when_ns, Frame& inside);

    /// `body`: how it ended. Gives the same, or timed_out.
    template <class T>
    [[nodiscard]] Result<T> exit(Result<T> body) {
        if (!leave(!body && body.error().kind == ErrorKind::cancelled)) return body;
        return timed_out_error();
    }
    [[nodiscard]] Error exit(const Error& body) {
        return leave(body.kind == ErrorKind::cancelled) ? timed_out_error() : body;
    }

    /// A new deadline on the loop's clock, or never_ns. Error: invalid_state unless it is active.
    Result<void> reschedule(std::int64_t when_ns);
    /// The deadline on the loop's clock; never_ns: none.
    std::int64_t when_ns() const { return when_ns_; }
    /// The time has passed while the body ran; how the body ended is another matter.
    bool expired() const { return state_ == State::expiring || state_ == State::expired; }

    void describe(Text& text) const;

private:
    enum class State : std::uint8_t { created, active, expiring, expired, finished };

    void set_timer();
    void fire();
    /// True: how the body ended was this timeout's doing. Harmless when it is not inside.
    bool leave(bool body_was_cancelled);
    static Error timed_out_error();

    TimedCallback timer_;
    TaskState* task_ = nullptr;
    std::int64_t when_ns_ = never_ns;
    std::uint32_t requests_before_ = 0;
    State state_ = State::created;
};

/// `delay_ns` from now on the running loop's clock; never_ns stays never.
std::int64_t deadline_after(std::int64_t delay_ns);

/// What stands in a timeout for an expression: as in a frame's slot; or what a lambda gives.
template <class Expression>
struct InsideOf {
    using Type = Expression;
};
template <class Expression>
    requires std::invocable<Expression>
struct InsideOf<Expression> {
    using Type = std::invoke_result_t<Expression>;
};
template <class Expression>
using Inside = typename InsideOf<Expression>::Type;

/// The await of timeout: `Timeout<Fetch>`, or `Timeout<TaskRef<int>&>` for a named thing.
template <class Expression>
class [[nodiscard]] Timeout {
    using A = SlotType<Expression>;
    static_assert(Awaitable<A>, "this cannot be awaited: see the list of functions in core/awaitable.h");

public:
    /// It begins with what it waits for.
    static constexpr AwaitedType::Kind awaited_kind = awaited_kind_of<A>();

    template <class Made>
    Timeout(std::int64_t when_ns, Made&& made) : awaited_(std::forward<Made>(made)), when_ns_(when_ns) {}
    template <class Make>
    Timeout(std::int64_t when_ns, std::in_place_t, Make& make) : awaited_(make()), when_ns_(when_ns) {}
    Timeout(const Timeout&) = delete;

    bool start(Frame& waiter) {
        scope_.enter_at(when_ns_, waiter);
        return awaited_.start(waiter);
    }
    bool failed() const { return awaited_.failed(); }
    auto result() { return scope_.exit(awaited_.result()); }
    CancelOutcome cancel() { return awaited_.cancel(); }
    void withdraw_cancel() {
        if constexpr (requires(A& a) { a.withdraw_cancel(); }) awaited_.withdraw_cancel();
    }
    TaskState* task_behind() {
        if constexpr (requires(A& a) { a.task_behind(); })
            return awaited_.task_behind();
        else
            return nullptr;
    }
    void abandon() {
        if constexpr (requires(A& a) { a.abandon(); }) awaited_.abandon();
    }
    void describe(Text& text) const {
        awaited_.describe(text);
        scope_.describe(text);
    }

    A& awaited() { return awaited_; }

private:
    A awaited_;
    TimeoutScope scope_;
    std::int64_t when_ns_;
};

/// `awaitable` until `when_ns` on the loop's clock (EventLoop::time_ns).
template <class Expression>
Timeout<Inside<Expression>> timeout_at(std::int64_t when_ns, Expression&& awaitable) {
    if constexpr (std::invocable<Expression>)
        return Timeout<Inside<Expression>>(when_ns, std::in_place, awaitable);
    else
        return Timeout<Expression>(when_ns, std::forward<Expression>(awaitable));
}
template <class Expression>
Timeout<Inside<Expression>> timeout(std::int64_t delay_ns, Expression&& awaitable) {
    return timeout_at(deadline_after(delay_ns), std::forward<Expression>(awaitable));
}

}  // namespace pollard
