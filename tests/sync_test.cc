// Locks, events, conditions, semaphores, barriers: who goes on when, and what cancellation does at each point. In
// virtual time. Each rule is tested twice: with hand-written frames and with the compiler's coroutines.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "core/sync/barrier.h"
#include "core/sync/condition.h"
#include "core/sync/event.h"
#include "core/sync/lock.h"
#include "core/sync/semaphore.h"
#include "tests/virtual_loop.h"

using namespace pollard;

namespace {

/// Holds something by a guard for a time.
template <class Resource>
struct HoldsFrame : Coroutine<HoldsFrame<Resource>, void, Awaits<AcquireGuard<Resource>, Sleep>> {
    std::string name;
    AcquireGuard<Resource> (*enter)(void*);
    void* resource;
    std::int64_t hold_ns;
    Result<Guard<Resource>> guard;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(guard, enter(resource));
        tell(name + " in", guard);
        if (!guard) CO_RETURN(guard.error());
        CO_TRY(sleep_ns(hold_ns));
        say(name + " out");
        guard->release();
        CO_END;
    }
};

/// Waits for a condition with its lock, and holds the lock for a while afterwards.
struct WaitsForConditionFrame
    : Coroutine<WaitsForConditionFrame, void, Awaits<Lock::AcquireGuard, Condition::Wait, Sleep>> {
    std::string name;
    Condition* condition;
    std::int64_t hold_ns;
    Result<LockGuard> guard;
    Result<void> waited;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(guard, condition->lock());
        if (!guard) CO_RETURN(guard.error());
        CO_AWAIT(waited, condition->wait());
        tell(name + (condition->locked() ? "" : " without the lock"), waited);
        CO_TRY(sleep_ns(hold_ns));
        guard->release();
        CO_RETURN(waited);
        CO_END;
    }
};

struct SyncByHand : ByHand {
    static auto holds(std::string name, Lock& lock, std::int64_t hold_ns) {
        return HoldsFrame<Lock>{.name = std::move(name),
                                .enter = [](void* it) { return static_cast<Lock*>(it)->lock(); },
                                .resource = &lock,
                                .hold_ns = hold_ns};
    }
    static auto holds(std::string name, Semaphore& semaphore, std::int64_t hold_ns) {
        return HoldsFrame<Semaphore>{.name = std::move(name),
                                     .enter = [](void* it) { return static_cast<Semaphore*>(it)->permit(); },
                                     .resource = &semaphore,
                                     .hold_ns = hold_ns};
    }
    static auto waits_for(std::string name, Condition& condition, std::int64_t hold_ns = 0) {
        return WaitsForConditionFrame{.name = std::move(name), .condition = &condition, .hold_ns = hold_ns};
    }
};

Lock::AcquireGuard enter(Lock& lock) { return lock.lock(); }
Semaphore::AcquireGuard enter(Semaphore& semaphore) { return semaphore.permit(); }

struct SyncByCompiler : ByCompiler {
    template <class Resource>
    static Co<void> holds(std::string name, Resource& resource, std::int64_t hold_ns) {
        const auto guard = co_await enter(resource);
        tell(name + " in", guard);
        if (!guard) co_return guard.error();
        const Result<void> slept = co_await sleep_ns(hold_ns);
        if (!slept) co_return slept;
        say(name + " out");
        co_return Result<void>();
    }
    static Co<void> waits_for(std::string name, Condition& condition, std::int64_t hold_ns = 0) {
        const auto guard = co_await condition.lock();
        if (!guard) co_return guard.error();
        const Result<void> waited = co_await condition.wait();
        tell(name + (condition.locked() ? "" : " without the lock"), waited);
        const Result<void> slept = co_await sleep_ns(hold_ns);
        if (!slept) co_return slept;
        co_return waited;
    }
};

using SyncAuthors = testing::Types<SyncByHand, SyncByCompiler>;

template <class Author>
class Locks : public VirtualLoop {};
TYPED_TEST_SUITE(Locks, SyncAuthors, AuthorNames);

// --- Lock ---

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

// --- Lock: guards, and frames that are destroyed ---

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
    auto holder = spawn(SyncByHand::waits("holder", [&] { return lock.acquire(); }));
    settle();
    auto make = [&] { return lock.acquire(); };
    {
        Frame driver(nullptr);
        WaitsFrame<decltype(make)> waiting{.name = "destroyed", .make = make};
        begin(waiting, driver);
        destroy_while_it_waits(waiting);
    }
    auto next = spawn(SyncByHand::waits("next", [&] { return lock.acquire(); }));
    turn();
    lock.release();
    settle();
    EXPECT_EQ(story, (Story{"holder", "next"}));
    lock.release();
}

TEST_F(LockGuards, AFrameDestroyedAfterItWasWokenWakesTheNext) {
    Lock lock;
    auto holder = spawn(SyncByHand::waits("holder", [&] { return lock.acquire(); }));
    settle();
    auto make = [&] { return lock.acquire(); };
    Frame driver(nullptr);
    TaskRef<void> next;
    {
        WaitsFrame<decltype(make)> waiting{.name = "destroyed", .make = make};
        begin(waiting, driver);
        next = spawn(SyncByHand::waits("next", make));
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
            auto task = spawn(SyncByHand::holds("a", lock, second_ns));
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
                auto a = spawn(SyncByHand::waits("a", [&] { return lock.acquire(); }));
                task = spawn(SyncByHand::waits("b", [&] { return lock.acquire(); }));
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
                task = spawn(SyncByHand::holds("a", lock, second_ns));
                settle();
            }
        },
        "let the guard end first");
}

TEST_F(LockGuardsDeathTest, FramesOfTwoLoopsMayNotWaitForOneLock) {
    EXPECT_DEATH(
        {
            Lock lock;
            auto a = spawn(SyncByHand::waits("a", [&] { return lock.acquire(); }));
            auto b = spawn(SyncByHand::waits("b", [&] { return lock.acquire(); }));
            settle();
            EventLoop other;
            (void)other.open({.kernel = "simulated"});
            (void)other.run_until_complete(SyncByHand::waits("c", [&] { return lock.acquire(); }));
        },
        "frames of two loops wait for one thing");
}

// --- Event ---

template <class Author>
class Events : public VirtualLoop {};
TYPED_TEST_SUITE(Events, SyncAuthors, AuthorNames);

TYPED_TEST(Events, WaitingForASetEventDoesNotSuspend) {
    Event event;
    event.set();
    auto a = this->spawn(TypeParam::waits("a", [&] { return event.wait(); }));
    this->turn();
    EXPECT_TRUE(a.done());
    EXPECT_TRUE(event.is_set());
}

TYPED_TEST(Events, SetWakesAllInTheOrderInWhichTheyCame) {
    Event event;
    auto a = this->spawn(TypeParam::waits("a", [&] { return event.wait(); }));
    auto b = this->spawn(TypeParam::waits("b", [&] { return event.wait(); }));
    auto c = this->spawn(TypeParam::waits("c", [&] { return event.wait(); }));
    this->settle();
    EXPECT_TRUE(story.empty());
    event.set();
    event.set();
    this->turn();
    EXPECT_EQ(story, (Story{"a", "b", "c"}));
}

TYPED_TEST(Events, ThoseWhoWereWokenGoOnEvenIfItIsClearedBeforeTheyRun) {
    Event event;
    auto a = this->spawn(TypeParam::waits("a", [&] { return event.wait(); }));
    this->settle();
    event.set();
    event.clear();
    EXPECT_FALSE(event.is_set());
    auto b = this->spawn(TypeParam::waits("b", [&] { return event.wait(); }));
    this->settle();
    EXPECT_EQ(story, Story{"a"});
    event.set();
    this->settle();
    EXPECT_EQ(story, (Story{"a", "b"}));
}

TYPED_TEST(Events, AWaiterCancelledInLineOrAfterItWasWokenIsTold) {
    Event event;
    auto a = this->spawn(TypeParam::waits("a", [&] { return event.wait(); }));
    auto b = this->spawn(TypeParam::waits("b", [&] { return event.wait(); }));
    auto c = this->spawn(TypeParam::waits("c", [&] { return event.wait(); }));
    this->settle();
    b.cancel();
    event.set();
    c.cancel();
    this->settle();
    EXPECT_EQ(story, (Story{"b: cancelled", "a", "c: cancelled"}));
}

TYPED_TEST(Events, AnEventMayBeDestroyedAsSoonAsItIsSet) {
    TaskRef<void> a;
    TaskRef<void> b;
    {
        Event event;
        a = this->spawn(TypeParam::waits("a", [&] { return event.wait(); }));
        b = this->spawn(TypeParam::waits("b", [&] { return event.wait(); }));
        this->settle();
        event.set();
    }
    EXPECT_TRUE(this->contains(this->printed_tree(), " event, over, since")) << this->printed_tree();
    b.cancel();
    this->settle();
    EXPECT_EQ(story, (Story{"a", "b: cancelled"}));
}

TYPED_TEST(Events, PrintTreeSaysHowManyWait) {
    Event event;
    auto a = this->spawn(TypeParam::waits("a", [&] { return event.wait(); }));
    auto b = this->spawn(TypeParam::waits("b", [&] { return event.wait(); }));
    this->settle();
    EXPECT_TRUE(this->contains(this->printed_tree(), " event, not set, 2 in line, since"));
    event.set();
    this->settle();
}

TYPED_TEST(Events, ATimeoutEndsTheWait) {
    Event event;
    auto a = this->spawn(TypeParam::waits("a", [&] { return event.wait(); }));
    this->cancel_after_ms(a, 20);
    EXPECT_EQ(this->loop.run_until_complete(a).error().kind, ErrorKind::cancelled);
    event.set();
}

// --- Condition ---

template <class Author>
class Conditions : public VirtualLoop {
protected:
    /// From outside any task, as a callback would: nobody holds the lock then.
    void notify(Condition& condition, unsigned count) {
        auto notifier = this->spawn(SyncByHand::waits("notifier", [&] { return condition.acquire(); }));
        this->settle();
        ASSERT_TRUE(condition.locked());
        condition.notify(count);
        condition.release();
    }
};
TYPED_TEST_SUITE(Conditions, SyncAuthors, AuthorNames);

TYPED_TEST(Conditions, WaitGivesTheLockUpAndHasItAgainAtTheEnd) {
    Condition condition;
    auto a = this->spawn(TypeParam::waits_for("a", condition));
    this->settle();
    EXPECT_FALSE(condition.locked());
    this->notify(condition, 1);
    this->settle();
    EXPECT_EQ(story, (Story{"notifier", "a"}));
    EXPECT_FALSE(condition.locked());
}

TYPED_TEST(Conditions, NotifyWakesAsManyAsItSaysInTheOrderInWhichTheyCame) {
    Condition condition;
    auto a = this->spawn(TypeParam::waits_for("a", condition));
    auto b = this->spawn(TypeParam::waits_for("b", condition));
    auto c = this->spawn(TypeParam::waits_for("c", condition));
    this->settle();
    this->notify(condition, 2);
    this->settle();
    EXPECT_EQ(story, (Story{"notifier", "a", "b"}));
    this->notify(condition, 1);
    this->settle();
    EXPECT_EQ(story.back(), "c");
}

TYPED_TEST(Conditions, TheNotifiedGoOnOneByOneAsTheyGetTheLock) {
    Condition condition;
    auto a = this->spawn(TypeParam::waits_for("a", condition, 10 * millisecond_ns));
    auto b = this->spawn(TypeParam::waits_for("b", condition, 10 * millisecond_ns));
    this->settle();
    this->notify(condition, 2);
    this->settle();
    EXPECT_EQ(story, (Story{"notifier", "a"}));
    EXPECT_TRUE(this->contains(this->printed_tree(), "wants it back: lock, held, 1 in line"))
        << this->printed_tree();
    ASSERT_TRUE(this->loop.run_until_complete(b));
    EXPECT_EQ(story, (Story{"notifier", "a", "b"}));
}

TYPED_TEST(Conditions, ThoseWhoWaitStandInTheLocksLineOnlyAfterTheyWereNotified) {
    Lock lock;
    Condition condition(lock);
    auto a = this->spawn(TypeParam::waits_for("a", condition));
    this->settle();
    auto holder = this->spawn(TypeParam::waits("holder", [&] { return lock.acquire(); }));
    auto other = this->spawn(TypeParam::waits("other", [&] { return lock.acquire(); }));
    this->settle();
    condition.notify();
    this->settle();
    lock.release();
    this->settle();
    EXPECT_EQ(story, (Story{"holder", "other"})) << "a stands behind";
    lock.release();
    this->settle();
    EXPECT_EQ(story.back(), "a");
}

TYPED_TEST(Conditions, CancelledInLineItTakesTheLockAgainBeforeItIsTold) {
    Lock lock;
    Condition condition(lock);
    auto a = this->spawn(TypeParam::waits_for("a", condition));
    this->settle();
    auto holder = this->spawn(TypeParam::waits("holder", [&] { return lock.acquire(); }));
    this->settle();
    a.cancel();
    this->settle();
    EXPECT_FALSE(a.done()) << "it needs the lock first";
    lock.release();
    this->settle();
    EXPECT_EQ(story, (Story{"holder", "a: cancelled"}));
    EXPECT_TRUE(a.cancelled());
}

TYPED_TEST(Conditions, RepeatedCancellationsWaitForTheLockToo) {
    Lock lock;
    Condition condition(lock);
    auto a = this->spawn(TypeParam::waits_for("a", condition));
    this->settle();
    auto holder = this->spawn(TypeParam::waits("holder", [&] { return lock.acquire(); }));
    this->settle();
    for (int i = 0; i < 3; ++i) {
        a.cancel();
        this->settle();
        EXPECT_FALSE(a.done());
    }
    lock.release();
    a.cancel();  // woken for the lock, not yet run
    this->settle();
    EXPECT_EQ(story, (Story{"holder", "a: cancelled"}));
    EXPECT_FALSE(lock.locked());
}

TYPED_TEST(Conditions, OnlyARequestThatCameAfterTheNotificationCanBeTakenBack) {
    for (const bool after_the_notification : {false, true}) {
        story.clear();
        Lock lock;
        Condition condition(lock);
        auto a = this->spawn(TypeParam::waits_for("a", condition));
        this->settle();
        auto holder = this->spawn(TypeParam::waits("holder", [&] { return lock.acquire(); }));
        this->settle();
        if (!after_the_notification) a.cancel();
        condition.notify();
        if (after_the_notification) a.cancel();
        a.uncancel();
        lock.release();
        this->settle();
        EXPECT_EQ(story, (Story{"holder", after_the_notification ? "a" : "a: cancelled"}));
    }
}

TYPED_TEST(Conditions, CancelledBeforeTheNotificationItTakesNoNotificationAway) {
    Condition condition;
    auto a = this->spawn(TypeParam::waits_for("a", condition));
    auto b = this->spawn(TypeParam::waits_for("b", condition));
    auto c = this->spawn(TypeParam::waits_for("c", condition));
    this->settle();
    a.cancel();
    this->notify(condition, 1);
    this->settle();
    EXPECT_EQ(story, (Story{"a: cancelled", "notifier", "b"}));
    this->notify(condition, 1);
    this->settle();
}

TYPED_TEST(Conditions, CancelledAfterItWasNotifiedItPassesTheNotificationOn) {
    for (const bool while_it_waits_for_the_lock : {false, true}) {
        story.clear();
        Lock lock;
        Condition condition(lock);
        auto a = this->spawn(TypeParam::waits_for("a", condition));
        auto b = this->spawn(TypeParam::waits_for("b", condition));
        this->settle();
        auto holder = this->spawn(TypeParam::waits("holder", [&] { return lock.acquire(); }));
        this->settle();
        condition.notify();
        if (while_it_waits_for_the_lock) this->settle();
        a.cancel();
        this->settle();
        lock.release();
        this->settle();
        EXPECT_EQ(story, (Story{"holder", "a: cancelled", "b"}));
        EXPECT_FALSE(lock.locked());
    }
}

TYPED_TEST(Conditions, ATimeoutAtTheInstantOfTheNotificationLosesNoNotification) {
    for (const bool timeout_first : {false, true}) {
        story.clear();
        Lock lock;
        Condition condition(lock);
        auto a = this->spawn(TypeParam::waits_for("a", condition));
        auto b = this->spawn(TypeParam::waits_for("b", condition));
        this->settle();
        auto holder = this->spawn(TypeParam::waits("holder", [&] { return lock.acquire(); }));
        this->settle();
        if (timeout_first) this->cancel_after_ms(a, 10);
        ASSERT_TRUE(this->loop.call_later(
            [&] {
                condition.notify();
                condition.release();
            },
            10 * millisecond_ns));
        if (!timeout_first) this->cancel_after_ms(a, 10);
        ASSERT_TRUE(this->loop.run_until_complete(b));
        EXPECT_TRUE(a.cancelled());
        EXPECT_EQ(story, (Story{"holder", "a: cancelled", "b"}));
    }
}

TYPED_TEST(Conditions, WaitForAsksBeforeItWaitsAndAfterEachNotification) {
    Condition condition;
    int value = 0;
    int asked = 0;
    const auto is_two = [&] {
        ++asked;
        return value == 2;
    };
    auto lock = this->spawn(TypeParam::waits("lock", [&] { return condition.acquire(); }));
    auto a = this->spawn(TypeParam::waits("a", [&] { return condition.wait_for(is_two); }));
    this->settle();
    EXPECT_EQ(asked, 1);
    for (value = 1; value <= 2; ++value) {
        EXPECT_FALSE(a.done());
        this->notify(condition, 1);
        this->settle();
        EXPECT_EQ(asked, 1 + value);
    }
    EXPECT_TRUE(a.done());
    EXPECT_TRUE(condition.locked());
    condition.release();
}

TYPED_TEST(Conditions, WaitForWhatIsTrueAlreadyDoesNotSuspendAndGivesThePredicatesValue) {
    Condition condition;
    int value = 0;
    auto lock = this->spawn(TypeParam::waits("lock", [&] { return condition.acquire(); }));
    this->settle();
    struct Keeps {
        Condition::WaitFor<int (*)()> wait;
        int* value;
        bool start(Frame& waiter) { return wait.start(waiter); }
        bool failed() const { return wait.failed(); }
        Result<int> result() {
            auto result = wait.result();
            *value = *result;
            return result;
        }
        CancelOutcome cancel() { return wait.cancel(); }
        void describe(Text& text) const { wait.describe(text); }
    };
    auto a = this->spawn(
        TypeParam::waits("a", [&] { return Keeps{condition.wait_for(+[] { return 42; }), &value}; }));
    this->turn();
    EXPECT_TRUE(a.done());
    EXPECT_EQ(value, 42);
    condition.release();
}

TYPED_TEST(Conditions, APredicateThatCancelsItsOwnTaskIsHeardWhenTheTaskSuspends) {
    for (const int cancels_when_asked : {1, 2}) {
        SCOPED_TRACE(cancels_when_asked);
        Condition condition;
        int asked = 0;
        auto a = this->spawn(TypeParam::waits("lock", [&] { return condition.acquire(); }));
        this->settle();
        a = this->spawn(TypeParam::waits("a", [&] {
            return condition.wait_for([&asked, cancels_when_asked] {
                if (++asked == cancels_when_asked) (void)current_task()->cancel();
                return false;
            });
        }));
        this->settle();
        if (cancels_when_asked == 2) this->notify(condition, 1);
        this->settle();
        EXPECT_TRUE(a.done() && a.cancelled());
        EXPECT_EQ(asked, cancels_when_asked);
        EXPECT_TRUE(condition.locked()) << "it holds the lock, as after each wait";
        EXPECT_EQ(this->loop.pending_cancels, 0u);
        if (!a.done()) (void)a.cancel();
        this->settle();
        if (condition.locked()) condition.release();
    }
}

TYPED_TEST(Conditions, APredicateThatCancelsItsOwnTaskAndIsTrueGivesItsValue) {
    Condition condition;
    auto a = this->spawn(TypeParam::waits("lock", [&] { return condition.acquire(); }));
    this->settle();
    bool value = false;
    a = this->spawn(TypeParam::waits("a", [&] {
        return condition.wait_for([&value] {
            (void)current_task()->cancel();
            return value = true;
        });
    }));
    this->settle();
    EXPECT_EQ(story.back(), "a") << "nothing suspended, so the request is for the next await";
    EXPECT_TRUE(a.cancelled()) << "and there was none";
    condition.release();
}

TYPED_TEST(Conditions, WaitForThatIsCancelledAsksNoMoreAndHoldsTheLock) {
    Condition condition;
    int asked = 0;
    auto lock = this->spawn(TypeParam::waits("lock", [&] { return condition.acquire(); }));
    auto a = this->spawn(TypeParam::waits("a", [&] {
        return condition.wait_for([&] {
            ++asked;
            return false;
        });
    }));
    this->settle();
    this->notify(condition, 1);
    this->settle();
    EXPECT_EQ(asked, 2);
    a.cancel();
    this->settle();
    EXPECT_EQ(asked, 2);
    EXPECT_TRUE(a.cancelled());
    EXPECT_TRUE(condition.locked());
    condition.release();
}

TYPED_TEST(Conditions, PrintTreeSaysWhatExactlyIsWaitedFor) {
    Condition condition;
    auto a = this->spawn(TypeParam::waits_for("a", condition));
    auto b = this->spawn(TypeParam::waits_for("b", condition));
    this->settle();
    EXPECT_TRUE(this->contains(this->printed_tree(), " condition, 2 in line, its lock is free, since"))
        << this->printed_tree();
    this->notify(condition, 2);
    this->settle();
}

class ConditionFrames : public VirtualLoop {};

TEST_F(ConditionFrames, AFrameDestroyedWhileItWaitsReleasesNothingByItsGuard) {
    Condition condition;
    Frame driver(nullptr);
    {
        auto destroyed = SyncByHand::waits_for("destroyed", condition);
        begin(destroyed, driver);
        auto holder = spawn(SyncByHand::waits("holder", [&] { return condition.acquire(); }));
        settle();
        destroy_while_it_waits(destroyed);
    }
    EXPECT_TRUE(condition.locked()) << "it is the holder's";
    condition.release();
}

TEST_F(ConditionFrames, AFrameDestroyedAfterItWasNotifiedPassesTheNotificationOn) {
    for (const bool while_it_waits_for_the_lock : {false, true}) {
        story.clear();
        Condition condition;
        Frame driver(nullptr);
        TaskRef<void> next;
        {
            auto destroyed = SyncByHand::waits_for("destroyed", condition);
            begin(destroyed, driver);
            next = spawn(SyncByHand::waits_for("next", condition));
            auto holder = spawn(SyncByHand::waits("holder", [&] { return condition.acquire(); }));
            settle();
            condition.notify();
            if (while_it_waits_for_the_lock) settle();
            condition.release();
            destroy_while_it_waits(destroyed);
        }
        settle();
        EXPECT_EQ(story, (Story{"holder", "next"}));
        EXPECT_TRUE(next.done());
    }
}

using ConditionsDeathTest = ConditionFrames;

TEST_F(ConditionsDeathTest, WaitAndNotifyNeedTheLock) {
    Condition condition;
    EXPECT_DEATH(condition.notify(), "needs its lock");
    EXPECT_DEATH(condition.notify_all(), "needs its lock");
    EXPECT_DEATH((void)loop.run_until_complete(SyncByHand::waits("a", [&] { return condition.wait(); })),
                 "needs its lock");
}

// --- Semaphore ---

template <class Author>
class Semaphores : public VirtualLoop {};
TYPED_TEST_SUITE(Semaphores, SyncAuthors, AuthorNames);

TYPED_TEST(Semaphores, SoManyAtATimeInTheOrderOfAsking) {
    Semaphore semaphore(2);
    const std::int64_t began_ms = this->now_ms();
    std::vector<TaskRef<void>> tasks;
    for (const char* name : {"a", "b", "c", "d", "e"})
        tasks.push_back(this->spawn(TypeParam::holds(name, semaphore, second_ns)));
    ASSERT_TRUE(this->loop.run_until_complete(tasks.back()));
    EXPECT_EQ(story,
              (Story{"a in", "b in", "a out", "b out", "c in", "d in", "c out", "d out", "e in", "e out"}));
    EXPECT_EQ(this->now_ms() - began_ms, 3000);
    EXPECT_EQ(semaphore.value(), 2);
}

TYPED_TEST(Semaphores, AFreePermitIsTakenWithoutSuspending) {
    Semaphore semaphore(1);
    auto a = this->spawn(TypeParam::waits("a", [&] { return semaphore.acquire(); }));
    EXPECT_FALSE(semaphore.locked());
    this->turn();
    EXPECT_TRUE(a.done());
    EXPECT_TRUE(semaphore.locked());
    EXPECT_EQ(semaphore.value(), 0);
}

TYPED_TEST(Semaphores, AReleaseGivesThePermitToTheFirstInLineAtOnce) {
    Semaphore semaphore(0);
    auto a = this->spawn(TypeParam::waits("a", [&] { return semaphore.acquire(); }));
    auto b = this->spawn(TypeParam::waits("b", [&] { return semaphore.acquire(); }));
    this->settle();
    semaphore.release();
    EXPECT_EQ(semaphore.value(), 0) << "it is a's already";
    EXPECT_FALSE(a.done());
    semaphore.release();
    EXPECT_EQ(semaphore.value(), 0) << "the second is b's: the first not yet woken";
    this->turn();
    EXPECT_EQ(story, (Story{"a", "b"}));
}

TYPED_TEST(Semaphores, WithAFreePermitANewcomerStillDoesNotPassOneWhoWasWoken) {
    Semaphore semaphore(0);
    auto a = this->spawn(TypeParam::waits("a", [&] { return semaphore.acquire(); }));
    this->settle();
    auto newcomer = this->spawn(TypeParam::waits("newcomer", [&] { return semaphore.acquire(); }));
    semaphore.release();
    semaphore.release();
    EXPECT_EQ(semaphore.value(), 1);
    EXPECT_TRUE(semaphore.locked());
    this->settle();
    EXPECT_EQ(story, (Story{"a", "newcomer"})) << "a hands the free permit on";
    EXPECT_EQ(semaphore.value(), 0);
}

TYPED_TEST(Semaphores, AWaiterCancelledInLineLeavesIt) {
    Semaphore semaphore(0);
    auto a = this->spawn(TypeParam::waits("a", [&] { return semaphore.acquire(); }));
    auto b = this->spawn(TypeParam::waits("b", [&] { return semaphore.acquire(); }));
    this->settle();
    a.cancel();
    semaphore.release();
    this->settle();
    EXPECT_EQ(story, (Story{"a: cancelled", "b"}));
    EXPECT_EQ(semaphore.value(), 0);
}

TYPED_TEST(Semaphores, AWaiterCancelledAfterItWasGivenAPermitGivesItToTheNext) {
    Semaphore semaphore(0);
    auto a = this->spawn(TypeParam::waits("a", [&] { return semaphore.acquire(); }));
    auto b = this->spawn(TypeParam::waits("b", [&] { return semaphore.acquire(); }));
    this->settle();
    semaphore.release();
    a.cancel();
    this->settle();
    EXPECT_EQ(story, (Story{"a: cancelled", "b"}));
    EXPECT_EQ(semaphore.value(), 0);
    EXPECT_TRUE(semaphore.locked());
}

TYPED_TEST(Semaphores, WhenNobodyIsLeftAGivenPermitIsFreeAgain) {
    Semaphore semaphore(0);
    auto a = this->spawn(TypeParam::waits("a", [&] { return semaphore.acquire(); }));
    this->settle();
    semaphore.release();
    a.cancel();
    this->settle();
    EXPECT_EQ(semaphore.value(), 1);
    EXPECT_FALSE(semaphore.locked());
}

TYPED_TEST(Semaphores, ATimeoutAtTheInstantOfTheReleaseLosesNoPermit) {
    for (const bool timeout_first : {false, true}) {
        Semaphore semaphore(0);
        auto a = this->spawn(TypeParam::waits("a", [&] { return semaphore.acquire(); }));
        auto b = this->spawn(TypeParam::waits("b", [&] { return semaphore.acquire(); }));
        this->settle();
        if (timeout_first) this->cancel_after_ms(a, 10);
        ASSERT_TRUE(this->loop.call_later([&] { semaphore.release(); }, 10 * millisecond_ns));
        if (!timeout_first) this->cancel_after_ms(a, 10);
        ASSERT_TRUE(this->loop.run_until_complete(b));
        EXPECT_TRUE(a.cancelled());
        EXPECT_EQ(semaphore.value(), 0);
    }
}

TYPED_TEST(Semaphores, PrintTreeSaysWhatExactlyIsWaitedFor) {
    Semaphore semaphore(0);
    auto a = this->spawn(TypeParam::waits("a", [&] { return semaphore.acquire(); }));
    this->settle();
    EXPECT_TRUE(this->contains(this->printed_tree(), " semaphore, 0 free, 1 in line, since"));
    semaphore.release();
    this->settle();
}

TYPED_TEST(Semaphores, ABoundedOneTakesNoMoreBackThanItBeganWith) {
    BoundedSemaphore semaphore(1);
    EXPECT_EQ(semaphore.release().error().kind, ErrorKind::invalid_argument);
    EXPECT_STREQ(describe(semaphore.release().error()).c_str(),
                 "release bounded semaphore: invalid argument");
    EXPECT_EQ(semaphore.value(), 1);
    auto a = this->spawn(TypeParam::waits("a", [&] { return semaphore.acquire(); }));
    auto b = this->spawn(TypeParam::waits("b", [&] { return semaphore.acquire(); }));
    this->settle();
    EXPECT_TRUE(semaphore.release());
    EXPECT_EQ(semaphore.release().error().kind, ErrorKind::none) << "b was given the first";
    this->settle();
    EXPECT_TRUE(b.done());
    EXPECT_FALSE(semaphore.release());
}

TEST(SemaphoresDeathTest, ANegativeStartIsAMistake) {
    EXPECT_DEATH(Semaphore(-1), "a value of 0 or more");
    EXPECT_DEATH(BoundedSemaphore(-1), "a value of 0 or more");
}

// --- Barrier ---

template <class Author>
class Barriers : public VirtualLoop {
protected:
    /// Waits, and says its place: "a 0".
    TaskRef<void> arrive(const std::string& name, Barrier& barrier) {
        struct Arrives {
            Barrier::Wait wait;
            std::string name;
            Arrives(Barrier& at, std::string who) : wait(at), name(std::move(who)) {}
            bool start(Frame& waiter) { return wait.start(waiter); }
            bool failed() const { return wait.failed(); }
            Result<std::uint32_t> result() const {
                const auto index = wait.result();
                say(index ? name + " " + std::to_string(*index) : name + " fails");
                return index;
            }
            CancelOutcome cancel() { return wait.cancel(); }
            void abandon() { wait.abandon(); }
            void describe(Text& text) const { wait.describe(text); }
        };
        return this->spawn(Author::waits("", [&barrier, name] { return Arrives(barrier, name); }));
    }
    /// What was said of places, without the rest.
    Story places() {
        Story only;
        for (const std::string& line : story)
            if (!line.empty() && line[0] != ':') only.push_back(line);
        return only;
    }
};
TYPED_TEST_SUITE(Barriers, SyncAuthors, AuthorNames);

TYPED_TEST(Barriers, TheLastArrivalOpensItAndGoesOnWithoutSuspending) {
    Barrier barrier(3);
    EXPECT_EQ(barrier.parties(), 3u);
    auto a = this->arrive("a", barrier);
    auto b = this->arrive("b", barrier);
    this->settle();
    EXPECT_EQ(barrier.n_waiting(), 2u);
    EXPECT_TRUE(this->places().empty());
    auto c = this->arrive("c", barrier);
    this->turn();
    EXPECT_TRUE(c.done());
    EXPECT_EQ(this->places(), Story{"c 2"});
    this->turn();
    EXPECT_EQ(this->places(), (Story{"c 2", "a 0", "b 1"}));
    EXPECT_EQ(barrier.n_waiting(), 0u);
}

TYPED_TEST(Barriers, ABarrierForOneNeverWaits) {
    Barrier barrier(1);
    auto a = this->arrive("a", barrier);
    auto b = this->arrive("b", barrier);
    this->turn();
    EXPECT_EQ(this->places(), (Story{"a 0", "b 0"}));
}

TYPED_TEST(Barriers, WhoArrivesWhileTheOthersLeaveWaitsAndCountsForTheNextRound) {
    Barrier barrier(2);
    auto a = this->arrive("a", barrier);
    this->settle();
    auto b = this->arrive("b", barrier);
    auto c = this->arrive("c", barrier);
    this->turn();
    EXPECT_EQ(this->places(), Story{"b 1"});
    EXPECT_TRUE(this->contains(this->printed_tree(), " barrier, open, 1 of 2 have yet to leave, since"));
    this->settle();
    EXPECT_EQ(this->places(), (Story{"b 1", "a 0"}));
    EXPECT_EQ(barrier.n_waiting(), 1u);
    auto d = this->arrive("d", barrier);
    this->settle();
    EXPECT_EQ(this->places(), (Story{"b 1", "a 0", "d 1", "c 0"}));
}

TYPED_TEST(Barriers, MoreThanOneRoundMayWaitForTheOthersToLeave) {
    Barrier barrier(2);
    auto a = this->arrive("a", barrier);
    this->settle();
    std::vector<TaskRef<void>> tasks;
    for (const char* name : {"b", "c", "d", "e", "f"}) tasks.push_back(this->arrive(name, barrier));
    this->settle();
    EXPECT_EQ(this->places(), (Story{"b 1", "a 0", "d 1", "c 0", "f 1", "e 0"}));
    EXPECT_EQ(barrier.n_waiting(), 0u);
}

TYPED_TEST(Barriers, ACancelledWaiterLeavesTheCount) {
    Barrier barrier(2);
    auto a = this->arrive("a", barrier);
    this->settle();
    a.cancel();
    this->settle();
    EXPECT_TRUE(a.cancelled());
    EXPECT_EQ(barrier.n_waiting(), 0u);
    auto b = this->arrive("b", barrier);
    auto c = this->arrive("c", barrier);
    this->settle();
    EXPECT_EQ(this->places(), (Story{"a fails", "c 1", "b 0"}));
}

TYPED_TEST(Barriers, OneCancelledAfterItWasWokenIsToldAndTheBarrierIsEmptyAfterwards) {
    Barrier barrier(2);
    auto a = this->arrive("a", barrier);
    this->settle();
    auto b = this->arrive("b", barrier);
    this->turn();
    a.cancel();
    auto c = this->arrive("c", barrier);
    this->settle();
    EXPECT_TRUE(a.cancelled());
    EXPECT_EQ(barrier.n_waiting(), 1u);
    c.cancel();
    this->settle();
}

TYPED_TEST(Barriers, OneCancelledWhileItWaitsForOthersToLeaveWasNeverCounted) {
    Barrier barrier(2);
    auto a = this->arrive("a", barrier);
    this->settle();
    auto b = this->arrive("b", barrier);
    auto c = this->arrive("c", barrier);
    this->turn();
    c.cancel();
    this->settle();
    EXPECT_TRUE(c.cancelled());
    EXPECT_EQ(barrier.n_waiting(), 0u);
}

TYPED_TEST(Barriers, AbortFailsThoseWhoWaitAndThoseWhoComeUntilTheReset) {
    Barrier barrier(3);
    auto a = this->arrive("a", barrier);
    this->settle();
    barrier.abort();
    EXPECT_TRUE(barrier.broken());
    auto b = this->arrive("b", barrier);
    this->settle();
    EXPECT_EQ(a.result().error().kind, ErrorKind::barrier_broken);
    EXPECT_EQ(b.result().error().kind, ErrorKind::barrier_broken);
    barrier.reset();
    EXPECT_FALSE(barrier.broken());
    auto c = this->arrive("c", barrier);
    this->settle();
    EXPECT_EQ(barrier.n_waiting(), 1u);
    c.cancel();
    this->settle();
}

TYPED_TEST(Barriers, AbortFailsAlsoThoseWhoWereWokenAndThoseWhoWaitForTheNextRound) {
    Barrier barrier(2);
    auto a = this->arrive("a", barrier);
    this->settle();
    auto b = this->arrive("b", barrier);
    auto c = this->arrive("c", barrier);
    this->turn();
    barrier.abort();
    this->settle();
    EXPECT_EQ(a.result().error().kind, ErrorKind::barrier_broken);
    EXPECT_EQ(c.result().error().kind, ErrorKind::barrier_broken);
    EXPECT_TRUE(b.result());
}

TYPED_TEST(Barriers, ResetFailsThoseWhoWaitAndNobodyElse) {
    Barrier barrier(2);
    auto a = this->arrive("a", barrier);
    this->settle();
    barrier.reset();
    auto b = this->arrive("b", barrier);
    auto c = this->arrive("c", barrier);
    EXPECT_TRUE(this->contains(this->printed_tree(), " barrier, being reset, 1 have yet to leave, since"));
    this->settle();
    EXPECT_EQ(a.result().error().kind, ErrorKind::barrier_broken);
    EXPECT_TRUE(b.result() && c.result());
}

TYPED_TEST(Barriers, ResetWhileTheOthersLeaveFailsThoseWhoHaveNotLeftAndKeepsTheNextRound) {
    Barrier barrier(2);
    auto a = this->arrive("a", barrier);
    this->settle();
    auto b = this->arrive("b", barrier);
    auto c = this->arrive("c", barrier);
    this->turn();
    barrier.reset();
    this->settle();
    EXPECT_EQ(a.result().error().kind, ErrorKind::barrier_broken);
    EXPECT_EQ(barrier.n_waiting(), 1u);
    auto d = this->arrive("d", barrier);
    this->settle();
    EXPECT_TRUE(c.result() && d.result());
}

TYPED_TEST(Barriers, ResetOfAnEmptyBarrierChangesNothing) {
    Barrier barrier(2);
    barrier.reset();
    auto a = this->arrive("a", barrier);
    auto b = this->arrive("b", barrier);
    this->settle();
    EXPECT_TRUE(a.result() && b.result());
}

TYPED_TEST(Barriers, ATimeoutWhileWaitingLeavesRoomForAnother) {
    Barrier barrier(2);
    auto a = this->arrive("a", barrier);
    this->cancel_after_ms(a, 10);
    EXPECT_FALSE(this->loop.run_until_complete(a));
    auto b = this->arrive("b", barrier);
    auto c = this->arrive("c", barrier);
    ASSERT_TRUE(this->loop.run_until_complete(b));
    EXPECT_TRUE(c.result());
}

TEST(BarriersDeathTest, ABarrierIsForOnePartyOrMore) { EXPECT_DEATH(Barrier(0), "for one party or more"); }

// --- what outlives its loop ---

/// Refuses to end.
template <class Make>
struct WaitsForEverFrame : Coroutine<WaitsForEverFrame<Make>, void, Awaits<MadeBy<Make>>> {
    Make make;
    AwaitResult<MadeBy<Make>> got;
    Progress body() {
        CO_BEGIN;
        for (;;) CO_AWAIT(got, make());
        CO_END;
    }
};
template <class Make>
Co<void> waits_for_ever(Make make) {
    for (;;) (void)co_await make();
    co_return Result<void>();
}

template <class Author>
class AfterTheLoop : public testing::Test {
protected:
    template <class Make>
    static TaskRef<void> leave_behind(Make make) {
        EventLoop loop;
        EXPECT_TRUE(loop.open({.kernel = "simulated"}));
        loop.set_error_handler([](void*, const ErrorReport&) {}, nullptr);
        TaskRef<void> task = create(loop, std::move(make));
        loop.stop();
        EXPECT_TRUE(loop.run_forever());
        return task;
    }

private:
    template <class Make>
    static TaskRef<void> create(EventLoop& loop, Make make) {
        const SchedulerScope scope(loop);  // the compiler's frame comes from this loop's pool
        if constexpr (std::is_base_of_v<ByHand, Author>)
            return *loop.create_task(WaitsForEverFrame<Make>{.make = std::move(make)});
        else
            return *loop.create_task(waits_for_ever(std::move(make)));
    }
};
TYPED_TEST_SUITE(AfterTheLoop, SyncAuthors, AuthorNames);

TYPED_TEST(AfterTheLoop, WhatALostTaskWaitsForMayGo) {
    std::vector<TaskRef<void>> lost;
    {
        Lock lock;
        Event event;
        Semaphore semaphore(0);
        Barrier barrier(2);
        Condition condition;
        lost.push_back(this->leave_behind([&] { return event.wait(); }));
        lost.push_back(this->leave_behind([&] { return semaphore.acquire(); }));
        lost.push_back(this->leave_behind([&] { return barrier.wait(); }));
        lost.push_back(this->leave_behind([&] { return lock.acquire(); }));  // the second time it must wait
        lost.push_back(this->leave_behind([&] { return condition.acquire(); }));
    }
    for (const TaskRef<void>& task : lost) {
        EXPECT_FALSE(task.done());
        task.state().let_go();  // the reference that the loop has left behind
    }
}

}  // namespace
