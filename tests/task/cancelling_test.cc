// Cancelling a task: when the request arrives, with which message, how often, and how it travels through what the task
// waits for, be it a row of tasks longer than a stack is deep, or a circle; and taking a request back.
//
// Read next: core/task.h, at cancel().
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/event_loop.h"
#include "core/future.h"
#include "core/task.h"
#include "tests/small_stack.h"
#include "tests/task/tasks.h"

using namespace pollard;

namespace {

// --- asking ---

TEST_P(Tasks, CancellingADoneTaskIsFalseAndHasNoEffect) {
    const auto task = spawn({});
    run_turns(2);
    EXPECT_FALSE(task.cancel("too late"));
    EXPECT_EQ(task.cancel_requests(), 0u);
    EXPECT_EQ(*task.result(), 7);
}

TEST_P(Tasks, CancelMeansRequestedAndNotDone) {
    const auto task = spawn({.sleep_ns = hour_ns});
    run_turns(1);
    EXPECT_TRUE(task.cancel());
    EXPECT_FALSE(task.done());
    EXPECT_FALSE(task.cancelled());
    run_turns(1);
    EXPECT_TRUE(task.cancelled());
}

// --- its message ---

TEST_P(Tasks, TheMessageComesOutOfTheAwait) {
    const auto task = spawn({.sleep_ns = hour_ns});
    run_turns(1);
    EXPECT_TRUE(task.cancel("shutting down"));
    run_turns(1);
    EXPECT_EQ(story, Story{"task: await shutting down: cancelled"});
    EXPECT_STREQ(task.error().text, "shutting down");
}

TEST_P(Tasks, WithoutAMessageTheAwaitSaysWhatItWaitedFor) {
    const auto task = spawn({.sleep_ns = hour_ns});
    run_turns(1);
    EXPECT_TRUE(task.cancel());
    run_turns(1);
    EXPECT_EQ(story, Story{"task: await sleep: cancelled"});
}

TEST_P(Tasks, TheMessageComesOutOfATaskThatNeverBegan) {
    const auto task = spawn({.at_first = [] { story.push_back("runs"); }});
    EXPECT_TRUE(task.cancel("not wanted"));
    run_turns(1);
    EXPECT_TRUE(task.cancelled());
    EXPECT_STREQ(task.error().text, "not wanted");
    EXPECT_EQ(story, Story{});
}

TEST_P(Tasks, TheMessageTravelsToTheFutureThatIsWaitedFor) {
    Future<int> future;
    const auto task = spawn({.future = &future});
    run_turns(1);
    EXPECT_TRUE(task.cancel("go home"));
    EXPECT_STREQ(future.error().text, "go home");
    run_turns(1);
    EXPECT_EQ(story, Story{"task: await go home: cancelled"});
}

TEST_P(Tasks, TheMessageTravelsThroughInnerTasksAndOutToTheirAwaiters) {
    Future<int> future;
    auto inner = spawn({.name = "inner", .future = &future});
    auto middle = spawn({.name = "middle", .task = &inner});
    const auto outer = spawn({.name = "outer", .task = &middle});
    run_turns(1);
    EXPECT_TRUE(outer.cancel("go home"));
    EXPECT_STREQ(future.error().text, "go home");
    run_turns(3);
    EXPECT_EQ(story, (Story{"inner: await go home: cancelled", "middle: await go home: cancelled",
                            "outer: await go home: cancelled"}));
    EXPECT_EQ(inner.cancel_requests(), 1u);
}

TEST_P(Tasks, TheMessageOfATaskThatCancelsItselfComesOutOfItsNextAwait) {
    TaskRef<int> self;
    const auto task = spawn({.sleep_ns = hour_ns, .at_first = [&] { self.cancel("enough"); }});
    self = task;
    run_turns(2);
    EXPECT_EQ(story, Story{"task: await enough: cancelled"});
    self = {};
}

TEST_P(Tasks, TheMessageOfATaskThatCancelsItselfTravelsToTheFutureOfItsNextAwait) {
    TaskRef<int> self;
    Future<int> future;
    const auto task = spawn({.future = &future, .at_first = [&] { self.cancel("enough"); }});
    self = task;
    run_turns(2);
    EXPECT_STREQ(future.error().text, "enough");
    EXPECT_TRUE(task.cancelled());
    self = {};
}

TEST_P(Tasks, OfTwoRequestsBeforeTheDeliveryTheFirstMessageWinsAndTheCountIsTwo) {
    const auto asleep = spawn({.sleep_ns = hour_ns}), not_begun = spawn({.name = "never"});
    EXPECT_TRUE(not_begun.cancel("first"));
    EXPECT_TRUE(not_begun.cancel("second"));
    run_turns(1);
    EXPECT_TRUE(asleep.cancel("first"));
    EXPECT_TRUE(asleep.cancel("second"));
    run_turns(1);
    EXPECT_EQ(story, Story{"task: await first: cancelled"});
    EXPECT_EQ(asleep.cancel_requests(), 2u);
    EXPECT_STREQ(not_begun.error().text, "first");
    EXPECT_EQ(not_begun.cancel_requests(), 2u);
}

TEST_P(Tasks, ALaterRequestIsDeliveredAfreshWithItsOwnMessageAlsoInACleanUp) {
    const auto task = spawn({.sleep_ns = hour_ns, .cleanup_ns = hour_ns});
    run_turns(1);
    EXPECT_TRUE(task.cancel("first"));
    run_turns(1);
    EXPECT_TRUE(task.cancel("second"));
    run_turns(1);
    EXPECT_EQ(story, (Story{"task: await first: cancelled", "task then: await second: cancelled"}));
    EXPECT_EQ(task.cancel_requests(), 2u);
}

TEST_P(Tasks, AMessageThatAnInnerTaskSwallowedIsNotLeftForTheNextRequest) {
    auto inner = spawn({.sleep_ns = hour_ns, .at_last = [](Result<int>) { return 1; }});
    const auto outer = spawn({.name = "outer", .task = &inner, .cleanup_ns = hour_ns});
    run_turns(1);
    EXPECT_TRUE(outer.cancel("swallowed"));
    run_turns(2);
    EXPECT_TRUE(outer.cancel("heard"));
    run_turns(1);
    EXPECT_EQ(story,
              (Story{"task: await swallowed: cancelled", "outer: 1", "outer then: await heard: cancelled"}));
}

TEST_P(Tasks, WithoutMemoryForItTheRequestGoesWithoutItsMessage) {
    const auto task = spawn({.sleep_ns = hour_ns});
    run_turns(1);
    {
        const NoExtras none(loop.pool->blocks);
        EXPECT_TRUE(task.cancel("lost"));
    }
    run_turns(1);
    EXPECT_EQ(story, Story{"task: await sleep: cancelled"});
}

// --- tasks that wait for tasks ---

TEST_P(Tasks, ATaskThatWaitsForATaskIsWokenByTheEndOfThatTask) {
    auto inner = spawn({.name = "inner", .sleep_ns = hour_ns, .cleanup_ns = 5 * second_ns});
    const auto outer = spawn({.name = "outer", .task = &inner});
    run_turns(1);
    EXPECT_TRUE(outer.cancel());
    run_turns(1);
    EXPECT_FALSE(outer.done()) << "the inner one cleans up";
    const std::int64_t began_ns = loop.time_ns();
    EXPECT_EQ(loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(loop.time_ns() - began_ns, 5 * second_ns);
}

TEST_P(Tasks, AnInnerTaskThatSwallowsTheRequestGivesItsValueAndTheCountStays) {
    auto inner = spawn({.sleep_ns = hour_ns, .at_last = [](Result<int>) { return 1; }});
    const auto outer = spawn({.task = &inner});
    run_turns(1);
    EXPECT_TRUE(outer.cancel());
    run_turns(2);
    EXPECT_EQ(*outer.result(), 1);
    EXPECT_EQ(outer.cancel_requests(), 1u);
    EXPECT_FALSE(outer.cancelled());
}

TEST_P(Tasks, AnInnerTaskCancelledByAThirdPartyDoesNotMakeTheOuterOneAskedToEnd) {
    auto inner = spawn({.sleep_ns = hour_ns});
    const auto goes_on = spawn({.task = &inner, .at_last = [](Result<int>) { return 1; }});
    const auto lets_it_through = spawn({.task = &inner});
    run_turns(1);
    EXPECT_TRUE(inner.cancel("by a third"));
    run_turns(2);
    EXPECT_EQ(*goes_on.result(), 1);
    EXPECT_EQ(goes_on.cancel_requests(), 0u);
    EXPECT_TRUE(lets_it_through.cancelled());
    EXPECT_EQ(lets_it_through.cancel_requests(), 0u);
    EXPECT_STREQ(lets_it_through.error().text, "by a third");
}

TEST_P(Tasks, InACircleOfTasksThatWaitForOneAnotherARequestEndsEachOfThemOnce) {
    TaskRef<int> tasks[3];
    tasks[0] = spawn({.name = "a", .task = &tasks[1]});
    tasks[1] = spawn({.name = "b", .task = &tasks[2]});
    tasks[2] = spawn({.name = "c", .task = &tasks[0]});
    run_turns(1);
    EXPECT_TRUE(tasks[1].cancel("enough"));
    run_turns(4);
    EXPECT_EQ(story, (Story{"a: await enough: cancelled", "c: await enough: cancelled",
                            "b: await enough: cancelled"}))
        << "the request came to a last";
    for (const auto& task : tasks) {
        EXPECT_TRUE(task.cancelled());
        EXPECT_EQ(task.cancel_requests(), 1u);
    }
}

TEST_P(Tasks, InACircleOfTasksEachMayBeAskedToEnd) {
    TaskRef<int> a, b;
    a = spawn({.name = "a", .task = &b});
    b = spawn({.name = "b", .task = &a});
    run_turns(1);
    EXPECT_TRUE(a.cancel());
    EXPECT_TRUE(b.cancel());
    EXPECT_TRUE(a.cancel());
    run_turns(3);
    EXPECT_TRUE(a.cancelled() && b.cancelled());
    EXPECT_EQ(story.size(), 2u);
}

TEST_P(Tasks, WhereACircleWasCutItStaysCutWhenTheRequestIsTakenBack) {
    TaskRef<int> a, b;
    a = spawn({.name = "a", .task = &b});
    b = spawn({.name = "b", .task = &a, .at_last = [](Result<int>) { return 5; }});
    run_turns(1);
    a.cancel();
    a.uncancel();
    b.uncancel();
    run_turns(3);
    EXPECT_EQ(*a.result(), 5);
    EXPECT_EQ(story[0].substr(0, 2), "b:");
    EXPECT_NE(story[0].find("cancelled"), std::string::npos);
}

TEST_P(Tasks, ClosingTheLoopEndsACircleOfTasks) {
    TaskRef<int> a, b;
    a = spawn({.name = "a", .task = &b});
    b = spawn({.name = "b", .task = &a});
    run_turns(1);
    EXPECT_TRUE(loop.close());
    EXPECT_TRUE(a.cancelled() && b.cancelled());
    EXPECT_EQ(story.size(), 2u);
    EXPECT_TRUE(reports.empty());
    a = b = {};
}

TEST_P(Tasks, ARowOfTasksLongerThanAStackIsDeepCanBeCancelled) {
    constexpr std::size_t count = 100'000;
    std::vector<TaskRef<int>> tasks(count);
    tasks[count - 1] = spawn({.sleep_ns = hour_ns});
    for (std::size_t i = count - 1; i-- > 0;) tasks[i] = spawn({.task = &tasks[i + 1]});
    run_turns(1);
    run_on_small_stack(64 * 1024, [&] { EXPECT_TRUE(tasks[0].cancel()); });
    EXPECT_EQ(loop.run_until_complete(tasks[0]).error().kind, ErrorKind::cancelled);
    for (const auto& task : tasks) ASSERT_TRUE(task.cancelled() && task.cancel_requests() == 1);
}

TEST_P(Tasks, AWaiterCancelledAfterTheInnerTaskEndedIsCancelledAndTheTaskKeepsItsResult) {
    auto inner = spawn({});
    const auto outer = spawn({.name = "outer", .task = &inner});
    run_turns(2);
    ASSERT_TRUE(inner.done());
    ASSERT_FALSE(outer.done());
    EXPECT_TRUE(outer.cancel("too slow"));
    run_turns(1);
    EXPECT_TRUE(outer.cancelled());
    EXPECT_STREQ(outer.error().text, "too slow");
    EXPECT_EQ(*inner.result(), 7);
}

TEST_P(Tasks, ACancellationThatWasToBeDeliveredStaysWhenAnotherComes) {
    Future<int> future;
    const auto waits_for_future = spawn({.name = "of future", .future = &future});
    auto inner = spawn({.name = "inner", .sleep_ns = hour_ns});
    const auto waits_for_task = spawn({.name = "of task", .task = &inner});
    run_turns(1);
    EXPECT_TRUE(inner.cancel("first"));
    run_turns(1);
    EXPECT_TRUE(future.cancel("first"));
    EXPECT_TRUE(waits_for_future.cancel("second"));
    EXPECT_TRUE(waits_for_task.cancel("second"));
    run_turns(1);
    EXPECT_STREQ(waits_for_future.error().text, "first");
    EXPECT_STREQ(waits_for_task.error().text, "first");
}

// --- a task that asks itself, and how else it may end ---

TEST_P(Tasks, ATaskThatCancelsItselfGoesPastWhatIsDone) {
    Future<int> done;
    ASSERT_TRUE(done.set_result(3));
    TaskRef<int> self;
    const auto task = spawn({.future = &done, .at_first = [&] { self.cancel(); }, .cleanup_ns = hour_ns});
    self = task;
    run_turns(2);
    EXPECT_EQ(story, (Story{"task: 3", "task then: await sleep: cancelled"}));
    self = {};
}

TEST_P(Tasks, ATaskThatCancelsItselfAndFailsWithoutAnotherAwaitEndsWithTheError) {
    Future<int> done;
    ASSERT_TRUE(done.set_result(3));
    TaskRef<int> self;
    const auto task = spawn({.future = &done,
                             .at_first = [&] { self.cancel("unheard"); },
                             .at_last = [](Result<int>) { return Result<int>(broken); }});
    self = task;
    run_turns(1);
    EXPECT_EQ(task.error().kind, ErrorKind::broken_pipe);
    EXPECT_FALSE(task.cancelled());
    self = {};
}

TEST_P(Tasks, ATaskThatCancelsItselfAndReturnsEndsCancelledWithTheMessage) {
    Future<int> done;
    ASSERT_TRUE(done.set_result(3));
    TaskRef<int> self;
    const auto task = spawn({.future = &done, .at_first = [&] { self.cancel("for nothing"); }});
    self = task;
    run_turns(1);
    EXPECT_TRUE(task.cancelled());
    EXPECT_STREQ(task.error().text, "for nothing");
    self = {};
}

TEST_P(Tasks, AnotherErrorWhileItHandlesTheCancellationIsItsEnd) {
    const auto task =
        spawn({.sleep_ns = hour_ns, .at_last = [](Result<int>) { return Result<int>(broken); }});
    run_turns(1);
    EXPECT_TRUE(task.cancel());
    run_turns(1);
    EXPECT_EQ(task.error().kind, ErrorKind::broken_pipe);
    EXPECT_FALSE(task.cancelled());
}

TEST_P(Tasks, ATaskThatEndsWithCancelledByItselfIsCancelledAndNobodyAsked) {
    const auto task =
        spawn({.at_last = [](Result<int>) { return Result<int>(Error(ErrorKind::cancelled, Call::run)); }});
    run_turns(2);
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(task.cancel_requests(), 0u);
}

// --- taking a request back ---

TEST_P(Tasks, UncancelLowersTheCountNotBelowNoneAndSaysWhatIsLeft) {
    const auto task = spawn({.sleep_ns = hour_ns, .cleanup_ns = 0});
    run_turns(1);
    task.cancel();
    task.cancel();
    EXPECT_EQ(task.uncancel(), 1u);
    EXPECT_EQ(task.uncancel(), 0u);
    EXPECT_EQ(task.uncancel(), 0u);
    EXPECT_EQ(task.cancel_requests(), 0u);
    run_turns(2);
    EXPECT_EQ(story[0], "task: await sleep: cancelled") << "the sleep had taken the request already";
}

TEST_P(Tasks, UncancelOfTheLastRequestWithdrawsOneThatATaskMadeToItself) {
    TaskRef<int> self;
    const auto task = spawn({.at_first = [&] {
        self.cancel("withdrawn");
        EXPECT_EQ(self.uncancel(), 0u);
    }});
    self = task;
    run_turns(2);
    EXPECT_EQ(*task.result(), 7);
    self = {};
}

TEST_P(Tasks, UncancelOfTheLastRequestLetsATaskBeginAfterAll) {
    const auto task = spawn({.at_first = [] { story.push_back("begins"); }});
    EXPECT_TRUE(task.cancel("withdrawn"));
    EXPECT_TRUE(task.cancel());
    EXPECT_EQ(task.uncancel(), 1u);
    EXPECT_EQ(task.uncancel(), 0u);
    run_turns(2);
    EXPECT_EQ(story, (Story{"begins", "task: 7"}));
    EXPECT_EQ(*task.result(), 7);
}

TEST_P(Tasks, UncancelOfTheLastRequestGivesATaskThatWasOnItsWayItsResultAfterAll) {
    Future<int> future;
    auto inner = spawn({.name = "inner"});
    const auto of_future = spawn({.name = "future", .future = &future});
    const auto of_task = spawn({.name = "task", .task = &inner});
    run_turns(2);
    ASSERT_TRUE(future.set_result(3));
    const auto sleeps_for_nothing = spawn({.name = "sleep"});
    EXPECT_TRUE(of_future.cancel("withdrawn"));
    EXPECT_EQ(of_future.uncancel(), 0u);
    EXPECT_TRUE(of_task.cancel("withdrawn"));
    EXPECT_EQ(of_task.uncancel(), 0u);
    run_turns(1);
    EXPECT_TRUE(sleeps_for_nothing.cancel("withdrawn"));
    EXPECT_EQ(sleeps_for_nothing.uncancel(), 0u);
    run_turns(1);
    EXPECT_EQ(*of_future.result(), 3);
    EXPECT_EQ(*of_task.result(), 7);
    EXPECT_EQ(*sleeps_for_nothing.result(), 7);
}

TEST_P(Tasks, UncancelDoesNotTakeBackWhatTheFutureHasTaken) {
    Future<int> future;
    const auto task = spawn({.future = &future});
    const auto sleeper = spawn({.sleep_ns = hour_ns});
    run_turns(1);
    for (const TaskRef<int>* each : {&task, &sleeper}) {
        EXPECT_TRUE(each->cancel());
        EXPECT_EQ(each->uncancel(), 0u);
    }
    run_turns(1);
    EXPECT_TRUE(task.cancelled());
    EXPECT_TRUE(sleeper.cancelled());
}

}  // namespace
