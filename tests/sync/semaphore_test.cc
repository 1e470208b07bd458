// Semaphore: so many at a time; a released permit belongs to the first in line at once, and is never lost. In virtual
// time, by both authors of frames.
//
// Read next: tests/sync/barrier_test.cc.
#include "core/sync/semaphore.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/sync/holders.h"

using namespace pollard;

namespace {

template <class Author>
class Semaphores : public VirtualLoop {};
TYPED_TEST_SUITE(Semaphores, Holders, AuthorNames);

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

}  // namespace
