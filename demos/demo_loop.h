// The loop of a demo, with the three options that every demo with a loop has.
//
//      --kernel NAME    which kernel: epoll, simulated, ...
//      --explain        tells the story of the run, floor by floor
//      --trace FILE     writes a timeline for Perfetto or chrome://tracing
//
// And the quit key (Ctrl-\; on Windows Ctrl-Break; or kill -QUIT) prints on stderr who waits for whom at that moment; the
// program goes on.
//
//      DemoLoop demo;
//      const Option options[] = {demo.kernel_option(), demo.explain_option(), demo.trace_option(), ...};
//      if (const int code = parse_options(argc, argv, options); code >= 0) return code;
//      if (const int code = demo.open(); code >= 0) return code;
//      ... demo.loop.run_until_complete(Main{...}) ...
//      return demo.finish(result.error());
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "core/event_loop.h"
#include "core/trace/chrome_trace.h"
#include "core/trace/fan_out.h"
#include "core/trace/narration.h"
#include "demos/options.h"
#include "platform/clock.h"
#include "platform/interposed_kernel.h"

namespace pollard {

/// For printf's %f.
constexpr double in_seconds(std::int64_t duration_ns) {
    return static_cast<double>(duration_ns) / static_cast<double>(second_ns);
}

struct DemoLoop {
    ~DemoLoop();

    Option kernel_option() {
        return text("--kernel", kernel, "NAME", "the kernel to run on (see the README)");
    }
    Option explain_option() { return flag("--explain", explain, "tell what happens, floor by floor"); }
    Option trace_option() {
        return text("--trace", trace_file, "FILE", "write a timeline (Perfetto, Chrome)");
    }

    /// Negative: the loop is open. Else the exit code, after one line on stderr.
    int open();
    /// Closes the loop and the trace; says what went wrong, if anything; gives the exit code. A run that was
    /// stopped by the interrupt key is no error.
    int finish(const Error& error = {});
    /// From now on SIGINT and SIGTERM stop the loop.
    void stop_on_interrupt();
    /// Virtual time: the demo must bring all its partners itself, on this loop.
    bool simulated() const;

    const char* kernel = nullptr;
    bool explain = false;
    const char* trace_file = nullptr;
    Narration narration{stdout};
    ChromeTrace trace;
    FanOut watchers;
    ObservedKernel observed;
    EventLoop loop;

private:
    void print_tree_on_quit_key();
    /// Called in a signal handler.
    static void ask_for_tree(void* self);
    static void answer(void* self);

    std::optional<LoopHandle> handle_;
    Callback answer_{answer, this};
    std::atomic<bool> asked_{false};  // the callback is on its way
};

}  // namespace pollard
