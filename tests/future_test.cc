// Futures: their states, who is told of the end and when, cancellation, reports. In virtual time, and by frames of both
// authors.
//
// Read next: tests/by_author.h, then tests/task/task_test.cc.
#include "core/future.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/co_await.h"
#include "core/coroutine.h"
#include "core/event_loop.h"
#include "core/sleep.h"
#include "tests/by_author.h"

using namespace pollard;

namespace {

/// Says when it begins and how it ends.
struct Ask : Coroutine<Ask, int, Awaits<Future<int>&>> {
    Future<int>* future;
    const char* name;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(got, *future);
        story.push_back(std::string(name) + (got ? " has a value" : " has an error"));
        CO_RETURN(got);
        CO_END;
    }
};

Co<int> ask(Future<int>& future, const char* name) {
    const Result<int> got = co_await future;
    story.push_back(std::string(name) + (got ? " has a value" : " has an error"));
    co_return got;
}

class Futures : public LoopByAuthor {
protected:
    TaskRef<int> spawn_asker(Future<int>& future, const char* name) {
        return create_task([&] { return Ask{.future = &future, .name = name}; },
                           [&] { return ask(future, name); });
    }
    static Callback say(const char* what) {
        return Callback([](void* text) { story.push_back(static_cast<const char*>(text)); },
                        const_cast<char*>(what));
    }
};

const Error broken(ErrorKind::broken_pipe, Call::send);

// --- states ---

TEST_P(Futures, GetsItsResultOnce) {
    Future<int> future;
    EXPECT_FALSE(future.done());
    EXPECT_TRUE(future.set_result(1));
    EXPECT_TRUE(future.done());
    EXPECT_FALSE(future.cancelled());
    EXPECT_EQ(future.set_result(2).error().kind, ErrorKind::invalid_state);
    EXPECT_EQ(future.set_error(broken).error().kind, ErrorKind::invalid_state);
    EXPECT_EQ(*future.result(), 1);
    EXPECT_EQ(*future.result(), 1) << "it may be asked again";
    EXPECT_EQ(future.error().kind, ErrorKind::none);
}

TEST_P(Futures, GetsItsErrorOnce) {
    Future<int> future;
    EXPECT_TRUE(future.set_error(broken));
    EXPECT_EQ(future.set_result(2).error().kind, ErrorKind::invalid_state);
    EXPECT_EQ(future.result().error().kind, ErrorKind::broken_pipe);
    EXPECT_EQ(future.error().kind, ErrorKind::broken_pipe);
    EXPECT_FALSE(future.cancelled());
}

TEST_P(Futures, PendingItHasNeitherResultNorError) {
    Future<int> future;
    EXPECT_EQ(future.result().error().kind, ErrorKind::invalid_state);
    EXPECT_EQ(future.error().kind, ErrorKind::invalid_state);
    EXPECT_FALSE(future.failed());
}

TEST_P(Futures, CancelIsTrueOnceAndIsThenItsResultAndItsError) {
    Future<int> future;
    EXPECT_TRUE(future.cancel("no longer needed"));
    EXPECT_FALSE(future.cancel("too late"));
    EXPECT_TRUE(future.done());
    EXPECT_TRUE(future.cancelled());
    EXPECT_EQ(future.result().error().kind, ErrorKind::cancelled);
    EXPECT_STREQ(future.error().text, "no longer needed");
    EXPECT_EQ(future.set_result(1).error().kind, ErrorKind::invalid_state);
    EXPECT_EQ(future.set_error(broken).error().kind, ErrorKind::invalid_state);
}

TEST_P(Futures, CancelOfADoneOneIsFalseAndHasNoEffect) {
    Future<int> future;
    ASSERT_TRUE(future.set_result(3));
    EXPECT_FALSE(future.cancel());
    EXPECT_FALSE(future.cancelled());
    EXPECT_EQ(*future.result(), 3);
}

TEST_P(Futures, TheEndOfAGeneratorCannotBeItsError) {
    Future<int> future;
    EXPECT_EQ(future.set_error(Error(ErrorKind::stopped, Call::next)).error().kind,
              ErrorKind::invalid_argument);
    EXPECT_EQ(future.set_error(Error()).error().kind, ErrorKind::invalid_argument);
    EXPECT_FALSE(future.done());
}

TEST_P(Futures, MayHaveNoValueAtAll) {
    Future<void> future;
    EXPECT_TRUE(future.set_result());
    EXPECT_TRUE(future.result());
}

TEST_P(Futures, MayHaveAValueThatMustBeCopied) {
    Future<std::string> future;
    EXPECT_TRUE(future.set_result(std::string(100, 'x')));
    EXPECT_EQ(future.result()->size(), 100u);
    EXPECT_EQ(future.result()->size(), 100u);
}

// --- done callbacks ---

TEST_P(Futures, CallbacksRunInTheNextTurnInTheOrderOfTheirRegistration) {
    Future<int> future(loop);
    Callback a = say("a"), b = say("b"), c = say("c"), earlier = say("ready before");
    future.add_done_callback(a);
    future.add_done_callback(b);
    future.add_done_callback(c);
    loop.call_soon(earlier);
    ASSERT_TRUE(future.set_result(1));
    EXPECT_EQ(story, Story{}) << "never inside set_result";
    run_turns(1);
    EXPECT_EQ(story, (Story{"ready before", "a", "b", "c"}));
}

TEST_P(Futures, EachCallbackHasAPlaceOfItsOwnInTheReadyQueue) {
    Future<int> future(loop);
    struct {
        EventLoop& loop;
        Callback behind = say("queued by a");
    } queue{loop};
    Callback a(
        [](void* context) {
            auto* more = static_cast<decltype(queue)*>(context);
            story.push_back("a");
            more->loop.call_soon(more->behind);
        },
        &queue);
    Callback b = say("b");
    future.add_done_callback(a);
    future.add_done_callback(b);
    ASSERT_TRUE(future.set_result(1));
    run_turns(1);
    EXPECT_EQ(story, (Story{"a", "b"}));
    run_turns(1);
    EXPECT_EQ(story, (Story{"a", "b", "queued by a"}));
}

TEST_P(Futures, CancellingAndFailingCallTheCallbacksToo) {
    Future<int> cancelled(loop), failed(loop);
    Callback a = say("a"), b = say("b");
    cancelled.add_done_callback(a);
    failed.add_done_callback(b);
    ASSERT_TRUE(failed.set_error(broken));
    EXPECT_TRUE(cancelled.cancel());
    run_turns(1);
    EXPECT_EQ(story, (Story{"b", "a"}));
    EXPECT_EQ(failed.error().kind, ErrorKind::broken_pipe);
}

TEST_P(Futures, ACallbackAddedToADoneFutureIsCalledInTheNextTurnAndNotAtOnce) {
    Future<int> future(loop);
    ASSERT_TRUE(future.set_result(1));
    Callback late = say("late");
    future.add_done_callback(late);
    EXPECT_EQ(story, Story{});
    run_turns(1);
    EXPECT_EQ(story, Story{"late"});
}

TEST_P(Futures, ARemovedCallbackIsCountedAndNeverCalled) {
    Future<int> future(loop);
    Callback a = say("a"), b = say("b");
    future.add_done_callback(a);
    future.add_done_callback(b);
    EXPECT_EQ(future.remove_done_callback(a), 1);
    EXPECT_EQ(future.remove_done_callback(a), 0);
    ASSERT_TRUE(future.set_result(1));
    EXPECT_EQ(future.remove_done_callback(b), 0) << "it is on its way";
    run_turns(1);
    EXPECT_EQ(story, Story{"b"});
}

TEST_P(Futures, LambdasAreCallbacksTooAndTheirHandlesTakeThemBack) {
    Future<int> future(loop);
    ASSERT_TRUE(future.add_done_callback([] { story.push_back("called"); }));
    CallHandle handle = *future.add_done_callback([] { story.push_back("taken back"); });
    handle.cancel();
    ASSERT_TRUE(future.set_result(1));
    run_turns(1);
    EXPECT_EQ(story, Story{"called"});
}

TEST_P(Futures, WithoutMemoryALambdaIsAnErrorAndTheFutureGoesOn) {
    Future<int> future(loop);
    fail_allocations_after(0);
    const auto refused = future.add_done_callback([] { story.push_back("called"); });
    fail_allocations_after(0, 0);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::out_of_memory);
    Callback a = say("a");
    future.add_done_callback(a);
    ASSERT_TRUE(future.set_result(1));
    run_turns(1);
    EXPECT_EQ(story, Story{"a"});
}

TEST_P(Futures, CallbacksOfAFutureThatGoesWhilePendingAreDropped) {
    const auto kept = std::make_shared<int>(1);
    Callback a = say("a");
    {
        Future<int> future(loop);
        future.add_done_callback(a);
        ASSERT_TRUE(future.add_done_callback([kept] { story.push_back("lambda"); }));
        EXPECT_EQ(kept.use_count(), 2);
    }
    EXPECT_EQ(kept.use_count(), 1);
    EXPECT_FALSE(a.linked());
    run_turns(1);
    EXPECT_EQ(story, Story{});
}

// --- waiting ---

TEST_P(Futures, AwaitingADoneOneDoesNotSuspend) {
    Future<int> future;
    ASSERT_TRUE(future.set_result(5));
    const auto task = spawn_asker(future, "a");
    run_turns(1);
    ASSERT_TRUE(task.done());
    EXPECT_EQ(*task.result(), 5);
}

TEST_P(Futures, AWaiterGoesOnInTheTurnAfterTheEnd) {
    Future<int> future;
    const auto task = spawn_asker(future, "a");
    run_turns(1);
    EXPECT_FALSE(task.done());
    ASSERT_TRUE(future.set_result(5));
    EXPECT_FALSE(task.done());
    run_turns(1);
    EXPECT_EQ(*task.result(), 5);
}

TEST_P(Futures, SeveralWaitersGoOnInTheOrderInWhichTheyBeganAndGetTheSameValue) {
    Future<int> future;
    const auto a = spawn_asker(future, "a"), b = spawn_asker(future, "b"), c = spawn_asker(future, "c");
    run_turns(1);
    ASSERT_TRUE(future.set_result(5));
    run_turns(1);
    EXPECT_EQ(story, (Story{"a has a value", "b has a value", "c has a value"}));
    EXPECT_EQ(*a.result() + *b.result() + *c.result(), 15);
}

TEST_P(Futures, SeveralWaitersGetTheSameError) {
    Future<int> future;
    const auto a = spawn_asker(future, "a"), b = spawn_asker(future, "b");
    run_turns(1);
    ASSERT_TRUE(future.set_error(broken));
    run_turns(1);
    EXPECT_EQ(a.result().error().kind, ErrorKind::broken_pipe);
    EXPECT_EQ(b.result().error().kind, ErrorKind::broken_pipe);
}

TEST_P(Futures, FramesAndCallbacksStandInOneLine) {
    Future<int> future(loop);
    Callback first = say("first callback"), second = say("second callback");
    future.add_done_callback(first);
    const auto a = spawn_asker(future, "a");
    run_turns(1);
    future.add_done_callback(second);
    ASSERT_TRUE(future.set_result(5));
    run_turns(1);
    EXPECT_EQ(story, (Story{"first callback", "a has a value", "second callback"}));
}

TEST_P(Futures, WaitingAllocatesNothingAfterWarmUp) {
    for (int round = 0; round < 3; ++round) {
        const MemoryCounters at_first = memory_counters();
        Future<int> future;
        const auto task = spawn_asker(future, "a");
        run_turns(1);
        ASSERT_TRUE(future.set_result(round));
        run_turns(1);
        EXPECT_EQ(*task.result(), round);
        if (round > 0) {
            EXPECT_EQ(memory_counters().allocations, at_first.allocations);
        }
    }
}

TEST_P(Futures, AWaiterSaysWhatItWaitsFor) {
    Future<int> future;
    const auto task = spawn_asker(future, "a");
    run_turns(1);
    const Text text = describe(task.state().root());
    EXPECT_NE(text.view().find("a future, pending, 1 waiting"), std::string_view::npos) << text.c_str();
    ASSERT_TRUE(future.set_result(1));
    run_turns(1);
}

TEST_P(Futures, ALoopRunsUntilItIsDoneAndGivesItsValue) {
    Future<int> future(loop);
    Callback other = say("the rest of the batch");
    ASSERT_TRUE(loop.call_later([&] { EXPECT_TRUE(future.set_result(4)); }, second_ns));
    EXPECT_EQ(*loop.run_until_complete(future), 4);
    loop.call_soon(other);
    EXPECT_EQ(*loop.run_until_complete(future), 4) << "done already: one turn";
    EXPECT_EQ(story, Story{"the rest of the batch"});
}

TEST_P(Futures, ALoopStoppedBeforeItIsDoneSaysSoAndItStaysPending) {
    Future<int> future(loop);
    ASSERT_TRUE(loop.call_soon([&] { loop.stop(); }));
    EXPECT_EQ(loop.run_until_complete(future).error().kind, ErrorKind::stopped);
    EXPECT_FALSE(future.done());
    ASSERT_TRUE(loop.call_soon([&] { EXPECT_TRUE(future.set_result(4)); }));
    EXPECT_EQ(*loop.run_until_complete(future), 4);
}

// --- cancelling who waits ---

TEST_P(Futures, CancellingAWaiterCancelsTheFutureAndSoAllWhoWaitForIt) {
    Future<int> future;
    const auto a = spawn_asker(future, "a"), b = spawn_asker(future, "b");
    run_turns(1);
    EXPECT_TRUE(a.cancel());
    EXPECT_TRUE(future.cancelled());
    run_turns(1);
    EXPECT_TRUE(a.cancelled());
    EXPECT_TRUE(b.cancelled());
    EXPECT_EQ(a.cancel_requests(), 1u);
    EXPECT_EQ(b.cancel_requests(), 0u) << "nobody asked it to end";
    EXPECT_EQ(future.set_result(1).error().kind, ErrorKind::invalid_state);
}

TEST_P(Futures, AWaiterCancelledAfterTheResultAndBeforeItRanIsCancelledAndTheFutureKeepsItsResult) {
    Future<int> future;
    const auto a = spawn_asker(future, "a"), b = spawn_asker(future, "b");
    run_turns(1);
    ASSERT_TRUE(future.set_result(5));
    EXPECT_TRUE(a.cancel());
    run_turns(1);
    EXPECT_TRUE(a.cancelled());
    EXPECT_EQ(*b.result(), 5);
    EXPECT_EQ(*future.result(), 5);
}

TEST_P(Futures, AWaiterCancelledAfterTheErrorAndBeforeItRanIsCancelled) {
    Future<int> future;
    const auto a = spawn_asker(future, "a");
    run_turns(1);
    ASSERT_TRUE(future.set_error(broken));
    EXPECT_TRUE(a.cancel());
    run_turns(1);
    EXPECT_TRUE(a.cancelled());
    EXPECT_EQ(future.error().kind, ErrorKind::broken_pipe);
}

TEST_P(Futures, CancellingTheFutureCancelsWhoWaitsAndLeavesItsCountAlone) {
    Future<int> future;
    const auto a = spawn_asker(future, "a");
    run_turns(1);
    EXPECT_TRUE(future.cancel("given up"));
    run_turns(1);
    EXPECT_TRUE(a.cancelled());
    EXPECT_STREQ(a.result().error().text, "given up");
    EXPECT_EQ(a.cancel_requests(), 0u);
}

TEST_P(Futures, AFrameDestroyedWhileItWaitsLeavesTheLine) {
    Future<int> future(loop);
    {
        const SchedulerScope scope(loop);
        Ask frame{.future = &future, .name = "gone"};
        Frame* waiter = nullptr;
        struct Outer : Coroutine<Outer> {
            Progress body() {
                CO_BEGIN;
                CO_END;
            }
        } outer;
        outer.close_unstarted();
        waiter = &outer;
        ASSERT_FALSE(frame.start(*waiter));
        destroy_awaited(frame);
    }
    ASSERT_TRUE(future.set_result(1));
    run_turns(1);
    EXPECT_EQ(story, Story{});
}

// --- reports ---

TEST_P(Futures, AnErrorThatNobodyReadIsReportedWhenItGoes) {
    {
        Future<int> future(loop);
        ASSERT_TRUE(future.set_error(broken));
    }
    EXPECT_EQ(reports, Story{"a future's error was never retrieved: send: the peer no longer receives"});
}

TEST_P(Futures, AnErrorThatSomebodySawIsNotReported) {
    {
        Future<int> asked(loop), awaited(loop), given_up(loop), error_asked(loop);
        for (Future<int>* future : {&asked, &awaited, &given_up, &error_asked}) {
            ASSERT_TRUE(future->set_error(broken));
        }
        EXPECT_FALSE(asked.result());
        EXPECT_EQ(error_asked.error().kind, ErrorKind::broken_pipe);
        EXPECT_FALSE(given_up.cancel()) << "it is done; but who cancels does not want to know";
        const auto task = spawn_asker(awaited, "a");
        run_turns(1);
        EXPECT_FALSE(task.result());
    }
    EXPECT_EQ(reports, Story{});
}

TEST_P(Futures, ACancelledOneIsNoErrorToReport) {
    {
        Future<int> future(loop);
        EXPECT_TRUE(future.cancel());
    }
    EXPECT_EQ(reports, Story{});
}

TEST_P(Futures, OneThatOutlivesItsLoopIsReportedOnStandardError) {
    testing::internal::CaptureStderr();
    {
        std::optional<EventLoop> short_lived(std::in_place);
        ASSERT_TRUE(short_lived->open({.kernel = "simulated"}));
        Future<int> future(*short_lived);
        ASSERT_TRUE(future.set_error(broken));
        short_lived.reset();
    }
    EXPECT_NE(testing::internal::GetCapturedStderr().find("a future's error was never retrieved"),
              std::string::npos);
    EXPECT_EQ(reports, Story{});
}

// --- misuse ---

using FutureDeaths = Futures;

TEST_P(FutureDeaths, GoingWhileAFrameWaitsIsAMistakeWithASentence) {
    EXPECT_DEATH(
        {
            std::optional<Future<int>> future(std::in_place);
            const auto task = spawn_asker(*future, "a");
            run_turns(1);
            future.reset();
        },
        "a future was destroyed while a frame waits for it");
}

TEST_P(FutureDeaths, AwaitingAFutureOfAnotherLoopIsAMistakeWithASentence) {
    EXPECT_DEATH(
        {
            EventLoop other;
            ASSERT_TRUE(other.open({.kernel = "simulated"}));
            Future<int> future(other);
            const auto task = spawn_asker(future, "a");
            run_turns(1);
        },
        "this future belongs to another loop");
}

TEST_P(FutureDeaths, SettingAFutureOfAnotherLoopIsAMistakeWithASentence) {
    EXPECT_DEATH(
        {
            EventLoop other;
            ASSERT_TRUE(other.open({.kernel = "simulated"}));
            Future<int> future(other);
            const SchedulerScope scope(loop);
            (void)future.set_result(1);
        },
        "this future belongs to another loop");
}

TEST_P(FutureDeaths, MovingAFutureThatIsInUseIsAMistakeWithASentence) {
    Future<int> unused;
    const Future<int> moved(std::move(unused));
    EXPECT_FALSE(moved.done());
    EXPECT_DEATH(
        {
            Future<int> used;
            (void)used.set_result(1);
            const Future<int> target(std::move(used));
        },
        "a future that is in use cannot move");
}

TEST_P(FutureDeaths, OneCallbackInTwoPlacesIsAMistakeWithASentence) {
    EXPECT_DEATH(
        {
            Future<int> future(loop);
            Callback twice = say("twice");
            future.add_done_callback(twice);
            future.add_done_callback(twice);
        },
        "this callback is registered already");
}

// --- other threads ---

TEST_P(Futures, AnotherThreadSetsItThroughTheLoop) {
    EventLoop real;
    ASSERT_TRUE(real.open());
    Future<int> future(real);
    Callback set([](void* context) { EXPECT_TRUE(static_cast<Future<int>*>(context)->set_result(42)); },
                 &future);
    std::optional<SchedulerScope> scope(std::in_place, real);
    auto task = GetParam() == Author::hand ? *real.create_task(Ask{.future = &future, .name = "a"})
                                           : *real.create_task(ask(future, "a"));
    scope.reset();
    const LoopHandle handle = real.handle();
    std::thread other([&] { EXPECT_TRUE(handle.call_soon_threadsafe(set)); });
    EXPECT_EQ(*real.run_until_complete(task), 42);
    other.join();
}

INSTANTIATE_TEST_SUITE_P(Frames, Futures, both_authors(), author_name);
INSTANTIATE_TEST_SUITE_P(Frames, FutureDeaths, both_authors(), author_name);

}  // namespace
