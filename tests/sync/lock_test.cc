// Lock: who has it next, what cancellation does in its line and after it, guards, and what is a mistake with it. In
// virtual time.
//
// Like the other four of core/sync it is tested twice, with hand-written frames and with the compiler's coroutines.
// Each has a file here; what they share is the line in which frames wait, and what is true of that line is tested at
// the lock most thoroughly. (Programs made of chance of all of them: tests/sync_random_test.cc.)
//
// Read next: tests/virtual_loop.h for what a test is made of, then tests/sync/event_test.cc.
#include "core/sync/lock.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/sync/holders.h"

using namespace pollard;

namespace {

template <class Author>
class Locks : public VirtualLoop {};
TYPED_TEST_SUITE(Locks, Holders, AuthorNames);

// --- one at a time, in the order of asking ---

TYPED_TEST(Locks, AFreeLockIsTakenWithoutSuspending) {
    Lock lock;
    auto task = this->spawn(TypeParam::waits("a", [&] { return lock.acquire(); }));
    this->turn();
    EXPECT_TRUE(task.done());
    EXPECT_TRUE(lock.locked());
    lock.release();
    EXPECT_FALSE(lock.locked());
}

TYPED_TEST(Locks, OneAtATimeInTheOrderOfAsking) {
    Lock lock;
    const std::int64_t began_ms = this->now_ms();
    auto a = this->spawn(TypeParam::holds("a", lock, second_ns));
    auto b = this->spawn(TypeParam::holds("b", lock, second_ns));
    auto c = this->spawn(TypeParam::holds("c", lock, second_ns));
    ASSERT_TRUE(this->loop.run_until_complete(c));
    EXPECT_EQ(story, (Story{"a in", "a out", "b in", "b out", "c in", "c out"}));
    EXPECT_EQ(this->now_ms() - began_ms, 3000);
}

TYPED_TEST(Locks, ReleaseWakesTheFirstInLineWhoRunsInTheNextTurn) {
    Lock lock;
    auto a = this->spawn(TypeParam::waits("a", [&] { return lock.acquire(); }));
    auto b = this->spawn(TypeParam::waits("b", [&] { return lock.acquire(); }));
    this->settle();
    lock.release();
    EXPECT_FALSE(b.done());
    this->turn();
    EXPECT_TRUE(b.done());
    EXPECT_TRUE(lock.locked());
    lock.release();
}

TYPED_TEST(Locks, AReleasedLockIsFreeUntilTheWokenOneRunsAndNewcomersQueueBehindIt) {
    Lock lock;
    auto a = this->spawn(TypeParam::waits("a", [&] { return lock.acquire(); }));
    auto b = this->spawn(TypeParam::waits("b", [&] { return lock.acquire(); }));
    this->settle();
    // In the ready queue the newcomer stands before b.
    auto newcomer = this->spawn(TypeParam::waits("newcomer", [&] { return lock.acquire(); }));
    lock.release();
    EXPECT_FALSE(lock.locked());
    this->turn();
    EXPECT_EQ(story, (Story{"a", "b"}));
    lock.release();
    this->settle();
    EXPECT_EQ(story, (Story{"a", "b", "newcomer"}));
    lock.release();
}

TYPED_TEST(Locks, TheOneWhoReleasesQueuesBehindTheWokenOneToo) {
    Lock lock;
    auto a = this->spawn(TypeParam::waits("a", [&] { return lock.acquire(); }));
    auto b = this->spawn(TypeParam::waits("b", [&] { return lock.acquire(); }));
    this->settle();
    auto again = this->spawn(TypeParam::waits("again", [&] {
        lock.release();
        return lock.acquire();
    }));
    this->settle();
    EXPECT_EQ(story, (Story{"a", "b"}));
    lock.release();
    this->settle();
    EXPECT_EQ(story, (Story{"a", "b", "again"}));
    lock.release();
}

TYPED_TEST(Locks, AWaiterCancelledInLineLeavesIt) {
    Lock lock;
    auto a = this->spawn(TypeParam::waits("a", [&] { return lock.acquire(); }));
    auto b = this->spawn(TypeParam::waits("b", [&] { return lock.acquire(); }));
    auto c = this->spawn(TypeParam::waits("c", [&] { return lock.acquire(); }));
    this->settle();
    EXPECT_TRUE(b.cancel());
    EXPECT_FALSE(b.done());
    lock.release();
    this->settle();
    EXPECT_EQ(story, (Story{"a", "b: cancelled", "c"}));
    EXPECT_TRUE(b.cancelled());
    lock.release();
}

TYPED_TEST(Locks, TheMessageOfACancellationComesOut) {
    Lock lock;
    auto a = this->spawn(TypeParam::waits("a", [&] { return lock.acquire(); }));
    auto b = this->spawn(TypeParam::waits("b", [&] { return lock.acquire(); }));
    auto c = this->spawn(TypeParam::waits("c", [&] { return lock.acquire(); }));
    this->settle();
    b.cancel("too late");
    c.cancel();
    this->settle();
    EXPECT_STREQ(describe(b.result().error()).c_str(), "await too late: cancelled");
    EXPECT_STREQ(describe(c.result().error()).c_str(), "await lock: cancelled");
    lock.release();
}

TYPED_TEST(Locks, AWaiterCancelledAfterItWasWokenWakesTheNext) {
    Lock lock;
    auto a = this->spawn(TypeParam::waits("a", [&] { return lock.acquire(); }));
    auto b = this->spawn(TypeParam::waits("b", [&] { return lock.acquire(); }));
    auto c = this->spawn(TypeParam::waits("c", [&] { return lock.acquire(); }));
    this->settle();
    lock.release();
    EXPECT_TRUE(b.cancel());
    auto newcomer = this->spawn(TypeParam::waits("newcomer", [&] { return lock.acquire(); }));
    this->settle();
    EXPECT_EQ(story, (Story{"a", "b: cancelled", "c"})) << "nobody passes c meanwhile";
    lock.release();
    this->settle();
    EXPECT_EQ(story.back(), "newcomer");
    lock.release();
}

TYPED_TEST(Locks, ARequestThatIsTakenBackBeforeTheWokenOneRanLetsItHaveTheLock) {
    Lock lock;
    auto a = this->spawn(TypeParam::waits("a", [&] { return lock.acquire(); }));
    auto b = this->spawn(TypeParam::waits("b", [&] { return lock.acquire(); }));
    auto c = this->spawn(TypeParam::waits("c", [&] { return lock.acquire(); }));
    this->settle();
    c.cancel();  // in line: that is decided
    c.uncancel();
    lock.release();
    b.cancel();
    b.uncancel();
    this->settle();
    EXPECT_EQ(story, (Story{"a", "c: cancelled", "b"}));
    EXPECT_TRUE(lock.locked());
    lock.release();
}

TYPED_TEST(Locks, WhenTheOnlyWokenWaiterIsCancelledTheLockIsFree) {
    Lock lock;
    auto a = this->spawn(TypeParam::waits("a", [&] { return lock.acquire(); }));
    auto b = this->spawn(TypeParam::waits("b", [&] { return lock.acquire(); }));
    this->settle();
    lock.release();
    b.cancel();
    this->settle();
    EXPECT_FALSE(lock.locked());
    auto c = this->spawn(TypeParam::waits("c", [&] { return lock.acquire(); }));
    this->turn();
    EXPECT_TRUE(c.done());
    lock.release();
}

TYPED_TEST(Locks, EveryWaiterCancelledAtOnceLeavesAFreeLock) {
    Lock lock;
    auto a = this->spawn(TypeParam::waits("a", [&] { return lock.acquire(); }));
    auto b = this->spawn(TypeParam::waits("b", [&] { return lock.acquire(); }));
    auto c = this->spawn(TypeParam::waits("c", [&] { return lock.acquire(); }));
    this->settle();
    lock.release();
    c.cancel();
    b.cancel();
    this->settle();
    EXPECT_FALSE(lock.locked());
    EXPECT_TRUE(b.cancelled() && c.cancelled());
}

TYPED_TEST(Locks, ATimeoutWhileWaitingInLineDoesNotDisturbTheOthers) {
    Lock lock;
    auto a = this->spawn(TypeParam::holds("a", lock, 10 * millisecond_ns));
    auto b = this->spawn(TypeParam::holds("b", lock, 10 * millisecond_ns));
    auto c = this->spawn(TypeParam::holds("c", lock, 10 * millisecond_ns));
    this->cancel_after_ms(b, 5);
    ASSERT_TRUE(this->loop.run_until_complete(c));
    EXPECT_EQ(story, (Story{"a in", "b in: cancelled", "a out", "c in", "c out"}));
}

TYPED_TEST(Locks, ATimeoutAtTheInstantOfTheReleaseLosesNoTurn) {
    for (const bool timeout_first : {false, true}) {
        story.clear();
        Lock lock;
        auto a = this->spawn(TypeParam::waits("a", [&] { return lock.acquire(); }));
        auto b = this->spawn(TypeParam::holds("b", lock, 0));
        auto c = this->spawn(TypeParam::holds("c", lock, 0));
        this->settle();
        if (timeout_first) this->cancel_after_ms(b, 10);
        ASSERT_TRUE(this->loop.call_later([&] { lock.release(); }, 10 * millisecond_ns));
        if (!timeout_first) this->cancel_after_ms(b, 10);
        ASSERT_TRUE(this->loop.run_until_complete(c));
        EXPECT_TRUE(b.cancelled());
        EXPECT_EQ(story, (Story{"a", "b in: cancelled", "c in", "c out"}));
        EXPECT_FALSE(lock.locked());
    }
}

TYPED_TEST(Locks, AHolderThatIsCancelledReleasesByItsGuard) {
    Lock lock;
    {
        auto a = this->spawn(TypeParam::holds("a", lock, 3600 * second_ns));
        this->settle();
        EXPECT_TRUE(lock.locked());
        a.cancel();
        this->settle();
        EXPECT_TRUE(a.cancelled());
    }
    EXPECT_FALSE(lock.locked());
}

TYPED_TEST(Locks, AGuardThatNobodyTakesReleasesAtOnce) {
    Lock lock;
    auto a = this->spawn(TypeParam::waits("a", [&] { return lock.lock(); }));
    this->settle();
    a = {};
    EXPECT_FALSE(lock.locked());
}

TYPED_TEST(Locks, PrintTreeSaysWhatExactlyIsWaitedFor) {
    Lock lock;
    auto a = this->spawn(TypeParam::holds("a", lock, second_ns));
    auto b = this->spawn(TypeParam::holds("b", lock, 0));
    auto c = this->spawn(TypeParam::holds("c", lock, 0));
    this->settle();
    EXPECT_TRUE(this->contains(this->printed_tree(), " lock, held, 2 in line, since"))
        << this->printed_tree();
    ASSERT_TRUE(this->loop.run_until_complete(c));
}

TYPED_TEST(Locks, ATaskThatCancelsItselfIsHitInTheLineAndNotAtAFreeLock) {
    Lock lock;
    auto a = this->spawn(TypeParam::waits("a", [&] {
        current_scheduler->running_task()->cancel();
        return lock.acquire();
    }));
    auto b = this->spawn(TypeParam::waits("b", [&] { return lock.acquire(); }));
    this->settle();
    EXPECT_EQ(story[0], "a") << "a free lock is no suspension";
    EXPECT_TRUE(a.cancelled());
    auto c = this->spawn(TypeParam::waits("c", [&] {
        current_scheduler->running_task()->cancel();
        return lock.acquire();
    }));
    this->settle();
    EXPECT_EQ(story.back(), "c: cancelled");
    lock.release();
    this->settle();
    EXPECT_TRUE(b.done());
    lock.release();
}

TYPED_TEST(Locks, NothingIsAllocatedForAnyNumberOfHandOvers) {
    Lock lock;
    auto holders = [&] {
        std::vector<TaskRef<void>> tasks;
        {
            const SchedulerScope scope(this->loop);  // so that the compiler's frames come from its pool
            for (const char* name : {"a", "b", "c"})
                tasks.push_back(this->spawn(TypeParam::holds(name, lock, 0)));
        }
        this->settle();
    };
    holders();
    const MemoryCounters before = memory_counters();
    for (int i = 0; i < 10; ++i) holders();
    EXPECT_EQ(memory_counters().allocations, before.allocations);
}

// --- guards, and frames that are destroyed ---

class LockGuards : public VirtualLoop {};

TEST_F(LockGuards, MovesReleaseOnceAndByWhoeverHoldsItLast) {
    Lock lock;
    Frame driver(nullptr);
    const SchedulerScope scope(loop);
    Result<LockGuard> first;
    {
        Lock::AcquireGuard acquire = lock.lock();
        ASSERT_TRUE(acquire.start(driver));
        first = acquire.result();
    }
    EXPECT_TRUE(lock.locked());
    LockGuard second = *std::move(first);
    EXPECT_FALSE(*first);
    EXPECT_TRUE(second);
    LockGuard third;
    third = std::move(second);
    second.release();
    EXPECT_TRUE(lock.locked());
    third.release();
    EXPECT_FALSE(lock.locked());
    third.release();
    EXPECT_FALSE(lock.locked());
}

TEST_F(LockGuards, AFrameDestroyedInLineLeavesIt) {
    Lock lock;
    auto holder = spawn(HoldersByHand::waits("holder", [&] { return lock.acquire(); }));
    settle();
    auto make = [&] { return lock.acquire(); };
    {
        Frame driver(nullptr);
        WaitsFrame<decltype(make)> waiting{.name = "destroyed", .make = make};
        begin(waiting, driver);
        destroy_while_it_waits(waiting);
    }
    auto next = spawn(HoldersByHand::waits("next", [&] { return lock.acquire(); }));
    turn();
    lock.release();
    settle();
    EXPECT_EQ(story, (Story{"holder", "next"}));
    lock.release();
}

TEST_F(LockGuards, AFrameDestroyedAfterItWasWokenWakesTheNext) {
    Lock lock;
    auto holder = spawn(HoldersByHand::waits("holder", [&] { return lock.acquire(); }));
    settle();
    auto make = [&] { return lock.acquire(); };
    Frame driver(nullptr);
    TaskRef<void> next;
    {
        WaitsFrame<decltype(make)> waiting{.name = "destroyed", .make = make};
        begin(waiting, driver);
        next = spawn(HoldersByHand::waits("next", make));
        turn();
        lock.release();
        destroy_while_it_waits(waiting);
    }
    settle();
    EXPECT_EQ(story, (Story{"holder", "next"}));
    lock.release();
}

using LockGuardsDeathTest = LockGuards;

TEST_F(LockGuardsDeathTest, ReleasingALockThatNobodyHoldsIsAMistake) {
    Lock lock;
    EXPECT_DEATH(lock.release(), "release\\(\\) of a lock that nobody holds");
}

TEST_F(LockGuardsDeathTest, ReleasingALockThatAGuardHoldsIsAMistake) {
    EXPECT_DEATH(
        {
            Lock lock;
            auto task = spawn(HoldersByHand::holds("a", lock, second_ns));
            settle();
            lock.release();
        },
        "release the guard instead");
}

TEST_F(LockGuardsDeathTest, DestroyingALockThatFramesWaitForIsAMistake) {
    EXPECT_DEATH(
        {
            auto task = TaskRef<void>();
            {
                Lock lock;
                auto a = spawn(HoldersByHand::waits("a", [&] { return lock.acquire(); }));
                task = spawn(HoldersByHand::waits("b", [&] { return lock.acquire(); }));
                settle();
            }
        },
        "cancel them and let them end first");
}

TEST_F(LockGuardsDeathTest, DestroyingALockBeforeItsGuardIsAMistake) {
    EXPECT_DEATH(
        {
            auto task = TaskRef<void>();
            {
                Lock lock;
                task = spawn(HoldersByHand::holds("a", lock, second_ns));
                settle();
            }
        },
        "let the guard end first");
}

TEST_F(LockGuardsDeathTest, FramesOfTwoLoopsMayNotWaitForOneLock) {
    EXPECT_DEATH(
        {
            Lock lock;
            auto a = spawn(HoldersByHand::waits("a", [&] { return lock.acquire(); }));
            auto b = spawn(HoldersByHand::waits("b", [&] { return lock.acquire(); }));
            settle();
            EventLoop other;
            (void)other.open({.kernel = "simulated"});
            (void)other.run_until_complete(HoldersByHand::waits("c", [&] { return lock.acquire(); }));
        },
        "frames of two loops wait for one thing");
}

}  // namespace
