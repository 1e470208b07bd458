// count_async: three coroutines count to two at the same time: One One One Two Two Two, in 1.00 s.
//
//      tools/demo count_async
//      tools/demo count_async --kernel simulated      the same in virtual time: at once, and still 1.00 s
//      tools/demo count_async --explain               what happens on each floor while the three sleep
//      tools/demo count_async --trace run.json        a timeline: three sleeps side by side
//
// What to look at: nobody runs at the same time as anybody else. There is one thread, and each Count says One
// and then stops at its CO_TRY(sleep_ns(...)). A stopped frame keeps nobody from running, so the other two
// say One before the first second has begun to pass, and the three seconds pass together:
//
//      Count#2   One |------------ sleeps ------------| Two
//      Count#3    One |------------ sleeps ------------| Two
//      Count#4     One |------------ sleeps ------------| Two
//      thread    ####                                   ####
//
// In Python this is asyncio.create_task three times, and then `await` for each of the three.
//
// Read next: demos/count_sync.cc, which differs from this file in Main only, and takes three seconds.
#include <array>
#include <cstdio>

#include "core/coroutine.h"
#include "core/sleep.h"
#include "core/task.h"
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

struct Main : Coroutine<Main, void, Awaits<TaskRef<void>&>> {
    std::array<TaskRef<void>, 3> counts;
    std::size_t i = 0;

    Progress body() {
        CO_BEGIN;
        // A task is put in the ready queue; none of the three runs before Main stops.
        for (TaskRef<void>& count : counts) {
            Result<TaskRef<void>> made = running_loop().create_task(Count{});
            if (!made) CO_RETURN(made.error());
            count = *std::move(made);
        }
        for (i = 0; i < counts.size(); ++i) CO_TRY(counts[i]);
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
    if (counted) std::printf("count_async executed in %.2f seconds.\n", in_seconds(took_ns));
    return demo.finish(counted.error());
}
