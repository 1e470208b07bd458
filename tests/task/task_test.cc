// Tasks: their names and lists, how they begin, eagerly or in line, done callbacks, reports, what they weigh. In virtual
// time, and by frames of both authors. (What holds on a bare scheduler too is in coroutine_test.cc.)
//
// Read next: tests/task/tasks.h for what a task does here, then tests/task/cancelling_test.cc.
#include "core/task.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/coroutine.h"
#include "core/event_loop.h"
#include "core/future.h"
#include "core/sleep.h"
#include "platform/memory.h"
#include "tests/task/tasks.h"

using namespace pollard;

namespace {

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

INSTANTIATE_TEST_SUITE_P(Frames, Tasks, both_authors(), author_name);

}  // namespace
