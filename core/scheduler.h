// Scheduler: the ready queue, and what a frame needs to know of its surroundings.
//
// Whatever becomes ready is put at the end of `ready`. A turn takes all that is there as its batch and runs
// it from the front; what becomes ready meanwhile stands in `ready` for the next turn. So a frame that makes
// itself ready again starves nobody.
//
//      push ->  ready  [e][f]          turn:  ready --splice--> batch
//                                             batch [a][b][c][d] -> run, in order
//
// It needs no kernel: frames that only wait for one another and for `sleep(0)` run on a bare Scheduler. The
// event loop (core/event_loop.h) adds timers and the kernel.
//
// Thread rule: a scheduler belongs to the thread that runs it; `current_scheduler` is that thread's.
//
// Read next: core/frame.cc: run_chain.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/frame.h"
#include "platform/memory.h"
#include "platform/observer.h"
#include "platform/work.h"

namespace pollard {

class Context;
struct EventLoop;
struct Scheduler;
struct TaskState;
template <class T>
class TaskRef;

/// Operations that finish inline, by whichever frames, until one of those lets the others run.
inline constexpr std::uint32_t inline_completions_in_a_row = 32;

/// Where the blocks of tasks come from. Outlives its scheduler when a TaskRef does; then `scheduler` is null.
struct TaskPool {
    BlockPool blocks;
    Scheduler* scheduler = nullptr;
    /// Values of context variables that somebody can see (core/context.h).
    std::uint32_t bindings = 0;
    /// Asynchronous generators in blocks (AsyncGeneratorState::in_all); one may outlive the scheduler too.
    Link async_generators;
    bool asyncgens_were_shut_down = false;
    /// Makes a task that closes them; set by the first that is made, so that a program without any needs none of that.
    Result<TaskRef<void>> (*begin_shutdown_asyncgens)(Scheduler& owner) = nullptr;

    TaskPool() { async_generators.next = async_generators.previous = &async_generators; }
    /// Null when memory is out.
    static TaskPool* create(Scheduler& owner);
    /// The owner goes; the pool follows when its last block has come back.
    void orphan();
    void give_back(void* block, std::size_t size);
};

/// What goes to a loop's error handler: trouble that no frame can be told of.
struct ErrorReport {
    const char* message;
    Error error;
    TaskState* task;  // null when no task is concerned
};

struct Scheduler {
    WorkList ready;
    WorkList batch;
    /// Turns so far: the loop's own count of time.
    std::uint32_t turn_count = 0;
    /// How many may still finish inline; the one after that keeps its result, and its frame goes to the end
    /// of the queue. So one busy socket starves nobody.
    std::uint32_t inline_left = inline_completions_in_a_row;
    /// Tasks with a cancellation that no await has delivered yet. Almost always 0; while it is not, each work
    /// is followed by a look whether the request can be delivered now (run_batch_carefully).
    std::uint32_t pending_cancels = 0;
    /// Tasks with a cancel message that no await has taken yet. Almost always 0.
    std::uint32_t cancel_messages = 0;
    std::uint64_t works_run = 0;
    /// The loop this is the scheduler of; null when there is none.
    EventLoop* loop = nullptr;
    /// Set by whoever makes tasks here; see TaskPool.
    TaskPool* pool = nullptr;
    /// The frame that runs now.
    Frame* running = nullptr;
    /// The context variables of the lambda that runs now; see core/callback.h.
    Context* callback_context = nullptr;
    /// While a task is being asked to end: the message, for the tasks and futures to which the request is passed on.
    std::string_view message_on_its_way;
    /// All tasks that are not done, in the order of their creation (TaskState::in_all_tasks).
    Link tasks;
    /// Those that were cancelled by the closing loop and failed meanwhile, in the order of their ends.
    Link failed_at_the_end;
    std::uint32_t next_task_id = 1;
    Work careful_from_here{&careful_type};
    static const WorkType careful_type;
    void (*error_handler)(void* context, const ErrorReport& report) = nullptr;
    void* error_context = nullptr;

    Scheduler() {
        tasks.next = tasks.previous = &tasks;
        failed_at_the_end.next = failed_at_the_end.previous = &failed_at_the_end;
    }
    Scheduler(const Scheduler&) = delete;

    void make_ready(Work& work) { ready.push_back(work); }
    /// One turn: runs what is ready now, and nothing that becomes ready meanwhile.
    void run_turn();
    /// The same for the rest of a batch while an observer watches or a cancellation is pending: with all the
    /// looks between works that the short loop leaves out.
    void run_batch_carefully();
    void run_one_carefully(Work& work);
    /// From inside a work: whatever of the batch is left shall be run carefully.
    void be_careful_from_now_on();
    void begin_to_be_careful();
    /// A task that was cancelled because the loop closes has ended; see report_failed_at_the_end.
    void keep_for_the_end(TaskState& task);
    /// Reports those of them that ended with an error instead.
    void report_failed_at_the_end();
    /// To the error handler, or on stderr when there is none.
    void report(const ErrorReport& report);
    TaskState* running_task();
    /// Turns until nothing is ready.
    void run_until_idle() {
        while (!ready.empty()) run_turn();
    }
};

POLLARD_THREAD_LOCAL extern constinit thread_local Scheduler* current_scheduler;

/// Somebody watches, or a cancellation waits to be delivered: then the short ways are not taken.
inline bool must_be_careful(const Scheduler& scheduler) {
    return current_observer != nullptr || scheduler.pending_cancels != 0;
}

/// What `frame` waited for is there, and this is its turn: it goes on now.
inline void go_on(Frame* frame) {
    if (must_be_careful(*current_scheduler)) [[unlikely]]
        run_chain(frame);
    else
        frame->run();
}

/// Makes a scheduler the thread's current one for a scope.
class SchedulerScope {
public:
    explicit SchedulerScope(Scheduler& scheduler) : outer_(current_scheduler) {
        current_scheduler = &scheduler;
    }
    ~SchedulerScope() { current_scheduler = outer_; }
    SchedulerScope(const SchedulerScope&) = delete;

private:
    Scheduler* outer_;
};

}  // namespace pollard
