// Barrier: who arrives, who leaves, in which round; abort and reset in each of its states. In virtual time, by both
// authors of frames.
//
// Read next: tests/sync/after_the_loop_test.cc.
#include "core/sync/barrier.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/virtual_loop.h"

using namespace pollard;

namespace {

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
TYPED_TEST_SUITE(Barriers, Authors, AuthorNames);

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

}  // namespace
