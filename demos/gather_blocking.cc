// gather_blocking: two tasks of 2 s take 4.0 s when they block the thread, and 2.0 s when they wait: one line differs.
//
//      tools/demo gather_blocking                       both runs, 6 s together
//      tools/demo gather_blocking --kernel simulated    the same in virtual time: at once
//      tools/demo gather_blocking --debug               the loop reports who kept it from turning, and how long
//      tools/demo gather_blocking --explain             two kernel calls, poll(2) from inside a task, and the loop's own
//      tools/demo gather_blocking --trace run.json      a timeline: slices that are long, and slices that are short
//
// What to look at: both runs gather two tasks. The first two call a function that comes back after 2 s, as time.sleep
// does, or a database driver that knows of no loop. Nothing is left in the meantime, so the loop stands still and the
// second task has not even begun. The other two stop at a CO_TRY, and a stopped frame keeps nobody from running.
//
//      blocks     task 1  |== poll(2), 2 s ==|
//                 task 2                      |== poll(2), 2 s ==|      4 s
//
//      waits      task 1  |----- sleeps -----|
//                 task 2  |----- sleeps -----|                          2 s
//
// Press the quit key (Ctrl-\) in each run: who waits for whom is printed at once where tasks wait, and where they block
// only when the loop turns again.
//
// So a gather alone makes nothing faster: what overlaps is waiting that the loop knows of.
//
// The times come from the kernel's clock. The loop's own (EventLoop::time_ns) is read once a turn, and while a task
// blocks there is no turn.
//
// Read next: demos/count_async.cc (tasks that wait), demos/hundred_pages.cc (a hundred of them).
#include <cerrno>
#include <cstdio>

#include "core/combinators/gather.h"
#include "core/coroutine.h"
#include "core/sleep.h"
#include "demos/demo_loop.h"
#include "platform/kernel.h"

using namespace pollard;

namespace {

/// One run: where its time comes from and what is done in it.
struct Run {
    Kernel& kernel;
    std::int64_t task_ns;
    std::int64_t began_ns = kernel.clock(kernel);

    double seconds() const { return in_seconds(kernel.clock(kernel) - began_ns); }
    void say(int task, const char* what) const {
        std::printf("  %4.1f s  task %d %s\n", seconds(), task, what);
    }

    /// Comes back when the time is over; until then this thread does nothing else. poll(2) with nothing to look at is a
    /// plain wait. A signal may end it early (EINTR): then the rest of the time is still to come.
    Result<void> block() const {
        const std::int64_t end_ns = kernel.clock(kernel) + task_ns;
        for (;;) {
            const std::int64_t left_ns = end_ns - kernel.clock(kernel);
            if (left_ns <= 0) return {};
            const std::intptr_t answer = kernel.poll(kernel, nullptr, 0, round_up_to_ms(left_ns));
            if (answer < 0 && answer != -EINTR) return error_of(answer);
        }
    }

private:
    static Error error_of(std::intptr_t answer) {
        const auto code = static_cast<std::int32_t>(-answer);
        return {kind_of_code(code), Call::poll, code};
    }
};

struct Blocks : Coroutine<Blocks> {
    const Run* run;
    int number;

    Progress body() {
        CO_BEGIN;
        run->say(number, "started");
        if (const Result<void> blocked = run->block(); !blocked) CO_RETURN(blocked);
        run->say(number, "completed");
        CO_END;
    }
};

struct Waits : Coroutine<Waits, void, Awaits<Sleep>> {
    const Run* run;
    int number;

    Progress body() {
        CO_BEGIN;
        run->say(number, "started");
        CO_TRY(sleep_ns(run->task_ns));
        run->say(number, "completed");
        CO_END;
    }
};

template <class Task>
struct Both : Coroutine<Both<Task>, void, Awaits<Gather<void, void>>> {
    const Run* run;

    Progress body() {
        CO_BEGIN;
        CO_TRY(gather(Task{.run = run, .number = 1}, Task{.run = run, .number = 2}));
        CO_END;
    }
};

template <class Task>
Result<void> run_both(const char* title, EventLoop& loop, std::int64_t task_ns) {
    std::printf("%s\n\n", title);
    const Run run{.kernel = *loop.port().kernel, .task_ns = task_ns};
    const Result<void> ran = loop.run_until_complete(Both<Task>{.run = &run});
    if (ran) std::printf("\n  %.1f s\n\n", run.seconds());
    return ran;
}

}  // namespace

int main(int argc, char** argv) {
    DemoLoop demo;
    std::int64_t seconds = 2;
    bool debug = false;
    const Option options[] = {number("--seconds", seconds, "S", "what each task takes (2)", 0, 3600),
                              flag("--debug", debug, "the loop reports what keeps it from turning"),
                              demo.kernel_option(), demo.explain_option(), demo.trace_option()};
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;
    if (const int code = demo.open(); code >= 0) return code;
    demo.loop.set_debug(debug);

    Result<void> ran = run_both<Blocks>("Two tasks that block", demo.loop, seconds * second_ns);
    if (ran) ran = run_both<Waits>("Two tasks that wait", demo.loop, seconds * second_ns);
    return demo.finish(ran.error());
}
