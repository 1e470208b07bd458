// Callback: a function to call once, in its turn.
//
//      Callback greet([](void* name) { std::puts(static_cast<const char*>(name)); }, who);
//      loop.call_soon(greet);
//      future.add_done_callback(greet);
//
// It is a Work like a frame, so it stands in the same lists and keeps its place among them. The caller owns it and
// keeps it until it has run or was cancelled: it is its own handle, and costs no allocation. (The forms of call_soon
// and add_done_callback that take a lambda use a block of the loop's; see core/event_loop.h.)
//
// Read next: core/event_loop.h, core/future.h.
#pragma once

#include "platform/result.h"
#include "platform/work.h"

namespace pollard {

struct Callback : Work {
    void (*function)(void* context);
    void* context;
    Callback* next_from_other_threads = nullptr;

    Callback(void (*call)(void*), void* with) : Work(&run_type), function(call), context(with) {}
    /// Before its turn: it never runs, also when it stands in this turn's batch already. Afterwards: no
    /// effect.
    void cancel() { unlink(); }

private:
    static const WorkType run_type;
};
inline constexpr WorkType Callback::run_type = {[](Work* work) {
                                                    auto* callback = static_cast<Callback*>(work);
                                                    callback->function(callback->context);
                                                },
                                                "a callback"};

/// Puts `callback` at the end of those who wait for something to be done, or, when it is done, of `ready`: it is never
/// called at once.
inline void add_done_callback(bool done, WorkList& waiters, WorkList& ready, Work& callback) {
    POLLARD_REQUIRE(!callback.linked(),
                    "this callback is registered already: use one Callback for each place");
    (done ? ready : waiters).push_back(callback);
}

/// How many were taken out: 0 when it is not registered, or is on its way already (then it runs).
inline int remove_done_callback(bool done, Callback& callback) {
    if (done || !callback.linked()) return 0;
    callback.unlink();
    return 1;
}

}  // namespace pollard
