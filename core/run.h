// run: a loop for one coroutine, from its opening to its closing.
//
//      int main() {
//          const Result<void> ran = run(Main{});
//          if (!ran) std::fprintf(stderr, "%s\n", describe(ran.error()).c_str());
//      }
//
// The coroutine becomes the main task of a new loop. When it is done, with a value or an error, the loop is shut down,
// and nothing of it is left:
//
//      open -> main task runs until it is done -> all other tasks are cancelled -> all of them end
//           -> those that ended with an error are reported -> half-used asynchronous generators are closed
//           -> what is queued is dropped -> close
//
// A Runner is the same with several coroutines one after the other on one loop; the other tasks stay for the next, and
// the context variables that one main task has set are there in the next.
//
//      Runner runner({.kernel = "simulated"});
//      (void)runner.run(First{});
//      (void)runner.run(Second{});
//      (void)runner.close();
//
// Thread rule: the thread that makes it.
//
// Read next: core/event_loop.cc: shut_down.
#pragma once

#include <utility>

#include "core/context.h"
#include "core/event_loop.h"
#include "core/task.h"
#include "platform/result.h"

namespace pollard {

/// asyncio's Runner. It opens its loop when it first needs it.
class Runner {
public:
    explicit Runner(const LoopOptions& options = {}) : options_(options) {}
    Runner(const Runner&) = delete;
    Runner& operator=(const Runner&) = delete;
    ~Runner() { (void)close(); }

    /// The loop, open; to create tasks on it between runs, say. Errors: as EventLoop::open; closed.
    Result<EventLoop*> loop();

    /// Runs until the coroutine is done, and gives what it ended with. Errors of the run itself: as
    /// EventLoop::run_until_complete; invalid_state inside a running loop; closed after close().
    template <class C>
    Result<ValueOf<C>> run(C&& coroutine) {
        const Result<EventLoop*> ready = loop_for_a_run();
        if (!ready) {
            coroutine.close_unstarted();
            return ready.error();
        }
        auto main_task = (*ready)->create_task(std::forward<C>(coroutine), {.context = &context_});
        if (!main_task) return main_task.error();
        auto result = (*ready)->run_until_complete(*main_task);
        keep_context(main_task->state());
        return result;
    }

    /// Shuts the loop down. Closing twice is fine. Error: invalid_state while it runs.
    Result<void> close();

private:
    Result<EventLoop*> loop_for_a_run();
    void keep_context(TaskState& main_task);

    LoopOptions options_;
    EventLoop loop_;
    Context context_;
    bool closed_ = false;
};

/// Runs the coroutine on a loop of its own. Errors: what it ended with, and as Runner::run.
template <class C>
Result<ValueOf<C>> run(C&& coroutine, const LoopOptions& options = {}) {
    Runner runner(options);
    return runner.run(std::forward<C>(coroutine));
}

}  // namespace pollard
