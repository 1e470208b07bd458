// tasks_benchmark: what a task costs from its creation to its end, and what cancelling one costs.
//
//      tasks_benchmark               one line a figure; tools/bench/bench tasks reads them
//      tasks_benchmark memory        what a sleeping one weighs, for tools/bench/bench memory
//      tasks_benchmark spawn N       creates, runs, awaits and frees N tasks that wait once each, and prints nothing:
//                                    for callgrind, as switch_benchmark
//
// Spawn-wait-finish: a task is created, starts, waits for its next turn (sleep of nothing), goes on, ends, is awaited
// by its creator and freed. The tasks are made in rounds of a thousand, so that their blocks are used again, as in a
// server. "All at once" makes a million that are all there before the first one ends: no cache holds them.
//
// Times are the best of several rounds (a neighbour on the machine can only make one slower), and each figure is given
// for two counts: the price of one must not grow with their number.
//
// Read next: core/task.h, core/task.cc.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/coroutine.h"
#include "core/event_loop.h"
#include "core/sleep.h"
#include "platform/memory.h"

using namespace pollard;

namespace {

constexpr long tasks_in_a_round = 1000;
constexpr long a_million = 1'000'000;

struct WaitsOnce : Coroutine<WaitsOnce, void, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(0));
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

/// Creates `count` tasks in rounds of at most `in_a_round`, and awaits each.
struct SpawnsAndWaits : Coroutine<SpawnsAndWaits, void, Awaits<TaskRef<void>&>> {
    long count;
    long in_a_round;
    TaskRef<void>* tasks;
    long i = 0;
    long in_this_round = 0;

    Progress body() {
        CO_BEGIN;
        while (count > 0) {
            in_this_round = std::min(count, in_a_round);
            for (i = 0; i < in_this_round; ++i)
                if (!spawn(tasks[i])) CO_RETURN(Error(ErrorKind::out_of_memory, Call::create_task));
            for (i = 0; i < in_this_round; ++i) {
                CO_TRY(tasks[i]);
                tasks[i] = TaskRef<void>();
            }
            count -= in_this_round;
        }
        CO_END;
    }
    static bool spawn(TaskRef<void>& task) {
        auto spawned = running_loop().create_task(WaitsOnce{});
        if (spawned) task = *std::move(spawned);
        return spawned.has_value();
    }
};

std::int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

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

[[noreturn]] void fail(const Error& error) {
    std::fprintf(stderr, "tasks_benchmark: %s\n", describe(error).c_str());
    std::exit(1);
}

void turn_once(EventLoop& loop) {
    loop.stop();
    if (const Result<void> ran = loop.run_forever(); !ran) fail(ran.error());
}

void open(EventLoop& loop) {
    if (const Result<void> opened = loop.open(); !opened) fail(opened.error());
}

/// Nanoseconds a task.
double spawn_and_wait(EventLoop& loop, TaskRef<void>* tasks, long count, long in_a_round) {
    const std::int64_t began_ns = now_ns();
    const Result<void> ran =
        loop.run_until_complete(SpawnsAndWaits{.count = count, .in_a_round = in_a_round, .tasks = tasks});
    if (!ran) fail(ran.error());
    return static_cast<double>(now_ns() - began_ns) / static_cast<double>(count);
}

void measure_spawning(const char* name, long count, long in_a_round) {
    auto* tasks = static_cast<TaskRef<void>*>(
        allocate_zeroed(static_cast<std::size_t>(in_a_round) * sizeof(TaskRef<void>)));
    if (tasks == nullptr) fail(Error(ErrorKind::out_of_memory, Call::allocate));
    EventLoop loop;
    open(loop);
    double best_ns = 1e9;
    for (int round = 0; round < 5; ++round)
        best_ns = std::min(best_ns, spawn_and_wait(loop, tasks, count, in_a_round));
    release(tasks);
    std::printf("%s=%.1f\n", name, best_ns);
}

void spawn_sleepers(EventLoop& loop, long count) {
    for (long i = 0; i < count; ++i)
        if (const auto task = loop.create_task(Sleeper{}); !task) fail(task.error());
    turn_once(loop);
}

/// Resident memory of each of a million, in a process that has used and freed nothing before.
void measure_memory() {
    EventLoop loop;
    open(loop);
    spawn_sleepers(loop, 1);
    const long before = resident_bytes();
    spawn_sleepers(loop, a_million);
    const long after = resident_bytes();
    if (before < 0 || after < 0) return;
    std::printf("bytes_each=%.1f\n", static_cast<double>(after - before) / static_cast<double>(a_million));
}

/// From the first `cancel` until the last one has ended, each.
void measure_cancelling(const char* name, long count) {
    EventLoop loop;
    open(loop);
    double best_ns = 1e9;
    for (int round = 0; round < 5; ++round) {
        spawn_sleepers(loop, count);
        const std::int64_t began_ns = now_ns();
        for (TaskState& task : all_tasks(loop)) task.cancel();
        turn_once(loop);
        best_ns = std::min(best_ns, static_cast<double>(now_ns() - began_ns) / static_cast<double>(count));
        if (loop.task_count() != 0)
            fail(Error(ErrorKind::invalid_state, Call::cancel).on("sleepers have not ended"));
    }
    std::printf("%s=%.1f\n", name, best_ns);
}

int spawn_only(long count) {
    static TaskRef<void> tasks[tasks_in_a_round];
    EventLoop loop;
    open(loop);
    (void)spawn_and_wait(loop, tasks, count, tasks_in_a_round);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 3 && std::strcmp(argv[1], "spawn") == 0) return spawn_only(std::atol(argv[2]));
    if (argc == 2 && std::strcmp(argv[1], "memory") == 0) {
        measure_memory();
        return 0;
    }
    if (argc != 1) {
        std::fprintf(stderr, "usage: tasks_benchmark [memory | spawn N]\n");
        return 2;
    }
    measure_spawning("spawn_wait_finish_ns_of_1000", 1000, tasks_in_a_round);
    measure_spawning("spawn_wait_finish_ns_of_1000000", a_million, tasks_in_a_round);
    measure_spawning("all_at_once_ns_of_1000000", a_million, a_million);
    measure_cancelling("cancel_ns_of_1000", 1000);
    measure_cancelling("cancel_ns_of_100000", 100'000);
    return 0;
}
