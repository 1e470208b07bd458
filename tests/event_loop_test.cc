// The loop's contract: the order of a turn, running and stopping, callbacks, timers, closing, reports. In virtual
// time, except where other threads or the real kernel are the point.
#include "core/event_loop.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "core/coroutine.h"
#include "core/future.h"
#include "core/sleep.h"
#include "platform/interposed_kernel.h"
#include "platform/interrupt.h"
#include "platform/simulated/simulated_kernel.h"
#include "tests/kernels.h"
#include "tests/system.h"

using namespace pollard;

namespace {

std::vector<std::string> story;

class Loops : public testing::TestWithParam<const char*> {
protected:
    void SetUp() override {
        story.clear();
        before = memory_counters();
        LoopOptions options = {.kernel = GetParam()};
        options.port.in_front = &counting;
        const Result<void> opened = loop.open(options);
        ASSERT_TRUE(opened) << describe(opened.error()).c_str();
    }
    void TearDown() override {
        EXPECT_TRUE(loop.close());
        const MemoryCounters after = memory_counters();
        EXPECT_EQ(after.allocations - before.allocations, after.releases - before.releases)
            << "memory is left";
        EXPECT_EQ(all_loops, nullptr);
    }
    Callback say(const char* what) {
        return Callback([](void* text) { story.push_back(static_cast<const char*>(text)); },
                        const_cast<char*>(what));
    }
    TimedCallback say_later(const char* what) {
        return TimedCallback([](void* text) { story.push_back(static_cast<const char*>(text)); },
                             const_cast<char*>(what));
    }
    void run_one_turn() {
        loop.stop();
        ASSERT_TRUE(loop.run_forever());
    }

    CountingKernel counting;
    MemoryCounters before;
    EventLoop loop;
};

/// Virtual time only.
class VirtualLoops : public Loops {};

using Story = std::vector<std::string>;

struct Sleeper : Coroutine<Sleeper, int, Awaits<Sleep>> {
    std::int64_t delay_ns = 0;
    const char* name = "sleeper";
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(delay_ns));
        story.push_back(name);
        CO_RETURN(7);
        CO_END;
    }
};

struct Fails : Coroutine<Fails> {
    Progress body() {
        CO_BEGIN;
        CO_RETURN(Error(ErrorKind::broken_pipe, Call::send));
        CO_END;
    }
};

struct Stubborn : Coroutine<Stubborn, void, Awaits<Sleep>> {
    int refusals = 0;
    Result<void> slept;
    Progress body() {
        CO_BEGIN;
        while (refusals > 0) {
            CO_AWAIT(slept, sleep_ns(3600 * second_ns));
            --refusals;
        }
        CO_END;
    }
};

// --- running and stopping ---

TEST_P(Loops, RunUntilCompleteGivesTheValueOfTheCoroutine) {
    EXPECT_EQ(*loop.run_until_complete(Sleeper{}), 7);
    EXPECT_FALSE(loop.is_running());
}

TEST_P(Loops, RunUntilCompleteGivesTheErrorOfTheCoroutine) {
    EXPECT_EQ(loop.run_until_complete(Fails{}).error().kind, ErrorKind::broken_pipe);
}

TEST_P(Loops, RunUntilCompleteOfATaskThatIsDoneTakesOneTurn) {
    const auto task = *loop.create_task(Sleeper{});
    ASSERT_TRUE(loop.run_until_complete(task));
    const std::uint32_t before_turns = loop.turn_count;
    EXPECT_EQ(*loop.run_until_complete(task), 7);
    EXPECT_EQ(loop.turn_count - before_turns, 1u);
}

TEST_P(Loops, StopBeforeRunningGivesExactlyOneTurn) {
    Callback once = say("once");
    loop.call_soon(once);
    loop.stop();
    ASSERT_TRUE(loop.run_forever());
    EXPECT_EQ(loop.turn_count, 1u);
    EXPECT_EQ(story, Story{"once"});
}

TEST_P(Loops, StopLetsTheBatchEndAndKeepsTheRestForTheNextRun) {
    static EventLoop* current;
    current = &loop;
    static Callback* next;
    Callback later = say("next run");
    next = &later;
    Callback stopping(
        [](void*) {
            story.push_back("stop");
            current->stop();
            current->call_soon(*next);
        },
        nullptr);
    Callback second = say("same batch");
    loop.call_soon(stopping);
    loop.call_soon(second);
    ASSERT_TRUE(loop.run_forever());
    EXPECT_EQ(story, (Story{"stop", "same batch"}));
    run_one_turn();
    EXPECT_EQ(story.back(), "next run");
}

TEST_P(Loops, ALoopStoppedBeforeTheTaskIsDoneSaysSoAndTheTaskCanBeRunOn) {
    Callback stopping([](void* self) { static_cast<EventLoop*>(self)->stop(); }, &loop);
    loop.call_soon(stopping);
    const auto task = *loop.create_task(Sleeper{.delay_ns = millisecond_ns});
    EXPECT_EQ(loop.run_until_complete(task).error().kind, ErrorKind::stopped);
    EXPECT_FALSE(task.done());
    EXPECT_EQ(*loop.run_until_complete(task), 7);
}

TEST_P(Loops, RunningInsideARunIsInvalid) {
    static ErrorKind inner;
    inner = ErrorKind::none;
    Callback nested(
        [](void* self) {
            auto* outer = static_cast<EventLoop*>(self);
            inner = outer->run_forever().error().kind;
            outer->stop();
        },
        &loop);
    loop.call_soon(nested);
    ASSERT_TRUE(loop.run_forever());
    EXPECT_EQ(inner, ErrorKind::invalid_state);
}

TEST_P(Loops, ClosingWhileRunningIsInvalidAndClosingTwiceIsFine) {
    static ErrorKind inner;
    Callback closing(
        [](void* self) {
            auto* outer = static_cast<EventLoop*>(self);
            inner = outer->close().error().kind;
            outer->stop();
        },
        &loop);
    loop.call_soon(closing);
    ASSERT_TRUE(loop.run_forever());
    EXPECT_EQ(inner, ErrorKind::invalid_state);
    EXPECT_TRUE(loop.close());
    EXPECT_TRUE(loop.close());
    EXPECT_TRUE(loop.is_closed());
}

TEST_P(Loops, AClosedLoopRefusesToRunAndToTakeTasks) {
    ASSERT_TRUE(loop.close());
    EXPECT_EQ(loop.run_forever().error().kind, ErrorKind::closed);
    EXPECT_EQ(loop.create_task(Sleeper{}).error().kind, ErrorKind::closed);
}

TEST_P(Loops, AClosedLoopCanBeOpenedAgain) {
    ASSERT_TRUE(loop.close());
    ASSERT_TRUE(loop.open({.kernel = GetParam()}));
    EXPECT_EQ(*loop.run_until_complete(Sleeper{.delay_ns = millisecond_ns}), 7);
}

TEST(LoopNames, AnUnknownKernelIsNotFoundByName) {
    EventLoop loop;
    const Result<void> opened = loop.open({.kernel = "beos"});
    EXPECT_EQ(opened.error().kind, ErrorKind::not_found);
    EXPECT_STREQ(describe(opened.error()).c_str(), "open beos: not found");
}

TEST_P(VirtualLoops, ASleeperCanBeCancelledWhileTheLoopDoesNotRun) {
    const auto task = *loop.create_task(Sleeper{.delay_ns = 3600 * second_ns});
    run_one_turn();
    EXPECT_TRUE(task.cancel());
    const std::int64_t began_ns = loop.time_ns();
    EXPECT_EQ(loop.run_until_complete(task).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(loop.time_ns(), began_ns);
}

struct CancelsItself : Coroutine<CancelsItself, void, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        current_scheduler->running_task()->cancel();
        CO_TRY(sleep_ns(60 * second_ns));
        CO_END;
    }
};

TEST_P(VirtualLoops, ACancellationIsDeliveredAtItsAwaitInDebugModeToo) {
    for (const bool debug : {false, true}) {
        loop.set_debug(debug);
        const std::int64_t began_ns = loop.time_ns();
        EXPECT_EQ(loop.run_until_complete(CancelsItself{}).error().kind, ErrorKind::cancelled);
        EXPECT_EQ(loop.time_ns(), began_ns) << "debug mode: " << debug;
    }
}

// --- the order of a turn ---

TEST_P(Loops, CallbacksRunFirstInFirstOut) {
    Callback a = say("a"), b = say("b"), c = say("c");
    loop.call_soon(a);
    loop.call_soon(b);
    loop.call_soon(c);
    run_one_turn();
    EXPECT_EQ(story, (Story{"a", "b", "c"}));
}

TEST_P(Loops, WhatACallbackQueuesRunsInTheNextTurn) {
    static EventLoop* current;
    static Callback* next;
    current = &loop;
    Callback child = say("child");
    next = &child;
    Callback parent(
        [](void*) {
            story.push_back("parent");
            current->call_soon(*next);
        },
        nullptr);
    loop.call_soon(parent);
    run_one_turn();
    EXPECT_EQ(story, Story{"parent"});
    run_one_turn();
    EXPECT_EQ(story, (Story{"parent", "child"}));
}

TEST_P(Loops, ACancelledCallbackNeverRunsEvenInItsOwnBatch) {
    static Callback* victim;
    Callback second = say("second");
    victim = &second;
    Callback first(
        [](void*) {
            story.push_back("first");
            victim->cancel();
        },
        nullptr);
    loop.call_soon(first);
    loop.call_soon(second);
    run_one_turn();
    EXPECT_EQ(story, Story{"first"});
}

TEST_P(VirtualLoops, DueTimersComeBehindWhatIsReady) {
    TimedCallback timer = say_later("timer");
    Callback ready = say("ready");
    loop.call_later(timer, 0);
    loop.call_soon(ready);
    run_one_turn();
    EXPECT_EQ(story, (Story{"ready", "timer"}));
}

TEST_P(VirtualLoops, TimersFireByDeadlineAndEqualOnesAsTheyWereSet) {
    TimedCallback a = say_later("a"), b = say_later("b"), c = say_later("c"), d = say_later("d");
    const std::int64_t now_ns = loop.time_ns();
    loop.call_at(a, now_ns + 30);
    loop.call_at(b, now_ns + 10);
    loop.call_at(c, now_ns + 30);
    loop.call_at(d, now_ns - 5);
    ASSERT_TRUE(loop.run_until_complete(Sleeper{.delay_ns = 100}));
    EXPECT_EQ(story, (Story{"d", "b", "a", "c", "sleeper"}));
}

TEST_P(VirtualLoops, ALoopWithNothingReadySleepsUntilTheFirstTimerAndNotLonger) {
    const std::int64_t began_ns = loop.time_ns();
    ASSERT_TRUE(loop.run_until_complete(Sleeper{.delay_ns = 12 * 3600 * second_ns}));
    EXPECT_EQ(loop.time_ns() - began_ns, 12 * 3600 * second_ns);
}

TEST_P(VirtualLoops, ACancelledTimerDoesNotFire) {
    TimedCallback timer = say_later("timer");
    loop.call_later(timer, 10);
    loop.cancel(timer);
    ASSERT_TRUE(loop.run_until_complete(Sleeper{.delay_ns = 100}));
    EXPECT_EQ(story, Story{"sleeper"});
}

TEST_P(VirtualLoops, SleepsOverlap) {
    const std::int64_t began_ns = loop.time_ns();
    const auto one = *loop.create_task(Sleeper{.delay_ns = 2 * second_ns, .name = "one"});
    const auto two = *loop.create_task(Sleeper{.delay_ns = 2 * second_ns, .name = "two"});
    ASSERT_TRUE(loop.run_until_complete(one));
    ASSERT_TRUE(loop.run_until_complete(two));
    EXPECT_EQ(loop.time_ns() - began_ns, 2 * second_ns);
    EXPECT_EQ(story, (Story{"one", "two"}));
}

TEST_P(Loops, TheClockStandsStillWhileABatchRuns) {
    static std::int64_t seen[2];
    static EventLoop* current;
    current = &loop;
    Callback first([](void*) { seen[0] = current->time_ns(); }, nullptr);
    Callback second([](void*) { seen[1] = current->time_ns(); }, nullptr);
    loop.call_soon(first);
    loop.call_soon(second);
    run_one_turn();
    EXPECT_EQ(seen[0], seen[1]);
}

struct Spins : Coroutine<Spins, void, Awaits<Sleep>> {
    int turns = 0;
    Progress body() {
        CO_BEGIN;
        while (turns-- > 0) CO_TRY(sleep_ns(0));
        CO_END;
    }
};

/// Computes before it sleeps: the simulated clock is moved by hand.
struct Computes : Coroutine<Computes, void, Awaits<Sleep>> {
    SimulatedKernel* kernel;
    Progress body() {
        CO_BEGIN;
        kernel->now_ns += second_ns;
        running_loop().update_time();
        CO_TRY(sleep_ns(second_ns));
        story.push_back("computed and slept");
        CO_END;
    }
};

TEST_P(VirtualLoops, WhatABatchHasComputedIsNotSleptOnceMore) {
    const std::int64_t began_ns = loop.time_ns();
    const auto sleeper = *loop.create_task(Sleeper{.delay_ns = 2 * second_ns});
    Callback computes([](void* kernel) { static_cast<SimulatedKernel*>(kernel)->now_ns += second_ns; },
                      counting.inner);
    loop.call_soon(computes);
    ASSERT_TRUE(loop.run_until_complete(sleeper));
    EXPECT_EQ(loop.time_ns() - began_ns, 2 * second_ns);
}

TEST_P(VirtualLoops, AfterUpdateTimeASleepIsCountedFromTheEndOfAComputation) {
    auto& kernel = static_cast<SimulatedKernel&>(*counting.inner);
    const std::int64_t began_ns = loop.time_ns();
    ASSERT_TRUE(loop.run_until_complete(Computes{.kernel = &kernel}));
    EXPECT_EQ(loop.time_ns() - began_ns, 2 * second_ns);
}

TEST_P(Loops, ABusyLoopLooksIntoTheKernelOnceInSixtyFourWorks) {
    counting.reset();
    ASSERT_TRUE(loop.run_until_complete(Spins{.turns = 6400}));
    for (const auto& [kernel, call] : {std::pair("epoll", Call::epoll_wait), std::pair("poll", Call::poll)}) {
        if (std::string_view(GetParam()) != kernel) continue;
        EXPECT_GE(counting.of(call), 100u);
        EXPECT_LE(counting.of(call), 102u);
    }
    EXPECT_LE(counting.of(Call::clock), 102u);
}

TEST_P(Loops, TimersFireWhileTheLoopIsBusy) {
    static bool fired;
    fired = false;
    TimedCallback timer([](void*) { fired = true; }, nullptr);
    loop.call_later(timer, 0);
    ASSERT_TRUE(loop.run_until_complete(Spins{.turns = 200}));
    EXPECT_TRUE(fired);
}

// --- lambdas ---

TEST_P(VirtualLoops, LambdasRunAndTheirHandlesCancel) {
    auto soon = loop.call_soon([] { story.push_back("soon"); });
    auto never = loop.call_later([] { story.push_back("never"); }, 10);
    auto later = loop.call_later([] { story.push_back("later"); }, 20);
    ASSERT_TRUE(soon && never && later);
    never->cancel();
    never->cancel();
    ASSERT_TRUE(loop.run_until_complete(Sleeper{.delay_ns = 100}));
    EXPECT_EQ(story, (Story{"soon", "later", "sleeper"}));
    later->cancel();
}

TEST_P(VirtualLoops, AHandleSaysWhetherItWasCancelledAndForWhenItsCallIsSet) {
    CallHandle in_time = *loop.call_later([] { story.push_back("never"); }, second_ns);
    CallHandle too_late = *loop.call_soon([] { story.push_back("runs"); });
    EXPECT_EQ(in_time.when_ns(), loop.time_ns() + second_ns);
    EXPECT_FALSE(in_time.cancelled());
    in_time.cancel();
    in_time.cancel();
    EXPECT_TRUE(in_time.cancelled());
    run_one_turn();
    EXPECT_FALSE(too_late.cancelled());
    too_late.cancel();
    EXPECT_TRUE(too_late.cancelled()) << "also when it has run";
    EXPECT_EQ(story, Story{"runs"});
}

TEST_P(VirtualLoops, DelaysOfNothingAndTimesThatHavePassedAreDueInTheNextTurnByTheirDeadline) {
    TimedCallback nothing = say_later("now"), negative = say_later("a second ago"),
                  passed = say_later("two ago");
    loop.call_later(nothing, 0);
    loop.call_later(negative, -second_ns);
    loop.call_at(passed, loop.time_ns() - 2 * second_ns);
    run_one_turn();
    EXPECT_EQ(story, (Story{"two ago", "a second ago", "now"}));
}

TEST_P(Loops, AClosedLoopTakesNoCallbacks) {
    EventLoop closed;
    EXPECT_EQ(closed.call_soon([] {}).error().kind, ErrorKind::closed);
    EXPECT_EQ(closed.call_later([] {}, 1).error().kind, ErrorKind::closed);
    Callback callback = say("never");
    EXPECT_DEATH(closed.call_soon(callback), "this loop is closed");
    TimedCallback timed = say_later("never");
    EXPECT_DEATH(closed.call_later(timed, 1), "this loop is closed");
}

TEST_P(Loops, DebugModeRefusesCallbacksFromAnotherThread) {
    loop.set_debug(true);
    EXPECT_DEATH(
        {
            Callback callback = say("never");
            Callback meanwhile(
                [](void* context) {
                    auto* give = static_cast<std::function<void()>*>(context);
                    std::thread(*give).join();
                },
                nullptr);
            std::function<void()> give = [&] { loop.call_soon(callback); };
            meanwhile.context = &give;
            loop.call_soon(meanwhile);
            run_one_turn();
        },
        "this loop runs in another thread");
}

TEST_P(Loops, LambdasThatNeverRanAreDestroyedWhenTheLoopCloses) {
    auto shared = std::make_shared<int>(1);
    auto handle = loop.call_later([shared] { FAIL(); }, 3600 * second_ns);
    ASSERT_TRUE(handle);
    EXPECT_EQ(shared.use_count(), 2);
    ASSERT_TRUE(loop.close());
    EXPECT_EQ(shared.use_count(), 1);
}

TEST_P(Loops, WithoutMemoryALambdaIsAnErrorAndTheLoopLivesOn) {
    // Too large for the pool, so it asks for memory of its own.
    struct Large {
        char bytes[4096];
    } large = {};
    fail_allocations_after(0);
    auto refused = loop.call_soon([large] { (void)large; });
    EXPECT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::out_of_memory);
    EXPECT_EQ(*loop.run_until_complete(Sleeper{}), 7);
}

// --- closing ---

TEST_P(VirtualLoops, ClosingCancelsEveryTaskAndWaitsForItsEnd) {
    const auto sleeper = *loop.create_task(Sleeper{.delay_ns = 3600 * second_ns});
    const auto stubborn = *loop.create_task(Stubborn{.refusals = 1});
    run_one_turn();
    ASSERT_TRUE(loop.close());
    EXPECT_TRUE(sleeper.cancelled());
    EXPECT_TRUE(stubborn.done());
}

TEST_P(Loops, ATaskRefMayOutliveItsLoop) {
    auto task = *loop.create_task(Sleeper{});
    ASSERT_TRUE(loop.run_until_complete(task));
    ASSERT_TRUE(loop.close());
    EXPECT_EQ(*task.result(), 7);
    task = TaskRef<int>();
}

// --- reports ---

struct Reports {
    std::vector<std::string> messages;
    static void take(void* self, const ErrorReport& report) {
        static_cast<Reports*>(self)->messages.push_back(report.message);
    }
};

TEST_P(Loops, AnErrorThatNobodyReadGoesToTheErrorHandler) {
    Reports reports;
    loop.set_error_handler(Reports::take, &reports);
    {
        ASSERT_TRUE(loop.create_task(Fails{}));
    }
    run_one_turn();
    ASSERT_EQ(reports.messages.size(), 1u);
    EXPECT_EQ(reports.messages[0], "a task's error was never retrieved");
    loop.set_error_handler(nullptr, nullptr);
}

TEST_P(Loops, DebugModeReportsAWorkThatRunsTooLong) {
    Reports reports;
    loop.set_error_handler(Reports::take, &reports);
    loop.set_debug(true);
    loop.slow_callback_duration_ns = 0;  // so that every work is too long, without waiting for it
    Callback slow = say("slow");
    loop.call_soon(slow);
    run_one_turn();
    ASSERT_FALSE(reports.messages.empty());
    EXPECT_NE(reports.messages[0].find("a callback ran for 0.000 s without letting others run"),
              std::string::npos);
    loop.set_error_handler(nullptr, nullptr);
}

TEST_P(VirtualLoops, WaitingForEverWhenNothingCanHappenEndsTheRunAndPrintsWhoWaits) {
    struct Never : Coroutine<Never, void, Awaits<Future<void>&>> {
        Future<void>* nobodys;
        Result<void> outcome;
        Progress body() {
            CO_BEGIN;
            CO_AWAIT(outcome, *nobodys);
            CO_END;
        }
    };
    Future<void> nobodys;
    const auto task = *loop.create_task(Never{.nobodys = &nobodys});
    testing::internal::CaptureStderr();
    EXPECT_EQ(loop.run_until_complete(task).error().kind, ErrorKind::deadlock);
    const std::string printed = testing::internal::GetCapturedStderr();
    EXPECT_NE(printed.find("nothing can ever happen any more"), std::string::npos) << printed;
    EXPECT_NE(printed.find("Never#1"), std::string::npos) << printed;
    EXPECT_NE(printed.find("event_loop_test.cc"), std::string::npos) << printed;
    ASSERT_TRUE(loop.close());  // while the future is still there
}

// --- other threads and signals ---

TEST_P(Loops, CallbacksOfAnotherThreadWakeTheLoopAndKeepTheirOrder) {
    if (is_simulated(GetParam())) GTEST_SKIP() << "other threads are real, this kernel is not";
    const LoopHandle handle = loop.handle();
    Callback a = say("a"), b = say("b");
    Callback stopping([](void* self) { static_cast<EventLoop*>(self)->stop(); }, &loop);
    std::thread other([&] {
        EXPECT_TRUE(handle.call_soon_threadsafe(a));
        EXPECT_TRUE(handle.call_soon_threadsafe(b));
        EXPECT_TRUE(handle.call_soon_threadsafe(stopping));
    });
    ASSERT_TRUE(loop.run_forever());
    other.join();
    EXPECT_EQ(story, (Story{"a", "b"}));
}

TEST_P(Loops, ManyThreadsLoseNoCallback) {
    if (is_simulated(GetParam())) GTEST_SKIP() << "other threads are real, this kernel is not";
    constexpr int threads = 4, each = 2000;
    static std::atomic<int> ran;
    ran = 0;
    static EventLoop* current;
    current = &loop;
    std::vector<std::unique_ptr<Callback>> callbacks;
    for (int i = 0; i < threads * each; ++i)
        callbacks.push_back(std::make_unique<Callback>(
            [](void*) {
                if (++ran == threads * each) current->stop();
            },
            nullptr));
    const LoopHandle handle = loop.handle();
    std::vector<std::thread> workers;
    for (int t = 0; t < threads; ++t)
        workers.emplace_back([&, t] {
            for (int i = 0; i < each; ++i)
                handle.call_soon_threadsafe(*callbacks[static_cast<std::size_t>(t * each + i)]);
        });
    ASSERT_TRUE(loop.run_forever());
    for (std::thread& worker : workers) worker.join();
    EXPECT_EQ(ran, threads * each);
}

TEST_P(Loops, AHandleOutlivesItsLoopAndSaysThatItHasClosed) {
    const LoopHandle handle = loop.handle();
    ASSERT_TRUE(loop.close());
    Callback late = say("late");
    EXPECT_FALSE(handle.call_soon_threadsafe(late));
    EXPECT_FALSE(handle.stop());
}

TEST_P(Loops, ASignalHandlerStopsTheLoop) {
    static const LoopHandle* current;
    const LoopHandle handle = loop.handle();
    current = &handle;
    on_interrupt([](void*) { current->stop(); }, nullptr);
    static bool pressed;
    Callback signalling(
        [](void* loop_of_this) {
            pressed = test_system::press_interrupt_key();
            if (!pressed) static_cast<EventLoop*>(loop_of_this)->stop();
        },
        &loop);
    loop.call_soon(signalling);
    EXPECT_TRUE(loop.run_forever());
    test_system::forget_interrupt_handler();
    if (!pressed) GTEST_SKIP() << "this process has no terminal to press the interrupt key on";
    EXPECT_TRUE(interrupt_came());
}

TEST_P(Loops, RunningTasksAndTimersAllocatesNothingAfterWarmUp) {
    const auto round = [this] {
        const auto task = *loop.create_task(Sleeper{.delay_ns = 1});
        EXPECT_TRUE(loop.run_until_complete(task));
    };
    for (int i = 0; i < 3; ++i) round();
    const MemoryCounters warm = memory_counters();
    story.reserve(1000);
    for (int i = 0; i < 100; ++i) round();
    EXPECT_EQ(memory_counters().allocations, warm.allocations);
}

TEST(LoopMemory, OpeningWithoutMemoryIsAnErrorAtEveryAllocationAndLeavesNothing) {
    for (std::uint64_t passes = 0; passes < 50; ++passes) {
        const MemoryCounters before = memory_counters();
        EventLoop loop;
        fail_allocations_after(passes);
        const Result<void> opened = loop.open({.kernel = default_backend().name});
        fail_allocations_after(0, 0);
        if (!opened) {
            EXPECT_EQ(opened.error().kind, ErrorKind::out_of_memory);
            const MemoryCounters after = memory_counters();
            EXPECT_EQ(after.allocations - before.allocations, after.releases - before.releases);
            continue;
        }
        EXPECT_GE(passes, 3u) << "a native port is one block, an adapted one two";
        return;
    }
    FAIL() << "opening never succeeded";
}

std::string kernel_name_of(const testing::TestParamInfo<const char*>& info) { return info.param; }

INSTANTIATE_TEST_SUITE_P(Kernels, Loops, testing::ValuesIn(kernels_here()), kernel_name_of);
INSTANTIATE_TEST_SUITE_P(Kernels, VirtualLoops, testing::Values("simulated", "simulated_completion"),
                         kernel_name_of);

}  // namespace
