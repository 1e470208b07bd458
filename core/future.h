// Future: a result that somebody else will bring.
//
//      struct Ask : Coroutine<Ask, int, Awaits<Future<int>&>> {
//          Future<int>* answer;                            elsewhere, later:
//          Result<int> got;
//          Progress body() {                               (void)answer.set_result(42);
//              CO_BEGIN;
//              CO_AWAIT(got, *answer);
//              CO_RETURN(got);
//              CO_END;
//          }
//      };
//
//      pending --- set_result, set_error ---> finished      once; whoever waits is made ready,
//         |                                                 in the order in which they came
//         +------- cancel ------------------> cancelled
//
// It is the place where the world of callbacks and the world of frames meet: one side waits, the other side says how
// it ended. Any number of frames may wait for it, and callbacks beside them, all in one list. When it is done the
// whole list joins the ready queue, so that each of them runs in the next turn and none of them inside `set_result`.
// Waiting allocates nothing: a frame stands there with its own links, a Callback with its.
//
// Cancelling a frame that waits for a future cancels the **future**, as in asyncio: all others who wait for it are told
// `cancelled` too, although nobody asked them to end. (Where that is not meant: shield.) If the result was there and
// only the frame had not run yet, the frame is told `cancelled` and the future keeps its result.
//
// A future has no owner but the one who made it: it is an object, on nobody's heap. Like a frame it may move until it
// is first used. It must not go while a frame waits for it.
//
// Thread rule: its loop's thread only. Another thread hands the loop a callback that sets it:
// LoopHandle::call_soon_threadsafe.
//
// Read next: core/task.h. A task is the same towards those who wait for it, and runs a coroutine besides.
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include "core/awaitable.h"
#include "core/callback.h"
#include "core/scheduler.h"
#include "core/task.h"
#include "platform/result.h"
#include "platform/work.h"

namespace pollard {

/// What all futures have in common, whatever their value.
class FutureState {
public:
    enum class State : std::uint8_t { pending, finished, cancelled };

    FutureState(const FutureState&) = delete;
    FutureState& operator=(const FutureState&) = delete;

    State state() const { return state_; }
    bool done() const { return state_ != State::pending; }
    bool cancelled() const { return state_ == State::cancelled; }

    /// Calls `callback` when this is done, in its turn; if it is done, in the next turn. The caller keeps it as long.
    /// A future that goes while it is pending never calls it.
    void add_done_callback(Callback& callback) {
        bind();
        pollard::add_done_callback(done(), waiters_, *home_, callback);
    }
    /// The same for a lambda, in a pooled block; CallHandle::cancel takes it back. Error: out_of_memory.
    template <class F>
    Result<CallHandle> add_done_callback(F function) {
        bind();
        return add_done_lambda(done(), waiters_, *home_, std::move(function));
    }
    /// How many were taken out: 1, or 0 when it is not registered or on its way already.
    int remove_done_callback(Callback& callback) const {
        return pollard::remove_done_callback(done(), callback);
    }

    void describe(Text& text) const;

    // --- for the frames that wait ---

    /// It belongs to the loop on which it is first waited for.
    void bind() {
        if (home_ == nullptr) home_ = current_scheduler;
        POLLARD_REQUIRE(home_ != nullptr,
                        "a future needs a loop: make it with one, or wait for it in a coroutine");
        check_loop();
    }
    /// A frame, or what makes one ready (core/combinators/watch.h).
    void add_waiter(Work& waiter) {
        bind();
        waiters_.push_back(waiter);
    }
    /// No report of its error when it goes.
    void see() const { result_seen_ = true; }

protected:
    FutureState() = default;
    explicit FutureState(Scheduler& owner) : home_(&owner) {}
    FutureState(FutureState&& other) noexcept : home_(other.home_) {
        POLLARD_REQUIRE(!other.done() && other.waiters_.empty(),
                        "a future that is in use cannot move: others point to it");
    }
    ~FutureState() = default;

    /// Those who wait are made ready.
    void complete(State how);
    /// The message is its object; without one, the message of the task through which the request came.
    static Error error_of_cancel(std::string_view message);
    /// The future goes, with what it holds.
    void close(const Error& error);

    State state_ = State::pending;
    /// Somebody has seen how it ended, or said that it does not matter.
    mutable bool result_seen_ = false;

private:
    void check_loop() const {
        POLLARD_REQUIRE(current_scheduler == nullptr || home_ == nullptr || home_ == current_scheduler,
                        "this future belongs to another loop: let a callback set it there, with "
                        "LoopHandle::call_soon_threadsafe, and wait for it there");
    }

    /// Frames and callbacks, in the order in which they came.
    WorkList waiters_;
    Scheduler* home_ = nullptr;
};

template <class T>
class Future : public FutureState {
public:
    using value_type = T;
    struct AwaitedByName;

    /// Of the loop on which it is first waited for.
    Future() = default;
    /// Of this loop.
    explicit Future(Scheduler& owner) : FutureState(owner) {}
    Future(Future&&) noexcept = default;
    ~Future() { close(outcome_.error()); }

    /// Finishes it. Error: invalid_state when it is done already.
    template <class Value = T>
        requires(!std::is_void_v<Value>)
    Result<void> set_result(std::type_identity_t<Value> value) {
        return finish(Result<T>(std::move(value)));
    }
    Result<void> set_result()
        requires std::is_void_v<T>
    {
        return finish({});
    }
    /// The same with an error. Error: invalid_state when it is done; invalid_argument for what is no error (kind
    /// `none`), or the end of a generator (kind `stopped`): who waits would take it for the end of its own.
    Result<void> set_error(const Error& error) {
        if (error.kind == ErrorKind::none || error.kind == ErrorKind::stopped)
            return Error(ErrorKind::invalid_argument, Call::set_result).on("future");
        return finish(Result<T>(error));
    }
    /// True: it is cancelled now, and whoever waits for it is told so, with the message. False: it was done.
    bool cancel(std::string_view message = {}) {
        result_seen_ = true;
        if (done()) return false;
        outcome_ = Result<T>(error_of_cancel(message));
        complete(State::cancelled);
        return true;
    }

    /// What it ended with; Error{invalid_state} while it is pending. May be asked any number of times.
    Result<T> result() const {
        if (!done()) return Error(ErrorKind::invalid_state, Call::await).on("future");
        result_seen_ = true;
        return outcome_;
    }
    /// The error it ended with (kind `none`: it has a value); invalid_state while it is pending.
    Error error() const { return result().error(); }
    /// It has ended with an error, or was cancelled.
    bool failed() const { return done() && !outcome_; }

private:
    Result<void> finish(Result<T> outcome) {
        if (done()) return Error(ErrorKind::invalid_state, Call::set_result).on("future");
        outcome_ = std::move(outcome);
        complete(State::finished);
        return {};
    }

    Result<T> outcome_ = Error(ErrorKind::invalid_state, Call::await);
};

/// `CO_AWAIT(result, future)`, `co_await future`.
template <class T>
struct Future<T>::AwaitedByName {
    Future* future;
    bool cancelled_after_end = false;

    explicit AwaitedByName(Future& named) : future(&named) {}

    bool start(Frame& frame_waiting) {
        tell_await(frame_waiting);
        if (future->done()) return true;
        future->add_waiter(frame_waiting);
        return false;
    }
    bool failed() const { return cancelled_after_end || future->failed(); }
    Result<T> result() {
        if (cancelled_after_end) return cancelled_error("future");
        if (current_scheduler->cancel_messages != 0) [[unlikely]]
            forget_cancel_message_here();
        return future->result();
    }
    /// Done, and the frame is on its way: it is told `cancelled` all the same, unless that is what it will be told.
    CancelOutcome cancel() {
        if (!future->cancel() && future->outcome_.error().kind != ErrorKind::cancelled)
            cancelled_after_end = true;
        return CancelOutcome::accepted;
    }
    void withdraw_cancel() { cancelled_after_end = false; }
    void describe(Text& text) const { future->describe(text); }
};

}  // namespace pollard
