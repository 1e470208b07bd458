// timeouts: what ends when the time is over, what goes on, and who is told what.
//
//      tools/demo timeouts --kernel simulated             in virtual time: at once
//      tools/demo timeouts                                in real time: 20 s
//      tools/demo timeouts --explain --kernel simulated   who cancels whom
//      tools/demo timeouts --trace run.json
//
// A timeout is a cancellation that its own maker catches. At the deadline it cancels the task that it was entered in;
// the innermost await of that task ends with `cancelled`, which goes outwards through the frames, each of which may
// clean up; and where the timeout was entered it becomes `timed out`:
//
//      timeout ---- cancel ----> task: whatever it waits for now
//         |                               |
//      timed out <---- cancelled ---------'
//
// What to look at:
//   - what is waited for is not left alone: it is cancelled, and its end is waited for, however long that takes;
//   - of two timeouts, one in the other, each catches only what is its own, also when both are over at once;
//   - a shield stops the request. The one who waits is told, and what stands behind the shield goes on;
//   - a deadline can be moved as long as it has not passed.
//
// Read next: core/combinators/timeout.h, wait_for.h and shield.h beside it.
#include <cstdarg>
#include <cstdio>
#include <span>

#include "core/combinators/shield.h"
#include "core/combinators/timeout.h"
#include "core/combinators/wait_for.h"
#include "core/coroutine.h"
#include "core/sleep.h"
#include "core/task.h"
#include "demos/demo_loop.h"

using namespace pollard;

namespace {

/// Prints each line with the time since its chapter began.
struct Teller {
    EventLoop& loop;
    std::int64_t began_ns = -1;

    void begin(const char* title) {
        std::printf("%s%s\n", began_ns < 0 ? "" : "\n", title);
        began_ns = loop.time_ns();
    }
    [[gnu::format(POLLARD_PRINTF, 2, 3)]] void tell(const char* format, ...) const {
        std::printf("  %4.1f  ", in_seconds(loop.time_ns() - began_ns));
        va_list arguments;
        va_start(arguments, format);
        std::vprintf(format, arguments);
        va_end(arguments);
        std::printf("\n");
        std::fflush(stdout);
    }
    void tell_outcome(const char* of, const Result<void>& ended) const {
        tell("%s: %s", of, ended ? "it is done in time" : pollard::describe(ended.error().kind));
    }
};

/// Takes its time; and when it is cancelled, some more time to clean up.
struct Job : Coroutine<Job, void, Awaits<Sleep>> {
    const Teller* teller;
    const char* name;
    std::int64_t takes_ns;
    std::int64_t cleanup_ns = 0;
    Result<void> ended;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(ended, sleep_ns(takes_ns));
        if (ended) {
            teller->tell("%s is done", name);
            CO_RETURN();
        }
        teller->tell("%s is told: %s", name, pollard::describe(ended.error().kind));
        if (cleanup_ns != 0) {
            CO_TRY(sleep_ns(cleanup_ns));
            teller->tell("%s has cleaned up", name);
        }
        CO_RETURN(ended);
        CO_END;
    }
};

// --- one awaited thing ---

struct Limited : Coroutine<Limited, void, Awaits<WaitFor<Job>>> {
    const Teller* teller;
    std::int64_t takes_ns;
    Result<void> ended;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(
            ended,
            wait_for(Job{.teller = teller, .name = "the job", .takes_ns = takes_ns, .cleanup_ns = second_ns},
                     2 * second_ns));
        teller->tell_outcome("wait_for", ended);
        CO_END;
    }
};

// --- one timeout in another ---

/// After an inner timeout there is time for a plan B, if the outer one has not come.
struct Nested : Coroutine<Nested, void, Awaits<Job>> {
    const Teller* teller;
    std::int64_t outer_ns;
    std::int64_t inner_ns;
    TimeoutScope outer;
    TimeoutScope inner;
    Result<void> ended;

    Progress body() {
        CO_BEGIN;
        outer.enter(outer_ns);
        inner.enter(inner_ns);
        CO_AWAIT(ended, Job{.teller = teller, .name = "the job", .takes_ns = 5 * second_ns});
        ended = inner.exit(ended);
        teller->tell_outcome("inner timeout", ended);
        if (ended.error().kind == ErrorKind::timed_out)
            CO_AWAIT(ended, Job{.teller = teller, .name = "plan B", .takes_ns = second_ns});
        ended = outer.exit(ended);
        teller->tell_outcome("outer timeout", ended);
        CO_END;
    }
};

// --- a shield ---

struct Shielded : Coroutine<Shielded, void, Awaits<Timeout<Shield<void>>, TaskRef<void>&>> {
    const Teller* teller;
    TaskRef<void> save;
    Result<void> ended;

    Progress body() {
        CO_BEGIN;
        if (const Result<void> began = begin(); !began) CO_RETURN(began);
        CO_AWAIT(ended, timeout(second_ns, [this] { return shield(save); }));
        teller->tell_outcome("timeout", ended);
        CO_AWAIT(ended, save);
        teller->tell("the task behind the shield, awaited by its name: %s", ended ? "success" : "failure");
        CO_END;
    }
    Result<void> begin() {
        auto made =
            running_loop().create_task(Job{.teller = teller, .name = "the job", .takes_ns = 3 * second_ns});
        if (!made) return made.error();
        save = *std::move(made);
        return {};
    }
};

// --- a deadline that moves ---

struct Rescheduled : Coroutine<Rescheduled, void, Awaits<Job>> {
    static constexpr std::int64_t part_takes_ns[] = {1 * second_ns, second_ns * 3 / 2, 1 * second_ns,
                                                     5 * second_ns};
    static constexpr const char* part_names[] = {"part 1", "part 2", "part 3", "part 4"};
    const Teller* teller;
    TimeoutScope limit;
    std::size_t part = 0;
    Result<void> ended;

    Progress body() {
        CO_BEGIN;
        limit.enter(2 * second_ns);
        for (part = 0; part < std::size(part_names); ++part) {
            CO_AWAIT(ended, Job{.teller = teller, .name = part_names[part], .takes_ns = part_takes_ns[part]});
            if (!ended) break;
            if (const Result<void> moved = limit.reschedule(deadline_after(2 * second_ns)); !moved)
                CO_RETURN(moved);
        }
        ended = limit.exit(ended);
        teller->tell_outcome("timeout", ended);
        CO_END;
    }
};

struct Main : Coroutine<Main, void, Awaits<Limited, Nested, Shielded, Rescheduled>> {
    struct Two {
        const char* title;
        std::int64_t inner_ns;
        std::int64_t outer_ns;
    };
    static constexpr Two twos[] = {{"nested: 2 s in 4 s", 2 * second_ns, 4 * second_ns},
                                   {"nested: 4 s in 2 s", 4 * second_ns, 2 * second_ns},
                                   {"nested: 2 s in 2 s", 2 * second_ns, 2 * second_ns}};
    Teller* teller;
    std::size_t i = 0;

    Progress body() {
        CO_BEGIN;
        teller->begin("wait_for, 2 s at most: a job of 1 s");
        CO_TRY(Limited{.teller = teller, .takes_ns = 1 * second_ns});
        teller->begin("wait_for, 2 s at most: a job of 5 s, which then needs 1 s to clean up");
        CO_TRY(Limited{.teller = teller, .takes_ns = 5 * second_ns});
        for (i = 0; i < std::size(twos); ++i) {
            teller->begin(twos[i].title);
            CO_TRY(Nested{.teller = teller, .outer_ns = twos[i].outer_ns, .inner_ns = twos[i].inner_ns});
        }
        teller->begin("timeout of 1 s around a shielded job of 3 s");
        CO_TRY(Shielded{.teller = teller});
        teller->begin("timeout of 2 s, which begins anew with each part that comes");
        CO_TRY(Rescheduled{.teller = teller});
        CO_END;
    }
};

}  // namespace

int main(int argc, char** argv) {
    DemoLoop demo;
    const Option options[] = {demo.kernel_option(), demo.explain_option(), demo.trace_option()};
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;
    if (const int code = demo.open(); code >= 0) return code;

    Teller teller{demo.loop};
    const Result<void> told = demo.loop.run_until_complete(Main{.teller = &teller});
    return demo.finish(told.error());
}
