// Waiting: how long, and what ends it early. Wakes come from this thread, other threads and signal handlers.
//
// Real time enters nowhere but as "not earlier than": a clock that runs on only makes these tests slower.
#include <atomic>
#include <cerrno>
#include <thread>

#include "platform/system_sockets.h"
#include "tests/conformance/poller_conformance.h"
#include "tests/system.h"

namespace pollard::conformance {

using enum EventBits;

namespace {

std::atomic<Poller*> woken_by_signal = nullptr;
std::atomic<unsigned> signals_handled = 0;

void handle_signal(int) {
    if (Poller* poller = woken_by_signal; poller != nullptr) poller->wake();
    ++signals_handled;
}

}  // namespace

class PollerWake : public PollerTest {
protected:
    void SetUp() override {
        PollerTest::SetUp();
        // A wake from outside may still come: a simulated kernel then blocks instead of saying "deadlock".
        if (world.simulated() != nullptr) world.simulated()->external_wakes_expected = 1;
        signals_handled = 0;
    }
    void TearDown() override {
        woken_by_signal = nullptr;
        PollerTest::TearDown();
    }

    /// How long a wait took that nothing should end early.
    std::int64_t duration_of_wait(std::int64_t timeout_ns) {
        return world.duration_of(timeout_ns, [this](std::int64_t time_ns) { EXPECT_EQ(wait(time_ns), 0u); });
    }
    bool may_be_interrupted() { return GetParam().world.faults.interrupted > 0; }

    test_system::SignalHandler signals{handle_signal};
};

// --- time-outs ---

TEST_P(PollerWake, AWaitWithoutEventsIsNotShorterThanItsTimeout) {
    if (may_be_interrupted()) GTEST_SKIP() << "its waits may end early, by an interruption";
    for (const std::int64_t timeout_ns : {std::int64_t{1}, 999 * microsecond_ns, millisecond_ns,
                                          millisecond_ns + 1, 3 * millisecond_ns - 1, 10 * millisecond_ns}) {
        const std::int64_t took_ns = duration_of_wait(timeout_ns);
        EXPECT_GE(took_ns, timeout_ns);
        if (world.simulated() != nullptr) {
            EXPECT_EQ(took_ns, timeout_ns) << "virtual time knows no rounding";
        }
    }
}

TEST_P(PollerWake, AZeroTimeoutOnlyLooks) {
    const std::int64_t began_ns = world.now_ns();
    EXPECT_EQ(wait(0), 0u);
    if (world.simulated() != nullptr) {
        EXPECT_EQ(world.now_ns(), began_ns);
    }
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    arm(token, Direction::read);
    world.send(ends.peer, "x");
    ASSERT_TRUE(world.await(ends.ours, POLLIN));
    for (int looks = 0; looks < 100 && !was_told(token, readable); ++looks) wait(0);
    EXPECT_TRUE(was_told(token, readable));
}

TEST_P(PollerWake, AHugeTimeoutIsAsGoodAsNone) {
    for (const std::int64_t timeout_ns :
         {never_ns, never_ns - 1, INT64_MAX / 2, INT32_MAX * millisecond_ns,
          (INT32_MAX + std::int64_t{1}) * millisecond_ns, std::int64_t{-1}, INT64_MIN}) {
        poller->wake();
        EXPECT_EQ(wait(timeout_ns), 0u);
    }
}

TEST_P(PollerWake, AnEventEndsAHugeWait) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    drain();
    arm(token, Direction::read);
    world.send(ends.peer, "x");
    for (int looks = 0; looks < 100 && !was_told(token, readable); ++looks) wait(never_ns);
    EXPECT_TRUE(was_told(token, readable));
}

// --- wakes from this thread ---

TEST_P(PollerWake, AWakeBeforeTheWaitEndsIt) {
    poller->wake();
    EXPECT_EQ(wait(-1), 0u);
}

TEST_P(PollerWake, WakesCoalesce) {
    for (int count = 0; count < 1000; ++count) poller->wake();
    EXPECT_EQ(wait(-1), 0u);
    if (may_be_interrupted()) GTEST_SKIP() << "its waits may end early, by an interruption";
    EXPECT_GE(duration_of_wait(2 * millisecond_ns), 2 * millisecond_ns);
}

TEST_P(PollerWake, EachWakeAfterAWaitEndsTheNext) {
    for (int count = 0; count < 100; ++count) {
        poller->wake();
        EXPECT_EQ(wait(-1), 0u);
    }
}

TEST_P(PollerWake, AWakeAndAnEventAreBothSeen) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    drain();
    arm(token, Direction::read);
    world.send(ends.peer, "x");
    ASSERT_TRUE(world.await(ends.ours, POLLIN));
    poller->wake();
    // With room for one event only, the wake must not push it out.
    for (int looks = 0; looks < 20 && !was_told(token, readable); ++looks) wait(millisecond_ns, 1);
    EXPECT_TRUE(was_told(token, readable));
}

TEST_P(PollerWake, AWakeThatAnEventOvertookEndsALaterWait) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    drain();
    for (int round = 0; round < 10; ++round) {
        arm(token, Direction::read);
        world.send(ends.peer, "x");
        ASSERT_TRUE(world.await(ends.ours, POLLIN));
        poller->wake();
        ASSERT_TRUE(told(token, readable));
        EXPECT_EQ(world.recv(ends.ours, 1), "x");
        poller->wake();
        wait(-1, 1);
        forget();
    }
}

// --- other threads ---

TEST_P(PollerWake, AWakeFromAnotherThreadEndsTheWait) {
    for (int round = 0; round < 20; ++round) {
        std::atomic<bool> waking = false;
        std::thread other([&] {
            waking = true;
            poller->wake();
        });
        while (!waking) wait(-1);
        other.join();
        wait(0);  // the wake may have come behind the last wait
    }
}

// The flag is set before the wake, and read after the wait: whoever waits again without having seen the flag
// must be woken again.
TEST_P(PollerWake, NoWakeIsLost) {
    constexpr unsigned rounds = 5000;
    std::atomic<unsigned> asked = 0;
    std::atomic<unsigned> answered = 0;
    std::thread other([&] {
        for (unsigned round = 1; round <= rounds; ++round) {
            asked = round;
            poller->wake();
            while (answered < round) std::this_thread::yield();
        }
    });
    for (unsigned round = 1; round <= rounds; ++round) {
        while (asked < round) wait(-1);
        answered = round;
    }
    other.join();
}

TEST_P(PollerWake, ManyThreadsWakeOne) {
    constexpr unsigned threads = 4;
    constexpr unsigned wakes = 2000;
    std::atomic<unsigned> sum = 0;
    std::vector<std::thread> all;
    for (unsigned number = 0; number < threads; ++number) {
        all.emplace_back([&] {
            for (unsigned count = 0; count < wakes; ++count) {
                ++sum;
                poller->wake();
            }
        });
    }
    while (sum < threads * wakes) wait(-1);
    for (std::thread& each : all) each.join();
}

// --- signals ---

TEST_P(PollerWake, ASignalHandlerMayWakeTheNextWait) {
    woken_by_signal = poller;
    for (int round = 0; round < 10; ++round) {
        signals.raise();
        EXPECT_EQ(wait(-1), 0u);
    }
}

TEST_P(PollerWake, ASignalHandlerMayWakeThePresentWait) {
    if (!test_system::signals_reach_threads) GTEST_SKIP() << "this system has no signals between threads";
    woken_by_signal = poller;
    std::atomic<bool> stop = false;
    std::thread other([&] {
        while (!stop) {
            signals.interrupt_maker();
            std::this_thread::yield();
        }
    });
    for (int round = 0; round < 200; ++round) EXPECT_EQ(wait(-1), 0u);
    stop = true;
    other.join();
    EXPECT_GT(signals_handled, 0u);
}

// No handler of this process wakes anybody here; the call fails with EINTR, and that is no news.
TEST_P(PollerWake, AWaitThatASignalInterruptsGivesNothing) {
    if (!test_system::signals_reach_threads) GTEST_SKIP() << "this system has no signals between threads";
    if (world.simulated() != nullptr) GTEST_SKIP() << "its waits make no call that a signal could interrupt";
    std::atomic<bool> stop = false;
    std::thread other([&] {
        while (!stop) {
            signals.interrupt_maker();
            std::this_thread::yield();
        }
    });
    for (int round = 0; round < 200; ++round) EXPECT_EQ(wait(-1), 0u);
    stop = true;
    other.join();
}

TEST_P(PollerWake, AnInterruptedWaitLosesNoEvent) {
    if (GetParam().waits_by == Call::none && !GetParam().world.simulated)
        GTEST_SKIP() << "nothing to interrupt";
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    drain();
    arm(token, Direction::read);
    world.send(ends.peer, "x");
    ASSERT_TRUE(world.await(ends.ours, POLLIN));
    if (world.simulated() != nullptr)
        world.simulated()->faults.interrupted = Faults::always;
    else
        world.failing.fail(GetParam().waits_by, EINTR, 0, 5);
    for (int count = 0; count < 5; ++count) EXPECT_EQ(wait(-1), 0u);
    if (world.simulated() != nullptr) world.simulated()->faults.interrupted = 0;
    EXPECT_TRUE(told(token, readable));
}

TEST_P(PollerWake, AFailedWaitIsAnErrorAndTheNextOneWorks) {
    if (GetParam().waits_by == Call::none) GTEST_SKIP() << "its waits do not pass the door";
    world.failing.fail(GetParam().waits_by, EIO);
    PollerEvent event;
    const Result<std::size_t> waited = poller->wait({&event, 1}, 0);
    EXPECT_EQ(kind_of(waited), ErrorKind::other);
    EXPECT_EQ(waited.error().code, EIO);
    EXPECT_EQ(wait(0), 0u);
}

TEST_P(PollerWake, AnInterruptedWakeIsNotLost) {
    if (GetParam().wakes_by == Call::none) GTEST_SKIP() << "its wakes do not pass the door";
    world.failing.fail(GetParam().wakes_by, EINTR);
    poller->wake();
    const std::int64_t began_ns = world.now_ns();
    EXPECT_EQ(wait(patience_ns), 0u);
    EXPECT_LT(world.now_ns() - began_ns, patience_ns);
}

// --- what only a simulated kernel can tell ---

TEST_P(PollerWake, AWaitThatNothingCanEndIsADeadlock) {
    if (world.simulated() == nullptr) GTEST_SKIP() << "a real kernel cannot know";
    if (may_be_interrupted()) GTEST_SKIP() << "its waits may end early, by an interruption";
    world.simulated()->external_wakes_expected = 0;
    add(world.listener());
    PollerEvent event;
    EXPECT_EQ(kind_of(poller->wait({&event, 1}, -1)), ErrorKind::deadlock);
    poller->wake();
    EXPECT_EQ(wait(-1), 0u) << "it goes on after a deadlock";
}

INSTANTIATE_TEST_SUITE_P(Every, PollerWake, testing::ValuesIn(tested_pollers()), subject_name);

}  // namespace pollard::conformance
