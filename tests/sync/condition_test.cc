// Condition: the lock is given up, and held again whatever happened meanwhile; no notification is lost, be its receiver
// cancelled in the condition's line, in the lock's, or destroyed. In virtual time, by both authors of frames.
//
// Read next: tests/sync/semaphore_test.cc.
#include "core/sync/condition.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "tests/virtual_loop.h"

using namespace pollard;

namespace {

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

struct ConditionByHand : ByHand {
    static auto waits_for(std::string name, Condition& condition, std::int64_t hold_ns = 0) {
        return WaitsForConditionFrame{.name = std::move(name), .condition = &condition, .hold_ns = hold_ns};
    }
};

struct ConditionByCompiler : ByCompiler {
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

using ConditionAuthors = testing::Types<ConditionByHand, ConditionByCompiler>;

template <class Author>
class Conditions : public VirtualLoop {
protected:
    /// From outside any task, as a callback would: nobody holds the lock then.
    void notify(Condition& condition, unsigned count) {
        auto notifier = this->spawn(ByHand::waits("notifier", [&] { return condition.acquire(); }));
        this->settle();
        ASSERT_TRUE(condition.locked());
        condition.notify(count);
        condition.release();
    }
};
TYPED_TEST_SUITE(Conditions, ConditionAuthors, AuthorNames);

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

// --- frames that are destroyed, and mistakes ---

class ConditionFrames : public VirtualLoop {};

TEST_F(ConditionFrames, AFrameDestroyedWhileItWaitsReleasesNothingByItsGuard) {
    Condition condition;
    Frame driver(nullptr);
    {
        auto destroyed = ConditionByHand::waits_for("destroyed", condition);
        begin(destroyed, driver);
        auto holder = spawn(ByHand::waits("holder", [&] { return condition.acquire(); }));
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
            auto destroyed = ConditionByHand::waits_for("destroyed", condition);
            begin(destroyed, driver);
            next = spawn(ConditionByHand::waits_for("next", condition));
            auto holder = spawn(ByHand::waits("holder", [&] { return condition.acquire(); }));
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
    EXPECT_DEATH((void)loop.run_until_complete(ByHand::waits("a", [&] { return condition.wait(); })),
                 "needs its lock");
}

}  // namespace
