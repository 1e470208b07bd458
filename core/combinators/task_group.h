// TaskGroup: tasks that end together, before the frame that began them goes on.
//
//      struct Serve : Coroutine<Serve, void, Awaits<Sleep, TaskGroup::Join>> {
//          TaskGroup group;                                    a field
//          Result<void> done;
//          Progress body() {
//              CO_BEGIN;
//              group.enter();
//              (void)group.create_task(Accept{...});
//              (void)group.create_task(Tick{...});
//              CO_AWAIT(done, sleep_ns(second_ns));            the body of the block; its error belongs to the end:
//              CO_AWAIT(done, group.join(done.error()));       waits for all, also those that are added meanwhile
//              if (!done) CO_RETURN(done.error());             cancelled, or ErrorKind::group: group.errors()
//              CO_END;
//          }
//      };
//
//      CO_AWAIT(done, with_group(group, Body{...}));           the same around a coroutine: no way out passes join by
//
// (asyncio's `async with TaskGroup() as group`; `join` is its end.)
//
//   created --enter--> in the body --join--> waiting --all have ended--> finished
//                          |                    |
//                          '--- abort ----------'    a child or the body has failed, the task was cancelled from outside,
//                                                    or cancel(): the other children are cancelled, none can be added
//
// When a child fails while the group is not aborting, the group aborts and cancels its own task once, so that the body
// ends too; `join` takes that request back. What `join` gives:
//   - ErrorKind::group if any child failed, or the body with an error that is not `cancelled`. A request to cancel from
//     outside is renewed then: it meets the next await that suspends.
//   - otherwise `cancelled`, if the task was cancelled from outside (the children were cancelled and waited for);
//   - otherwise success. Cancelled children are no error; values stay in the tasks.
//
// Groups in groups nest their errors: a child that lets the group error of a group of its own go out is one item, whose
// `nested` are the errors of that inner group. They stay when the inner group goes with its frame: what it held of its
// failed children is handed over to the child's node in the outer group. (A body is no child: of a group inside the body
// the outer group keeps the one error, and the body has the inner group at hand.)
//
//      group.errors()    Fetch#2: busy
//                        Session#3: group ---nested---> Read#5: closed
//                        the body: timed_out            Write#6: broken_pipe
//
// The node with which the group knows a child stands in the child's own block, behind the coroutine; once the child has
// ended the same node keeps it in the list of errors. So a group allocates nothing but its tasks
// (and one block for errors that outlive an inner group).
//
// Thread rule: the loop's thread only.
//
// Read next: core/combinators/task_group.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "core/async_scope.h"
#include "core/awaitable.h"
#include "core/combinators/watch.h"
#include "core/coroutine.h"
#include "core/task.h"
#include "platform/result.h"

namespace pollard {

class TaskGroup;

/// A child's place among the running ones of its group.
struct GroupLink : Link {};

/// Why a group failed: its failed children, in the order in which they ended, each held by its GroupChild; then the body.
struct GroupErrors {
    WorkList failed;
    Error body;
    /// Whose these are; null: they outlived their group, and stand in a block of this pool.
    TaskGroup* group = nullptr;
    TaskPool* home = nullptr;

    GroupErrors() = default;
    GroupErrors(const GroupErrors&) = delete;
    ~GroupErrors();
    bool body_failed() const { return body.kind != ErrorKind::none && body.kind != ErrorKind::cancelled; }
};

/// What a group knows of a child: stands in the child's block.
struct GroupChild : Watch, GroupLink {
    /// Of the last group that failed inside this task: those of the group itself as long as it lives.
    GroupErrors* nested = nullptr;

    GroupChild() = default;
    ~GroupChild();
    void drop_nested();
};

/// A coroutine of a group: the coroutine as it is, and the group's node behind it.
template <class C>
struct InGroup : C, GroupChild {
    static_assert(!std::is_final_v<C>, "a coroutine in a group is derived from: it cannot be final");
    explicit InGroup(C&& coroutine) : C(std::move(coroutine)) {}
    InGroup(InGroup&& other) noexcept : C(std::move(static_cast<C&>(other))) {}
};

class TaskGroup : Watcher {
public:
    class Join;
    class Leave;
    class Errors;

    TaskGroup();
    /// Only before it is entered.
    TaskGroup(TaskGroup&& other) noexcept;
    ~TaskGroup();

    /// Once, in a task: the one that will await join.
    void enter();

    /// A task of the coroutine. Errors: invalid_state before enter, while aborting and after the end, out_of_memory;
    /// the coroutine is closed unstarted then.
    template <class C>
    Result<TaskRef<ValueOf<C>>> create_task(C&& coroutine) {
        return create_task_with(std::forward<C>(coroutine), nullptr);
    }
    /// The group learns of an eager child's end in its turn, as of any other's.
    template <class C>
    Result<TaskRef<ValueOf<C>>> create_task(C&& coroutine, const TaskOptions& options) {
        return create_task_with(std::forward<C>(coroutine), &options);
    }

    /// Waits for all children; see above. `body`: the error that the body of the block ended with.
    Join join(const Error& body = Error());

    /// `async with`: what with_async and AsyncExitStack ask for.
    AlreadyDone<> aenter() {
        enter();
        return {};
    }
    Leave aexit(const Error& body);

    /// Ends the block without an error: children and body are cancelled, and join gives success. Before enter: as soon
    /// as it is entered. More than once is fine.
    void cancel();

    /// Children's errors in the order in which they ended, then the body's. Valid as long as the group.
    Errors errors() const;
    std::size_t running() const { return running_; }
    /// No more children are taken.
    bool aborting() const { return aborting_; }

private:
    friend struct GroupChild;
    enum class State : std::uint8_t { created, in_body, waiting, finished };

    template <class C>
    Result<TaskRef<ValueOf<C>>> create_task_with(C&& coroutine, const TaskOptions* options);
    Error why_no_more() const;
    void add(GroupChild& child, TaskState& task);
    static void on_child_ended(Watcher& watcher, Watch& watch);
    /// False: one of the children waits for the task from which a request to end comes just now.
    bool abort();
    void cancel_parent();
    // The await of join.
    bool start_join(Frame& frame_waiting, const Error& body);
    CancelOutcome cancel_join();
    void withdraw_cancel_of_join() {
        if (cancelled_after_end_) cancelled_outside_ = false;
    }
    void abandon_join();
    const Error& settle();
    Error group_error() const;
    void tell_group_around();
    void leave_errors_behind();
    void describe_children(Text& text) const;

    Link children_;  // that run, in the order of their creation
    GroupErrors errors_;
    TaskState* parent_ = nullptr;
    GroupChild* nested_in_ = nullptr;
    std::size_t running_ = 0;
    State state_ = State::created;
    bool aborting_ = false;
    bool parent_cancelled_ = false;  // by this group
    bool cancelled_outside_ = false;
    bool cancelled_after_end_ = false;
    Error outcome_;
};

/// The await of TaskGroup::join.
class [[nodiscard]] TaskGroup::Join {
public:
    Join(TaskGroup& group, const Error& body) : group_(&group), body_(body) {}

    bool start(Frame& waiter) { return group_->start_join(waiter, body_); }
    bool failed() const { return group_->settle().kind != ErrorKind::none; }
    Result<void> result() const { return group_->settle(); }
    CancelOutcome cancel() { return group_->cancel_join(); }
    void withdraw_cancel() { group_->withdraw_cancel_of_join(); }
    void abandon() { group_->abandon_join(); }
    void describe(Text& text) const { group_->describe_children(text); }

private:
    TaskGroup* group_;
    Error body_;
};

/// The await of TaskGroup::aexit: when the group ends well, what the body ended with is swallowed.
class [[nodiscard]] TaskGroup::Leave : public Join {
public:
    using Join::Join;
    Result<bool> result() const {
        const Result<void> joined = Join::result();
        return joined ? Result<bool>(true) : Result<bool>(joined.error());
    }
};

/// `for (const TaskGroup::Errors::Item& item : group.errors())`
class TaskGroup::Errors {
public:
    struct Item;
    class Iterator {
    public:
        Iterator(const GroupErrors* errors, Work* at, bool before_body)
            : errors_(errors), at_(at), before_body_(before_body) {}
        Item operator*() const;
        Iterator& operator++();
        bool operator==(const Iterator& other) const {
            return at_ == other.at_ && before_body_ == other.before_body_;
        }

    private:
        const GroupErrors* errors_;
        Work* at_;
        bool before_body_;
    };

    /// Null: none.
    explicit Errors(const GroupErrors* errors) : errors_(errors) {}
    Iterator begin() const {
        if (errors_ == nullptr) return end();
        return {errors_, errors_->failed.first(), errors_->body_failed()};
    }
    Iterator end() const { return {errors_, nullptr, false}; }
    bool empty() const { return begin() == end(); }
    std::size_t count() const;

private:
    const GroupErrors* errors_;
};

struct TaskGroup::Errors::Item {
    TaskState* task;  // null: the body of the block
    Error error;
    Errors nested;  // of a task that ended with ErrorKind::group: the errors of that group
};

inline TaskGroup::Join TaskGroup::join(const Error& body) { return Join(*this, body); }
inline TaskGroup::Leave TaskGroup::aexit(const Error& body) { return Leave(*this, body); }
inline TaskGroup::Errors TaskGroup::errors() const { return Errors(&errors_); }

template <class C>
Result<TaskRef<ValueOf<C>>> TaskGroup::create_task_with(C&& coroutine, const TaskOptions* options) {
    static_assert(!std::is_lvalue_reference_v<C>,
                  "a group takes the coroutine over: pass it by value or std::move");
    if (const Error refusal = why_no_more(); refusal.kind != ErrorKind::none) {
        coroutine.close_unstarted();
        return refusal;
    }
    using Child = InGroup<std::remove_reference_t<C>>;
    auto task = create_task_on(parent_->scheduler(), Child(std::forward<C>(coroutine)), options);
    if (task) add(static_cast<TaskBlock<Child>&>(task->state()).coroutine, task->state());
    return task;
}

/// `CO_AWAIT(done, with_group(group, Body{...}))`, of the type WithGroup<Body>: enters the group, runs the coroutine, and
/// joins, however it ended. A group is a resource like any other that waits at its end (core/async_scope.h).
template <class Body>
using WithGroup = WithAsync<TaskGroup, Body>;
template <class Body>
WithGroup<Body> with_group(TaskGroup& group, Body body) {
    return with_async(group, std::move(body));
}

}  // namespace pollard
