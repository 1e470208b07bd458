// The attempt adapter on a poller that says what it is told to: what real pollers do seldom, and others do always.
//
// The port and the sockets are real enough (a simulated kernel); only the events are made up, so that their
// order and their grouping are the test's own.

#include <utility>
#include <vector>

#include "platform/attempt/attempt_port.h"
#include "platform/system_sockets.h"
#include "tests/conformance/completion_port_conformance.h"

namespace pollard::conformance {

using enum EventBits;

/// A poller whose next wait gives `next`, and which notes what it is asked for. It needs no `arm`, as epoll.
struct ScriptedPoller : Poller {
    std::vector<PollerEvent> next;
    std::vector<Token> added;
    std::vector<Token> removed;
};

constexpr PollerType scripted_poller_type = {
    .name = "scripted",
    .add = [](Poller& poller, Token token) -> Result<void> {
        static_cast<ScriptedPoller&>(poller).added.push_back(token);
        return {};
    },
    .arm = nullptr,
    .remove = [](Poller& poller, Token token) -> Result<void> {
        static_cast<ScriptedPoller&>(poller).removed.push_back(token);
        return {};
    },
    .wait = [](Poller& poller, std::span<PollerEvent> events, std::int64_t) -> Result<std::size_t> {
        const std::vector<PollerEvent> now = std::exchange(static_cast<ScriptedPoller&>(poller).next, {});
        std::ranges::copy(now, events.begin());
        return now.size();
    },
    .wake = [](Poller&) {},
    .close = [](Poller&) {},
};

class AttemptPort : public testing::Test {
protected:
    void SetUp() override {
        poller.type = &scripted_poller_type;
        poller.kernel = &world.failing;
        driver.port = *open_attempt_port(&poller);
    }
    void TearDown() override {
        driver.port->destroy();
        world.expect_nothing_left();
    }
    Ends pair() {
        const Ends ends = world.pair();
        EXPECT_TRUE(driver.port->open(ends.ours, HandleKind::stream));
        return ends;
    }
    /// A turn in which the poller tells these.
    void tell(std::vector<PollerEvent> events) {
        poller.next = std::move(events);
        driver.turn(0);
    }

    World world{{.simulated = true}};
    ScriptedPoller poller;
    Driver driver;
};

TEST_F(AttemptPort, ADescriptorIsAddedOnceHoweverOftenItIsWaitedFor) {
    const Ends ends = pair();
    for (int round = 0; round < 3; ++round) {
        Receiving receiving(driver, ends.ours);
        ASSERT_FALSE(receiving.start().done());
        world.send(ends.peer, "x");
        tell({{poller.added.at(0), readable}});
        EXPECT_EQ(receiving.text(), "x");
    }
    EXPECT_EQ(poller.added.size(), 1u);
    EXPECT_TRUE(poller.removed.empty());
}

TEST_F(AttemptPort, WhatWasAddedIsRemovedBeforeItIsClosedAndNothingElseIs) {
    const Ends watched = pair();
    const Ends unwatched = pair();
    Receiving receiving(driver, watched.ours);
    receiving.start();
    driver.discard(watched.ours);
    driver.discard(unwatched.ours);
    world.closed(watched.ours);
    world.closed(unwatched.ours);
    EXPECT_EQ(poller.removed, poller.added);
    ASSERT_EQ(poller.removed.size(), 1u);
    EXPECT_EQ(poller.removed[0].handle, watched.ours);
    driver.turn(0);
}

TEST_F(AttemptPort, AnEventOfTheFormerOwnerOfANumberIsNoNewsForItsNext) {
    const Ends former = pair();
    Receiving first(driver, former.ours);
    first.start();
    const Token stale = poller.added.at(0);
    driver.discard(former.ours);
    world.closed(former.ours);
    driver.turn(0);
    ASSERT_TRUE(first.done());

    const Ends next = pair();
    ASSERT_EQ(next.ours, former.ours);
    Receiving second(driver, next.ours);
    second.start();
    EXPECT_NE(poller.added.at(1), stale);
    world.failing.fail(Call::recv, EIO);  // an attempt would be noticed
    tell({{stale, readable | writable | hang_up | error}});
    EXPECT_FALSE(second.done());
    world.failing.fail(Call::recv, 0, 0, 0);
    world.send(next.peer, "x");
    tell({{poller.added.at(1), readable}});
    EXPECT_EQ(second.text(), "x");
}

// kqueue tells each direction by an event of its own. The one for writing says nothing of what stands behind
// the data, and must not make the port forget it.
TEST_F(AttemptPort, AnEventOfTheOtherDirectionDoesNotHideTheEnd) {
    const Ends ends = pair();
    Receiving first(driver, ends.ours, 1);
    first.start();
    world.send(ends.peer, "abc");
    world.half_close(ends.peer);
    const Token token = poller.added.at(0);
    tell({{token, readable | hang_up}, {token, writable}});
    EXPECT_EQ(first.text(), "a");
    Receiving second(driver, ends.ours);
    ASSERT_TRUE(second.start().done());
    EXPECT_EQ(second.text(), "bc");
    Receiving third(driver, ends.ours);
    EXPECT_TRUE(third.start().done()) << "a short read hides the end: no event will tell of it again";
}

TEST_F(AttemptPort, ASpuriousEventIsOneTryMore) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    const Token token = poller.added.at(0);
    for (int times = 0; times < 5; ++times) tell({{token, readable | writable}});
    EXPECT_FALSE(receiving.done());
    world.send(ends.peer, "x");
    tell({{token, readable}});
    EXPECT_EQ(receiving.text(), "x");
}

TEST_F(AttemptPort, TwoEventsOfOneDescriptorInABatchAreOneTry) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    const Token token = poller.added.at(0);
    world.send(ends.peer, "x");
    tell({{token, readable}, {token, readable | hang_up}, {token, readable}});
    EXPECT_EQ(receiving.text(), "x");
    driver.turn(0);
}

// The promise of "attempt": what is known to block is not tried, what is not known is.
TEST_F(AttemptPort, AfterAShortReadTheNextReceiveMakesNoCall) {
    CountingKernel counting;
    const Ends ends = pair();
    put_in_front(&counting, world.failing);
    driver.port->kernel = &counting;
    world.send(ends.peer, "x");
    Receiving first(driver, ends.ours);
    ASSERT_TRUE(first.start().done());
    Receiving second(driver, ends.ours);
    ASSERT_FALSE(second.start().done());
    EXPECT_EQ(counting.of(Call::recv), 1u);
    world.send(ends.peer, "y");
    tell({{poller.added.at(0), readable}});
    EXPECT_EQ(second.text(), "y");
    EXPECT_EQ(counting.of(Call::recv), 2u);
    driver.port->kernel = &world.failing;
}

}  // namespace pollard::conformance
