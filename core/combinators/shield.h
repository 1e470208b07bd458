// shield: wait for a task or a future without being able to cancel it.
//
//      CO_AWAIT(saved, shield(save));           save: a task in a field of the frame
//      CO_AWAIT(saved, shield(answer));         a future
//      CO_AWAIT(saved, shield(Save{...}));      a coroutine: a task is made of it
//
// Who waits for a task by its name and is cancelled cancels the task. Behind a shield the request stops: the waiter is
// told `cancelled` at once, the task knows of nothing and runs on, and an error that it ends with later counts as seen.
// The other way everything passes: the task's value, its error, its cancellation by somebody else.
//
//      waiter ---> shield ---> task          a cancellation of the waiter goes one step,
//             <---        <---               the end of the task goes two (and two turns)
//
// To learn how it ended after all, keep a TaskRef. (A task runs on without one: the loop holds it.)
//
// Read next: core/combinators/timeout.h; `timeout(1 * second_ns, shield(save))` is what a shield is mostly for.
#pragma once

#include <utility>

#include "core/awaitable.h"
#include "core/combinators/watch.h"

namespace pollard {

/// The part that is the same for all.
class Shielding : Watcher {
public:
    template <class Child>
    explicit Shielding(Child&& child) : Watcher([](Watcher& self, Watch&) { self.wake(); }) {
        refused_ = hold_child(child_, std::forward<Child>(child));
    }
    bool start(Frame& frame_waiting);
    CancelOutcome cancel();
    void withdraw_cancel() { take_back_cancel(); }
    bool failed() const { return told_cancelled || child_.child == nullptr || child_.failed(); }
    void describe(Text& text) const;

protected:
    Error error() const;

    Watch child_;

private:
    Error refused_;
};

/// The await of shield. Errors of its own: cancelled; out_of_memory for a coroutine.
template <class T>
class [[nodiscard]] Shield : public Shielding {
public:
    /// Its child does not need a waiter: see wait_for.h.
    static constexpr bool runs_by_itself = true;

    using Shielding::Shielding;
    Result<T> result() const {
        if (failed()) return error();
        return child_.result<T>();
    }
};

template <class Child>
Shield<ValueOf<Child>> shield(Child&& child) {
    return Shield<ValueOf<Child>>(std::forward<Child>(child));
}

}  // namespace pollard
