// Tasks: names and lists, cancellation with its message and its count, eager start, done callbacks, reports. In virtual
// time, and by frames of both authors. (What holds on a bare scheduler too is in coroutine_test.cc.)
#include "core/task.h"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/co_await.h"
#include "core/coroutine.h"
#include "core/event_loop.h"
#include "core/future.h"
#include "core/sleep.h"
#include "tests/small_stack.h"

using namespace pollard;

namespace {

using Story = std::vector<std::string>;
Story story;
Story reports;

/// What a task does in these tests: one of the kinds of waiting, and what it does when it is cancelled.
struct Plan {
    const char* name = "task";
    std::int64_t sleep_ns = 0;
    Future<int>* future = nullptr;
    TaskRef<int>* task = nullptr;
    /// Called first.
    std::function<void()> at_first;
    /// Called when the await has ended; what it says ends the task.
    std::function<Result<int>(Result<int>)> at_last;
    /// Sleeps so long again after the first await.
    std::int64_t cleanup_ns = -1;
};

std::string word(const Result<int>& result) {
    return result ? std::to_string(*result) : std::string(describe(result.error()).c_str());
}

struct Does : Coroutine<Does, int, Awaits<Sleep, Future<int>&, TaskRef<int>&>> {
    Plan plan;
    Result<int> got;
    Result<void> slept;
    Progress body() {
        CO_BEGIN;
        if (plan.at_first) plan.at_first();
        if (plan.future != nullptr) {
            CO_AWAIT(got, *plan.future);
        } else if (plan.task != nullptr) {
            CO_AWAIT(got, *plan.task);
        } else {
            CO_AWAIT(slept, sleep_ns(plan.sleep_ns));
            got = slept ? Result<int>(7) : Result<int>(slept.error());
        }
        story.push_back(std::string(plan.name) + ": " + word(got));
        if (plan.cleanup_ns >= 0) {
            CO_AWAIT(slept, sleep_ns(plan.cleanup_ns));
            if (!slept) got = slept.error();
            story.push_back(std::string(plan.name) + " then: " + word(got));
        }
        CO_RETURN(plan.at_last ? plan.at_last(got) : got);
        CO_END;
    }
};

Co<int> does(Plan plan) {
    Result<int> got = 7;
    if (plan.at_first) plan.at_first();
    if (plan.future != nullptr) {
        got = co_await *plan.future;
    } else if (plan.task != nullptr) {
        got = co_await *plan.task;
    } else {
        const Result<void> slept = co_await sleep_ns(plan.sleep_ns);
        if (!slept) got = slept.error();
    }
    story.push_back(std::string(plan.name) + ": " + word(got));
    if (plan.cleanup_ns >= 0) {
        const Result<void> slept = co_await sleep_ns(plan.cleanup_ns);
        if (!slept) got = slept.error();
        story.push_back(std::string(plan.name) + " then: " + word(got));
    }
    co_return plan.at_last ? plan.at_last(got) : got;
}

enum class Author { hand, compiler };

class Tasks : public testing::TestWithParam<Author> {
protected:
    void SetUp() override {
        story.clear();
        reports.clear();
        before = memory_counters();
        const Result<void> opened = loop.open({.kernel = "simulated"});
        ASSERT_TRUE(opened) << describe(opened.error()).c_str();
        loop.set_error_handler(
            [](void*, const ErrorReport& report) {
                reports.push_back(std::string(report.message) + ": " + describe(report.error).c_str() +
                                  " in " + (report.task == nullptr ? "none" : name_of(*report.task).c_str()));
            },
            nullptr);
    }
    void TearDown() override {
        EXPECT_TRUE(loop.close());
        EXPECT_EQ(loop.pending_cancels, 0u);
        EXPECT_EQ(loop.cancel_messages, 0u);
        const MemoryCounters after = memory_counters();
        EXPECT_EQ(after.allocations - before.allocations, after.releases - before.releases)
            << "memory is left";
    }
    TaskRef<int> spawn(Plan plan, const TaskOptions& options = {}) {
        if (GetParam() == Author::hand) return *loop.create_task(Does{.plan = std::move(plan)}, options);
        std::optional<SchedulerScope> scope;  // the compiler's frame comes from this loop's pool
        if (current_scheduler == nullptr) scope.emplace(loop);
        Co<int> made = does(std::move(plan));
        scope.reset();
        return *loop.create_task(std::move(made), options);
    }
    void run_turns(int count) {
        for (int i = 0; i < count; ++i) {
            loop.stop();
            ASSERT_TRUE(loop.run_forever());
        }
    }
    /// Calls `function` in the loop's next turn, without a task.
    void in_the_loop(std::function<void()> function) {
        ASSERT_TRUE(loop.call_soon([function] { function(); }));
        run_turns(1);
    }
    const char* type_name_of_tasks() const { return GetParam() == Author::hand ? "Does" : "Co<int>"; }

    MemoryCounters before;
    EventLoop loop;
};

constexpr std::int64_t hour_ns = 3600 * second_ns;
const Error broken(ErrorKind::broken_pipe, Call::send);

/// While it lives, a pool has no block for a task's extras.
class NoExtras {
public:
    explicit NoExtras(BlockPool& pool) : pool_(pool) {
        fail_allocations_after(0, 1'000'000);
        while (void* block = pool.take(sizeof(TaskExtras))) taken_.push_back(block);
    }
    ~NoExtras() {
        fail_allocations_after(0, 0);
        for (void* block : taken_) pool_.give_back(block, sizeof(TaskExtras));
    }

private:
    BlockPool& pool_;
    std::vector<void*> taken_;
};

// --- names and lists ---

TEST_P(Tasks, ATaskIsCalledAfterItsCoroutineUntilItGetsAName) {
    const auto first = spawn({}), second = spawn({}, {.name = "listener"});
    EXPECT_EQ(first.name().view(), std::string(type_name_of_tasks()) + "#1");
    EXPECT_EQ(second.name().view(), "listener");
    ASSERT_TRUE(first.set_name("talker"));
    EXPECT_EQ(first.name().view(), "talker");
    ASSERT_TRUE(first.set_name(std::string(100, 'x')));
    EXPECT_EQ(first.name().view(), std::string(31, 'x'));
    run_turns(2);
}

TEST_P(Tasks, WithoutMemoryForItsNameATaskIsNotCreated) {
    if (GetParam() == Author::compiler) GTEST_SKIP() << "its frame would need a block first";
    BlockPool& blocks = loop.pool->blocks;
    blocks.give_back(blocks.take(sizeof(TaskBlock<Does>)),
                     sizeof(TaskBlock<Does>));  // room for the task alone
    const std::size_t in_use = blocks.blocks_in_use();
    {
        const NoExtras none(blocks);
        EXPECT_EQ(loop.create_task(Does{}, {.name = "nameless"}).error().kind, ErrorKind::out_of_memory);
    }
    EXPECT_EQ(blocks.blocks_in_use(), in_use);
    EXPECT_EQ(loop.task_count(), 0u);
    EXPECT_TRUE(loop.ready.empty());
}

TEST_P(Tasks, TheCurrentTaskIsTheOneThatRuns) {
    TaskState* seen = nullptr;
    const auto task = spawn({.at_first = [&] { seen = current_task(); }});
    EXPECT_EQ(current_task(), nullptr);
    run_turns(1);
    EXPECT_EQ(seen, &task.state());
    EXPECT_EQ(current_task(), nullptr);
    run_turns(1);
}

TEST_P(Tasks, NoTaskIsCurrentInACallbackAlsoBehindATaskInOneBatch) {
    static TaskState* seen;
    const auto look = [](void*) { seen = current_task(); };
    const auto task = spawn({.sleep_ns = 1});
    TaskState* const wrong = &task.state();
    Callback callback(look, nullptr);
    TimedCallback timed(look, nullptr);
    seen = wrong;
    loop.call_soon(callback);
    run_turns(1);
    EXPECT_EQ(seen, nullptr);
    seen = wrong;
    ASSERT_TRUE(loop.call_soon([] { seen = current_task(); }));
    run_turns(1);
    EXPECT_EQ(seen, nullptr);
    seen = wrong;
    loop.call_later(timed, 1);
    ASSERT_TRUE(loop.run_until_complete(spawn({.sleep_ns = 2})));
    EXPECT_EQ(seen, nullptr);
}

TEST_P(Tasks, AllTasksAreThoseThatAreNotDoneInTheOrderOfTheirCreation) {
    const auto a = spawn({.sleep_ns = 1}, {.name = "a"}), b = spawn({}, {.name = "b"}),
               c = spawn({.sleep_ns = 1}, {.name = "c"});
    const auto names = [this] {
        Story all;
        for (TaskState& task : all_tasks(loop)) all.push_back(name_of(task).c_str());
        return all;
    };
    EXPECT_EQ(names(), (Story{"a", "b", "c"}));
    run_turns(2);
    EXPECT_EQ(names(), (Story{"a", "c"}));
    for (TaskState& task : all_tasks(loop)) task.cancel();
    run_turns(1);
    EXPECT_EQ(names(), Story{});
}

// --- beginning ---

TEST_P(Tasks, TasksStartInTheOrderOfTheirCreationBehindWhatIsQueued) {
    ASSERT_TRUE(loop.call_soon([] { story.push_back("queued before"); }));
    const auto a = spawn({.at_first = [] { story.push_back("a"); }});
    const auto b = spawn({.at_first = [] { story.push_back("b"); }});
    ASSERT_TRUE(loop.call_soon([] { story.push_back("queued behind"); }));
    EXPECT_EQ(story, Story{}) << "nothing runs in create_task";
    run_turns(1);
    EXPECT_EQ(story, (Story{"queued before", "a", "b", "queued behind"}));
    run_turns(1);
}

TEST_P(Tasks, SleepingForNothingTakesOneTurn) {
    const auto task = spawn({.sleep_ns = 0});
    run_turns(1);
    EXPECT_FALSE(task.done());
    run_turns(1);
    EXPECT_EQ(*task.result(), 7);
}

TEST_P(Tasks, AwaitingATaskThatIsDoneDoesNotSuspend) {
    auto inner = spawn({});
    run_turns(2);
    const auto outer = spawn({.task = &inner});
    run_turns(1);
    EXPECT_EQ(*outer.result(), 7);
}

TEST_P(Tasks, ATaskThatAwaitsItselfIsToldSoAndGoesOn) {
    TaskRef<int> self;
    const auto task = spawn({.task = &self, .at_last = [](Result<int> got) {
                                 EXPECT_EQ(got.error().kind, ErrorKind::invalid_state);
                                 return 5;
                             }});
    self = task;
    run_turns(1);
    EXPECT_EQ(*task.result(), 5);
}

TEST_P(Tasks, AwaitingATaskOfAnotherLoopIsAMistakeWithASentence) {
    EXPECT_DEATH(
        {
            EventLoop other;
            ASSERT_TRUE(other.open({.kernel = "simulated"}));
            TaskRef<int> theirs = *other.create_task(Does{});
            const auto task = spawn({.task = &theirs});
            run_turns(1);
        },
        "this task belongs to another loop");
}

template <class Waitable>
constexpr bool can_be_set = requires(Waitable waitable) { waitable.set_result(1); };

TEST(TaskResults, NobodyButTheTaskSetsItsResult) {
    EXPECT_FALSE(can_be_set<TaskRef<int>>);
    EXPECT_TRUE(can_be_set<Future<int>>);
}

// --- cancelling ---

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

// --- eager start ---

TEST_P(Tasks, AnEagerTaskThatNeedsNotWaitIsDoneOnReturnAndWasNeverQueued) {
    Future<int> done;
    ASSERT_TRUE(done.set_result(3));
    in_the_loop([&] {
        const bool idle = loop.ready.empty();
        const auto task = spawn({.future = &done}, {.eager_start = true});
        EXPECT_TRUE(task.done());
        EXPECT_EQ(*task.result(), 3);
        EXPECT_EQ(loop.ready.empty(), idle);
    });
}

TEST_P(Tasks, AnEagerTaskThatWaitsGoesOnAsAnyOther) {
    std::optional<TaskRef<int>> task;
    in_the_loop([&] {
        task = spawn({.sleep_ns = second_ns, .at_first = [] { story.push_back("first step"); }},
                     {.name = "eager", .eager_start = true});
        story.push_back("behind create_task");
        EXPECT_FALSE(task->done());
    });
    EXPECT_EQ(story, (Story{"first step", "behind create_task"}));
    EXPECT_EQ(*loop.run_until_complete(*task), 7);
    EXPECT_EQ(task->name().view(), "eager");
}

TEST_P(Tasks, AnEagerTaskIsItsOwnCurrentTaskAndTheCreatorIsItAgainAfterwards) {
    Future<int> done;
    ASSERT_TRUE(done.set_result(3));
    std::vector<TaskState*> current;
    TaskRef<int> child;
    const auto creator = spawn({.at_first = [&] {
        current.push_back(current_task());
        child = spawn({.future = &done, .at_first = [&] { current.push_back(current_task()); }},
                      {.eager_start = true});
        current.push_back(current_task());
    }});
    run_turns(2);
    EXPECT_EQ(current, (std::vector<TaskState*>{&creator.state(), &child.state(), &creator.state()}));
}

TEST_P(Tasks, EagerTasksBeginDepthFirstInTheOrderOfTheirCreation) {
    const auto say = [](const char* what) { return [what] { story.push_back(what); }; };
    const TaskOptions eager = {.eager_start = true};
    std::vector<TaskRef<int>> tasks;
    in_the_loop([&] {
        tasks.push_back(spawn({.sleep_ns = 1,
                               .at_first =
                                   [&] {
                                       story.push_back("a");
                                       tasks.push_back(
                                           spawn({.sleep_ns = 1, .at_first = say("a's child")}, eager));
                                       story.push_back("a goes on");
                                   }},
                              eager));
        tasks.push_back(spawn({.sleep_ns = 1, .at_first = say("b")}, eager));
    });
    EXPECT_EQ(story, (Story{"a", "a's child", "a goes on", "b"}));
}

TEST_P(Tasks, CallbacksAddedToAnEagerTaskThatIsDoneAreQueued) {
    Future<int> done;
    ASSERT_TRUE(done.set_result(3));
    in_the_loop([&] {
        const auto task = spawn({.future = &done}, {.eager_start = true});
        ASSERT_TRUE(task.add_done_callback([] { story.push_back("called"); }));
        story.push_back("added");
    });
    EXPECT_EQ(story, (Story{"task: 3", "added"}));
    run_turns(1);
    EXPECT_EQ(story.back(), "called");
}

TEST_P(Tasks, WithoutARunningLoopAnEagerTaskBeginsAsAnyOther) {
    const auto task = spawn({.at_first = [] { story.push_back("begins"); }}, {.eager_start = true});
    EXPECT_EQ(story, Story{});
    run_turns(2);
    EXPECT_EQ(*task.result(), 7);
}

TEST_P(Tasks, AnEagerTaskThatFailsKeepsItsError) {
    Future<int> failed;
    ASSERT_TRUE(failed.set_error(broken));
    in_the_loop([&] {
        const auto task = spawn({.future = &failed}, {.eager_start = true});
        EXPECT_EQ(task.error().kind, ErrorKind::broken_pipe);
    });
    EXPECT_EQ(reports, Story{});
}

TEST_P(Tasks, AnEagerTaskThatCancelsItselfIsCancelledAtItsFirstWait) {
    std::optional<TaskRef<int>> task;
    in_the_loop([&] {
        task = spawn({.sleep_ns = hour_ns, .at_first = [] { current_task()->cancel("at once"); }},
                     {.eager_start = true});
        EXPECT_FALSE(task->done());
    });
    run_turns(1);
    EXPECT_TRUE(task->cancelled());
    EXPECT_STREQ(task->error().text, "at once");
}

// --- done callbacks ---

TEST_P(Tasks, CallbacksOfATaskRunInTheTurnAfterItsEndAmongThoseWhoWait) {
    auto task = spawn({.name = "first"});
    Callback before_waiter([](void*) { story.push_back("before"); }, nullptr);
    Callback behind_waiter([](void*) { story.push_back("behind"); }, nullptr);
    task.add_done_callback(before_waiter);
    const auto waiter = spawn({.name = "waiter", .task = &task});
    run_turns(1);
    task.add_done_callback(behind_waiter);
    run_turns(1);
    EXPECT_EQ(story, Story{"first: 7"});
    run_turns(1);
    EXPECT_EQ(story, (Story{"first: 7", "before", "waiter: 7", "behind"}));
}

TEST_P(Tasks, CallbacksOfATaskAreRemovedAndCounted) {
    const auto task = spawn({});
    Callback callback([](void*) { story.push_back("called"); }, nullptr);
    task.add_done_callback(callback);
    EXPECT_EQ(task.remove_done_callback(callback), 1);
    EXPECT_EQ(task.remove_done_callback(callback), 0);
    run_turns(3);
    EXPECT_EQ(story, Story{"task: 7"});
}

TEST_P(Tasks, ACallbackOfADoneTaskIsCalledInTheNextTurn) {
    const auto task = spawn({});
    run_turns(2);
    Callback callback([](void*) { story.push_back("called"); }, nullptr);
    task.add_done_callback(callback);
    EXPECT_EQ(task.remove_done_callback(callback), 0) << "it is on its way";
    run_turns(1);
    EXPECT_EQ(story.back(), "called");
}

// --- reports ---

TEST_P(Tasks, AnErrorThatNobodyReadIsReportedWithTheTask) {
    (void)spawn({.at_last = [](Result<int>) { return Result<int>(broken); }}, {.name = "loser"});
    run_turns(2);
    EXPECT_EQ(reports,
              Story{"a task's error was never retrieved: send: the peer no longer receives in loser"});
}

TEST_P(Tasks, CancellingATaskThatFailedCountsAsHavingSeenItsError) {
    {
        const auto task = spawn({.at_last = [](Result<int>) { return Result<int>(broken); }});
        run_turns(2);
        EXPECT_FALSE(task.cancel());
    }
    EXPECT_EQ(reports, Story{});
}

TEST_P(Tasks, ATaskThatWaitsForAFailedOneHasSeenItsError) {
    {
        auto fails = spawn({.at_last = [](Result<int>) { return Result<int>(broken); }});
        const auto waits = spawn({.task = &fails, .at_last = [](Result<int>) { return 1; }});
        run_turns(3);
        EXPECT_EQ(*waits.result(), 1);
    }
    EXPECT_EQ(reports, Story{});
}

// --- what it weighs ---

struct Sleeper : Coroutine<Sleeper, void, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(hour_ns));
        CO_END;
    }
};

TEST(TaskSize, ASleepingTaskTakesAtMost160Bytes) {
    if (sizeof(void*) != 8) GTEST_SKIP() << "the figure is for pointers of eight bytes";
    EXPECT_LE((sizeof(TaskBlock<Sleeper>) + BlockPool::granule - 1) / BlockPool::granule * BlockPool::granule,
              160u);
}

std::string author_name(const testing::TestParamInfo<Author>& author) {
    return author.param == Author::hand ? "ByHand" : "ByTheCompiler";
}
INSTANTIATE_TEST_SUITE_P(Frames, Tasks, testing::Values(Author::hand, Author::compiler), author_name);

}  // namespace
