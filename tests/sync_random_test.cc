// Locks, semaphores, conditions, barriers, events and queues in the hands of tasks that do what a seed says and are
// cancelled when a seed says so. Nothing may be held by too many, lost, or left behind, and everybody must be able to
// end. In virtual time; a failing seed is named and repeats itself.
#include <random>

#include "core/queue.h"
#include "core/sync/barrier.h"
#include "core/sync/condition.h"
#include "core/sync/event.h"
#include "core/sync/semaphore.h"
#include "tests/virtual_loop.h"

using namespace pollard;

namespace {

constexpr unsigned seeds = 10'000;
constexpr int permits = 2;

struct World {
    std::mt19937 random;
    Lock lock;
    Condition condition{lock};
    Semaphore semaphore{permits};
    Barrier barrier{3};
    Event event;
    Queue<int> queue{2};
    int holders = 0;
    int permits_out = 0;
    int put = 0;
    int got = 0;

    explicit World(unsigned seed) : random(seed) {}
    int below(int limit) { return static_cast<int>(random() % static_cast<unsigned>(limit)); }
    std::int64_t some_time_ns() { return below(3) * millisecond_ns; }
};

/// Counts for as long as it lives.
class Inside {
public:
    Inside(int& count, int most) : count_(count) { EXPECT_LE(++count_, most); }
    ~Inside() { --count_; }
    Inside(const Inside&) = delete;

private:
    int& count_;
};

Co<void> holds_lock(World& world) {
    const auto guard = co_await world.lock.lock();
    if (!guard) co_return guard.error();
    const Inside inside(world.holders, 1);
    if (world.below(2) == 0) world.condition.notify(static_cast<unsigned>(world.below(3)));
    co_return co_await sleep_ns(world.some_time_ns());
}

Co<void> waits_for_condition(World& world) {
    const auto guard = co_await world.condition.lock();
    if (!guard) co_return guard.error();
    const Result<void> waited = co_await world.condition.wait();
    const Inside inside(world.holders, 1);  // however it ended
    const Result<void> slept = co_await sleep_ns(world.some_time_ns());
    co_return waited ? slept : waited;
}

Co<void> holds_permit(World& world) {
    const auto guard = co_await world.semaphore.permit();
    if (!guard) co_return guard.error();
    const Inside inside(world.permits_out, permits);
    co_return co_await sleep_ns(world.some_time_ns());
}

Co<void> puts(World& world) {
    const Result<void> put = co_await world.queue.put(1);
    if (put) ++world.put;
    co_return put;
}

Co<void> gets(World& world) {
    const Result<int> item = co_await world.queue.get();
    if (!item) co_return item.error();
    ++world.got;
    co_return world.queue.task_done();
}

Co<void> meets(World& world) {
    const Result<std::uint32_t> index = co_await world.barrier.wait();
    if (!index) co_return index.error();
    co_return Result<void>();
}

Co<void> sets_or_waits(World& world) {
    if (world.below(3) == 0) {
        world.event.set();
        if (world.below(2) == 0) world.event.clear();
        co_return Result<void>();
    }
    co_return co_await world.event.wait();
}

Co<void> one_step(World& world) {
    switch (world.below(7)) {
        case 0:
            co_return co_await holds_lock(world);
        case 1:
            co_return co_await waits_for_condition(world);
        case 2:
            co_return co_await holds_permit(world);
        case 3:
            co_return co_await puts(world);
        case 4:
            co_return co_await gets(world);
        case 5:
            co_return co_await meets(world);
        default:
            co_return co_await sets_or_waits(world);
    }
}

/// Some cancellations are not obeyed.
Co<void> works(World& world) {
    for (int steps = 10; steps > 0; --steps) {
        const Result<void> done = co_await one_step(world);
        if (!done && world.below(2) == 0) co_return done;
    }
    co_return Result<void>();
}

class RandomWork : public VirtualLoop {
protected:
    void run_seed(unsigned seed) {
        World world(seed);
        std::vector<TaskRef<void>> tasks;
        for (int count = 3 + world.below(8); count > 0; --count) tasks.push_back(spawn(works(world)));
        for (int round = 0; round < 30; ++round) {
            for (int turns = world.below(4); turns > 0; --turns) turn();
            if (world.below(3) == 0) pass_ms(1);
            tasks[static_cast<std::size_t>(world.below(static_cast<int>(tasks.size())))].cancel();
            if (world.below(4) == 0) check_at_rest(world);
            if (world.below(20) == 0) world.barrier.abort();
            if (world.below(20) == 0) world.barrier.reset();
        }
        end_all(tasks);
        check(world);
    }

    template <class T>
    static bool says(const T& what, const char* part) {
        Text text;
        what.describe(text);
        return contains(text.c_str(), part);
    }
    /// When nothing is ready nobody waits for what is there: no wake-up was lost.
    void check_at_rest(World& world) {
        settle();
        EXPECT_FALSE(!world.lock.locked() && says(world.lock, "in line"));
        EXPECT_FALSE(world.semaphore.value() > 0 && says(world.semaphore, "in line"));
        EXPECT_FALSE(!world.queue.empty() && says(world.queue, "wait to get"));
        EXPECT_FALSE(!world.queue.full() && says(world.queue, "wait to put"));
        EXPECT_FALSE(world.event.is_set() && says(world.event, "in line"));
        EXPECT_LT(world.barrier.n_waiting(), world.barrier.parties());
    }

    void end_all(const std::vector<TaskRef<void>>& tasks) {
        for (int tries = 0; tries < 1000 && loop.task_count() != 0; ++tries) {
            for (const TaskRef<void>& task : tasks) task.cancel();
            turn();
            pass_ms(1);
        }
        ASSERT_EQ(loop.task_count(), 0u) << printed_tree();
    }

    void check(World& world) {
        EXPECT_FALSE(world.lock.locked());
        EXPECT_EQ(world.holders, 0);
        EXPECT_EQ(world.semaphore.value(), permits);
        EXPECT_EQ(world.permits_out, 0);
        EXPECT_EQ(world.put - world.got, static_cast<int>(world.queue.qsize()));
        EXPECT_EQ(world.queue.unfinished_tasks(), world.queue.qsize());
        EXPECT_EQ(world.barrier.n_waiting(), 0u);
    }
};

TEST_F(RandomWork, NothingIsHeldByTooManyLostOrLeftBehindWhateverTheSeed) {
    for (unsigned seed = 1; seed <= seeds && !HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        run_seed(seed);
    }
}

}  // namespace
