// switch_benchmark: what a suspend and resume costs, and what a sleeping task weighs.
//
//      switch_benchmark N           64 tasks take turns until N switches are done; prints nothing but the count.
//                                   Run it below callgrind with two N and divide the difference of instructions by
//                                   the difference of N: start-up falls out. tools/bench/bench switch does so.
//      switch_benchmark --memory    resident memory of sleeping tasks, and allocations in the steady state
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
constexpr long sleeping_tasks = 100'000;

struct TakesTurns : Coroutine<TakesTurns, void, Awaits<Sleep>> {
    long left;

    Progress body() {
        CO_BEGIN;
        while (--left >= 0) CO_TRY(sleep_ns(0));
        CO_END;
    }
};

struct Sleeper : Coroutine<Sleeper, void, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(3600 * second_ns));
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

/// Resident memory of this process in bytes: proc(5).
long resident_bytes() {
    std::FILE* file = std::fopen("/proc/self/smaps_rollup", "r");
    if (file == nullptr) return -1;
    char line[256];
    long kilobytes = -1;
    while (std::fgets(line, sizeof line, file) != nullptr)
        if (std::sscanf(line, "Rss: %ld kB", &kilobytes) == 1) break;
    std::fclose(file);
    return kilobytes * 1024;
}

int fail(const Error& error) {
    std::fprintf(stderr, "switch_benchmark: %s\n", describe(error).c_str());
    return 1;
}

int turn_once(EventLoop& loop) {
    loop.stop();
    const Result<void> ran = loop.run_forever();
    return ran ? 0 : fail(ran.error());
}

int measure_memory(EventLoop& loop) {
    if (!loop.create_task(Sleeper{}) || turn_once(loop) != 0) return 1;
    const long before = resident_bytes();
    for (long i = 0; i < sleeping_tasks; ++i) {
        const auto task = loop.create_task(Sleeper{});
        if (!task) return fail(task.error());
    }
    if (turn_once(loop) != 0) return 1;
    const long after = resident_bytes();
    if (before < 0 || after < 0) {
        std::printf("bytes_per_sleeping_task=not measured: no /proc/self/smaps_rollup\n");
    } else {
        std::printf("bytes_per_sleeping_task=%.1f\n",
                    static_cast<double>(after - before) / static_cast<double>(sleeping_tasks));
    }

    // Steady state: blocks that came back are used again.
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
    if (argc == 2 && std::strcmp(argv[1], "--memory") == 0) return measure_memory(loop);
    const long switches = argc == 2 ? std::atol(argv[1]) : 0;
    if (switches < tasks_taking_turns) {
        std::fprintf(stderr, "usage: switch_benchmark N | --memory (N: at least %ld)\n", tasks_taking_turns);
        return 2;
    }
    const Result<void> ran = loop.run_until_complete(AllTakeTurns{.switches = switches});
    return ran ? 0 : fail(ran.error());
}
