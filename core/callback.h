// Callback: a function to call once, in its turn.
//
//      Callback greet([](void* name) { std::puts(static_cast<const char*>(name)); }, who);
//      loop.call_soon(greet);
//      future.add_done_callback(greet);
//
//      auto handle = loop.call_soon([who] { std::puts(who); });
//
// It is a Work like a frame, so it stands in the same lists and keeps its place among them. In the first form the
// caller owns it and keeps it until it has run or was cancelled: it is its own handle, and costs no allocation. In
// the second it stands in a block of the loop's pool, with the lambda in it and a copy of the context variables of who
// registered it (core/context.h); a handle to that block cancels it.
//
// No task is the current one while a callback runs.
//
// Read next: core/event_loop.h, core/future.h.
#pragma once

#include <cstdint>
#include <new>
#include <utility>

#include "core/context.h"
#include "core/scheduler.h"
#include "core/timers.h"
#include "platform/result.h"
#include "platform/work.h"

namespace pollard {

/// Its own handle; of the caller's.
struct Callback : Work {
    void (*function)(void* context);
    void* context;
    Callback* next_from_other_threads = nullptr;

    Callback(void (*call)(void*), void* with) : Work(&run_type), function(call), context(with) {}
    /// Before its turn: it never runs, also when it stands in this turn's batch already. Afterwards: no
    /// effect.
    void cancel() { unlink(); }

    static const WorkType run_type;
};

/// The same at a time.
struct TimedCallback : Timer {
    void (*function)(void* context);
    void* context;

    TimedCallback(void (*call)(void*), void* with) : Timer(&run_type), function(call), context(with) {}

    static const WorkType run_type;
};

/// A callback in a block of the loop's own: what the forms that take a lambda use. Counted like a task.
struct PooledCall : Timer {
    TaskPool* home;
    Context context;
    std::uint32_t size;
    std::uint32_t references = 2;  // the loop's, and the CallHandle's
    bool finished = false;         // has run, or was cancelled
    bool cancelled = false;        // somebody called cancel, in time or not
    void (*invoke)(PooledCall*);
    void (*destroy_function)(PooledCall*);

    PooledCall(TaskPool* pool, std::uint32_t block_size, void (*call)(PooledCall*),
               void (*destroy)(PooledCall*));
    /// Destroys the lambda, once, and drops the loop's reference.
    void finish();
    void let_go();

    static const WorkType run_type;
};

/// Cancels a call that was given as a lambda. May be dropped at any time: the call stays.
class CallHandle {
public:
    explicit CallHandle(PooledCall& call) : call_(&call) {}
    CallHandle(CallHandle&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
    CallHandle& operator=(CallHandle&& other) noexcept {
        std::swap(call_, other.call_);
        return *this;
    }
    ~CallHandle() {
        if (call_ != nullptr) call_->let_go();
    }
    /// Before its turn: it never runs, also when it stands in this turn's batch already. Afterwards: no effect.
    void cancel();
    /// `cancel` was called, even if it was too late.
    bool cancelled() const { return call_->cancelled; }
    /// Of call_at and call_later: the deadline.
    std::int64_t when_ns() const { return call_->deadline_ns; }

private:
    PooledCall* call_;
};

template <class F>
struct LambdaCall : PooledCall {
    F function;
    LambdaCall(TaskPool* pool, F&& call)
        : PooledCall(
              pool, sizeof(LambdaCall), [](PooledCall* self) { static_cast<LambdaCall*>(self)->function(); },
              [](PooledCall* self) { static_cast<LambdaCall*>(self)->function.~F(); }),
          function(std::move(call)) {}
    ~LambdaCall() = delete;  // finish() destroys the function, the block goes back as it is
};

/// A lambda in a block, to be put in a list of works; null when memory is out, or there is no pool.
template <class F>
PooledCall* make_pooled_call(TaskPool* pool, F function) {
    static_assert(alignof(LambdaCall<F>) <= 16, "blocks are aligned to 16 bytes");
    if (pool == nullptr) return nullptr;
    void* memory = pool->blocks.take(sizeof(LambdaCall<F>));
    if (memory == nullptr) return nullptr;
    return ::new (memory) LambdaCall<F>(pool, std::move(function));
}

// --- what a Future and a Task have in common: callbacks that wait for their end ---

/// Puts `callback` at the end of those who wait, or, when it is `done`, of the ready queue: it is never called at once.
inline void add_done_callback(bool done, WorkList& waiters, Scheduler& scheduler, Work& callback) {
    POLLARD_REQUIRE(!callback.linked(),
                    "this callback is registered already: use one Callback for each place");
    (done ? scheduler.ready : waiters).push_back(callback);
}

/// The same for a lambda. Error: out_of_memory.
template <class F>
Result<CallHandle> add_done_lambda(bool done, WorkList& waiters, Scheduler& scheduler, F function) {
    PooledCall* call = make_pooled_call(scheduler.pool, std::move(function));
    if (call == nullptr) return Error(ErrorKind::out_of_memory, Call::allocate);
    add_done_callback(done, waiters, scheduler, *call);
    return CallHandle(*call);
}

/// How many were taken out: 0 when it is not registered, or is on its way already (then it runs).
inline int remove_done_callback(bool done, Callback& callback) {
    if (done || !callback.linked()) return 0;
    callback.unlink();
    return 1;
}

}  // namespace pollard
