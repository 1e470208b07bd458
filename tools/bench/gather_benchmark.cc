// gather_benchmark: what it costs to begin many tasks at once and to wait for all of them.
//
//      gather_benchmark [tasks]      10, 1,000 and 100,000 tasks, or as many as are asked for
//
// One frame makes the tasks, each of which lets the others run once and returns; then it waits for all of them in one
// way or the other. Each line is the fastest of several rounds, in nanoseconds a task (all of it: make, begin, suspend,
// go on, end, tell the combinator), and what the last round allocated: one block for the watches of a large gather.
// Nanoseconds a task shall not grow with the number of tasks, but for what the processor's caches hold no more.
//
// Read next: core/combinators/gather.h, core/combinators/watch.h.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "core/combinators/gather.h"
#include "core/combinators/task_group.h"
#include "core/combinators/wait.h"
#include "core/coroutine.h"
#include "core/event_loop.h"
#include "core/sleep.h"
#include "platform/kernel.h"
#include "platform/memory.h"

using namespace pollard;

namespace {

struct Child : Coroutine<Child, void, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(0));
        CO_END;
    }
};

bool make(std::span<TaskRef<void>> tasks) {
    for (TaskRef<void>& task : tasks) {
        auto made = running_loop().create_task(Child{});
        if (!made) return false;
        task = *std::move(made);
    }
    return true;
}

struct Gathers : Coroutine<Gathers, void, Awaits<GatherMany<void>>> {
    std::span<TaskRef<void>> tasks;
    Progress body() {
        CO_BEGIN;
        if (!make(tasks)) CO_RETURN(Error(ErrorKind::out_of_memory, Call::create_task));
        CO_TRY(gather(tasks));
        CO_END;
    }
};

struct WaitsForAll : Coroutine<WaitsForAll, void, Awaits<WaitMany>> {
    std::span<TaskRef<void>> tasks;
    Progress body() {
        CO_BEGIN;
        if (!make(tasks)) CO_RETURN(Error(ErrorKind::out_of_memory, Call::create_task));
        CO_TRY(wait(tasks));
        CO_END;
    }
};

/// The same by hand, for comparison: nothing but tasks.
struct AwaitsEach : Coroutine<AwaitsEach, void, Awaits<TaskRef<void>&>> {
    std::span<TaskRef<void>> tasks;
    std::size_t i = 0;
    Progress body() {
        CO_BEGIN;
        if (!make(tasks)) CO_RETURN(Error(ErrorKind::out_of_memory, Call::create_task));
        for (i = 0; i < tasks.size(); ++i) CO_TRY(tasks[i]);
        CO_END;
    }
};

struct Groups : Coroutine<Groups, void, Awaits<TaskGroup::Join>> {
    std::span<TaskRef<void>> tasks;
    TaskGroup group;
    Progress body() {
        CO_BEGIN;
        group.enter();
        for (std::size_t i = 0; i < tasks.size(); ++i)
            if (!group.create_task(Child{})) break;
        CO_TRY(group.join());
        CO_END;
    }
};

int fail(const Error& error) {
    std::fprintf(stderr, "gather_benchmark: %s\n", describe(error).c_str());
    return 1;
}

template <class Way>
int measure(EventLoop& loop, const char* name, std::span<TaskRef<void>> tasks) {
    const int rounds = tasks.size() < 10'000 ? 2'000 : 20;
    std::int64_t fastest_ns = INT64_MAX;
    std::uint64_t allocations = 0;
    Kernel& kernel = *loop.port().kernel;
    for (int round = 0; round < rounds; ++round) {
        const std::uint64_t before = memory_counters().allocations;
        const std::int64_t began_ns = kernel.clock(kernel);
        const Result<void> ran = loop.run_until_complete(Way{.tasks = tasks});
        if (!ran) return fail(ran.error());
        fastest_ns = std::min(fastest_ns, kernel.clock(kernel) - began_ns);
        allocations = memory_counters().allocations - before;
    }
    std::printf("%-12s %8zu tasks  %7.1f ns each  %llu allocations\n", name, tasks.size(),
                static_cast<double>(fastest_ns) / static_cast<double>(tasks.size()),
                static_cast<unsigned long long>(allocations));
    return 0;
}

int measure_all(EventLoop& loop, std::size_t count) {
    void* memory = allocate_zeroed(count * sizeof(TaskRef<void>));
    if (memory == nullptr) return fail(Error(ErrorKind::out_of_memory, Call::allocate));
    const std::span<TaskRef<void>> tasks(static_cast<TaskRef<void>*>(memory), count);
    for (TaskRef<void>& task : tasks) ::new (&task) TaskRef<void>();
    int failures = measure<AwaitsEach>(loop, "await each", tasks);
    failures += measure<Gathers>(loop, "gather", tasks);
    failures += measure<WaitsForAll>(loop, "wait", tasks);
    failures += measure<Groups>(loop, "TaskGroup", tasks);
    for (TaskRef<void>& task : tasks) task.~TaskRef<void>();
    release(memory);
    return failures;
}

}  // namespace

int main(int argc, char** argv) {
    EventLoop loop;
    if (const Result<void> opened = loop.open(); !opened) return fail(opened.error());
    if (argc == 2) return measure_all(loop, static_cast<std::size_t>(std::atol(argv[1])));
    int failures = 0;
    for (const std::size_t count : {10u, 1'000u, 100'000u}) failures += measure_all(loop, count);
    return failures == 0 ? 0 : 1;
}
