// Event: whom it wakes, in which order, and how long it must live. In virtual time, by both authors of frames.
//
// Read next: tests/sync/condition_test.cc.
#include "core/sync/event.h"

#include <gtest/gtest.h>

#include "tests/virtual_loop.h"

using namespace pollard;

namespace {

template <class Author>
class Events : public VirtualLoop {};
TYPED_TEST_SUITE(Events, Authors, AuthorNames);

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

}  // namespace
