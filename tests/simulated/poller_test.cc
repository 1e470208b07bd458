// The first of the two contracts on the simulated kernel: a Poller that is edge-triggered, its waits in virtual time, and
// the faults that only it can show.
//
// Read next: platform/simulated/simulated_poller.h, then tests/simulated/completion_port_test.cc.
#include "platform/simulated/simulated_poller.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "platform/clock.h"
#include "platform/observer.h"
#include "platform/simulated/simulated_kernel.h"
#include "platform/system_sockets.h"
#include "tests/simulated/door.h"
#include "tests/system.h"

namespace pollard {
namespace {

class SimulatedPollerTest : public Simulated {
protected:
    void SetUp() override { poller = *open_simulated_poller(kernel, kernel); }
    void TearDown() override {
        if (poller != nullptr) poller->close();
        Simulated::TearDown();
    }
    std::vector<PollerEvent> wait(std::int64_t timeout_ns = 0, std::size_t capacity = 64) {
        std::vector<PollerEvent> events(capacity);
        last = poller->wait(events, timeout_ns);
        events.resize(last ? *last : 0);
        return events;
    }
    Token added(Handle handle, std::uint32_t generation = 1) {
        EXPECT_TRUE(poller->add({handle, generation}));
        return {handle, generation};
    }

    Poller* poller = nullptr;
    Result<std::size_t> last;
};

TEST_F(SimulatedPollerTest, WhatIsReadyWhenAddedIsAnEvent) {
    const Ends ends = pair();
    door.send(ends.client, "x");
    const Token token = added(ends.server, 9);
    const auto events = wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].token, token);
    EXPECT_EQ(events[0].what, EventBits::readable | EventBits::writable);
    EXPECT_TRUE(wait().empty());
}

TEST_F(SimulatedPollerTest, AnEventTellsOfAnArrivalAndNotOfWhatIsThere) {
    const Ends ends = pair();
    added(ends.server);
    wait();
    door.send(ends.client, "x");
    EXPECT_EQ(wait().size(), 1u);
    EXPECT_EQ(wait().size(), 0u);
    door.send(ends.client, "x");
    door.send(ends.client, "x");
    EXPECT_EQ(wait().size(), 1u);
}

TEST_F(SimulatedPollerTest, ArmingWhatIsReadyGivesAnEvent) {
    const Ends ends = pair();
    const Token token = added(ends.server);
    door.send(ends.client, "x");
    wait();
    ASSERT_TRUE(poller->arm(token, Direction::read));
    EXPECT_EQ(wait().size(), 1u);
    ASSERT_TRUE(poller->arm(token, Direction::write));
    EXPECT_EQ(wait().size(), 1u);
    door.recv(ends.server);
    ASSERT_TRUE(poller->arm(token, Direction::read));
    EXPECT_EQ(wait().size(), 0u);
}

TEST_F(SimulatedPollerTest, RoomForAFullSenderIsAnEvent) {
    const Ends ends = pair();
    added(ends.client);
    fill(ends.client);
    wait();
    door.recv(ends.server, 64 * 1024);
    const auto events = wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].what, EventBits::writable);
}

TEST_F(SimulatedPollerTest, TheEndAndAResetAreHangUps) {
    const Ends ends = pair();
    added(ends.server);
    wait();
    door.shutdown(ends.client, SHUT_WR);
    auto events = wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].what, EventBits::readable | EventBits::writable | EventBits::hang_up);
    const Ends others = pair();
    added(others.server);
    wait();
    door.linger_zero(others.client);
    door.close(others.client);
    events = wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_TRUE(any(events[0].what, EventBits::hang_up) && any(events[0].what, EventBits::error));
}

TEST_F(SimulatedPollerTest, ConnectionsMakeAListenerReadableAndAClientWritable) {
    kernel.latency_ns = millisecond_ns;
    const Handle listening = listener();
    const Token server = added(listening);
    const Handle client = connected_to(listening);
    const Token connecting = added(client);
    EXPECT_TRUE(wait().empty());
    auto events = wait(-1);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].token, server);
    events = wait(-1);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].token, connecting);
    EXPECT_EQ(events[0].what, EventBits::writable);
    EXPECT_EQ(kernel.now_ns, SimulatedKernel::start_ns + 2 * millisecond_ns);
}

TEST_F(SimulatedPollerTest, RegistrationsAreCheckedByGeneration) {
    const Handle handle = door.open();
    const Token token = added(handle);
    EXPECT_EQ(poller->add({handle, 2}).error().kind, ErrorKind::invalid_argument);
    EXPECT_EQ(poller->add({99, 1}).error().kind, ErrorKind::bad_handle);
    EXPECT_EQ(poller->remove({handle, 2}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(poller->arm({handle, 2}, Direction::read).error().kind, ErrorKind::not_found);
    EXPECT_TRUE(poller->remove(token));
    EXPECT_EQ(poller->remove(token).error().kind, ErrorKind::not_found);
    EXPECT_TRUE(wait().empty());
}

TEST_F(SimulatedPollerTest, AClosedHandleIsForgotten) {
    const Handle handle = door.open();
    const Token token = added(handle);
    door.close(handle);
    EXPECT_EQ(poller->remove(token).error().kind, ErrorKind::not_found);
    EXPECT_EQ(door.open(), handle);
    EXPECT_TRUE(wait().empty());
}

TEST_F(SimulatedPollerTest, TwoPollersMayWatchOneHandle) {
    Poller* second = *open_simulated_poller(kernel, kernel);
    const Ends ends = pair();
    added(ends.server);
    wait();
    ASSERT_TRUE(second->add({ends.server, 5}));
    door.send(ends.client, "x");
    EXPECT_EQ(wait().size(), 1u);
    PollerEvent event;
    EXPECT_EQ(*second->wait({&event, 1}, 0), 1u);
    EXPECT_EQ(event.token.generation, 5u);
    second->close();
}

TEST_F(SimulatedPollerTest, WhatDoesNotFitInTheArrayComesNextTime) {
    std::vector<Handle> seen;
    for (int count = 0; count < 5; ++count) added(door.open());
    for (int round = 0; round < 3; ++round)
        for (const PollerEvent& event : wait(0, 2)) seen.push_back(event.token.handle);
    EXPECT_EQ(seen, (std::vector<Handle>{3, 4, 5, 6, 7}));
}

TEST_F(SimulatedPollerTest, AWaitJumpsToTheEndOfItsTimeOrToTheNextDelivery) {
    const Ends ends = pair();
    added(ends.server);
    wait();
    const std::int64_t began_ns = kernel.now_ns;
    EXPECT_TRUE(wait(123).empty());
    EXPECT_EQ(kernel.now_ns, began_ns + 123);
    kernel.latency_ns = 50;
    door.send(ends.client, "x");
    EXPECT_EQ(wait(1000).size(), 1u);
    EXPECT_EQ(kernel.now_ns, began_ns + 173);
}

TEST_F(SimulatedPollerTest, AWakeEndsTheNextWaitAndWakesAreOne) {
    added(pair().server);
    wait();
    poller->wake();
    poller->wake();
    EXPECT_TRUE(wait(-1).empty());
    EXPECT_TRUE(last);
    EXPECT_EQ(kernel.now_ns, SimulatedKernel::start_ns);
    wait(-1);
    EXPECT_EQ(last.error().kind, ErrorKind::deadlock);
    EXPECT_EQ(last.error().call, Call::wait);
}

TEST_F(SimulatedPollerTest, WhenAWakeMayComeFromOutsideTheThreadBlocksForIt) {
    kernel.external_wakes_expected = 1;
    std::thread other([this] { poller->wake(); });
    EXPECT_TRUE(wait(-1).empty());
    EXPECT_TRUE(last);
    other.join();
    kernel.external_wakes_expected = 0;
    wait(-1);
    EXPECT_EQ(last.error().kind, ErrorKind::deadlock);
}

Poller* poller_to_wake = nullptr;

TEST_F(SimulatedPollerTest, ASignalHandlerMayWake) {
    poller_to_wake = poller;
    test_system::SignalHandler signals([](int) { poller_to_wake->wake(); });
    signals.raise();
    EXPECT_TRUE(wait(-1).empty());
    EXPECT_TRUE(last);
}

TEST_F(SimulatedPollerTest, TheObserverHearsOfEachWaitAsAKernelCall) {
    struct Listening : Observer {
        std::vector<KernelCall> calls;
    } observer;
    observer.kernel_called = [](Observer& self, const KernelCall& call) {
        static_cast<Listening&>(self).calls.push_back(call);
    };
    current_observer = &observer;
    added(door.open());
    wait(77);
    wait(77);
    ASSERT_EQ(observer.calls.size(), 2u);
    EXPECT_EQ(observer.calls[0].call, Call::wait);
    EXPECT_EQ(observer.calls[0].result, 1);
    EXPECT_EQ(observer.calls[1].result, 0);
    EXPECT_EQ(observer.calls[1].argument[0], 77);
    EXPECT_EQ(observer.calls[1].ended_ns - observer.calls[1].began_ns, 77);
}

TEST_F(SimulatedPollerTest, TheKernelMayNotGoBeforeItsPollers) {
    EXPECT_DEATH(
        {
            auto* early = new SimulatedKernel;
            if (open_simulated_poller(*early, *early)) delete early;
        },
        "close the pollers and ports");
}

// --- faults ---

TEST_F(SimulatedPollerTest, SpuriousReadinessFollowsAnArm) {
    const Ends ends = pair();
    const Token token = added(ends.server);
    wait();
    kernel.faults.spurious_readiness = Faults::always;
    ASSERT_TRUE(poller->arm(token, Direction::read));
    const auto events = wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_TRUE(any(events[0].what, EventBits::readable));
    EXPECT_EQ(door.recv(ends.server), -EAGAIN);
    EXPECT_TRUE(wait().empty());
}

TEST_F(SimulatedPollerTest, InterruptedEndsAWaitWithoutEvents) {
    added(door.open());
    kernel.faults.interrupted = Faults::always;
    EXPECT_TRUE(wait(1000).empty());
    EXPECT_TRUE(last);
    EXPECT_EQ(kernel.now_ns, SimulatedKernel::start_ns);
    kernel.faults.interrupted = 0;
    EXPECT_EQ(wait().size(), 1u);
}

TEST_F(SimulatedPollerTest, OutOfOrderEventsAreShuffled) {
    std::vector<Handle> in_order, seen;
    kernel.faults.out_of_order_events = Faults::always;
    for (int count = 0; count < 20; ++count) in_order.push_back(added(door.open()).handle);
    for (const PollerEvent& event : wait()) seen.push_back(event.token.handle);
    EXPECT_NE(seen, in_order);
    EXPECT_TRUE(std::is_permutation(seen.begin(), seen.end(), in_order.begin(), in_order.end()));
}

}  // namespace
}  // namespace pollard
