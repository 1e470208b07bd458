// sync_benchmark: what a lock's hand-over and a queue's put and get cost.
//
//      sync_benchmark lock N         64 locks, two tasks at each; N times one goes from one task to the other
//      sync_benchmark guard N        the same with guards
//      sync_benchmark queue N        a producer and a consumer; N items through a queue for 16
//      sync_benchmark one-by-one N   the same through a queue for one: each item wakes a getter, each get a putter
//
// Prints how much was allocated in a second run of the same. Run it below callgrind with two N, and divide the
// difference of instructions by the difference of N: start-up falls out. tools/bench/bench locks does so.
//
// Read next: core/sync/lock.h, core/queue.h.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "core/coroutine.h"
#include "core/event_loop.h"
#include "core/queue.h"
#include "core/sleep.h"
#include "core/sync/lock.h"

using namespace pollard;

namespace {

constexpr long locks = 64;

/// Releases the lock and asks for it again at once, so each time it is handed over to the other task.
struct TakesTheLock : Coroutine<TakesTheLock, void, Awaits<Lock::Acquire>> {
    Lock* lock;
    long times;

    Progress body() {
        CO_BEGIN;
        while (--times >= 0) {
            CO_TRY(lock->acquire());
            lock->release();
        }
        CO_END;
    }
};

/// The same by guards.
struct GuardsTheLock : Coroutine<GuardsTheLock, void, Awaits<Lock::AcquireGuard>> {
    Lock* lock;
    long times;
    Result<LockGuard> guard;

    Progress body() {
        CO_BEGIN;
        while (--times >= 0) {
            CO_AWAIT(guard, lock->lock());
            if (!guard) CO_RETURN(guard.error());
            guard->release();
        }
        CO_END;
    }
};

/// Two tasks at each lock; 64 locks, so that the costs of a turn are shared by as many.
template <class Task>
struct TwoAtEachLock : Coroutine<TwoAtEachLock<Task>, void, Awaits<Lock::Acquire, Sleep, TaskRef<void>&>> {
    Lock* of;
    long hand_overs;
    TaskRef<void>* tasks;  // room for two at each lock
    long i = 0;

    Progress body() {
        CO_BEGIN;
        for (i = 0; i < locks; ++i) CO_TRY(of[i].acquire());  // until all are in line
        for (i = 0; i < 2 * locks; ++i)
            if (!begin(i)) CO_RETURN(Error(ErrorKind::out_of_memory, Call::create_task));
        CO_TRY(sleep_ns(0));
        for (i = 0; i < locks; ++i) of[i].release();
        for (i = 0; i < 2 * locks; ++i) CO_TRY(tasks[i]);
        CO_END;
    }
    bool begin(long which) {
        auto begun =
            running_loop().create_task(Task{.lock = &of[which / 2], .times = hand_overs / (2 * locks)});
        if (begun) tasks[which] = *std::move(begun);
        return begun.has_value();
    }
};

using Numbers = Queue<long>;

struct Producer : Coroutine<Producer, void, Awaits<Numbers::Put>> {
    Numbers* queue;
    long items;
    long i = 0;

    Progress body() {
        CO_BEGIN;
        for (i = 0; i < items; ++i) CO_TRY(queue->put(i));
        CO_END;
    }
};

struct ProducerAndConsumer : Coroutine<ProducerAndConsumer, void, Awaits<Numbers::Get, TaskRef<void>&>> {
    Numbers* queue;
    long items;
    TaskRef<void> producer;
    Result<long> item;
    long i = 0;

    Progress body() {
        CO_BEGIN;
        if (!begin()) CO_RETURN(Error(ErrorKind::out_of_memory, Call::create_task));
        for (i = 0; i < items; ++i) {
            CO_AWAIT(item, queue->get());
            if (!item || *item != i) CO_RETURN(Error(ErrorKind::other, Call::get));
        }
        CO_TRY(producer);
        CO_END;
    }
    bool begin() {
        auto begun = running_loop().create_task(Producer{.queue = queue, .items = items});
        if (begun) producer = *std::move(begun);
        return begun.has_value();
    }
};

int fail(const Error& error) {
    std::fprintf(stderr, "sync_benchmark: %s\n", describe(error).c_str());
    return 1;
}

/// Twice; what is allocated the second time is not for want of memory in the pool.
int measure(EventLoop& loop, auto run) {
    std::uint64_t allocations = 0;
    for (int round = 0; round < 2; ++round) {
        const std::uint64_t before = memory_counters().allocations;
        const Result<void> ran = run(loop);
        if (!ran) return fail(ran.error());
        allocations = memory_counters().allocations - before;
    }
    std::printf("allocations_in_steady_state=%llu\n", static_cast<unsigned long long>(allocations));
    return 0;
}

template <class Task>
int measure_lock(EventLoop& loop, long count) {
    Lock of[locks];
    TaskRef<void> tasks[2 * locks];
    return measure(loop, [&](EventLoop& on) {
        return on.run_until_complete(TwoAtEachLock<Task>{.of = of, .hand_overs = count, .tasks = tasks});
    });
}

int measure_queue(EventLoop& loop, long count, std::int64_t maxsize) {
    Numbers queue(maxsize);
    return measure(loop, [&](EventLoop& on) {
        return on.run_until_complete(ProducerAndConsumer{.queue = &queue, .items = count});
    });
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view what = argc == 3 ? argv[1] : "";
    const long count = argc == 3 ? std::atol(argv[2]) : 0;
    EventLoop loop;
    if (const Result<void> opened = loop.open(); !opened) return fail(opened.error());
    if (count >= 2 * locks) {
        if (what == "lock") return measure_lock<TakesTheLock>(loop, count);
        if (what == "guard") return measure_lock<GuardsTheLock>(loop, count);
        if (what == "queue") return measure_queue(loop, count, 16);
        if (what == "one-by-one") return measure_queue(loop, count, 1);
    }
    std::fprintf(stderr, "usage: sync_benchmark lock | guard | queue | one-by-one N (N: at least %ld)\n",
                 2 * locks);
    return 2;
}
