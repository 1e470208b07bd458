// wait: until the first of several tasks has ended, or all, or some time has passed.
//
//      CO_AWAIT(counts, wait(tasks, {.timeout_ns = 2 * second_ns}));              Result<Waited>: done 3, pending 1
//      CO_AWAIT(counts, wait(WaitOptions{.return_when = ReturnWhen::first_completed}, fetch, give_up));
//      if (counts && fetch.done()) ...                                              which: ask the tasks
//
// It watches and does nothing else. It gives counts, never a child's error; it cancels no child, not at the timeout and
// not when the waiter itself is cancelled. Whatever has ended by the time the waiter goes on counts as done, also what
// ended in between. Which ones: TaskRef::done(). With everything done already it still lets the others run.
//
//      a row of tasks   `wait(tasks, options)`: one block for the watches; the row need not stay (futures: see child.h)
//      by name          `wait(options, a, b, c)`: tasks and futures of any types, the watches in place
//
// Coroutines are not taken (make tasks of them), nor is an empty row: Error{invalid_argument}.
//
// Read next: core/combinators/wait.cc, core/combinators/as_completed.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <utility>

#include "core/awaitable.h"
#include "core/combinators/watch.h"
#include "core/event_loop.h"
#include "platform/clock.h"

namespace pollard {

enum class ReturnWhen : std::uint8_t {
    all_completed,
    first_completed,
    first_exception,  // one has failed; a cancelled one does not count. Without any: all completed
};

struct WaitOptions {
    std::int64_t timeout_ns = never_ns;
    ReturnWhen return_when = ReturnWhen::all_completed;
};

struct Waited {
    std::size_t done;
    std::size_t pending;
};

/// The part that is the same for any number.
class Waiting : Watcher {
public:
    explicit Waiting(const WaitOptions& options);
    ~Waiting() { deadline_.unlink(); }

    void refuse(const Error& error) { refused_ = error; }
    bool start(std::span<Watch> children, Frame& frame_waiting);
    CancelOutcome cancel(std::span<Watch> children);
    void withdraw_cancel() { take_back_cancel(); }
    bool failed() const { return told_cancelled || refused_.kind != ErrorKind::none; }
    Result<Waited> result(std::span<const Watch> children) const;

private:
    static void on_child_ended(Watcher& watcher, Watch& child);

    TimedCallback deadline_;
    WaitOptions options_;
    std::size_t left_ = 0;
    Error refused_;
};

/// The await of wait. `count`: std::dynamic_extent for a row of tasks.
template <std::size_t count>
class [[nodiscard]] Wait {
public:
    template <class... Ref>
    explicit Wait(std::in_place_t, const WaitOptions& options, Ref&... children) : waiting_(options) {
        std::size_t i = 0;
        (watches_.all()[i++].hold(watched(children)), ...);
    }
    template <class Item>
    Wait(std::span<const Item> tasks, const WaitOptions& options) : waiting_(options) {
        if (!watches_.reserve(tasks.size())) waiting_.refuse(Error(ErrorKind::out_of_memory, Call::wait));
        for (std::size_t i = 0; i < watches_.all().size(); ++i) watches_.all()[i].hold(watched(tasks[i]));
    }

    bool start(Frame& waiter) { return waiting_.start(watches_.all(), waiter); }
    bool failed() const { return waiting_.failed(); }
    Result<Waited> result() const { return waiting_.result(watches_.all()); }
    CancelOutcome cancel() { return waiting_.cancel(watches_.all()); }
    void withdraw_cancel() { waiting_.withdraw_cancel(); }
    void describe(Text& text) const { describe_pending(watches_.all(), text); }

private:
    Watches<count> watches_;
    Waiting waiting_;
};
using WaitMany = Wait<std::dynamic_extent>;

template <RangeOfChildren R>
WaitMany wait(R&& tasks, const WaitOptions& options = {}) {
    using Row = std::span<const std::ranges::range_value_t<R>>;
    return WaitMany(Row(std::ranges::data(tasks), std::ranges::size(tasks)), options);
}
template <class... Named>
Wait<sizeof...(Named)> wait(const WaitOptions& options, Named&&... children) {
    static_assert(sizeof...(Named) != 0, "wait for at least one task or future");
    static_assert(
        (NamedChild<Named> && ...),
        "wait takes tasks, and futures by their names: make a task of a coroutine with create_task");
    return Wait<sizeof...(Named)>(std::in_place, options, children...);
}

}  // namespace pollard
