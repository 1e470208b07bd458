// count_sync: the same coroutines awaited one after the other: One Two One Two One Two, in 3.00 s.
//
//      tools/demo count_sync
//      tools/demo count_sync --kernel simulated       the same in virtual time: at once, and still 3.00 s
//      tools/demo count_sync --explain                what happens on each floor while the one sleeps
//      tools/demo count_sync --trace run.json         a timeline: three sleeps in a row
//
// What to look at: Main waits for each Count before it begins the next, so that the loop never has anything
// else to run while one of them sleeps. Coroutines alone make nothing faster: what overlaps is what runs as a
// task of its own (demos/count_async.cc).
//
//      Main      One |--- sleeps ---| Two One |--- sleeps ---| Two One |--- sleeps ---| Two
//      thread    ###                  #######                  #######                  ###
//
// A Count that is awaited in place is no task and takes no memory of its own: it stands in Main's slot.
//
// Read next: demos/generator_frames.cc (what a frame is), demos/chess.cc (the same difference, 12 h to 1 h).
#include <cstdio>

#include "core/coroutine.h"
#include "core/sleep.h"
#include "demos/demo_loop.h"

using namespace pollard;

namespace {

struct Count : Coroutine<Count, void, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        std::puts("One");
        CO_TRY(sleep_ns(1 * second_ns));
        std::puts("Two");
        CO_END;
    }
};

struct Main : Coroutine<Main, void, Awaits<Count>> {
    int i = 0;

    Progress body() {
        CO_BEGIN;
        for (i = 0; i < 3; ++i) CO_TRY(Count{});
        CO_END;
    }
};

}  // namespace

int main(int argc, char** argv) {
    DemoLoop demo;
    const Option options[] = {demo.kernel_option(), demo.explain_option(), demo.trace_option()};
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;
    if (const int code = demo.open(); code >= 0) return code;

    // The loop's own clock: the kernel's, so that virtual seconds count as seconds.
    const std::int64_t began_ns = demo.loop.time_ns();
    const Result<void> counted = demo.loop.run_until_complete(Main{});
    const std::int64_t took_ns = demo.loop.time_ns() - began_ns;
    if (counted) std::printf("count_sync executed in %.2f seconds.\n", in_seconds(took_ns));
    return demo.finish(counted.error());
}
