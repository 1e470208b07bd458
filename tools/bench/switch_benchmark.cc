// switch_benchmark: what a suspend and resume costs.
//
//      switch_benchmark N           64 tasks take turns until N switches are done; prints nothing but the count.
//                                   Run it below callgrind with two N and divide the difference of instructions by
//                                   the difference of N: start-up falls out. tools/bench/bench switch does so.
//      switch_benchmark --allocations      how many the steady state makes
//
// Read next: core/coroutine.h (run_from_queue), core/scheduler.h.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/coroutine.h"
#include "core/event_loop.h"
#include "core/sleep.h"

using namespace pollard;

namespace {

constexpr long tasks_taking_turns = 64;

struct TakesTurns : Coroutine<TakesTurns, void, Awaits<Sleep>> {
    long left;

    Progress body() {
        CO_BEGIN;
        while (--left >= 0) CO_TRY(sleep_ns(0));
        CO_END;
    }
};

struct AllTakeTurns : Coroutine<AllTakeTurns, void, Awaits<TaskRef<void>&>> {
    long switches;
    TaskRef<void> tasks[tasks_taking_turns];
    long i = 0;

    Progress body() {
        CO_BEGIN;
        for (i = 0; i < tasks_taking_turns; ++i)
            if (!begin(tasks[i])) CO_RETURN(Error(ErrorKind::out_of_memory, Call::create_task));
        for (i = 0; i < tasks_taking_turns; ++i) CO_TRY(tasks[i]);
        CO_END;
    }
    bool begin(TaskRef<void>& task) {
        auto begun = running_loop().create_task(TakesTurns{.left = switches / tasks_taking_turns});
        if (begun) task = *std::move(begun);
        return begun.has_value();
    }
};

int fail(const Error& error) {
    std::fprintf(stderr, "switch_benchmark: %s\n", describe(error).c_str());
    return 1;
}

/// Blocks that came back are used again.
int count_allocations(EventLoop& loop) {
    for (int round = 0; round < 2; ++round) {
        const MemoryCounters counters = memory_counters();
        const Result<void> ran = loop.run_until_complete(AllTakeTurns{.switches = 64'000});
        if (!ran) return fail(ran.error());
        if (round == 1)
            std::printf(
                "allocations_in_steady_state=%llu\n",
                static_cast<unsigned long long>(memory_counters().allocations - counters.allocations));
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    EventLoop loop;
    if (const Result<void> opened = loop.open(); !opened) return fail(opened.error());
    if (argc == 2 && std::strcmp(argv[1], "--allocations") == 0) return count_allocations(loop);
    const long switches = argc == 2 ? std::atol(argv[1]) : 0;
    if (switches < tasks_taking_turns) {
        std::fprintf(stderr, "usage: switch_benchmark N | --allocations (N: at least %ld)\n",
                     tasks_taking_turns);
        return 2;
    }
    const Result<void> ran = loop.run_until_complete(AllTakeTurns{.switches = switches});
    return ran ? 0 : fail(ran.error());
}
