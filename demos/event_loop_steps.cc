// event_loop_steps: every step of every turn of the loop, and who stands in which queue after it.
//
//      tools/demo event_loop_steps --kernel simulated             in virtual time: at once
//      tools/demo event_loop_steps                                the same in 3 s of real time
//      tools/demo event_loop_steps --kernel simulated --turn 3    one turn, in which there is everything
//      tools/demo event_loop_steps --kernel simulated --explain   each step floor by floor
//
// A loop does one thing over and over, a turn, and a task goes round with it:
//
//      1 create    the loop, its queues empty
//      2 add       a task is made, and stands at the end of the ready queue --------.
//                                                                                  v
//      4 I/O       the kernel is asked for news; if nobody is ready,           ready queue
//                  this is where the program sleeps                                |
//      6 wake      what has news, and what is due, joins the ready queue           | all of it becomes
//      3 process   one after another of the batch runs...                          v
//      5 pause     ...until it has to wait for something: it leaves the queues  <- batch
//      7 conclude  ...or until it has ended: then those who waited for it are ready
//
// What to look at: in turn 3 Tea and Egg wake together. Both are in the batch, and Tea, which is first, adds Toast:
// Toast stands in the ready queue and not in the batch, so its turn is the next one. And who waits stands in no queue
// at all; the timer that will bring it back is in the frame itself.
//
// Nothing here is written down beforehand. Steps is an observer (platform/observer.h): the loop tells it of each step,
// and at that moment it looks into the loop's own lists. A name in a list stands for the frame of a task or for the
// timer inside that frame.
//
// Read next: EventLoop::turn in core/event_loop.cc, which is these steps; core/scheduler.h.
#include <cstdio>

#include "core/coroutine.h"
#include "core/sleep.h"
#include "core/task.h"
#include "core/trace/place.h"
#include "demos/demo_loop.h"

using namespace pollard;

namespace {

// --- the tasks ---

template <class C>
Result<void> begin(TaskRef<void>& task, const char* name) {
    Result<TaskRef<void>> made = running_loop().create_task(C{}, {.name = name});
    if (!made) return made.error();
    task = *std::move(made);
    return {};
}

struct Toast : Coroutine<Toast, void, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(2 * second_ns));
        CO_END;
    }
};

struct Egg : Coroutine<Egg, void, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(1 * second_ns));
        CO_END;
    }
};

/// When the water boils, the toast is put in.
struct Tea : Coroutine<Tea, void, Awaits<Sleep, TaskRef<void>&>> {
    TaskRef<void> toast;

    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(1 * second_ns));
        if (const Result<void> began = begin<Toast>(toast, "Toast"); !began) CO_RETURN(began);
        CO_TRY(sleep_ns(1 * second_ns));
        CO_TRY(toast);
        CO_END;
    }
};

struct Breakfast : Coroutine<Breakfast, void, Awaits<TaskRef<void>&>> {
    TaskRef<void> tea;
    TaskRef<void> egg;

    Progress body() {
        CO_BEGIN;
        if (const Result<void> began = begin<Tea>(tea, "Tea"); !began) CO_RETURN(began);
        if (const Result<void> began = begin<Egg>(egg, "Egg"); !began) CO_RETURN(began);
        CO_TRY(tea);
        CO_TRY(egg);
        CO_END;
    }
};

// --- who stands where ---

/// Names, with commas between them.
struct Names {
    Text text;
    void add(const char* name) { text.add("%s%s", text.size == 0 ? "" : ", ", name); }
    const char* c_str() const { return text.size == 0 ? "-" : text.c_str(); }
};

/// A task is one block, and whatever of it can stand in a queue lies in there: its frame, the timer in its frame.
bool lies_in(const Work& work, TaskState& task) {
    const auto place = reinterpret_cast<std::uintptr_t>(&work);
    const auto begin = reinterpret_cast<std::uintptr_t>(&task.root());
    return begin <= place && place < begin + task.root().frame_type().size;
}

TaskState* owner_of(const Work& work, Scheduler& loop) {
    for (TaskState& task : all_tasks(loop))
        if (lies_in(work, task)) return &task;
    return nullptr;
}

bool has_part_of(const WorkList& list, TaskState& task) {
    for (const Work* work = list.first(); work != nullptr; work = list.next(*work))
        if (lies_in(*work, task)) return true;
    return false;
}

void add_all(Names& names, const WorkList& list, Scheduler& loop) {
    for (const Work* work = list.first(); work != nullptr; work = list.next(*work)) {
        TaskState* owner = owner_of(*work, loop);
        names.add(owner != nullptr ? name_of(*owner).c_str() : work->type->name);
    }
}

/// All tasks that have begun, do not run, and stand in no queue; nor in the list of those who are just made ready.
Names those_who_wait(Scheduler& loop, const TaskState* running, const WorkList* made_ready) {
    Names names;
    for (TaskState& task : all_tasks(loop)) {
        const bool has_stopped = task.root().site != nullptr && &task != running;
        const bool is_ready = has_part_of(loop.ready, task) || has_part_of(loop.batch, task) ||
                              (made_ready != nullptr && has_part_of(*made_ready, task));
        if (has_stopped && !is_ready) names.add(name_of(task).c_str());
    }
    return names;
}

// --- the steps, as they happen ---

class Steps : public Observer {
public:
    /// `only_turn`: says nothing of the others; 0: of all.
    Steps(EventLoop& loop, std::int64_t only_turn) : loop_(loop), only_turn_(only_turn) {
        static constexpr auto self = [](Observer& observer) -> Steps& {
            return static_cast<Steps&>(observer);
        };
        task_created = [](Observer& o, TaskState& task) { self(o).on_task_created(task); };
        task_finished = [](Observer& o, TaskState& task) { self(o).on_task_finished(task); };
        work_begins = [](Observer& o, Work& work) { self(o).on_work_begins(work); };
        frame_resumed = [](Observer& o, Frame& frame) { self(o).on_frame_resumed(frame); };
        frame_suspended = [](Observer& o, Frame& frame) { self(o).on_frame_suspended(frame); };
        wait_entered = [](Observer& o, std::int64_t timeout_ns) { self(o).on_wait_entered(timeout_ns); };
    }

    void on_create() {
        std::printf("%-12s%-42s%-24s%-16s%s\n", "", "", "ready queue", "batch", "waiting");
        row("1 create", Text().add("the loop is open"), ready(), batch());
    }
    void on_conclude() {
        begin_turn(loop_.turn_count);
        row("7 conclude", Text().add("the run has ended"), ready(), batch());
    }

private:
    /// It joins the ready queue right after this.
    void on_task_created(TaskState& task) {
        Names ready_now = ready();
        ready_now.add(name_of(task).c_str());
        row("2 add", Text().add("%s is a new task", name_of(task).c_str()), ready_now, batch());
    }
    /// A turn begins with a look into the kernel, if nobody is ready or the last look was long ago.
    void on_wait_entered(std::int64_t timeout_ns) {
        begin_turn(loop_.turn_count + 1);
        slept_ = timeout_ns != 0;
        row("4 I/O",
            slept_ ? Text().add("nobody is ready: sleeps up to %.2f s", in_seconds(timeout_ns))
                   : Text().add("asks the kernel for news"),
            ready(), batch());
    }
    /// A timer, a callback. What is inside a task only brings the task back: that is told next.
    void on_work_begins(Work& work) {
        begin_turn(loop_.turn_count);
        TaskState* owner = owner_of(work, loop_);
        running_ = owner;
        const Text name = owner != nullptr ? name_of(*owner) : Text().add("%s", work.type->name);
        tell_of_waking(name.c_str());
        if (owner == nullptr) row("3 process", Text().add("%s runs", name.c_str()), ready(), batch());
    }
    void on_frame_resumed(Frame& frame) {
        begin_turn(loop_.turn_count);
        TaskState* task = task_of(frame);
        if (task == nullptr) return;
        running_ = task;
        const Text name = name_of(*task);
        tell_of_waking(name.c_str());
        const char* how = frame.site == nullptr ? "begins" : "goes on";
        row("3 process", Text().add("%s %s", name.c_str(), how), ready(), batch());
    }
    /// `first` was at the head of those who were ready when the turn began; the others are the batch by now.
    void tell_of_waking(const char* first) {
        if (!slept_) return;
        slept_ = false;
        Names woken;
        woken.add(first);
        add_all(woken, loop_.batch, loop_);
        row("6 wake", Text().add("%s: the time has come", woken.c_str()), woken, Names());
    }
    void on_frame_suspended(Frame& frame) {
        running_ = nullptr;
        Frame& inner = *innermost(frame);
        TaskState* task = task_of(frame);
        if (task == nullptr || inner.site == nullptr) return;
        row("5 pause", Text().add("%s %s", name_of(*task).c_str(), describe_await(inner).c_str()), ready(),
            batch());
    }
    /// Those who wait for it join the ready queue right after this.
    void on_task_finished(TaskState& task) {
        Names ready_now = ready();
        add_all(ready_now, task.waiters, loop_);
        const bool anybody = task.waiters.first() != nullptr;
        row("7 conclude",
            Text().add("%s is done, %s", name_of(task).c_str(),
                       anybody ? "its waiter is ready" : "nobody waits for it"),
            ready_now, batch(), &task.waiters);
        running_ = nullptr;
    }

    Names ready() { return names_in(loop_.ready); }
    Names batch() { return names_in(loop_.batch); }
    Names names_in(const WorkList& list) {
        Names names;
        add_all(names, list, loop_);
        return names;
    }

    void begin_turn(std::uint32_t turn) {
        if (turn == turn_) return;
        turn_ = turn;
        if (is_shown()) std::printf("turn %u\n", turn);
    }
    bool is_shown() const { return only_turn_ == 0 || only_turn_ == turn_; }
    void row(const char* step, const Text& what, const Names& ready_now, const Names& batch_now,
             const WorkList* made_ready = nullptr) {
        if (!is_shown()) return;
        std::printf("  %-10s  %-40s  %-22s  %-14s  %s\n", step, what.c_str(), ready_now.c_str(),
                    batch_now.c_str(), those_who_wait(loop_, running_, made_ready).c_str());
        std::fflush(stdout);
    }

    EventLoop& loop_;
    std::int64_t only_turn_;
    std::uint32_t turn_ = 0;
    bool slept_ = false;
    const TaskState* running_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) {
    DemoLoop demo;
    std::int64_t only_turn = 0;
    const Option options[] = {number("--turn", only_turn, "N", "only this turn; 0: all (0)", 0, 1000),
                              demo.kernel_option(), demo.explain_option(), demo.trace_option()};
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;
    if (const int code = demo.open(); code >= 0) return code;

    Steps steps(demo.loop, only_turn);
    demo.watchers.add(steps);
    current_observer = &demo.watchers;
    steps.on_create();
    const Result<TaskRef<void>> breakfast = demo.loop.create_task(Breakfast{}, {.name = "Breakfast"});
    if (!breakfast) return demo.finish(breakfast.error());
    const Result<void> eaten = demo.loop.run_until_complete(*breakfast);
    if (eaten) steps.on_conclude();
    return demo.finish(eaten.error());
}
