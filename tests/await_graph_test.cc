// The await graph, drawn: chains, several waits at once, what is no task, circles.
#include "core/await_graph.h"

#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <vector>

#include "core/async_generator.h"
#include "core/co_await.h"
#include "core/combinators/gather.h"
#include "core/coroutine.h"
#include "core/event_loop.h"
#include "core/queue.h"
#include "core/sleep.h"
#include "core/sync/lock.h"
#include "core/task.h"
#include "platform/memory.h"
#include "tests/system.h"

using namespace pollard;

namespace {

template <class Print>
std::string printed(Print print) {
    // The line of an await is the test file's own business.
    return std::regex_replace(test_system::printed(print), std::regex("await_graph_test.cc:[0-9]+"),
                              "test.cc:N");
}

class AwaitGraphs : public testing::Test {
protected:
    void SetUp() override { ASSERT_TRUE(loop.open({.kernel = "simulated"})); }
    void TearDown() override { EXPECT_TRUE(loop.close()); }

    template <class C>
    auto spawn(C coroutine) {
        auto task = loop.create_task(std::move(coroutine));
        EXPECT_TRUE(task);
        return *std::move(task);
    }
    void run_one_turn() {
        loop.stop();
        ASSERT_TRUE(loop.run_forever());
    }
    std::string tree() {
        return printed([this](std::FILE* out) { print_tree(loop, out); });
    }
    template <class T>
    std::string call_graph(const TaskRef<T>& task) {
        return printed([&](std::FILE* out) { print_call_graph(task.state(), out); });
    }

    EventLoop loop;
    // Here, so that they outlive who waits for them.
    Lock lock;
    Queue<int> queue{3};
};

struct Sleeper : Coroutine<Sleeper, void, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(2 * second_ns));
        CO_END;
    }
};
struct Middle : Coroutine<Middle, void, Awaits<Sleeper>> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(Sleeper{});
        CO_END;
    }
};
struct Main : Coroutine<Main, void, Awaits<Middle>> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(Middle{});
        CO_END;
    }
};
struct Follows : Coroutine<Follows, void, Awaits<TaskRef<void>&>> {
    TaskRef<void> leader;
    Progress body() {
        CO_BEGIN;
        CO_TRY(leader);
        CO_END;
    }
};

// --- a tree ---

TEST_F(AwaitGraphs, WithoutTasksThereIsTheHeadingOnly) { EXPECT_EQ(tree(), "simulated, turn 0: 0 tasks\n"); }

TEST_F(AwaitGraphs, ATaskThatHasNotBegunSaysSo) {
    auto task = spawn(Sleeper{});
    EXPECT_EQ(tree(),
              "simulated, turn 0: 1 task\n"
              "Sleeper#1 has not begun, since turn 0\n");
}

TEST_F(AwaitGraphs, AChainOfFramesStandsBelowItsTask) {
    auto task = spawn(Main{});
    run_one_turn();
    EXPECT_EQ(tree(),
              "simulated, turn 1: 1 task\n"
              "Main#1 at test.cc:N, awaits Middle{}, since turn 1\n"
              "`-- Middle at test.cc:N, awaits Sleeper{}, since turn 1\n"
              "    `-- Sleeper at test.cc:N, awaits sleep_ns(2 * second_ns): 2.000 s left, since turn 1\n");
}

TEST_F(AwaitGraphs, ATaskStandsBelowTheOneThatWaitsForIt) {
    auto leader = spawn(Middle{});
    auto first = spawn(Follows{.leader = leader});
    auto alone = spawn(Sleeper{});
    run_one_turn();
    EXPECT_EQ(tree(),
              "simulated, turn 1: 3 tasks\n"
              "Follows#2 at test.cc:N, awaits leader, since turn 1\n"
              "`-- Middle#1 at test.cc:N, awaits Sleeper{}, since turn 1\n"
              "    `-- Sleeper at test.cc:N, awaits sleep_ns(2 * second_ns): 2.000 s left, since turn 1\n"
              "Sleeper#3 at test.cc:N, awaits sleep_ns(2 * second_ns): 2.000 s left, since turn 1\n");
}

TEST_F(AwaitGraphs, ATaskForWhichTwoWaitStandsBelowBothAndIsDrawnOnce) {
    auto leader = spawn(Sleeper{});
    auto first = spawn(Follows{.leader = leader});
    auto second = spawn(Follows{.leader = leader});
    run_one_turn();
    EXPECT_EQ(tree(),
              "simulated, turn 1: 3 tasks\n"
              "Follows#2 at test.cc:N, awaits leader, since turn 1\n"
              "`-- Sleeper#1 at test.cc:N, awaits sleep_ns(2 * second_ns): 2.000 s left, since turn 1\n"
              "Follows#3 at test.cc:N, awaits leader, since turn 1\n"
              "`-- Sleeper#1, which is shown above\n");
}

// --- several at once, as a combinator does it ---

/// Waits for all of its tasks, with one node in the list of each.
struct AllOf {
    struct Node : Work {
        AllOf* all = nullptr;
        Node() : Work(&type_record) {}
        static const WorkType type_record;
    };
    std::vector<TaskRef<void>>* tasks;
    Node nodes[4] = {};
    Frame* waiter = nullptr;
    std::size_t left = 0;

    bool start(Frame& frame) {
        waiter = &frame;
        for (TaskRef<void>& task : *tasks) {
            Node& node = nodes[left++];
            node.all = this;
            task.state().waiters.push_back(node);
        }
        tell_await(frame);
        return false;
    }
    bool failed() const { return false; }
    Result<void> result() { return {}; }
    CancelOutcome cancel() { return CancelOutcome::refused; }
    void describe(Text& text) const { text.add("%zu tasks", left); }
};
const WorkType AllOf::Node::type_record = {
    [](Work* work) {
        AllOf& all = *static_cast<Node*>(work)->all;
        if (--all.left == 0) current_scheduler->make_ready(*all.waiter);
    },
    "a node of AllOf", false,
    [](const Work* work) -> Work* { return static_cast<const Node*>(work)->all->waiter; }};

struct Gathers : Coroutine<Gathers, void, Awaits<AllOf>> {
    std::vector<TaskRef<void>> tasks;
    Progress body() {
        CO_BEGIN;
        CO_TRY(AllOf{&tasks});
        CO_END;
    }
};
struct Outer : Coroutine<Outer, void, Awaits<Gathers>> {
    std::vector<TaskRef<void>> tasks;
    Progress body() {
        CO_BEGIN;
        CO_TRY(Gathers{.tasks = tasks});
        CO_END;
    }
};

TEST_F(AwaitGraphs, WhatACombinatorWaitsForStandsBelowTheFrameThatAwaitsIt) {
    std::vector<TaskRef<void>> children;
    for (int i = 0; i < 2; ++i) children.push_back(spawn(Sleeper{}));
    auto leader = spawn(Sleeper{});
    children.push_back(spawn(Follows{.leader = leader}));
    children.push_back(spawn(Sleeper{}));
    auto task = spawn(Outer{.tasks = children});
    run_one_turn();
    EXPECT_EQ(
        tree(),
        "simulated, turn 1: 6 tasks\n"
        "Outer#6 at test.cc:N, awaits Gathers{.tasks = tasks}, since turn 1\n"
        "`-- Gathers at test.cc:N, awaits AllOf{&tasks}: 4 tasks, since turn 1\n"
        "    |-- Sleeper#1 at test.cc:N, awaits sleep_ns(2 * second_ns): 2.000 s left, since turn 1\n"
        "    |-- Sleeper#2 at test.cc:N, awaits sleep_ns(2 * second_ns): 2.000 s left, since turn 1\n"
        "    |-- Follows#4 at test.cc:N, awaits leader, since turn 1\n"
        "    |   `-- Sleeper#3 at test.cc:N, awaits sleep_ns(2 * second_ns): 2.000 s left, since turn 1\n"
        "    `-- Sleeper#5 at test.cc:N, awaits sleep_ns(2 * second_ns): 2.000 s left, since turn 1\n");
    EXPECT_TRUE(loop.run_until_complete(task));
}

TEST_F(AwaitGraphs, ATaskThatIsNamedTwiceStandsThereOnce) {
    auto child = spawn(Sleeper{});
    auto task = spawn(Gathers{.tasks = {child, child}});
    run_one_turn();
    EXPECT_EQ(tree(),
              "simulated, turn 1: 2 tasks\n"
              "Gathers#2 at test.cc:N, awaits AllOf{&tasks}: 2 tasks, since turn 1\n"
              "`-- Sleeper#1 at test.cc:N, awaits sleep_ns(2 * second_ns): 2.000 s left, since turn 1\n");
    EXPECT_TRUE(loop.run_until_complete(task));
}

TEST_F(AwaitGraphs, APlainCallbackBehindATaskIsNobody) {
    auto child = spawn(Sleeper{});
    Callback callback([](void*) {}, nullptr);
    child.state().waiters.push_back(callback);
    run_one_turn();
    EXPECT_EQ(waiter_of(callback), nullptr);
    EXPECT_EQ(tree(),
              "simulated, turn 1: 1 task\n"
              "Sleeper#1 at test.cc:N, awaits sleep_ns(2 * second_ns): 2.000 s left, since turn 1\n");
    EXPECT_TRUE(loop.run_until_complete(child));
}

struct Both : Coroutine<Both, void, Awaits<Gather<void, void>>> {
    TaskRef<void> left;
    TaskRef<void> right;
    Progress body() {
        CO_BEGIN;
        CO_TRY(gather(left, right));
        CO_END;
    }
};

TEST_F(AwaitGraphs, TheChildrenOfAGatherStandBelowTheFrameThatAwaitsIt) {
    auto left = spawn(Sleeper{});
    auto right = spawn(Middle{});
    auto task = spawn(Both{.left = left, .right = right});
    run_one_turn();
    EXPECT_EQ(
        tree(),
        "simulated, turn 1: 3 tasks\n"
        "Both#3 at test.cc:N, awaits gather(left, right): 2 of 2 tasks: Sleeper#1, Middle#2, since turn 1\n"
        "|-- Sleeper#1 at test.cc:N, awaits sleep_ns(2 * second_ns): 2.000 s left, since turn 1\n"
        "`-- Middle#2 at test.cc:N, awaits Sleeper{}, since turn 1\n"
        "    `-- Sleeper at test.cc:N, awaits sleep_ns(2 * second_ns): 2.000 s left, since turn 1\n");
    EXPECT_TRUE(loop.run_until_complete(task));
}

// --- what is no task: a lock, a queue ---

struct Holds : Coroutine<Holds, void, Awaits<Lock::Acquire, Sleep>> {
    Lock* lock;
    Progress body() {
        CO_BEGIN;
        CO_TRY(lock->acquire());
        CO_TRY(sleep_ns(second_ns));
        lock->release();
        CO_END;
    }
};
Co<void> co_holds(Lock& lock) {
    const Result<void> acquired = co_await lock.acquire();
    if (acquired) lock.release();
    co_return acquired;
}
struct Gets : Coroutine<Gets, void, Awaits<Queue<int>::Get>> {
    Queue<int>* queue;
    Progress body() {
        CO_BEGIN;
        CO_TRY(queue->get());
        CO_END;
    }
};

TEST_F(AwaitGraphs, WhoWaitsForALockOrAQueueSaysForWhat) {
    spawn(Holds{.lock = &lock});
    spawn(Holds{.lock = &lock});
    spawn(co_holds(lock));
    spawn(Gets{.queue = &queue});
    run_one_turn();
    EXPECT_EQ(tree(),
              "simulated, turn 1: 4 tasks\n"
              "Holds#1 at test.cc:N, awaits sleep_ns(second_ns): 1.000 s left, since turn 1\n"
              "Holds#2 at test.cc:N, awaits lock->acquire(): lock, held, 2 in line, since turn 1\n"
              "Co<void>#3 at test.cc:N, co_holds awaits lock, held, 2 in line, since turn 1\n"
              "Gets#4 at test.cc:N, awaits queue->get(): queue, 0 of 3 items, 1 wait to get, since turn 1\n");
}

// --- generators ---

struct Ticks : AsyncGenerator<Ticks, int, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        for (;;) {
            CO_TRY(sleep_ns(second_ns));
            CO_YIELD(1);
        }
        CO_END;
    }
};
struct Consumes : Coroutine<Consumes, void, Awaits<Next<Ticks>>> {
    Ticks ticks;
    Progress body() {
        CO_BEGIN;
        CO_TRY(ticks.next());
        CO_END;
    }
};

TEST_F(AwaitGraphs, AGeneratorThatWorksForItsConsumerStandsInTheChain) {
    auto task = spawn(Consumes{});
    run_one_turn();
    EXPECT_EQ(tree(),
              "simulated, turn 1: 1 task\n"
              "Consumes#1 at test.cc:N, awaits ticks.next(), since turn 1\n"
              "`-- Ticks at test.cc:N, awaits sleep_ns(second_ns): 1.000 s left, since turn 1\n");
}

// --- circles ---

/// Three tasks, the first of which waits for the last.
class Circles : public AwaitGraphs {
protected:
    void SetUp() override {
        AwaitGraphs::SetUp();
        a = spawn(Follows{});
        b = spawn(Follows{.leader = a});
        c = spawn(Follows{.leader = b});
        leader_of_a() = c;
    }
    void TearDown() override {
        // A request to end would go round for ever: let the first one go on as if its leader had ended.
        a.state().root().unlink();
        loop.make_ready(a.state().root());
        while (!c.done()) run_one_turn();
        leader_of_a() = {};
        AwaitGraphs::TearDown();
    }
    TaskRef<void>& leader_of_a() { return static_cast<Follows&>(a.state().root()).leader; }

    TaskRef<void> a;
    TaskRef<void> b;
    TaskRef<void> c;
};

TEST_F(Circles, TasksThatWaitForOneAnotherAreNamedFirst) {
    run_one_turn();
    EXPECT_EQ(tree(),
              "simulated, turn 1: 3 tasks\n"
              "a circle: Follows#1 is awaited by Follows#2, which is awaited by Follows#3, which is awaited "
              "by Follows#1; none of these can ever go on\n"
              "Follows#1 at test.cc:N, awaits leader, since turn 1\n"
              "`-- Follows#3 at test.cc:N, awaits leader, since turn 1\n"
              "    `-- Follows#2 at test.cc:N, awaits leader, since turn 1\n"
              "        `-- Follows#1, which waits for this\n");
}

TEST_F(Circles, WhoWaitsForThemFromOutsideStandsAboveThem) {
    auto behind = spawn(Follows{.leader = b});
    auto alone = spawn(Sleeper{});
    run_one_turn();
    EXPECT_EQ(tree(),
              "simulated, turn 1: 5 tasks\n"
              "a circle: Follows#1 is awaited by Follows#2, which is awaited by Follows#3, which is awaited "
              "by Follows#1; none of these can ever go on\n"
              "Follows#4 at test.cc:N, awaits leader, since turn 1\n"
              "`-- Follows#2 at test.cc:N, awaits leader, since turn 1\n"
              "    `-- Follows#1 at test.cc:N, awaits leader, since turn 1\n"
              "        `-- Follows#3 at test.cc:N, awaits leader, since turn 1\n"
              "            `-- Follows#2, which waits for this\n"
              "Sleeper#5 at test.cc:N, awaits sleep_ns(2 * second_ns): 2.000 s left, since turn 1\n");
}

TEST_F(Circles, TheCallGraphEndsWhereItBegan) {
    run_one_turn();
    EXPECT_EQ(call_graph(a),
              "* Task Follows#1\n"
              "  + Call stack:\n"
              "  |   Follows at test.cc:N, awaits leader\n"
              "  + Awaited by:\n"
              "    * Task Follows#2\n"
              "      + Call stack:\n"
              "      |   Follows at test.cc:N, awaits leader\n"
              "      + Awaited by:\n"
              "        * Task Follows#3\n"
              "          + Call stack:\n"
              "          |   Follows at test.cc:N, awaits leader\n"
              "          + Awaited by:\n"
              "            * Task Follows#1, which waits for this: a circle\n");
}

// --- long chains ---

struct Deep : Coroutine<Deep, void, Awaits<Sleep, Deep&>> {
    std::vector<std::unique_ptr<Deep>>* frames = nullptr;
    std::size_t number = 0;
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(0));
        if (number + 1 < frames->size()) {
            CO_TRY(*(*frames)[number + 1]);
        } else {
            CO_TRY(sleep_ns(second_ns));
        }
        CO_END;
    }
};
struct Top : Coroutine<Top, void, Awaits<Deep&>> {
    Deep* first = nullptr;
    Progress body() {
        CO_BEGIN;
        CO_TRY(*first);
        CO_END;
    }
};

TEST_F(AwaitGraphs, OfALongChainTheMiddleIsLeftOut) {
    std::vector<std::unique_ptr<Deep>> frames(1000);
    for (std::size_t i = 0; i < frames.size(); ++i) {
        frames[i] = std::make_unique<Deep>();
        frames[i]->frames = &frames;
        frames[i]->number = i;
    }
    auto task = spawn(Top{.first = frames[0].get()});
    for (int i = 0; i < 1001; ++i) run_one_turn();
    const std::string text = tree();
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1 + 8 + 1 + 8);
    EXPECT_NE(text.find("`-- ... 985 frames in between\n"), std::string::npos) << text;
    EXPECT_NE(text.find("1.000 s left"), std::string::npos);
    EXPECT_NE(call_graph(task).find("|   ... 985 frames in between\n"), std::string::npos);
    EXPECT_TRUE(loop.run_until_complete(task));
}

TEST_F(AwaitGraphs, ALongLineOfTasksIsCutAndIsNoCircle) {
    std::vector<TaskRef<void>> line = {spawn(Sleeper{})};
    for (int i = 0; i < 300; ++i) line.push_back(spawn(Follows{.leader = line.back()}));
    run_one_turn();
    const std::string text = tree();
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1 + 101 + 1);
    EXPECT_NE(text.find("... and what these wait for\n"), std::string::npos);
    EXPECT_EQ(text.find("circle"), std::string::npos);
    EXPECT_TRUE(loop.run_until_complete(line.back()));
}

TEST_F(AwaitGraphs, WithoutMemoryItSaysSo) {
    auto task = spawn(Sleeper{});
    fail_allocations_after(0);
    EXPECT_EQ(tree(), "simulated, turn 0: 1 task\n... and no memory to draw them\n");
}

// --- upwards ---

TEST_F(AwaitGraphs, TheCallGraphLeadsFromATaskToAllWhoWaitForIt) {
    auto leader = spawn(Middle{});
    auto first = spawn(Follows{.leader = leader});
    auto second = spawn(Outer{.tasks = {leader, first}});
    run_one_turn();
    EXPECT_EQ(call_graph(leader),
              "* Task Middle#1\n"
              "  + Call stack:\n"
              "  |   Sleeper at test.cc:N, awaits sleep_ns(2 * second_ns): 2.000 s left\n"
              "  |   Middle at test.cc:N, awaits Sleeper{}\n"
              "  + Awaited by:\n"
              "    * Task Follows#2\n"
              "      + Call stack:\n"
              "      |   Follows at test.cc:N, awaits leader\n"
              "      + Awaited by:\n"
              "        * Task Outer#3\n"
              "          + Call stack:\n"
              "          |   Gathers at test.cc:N, awaits AllOf{&tasks}: 2 tasks\n"
              "          |   Outer at test.cc:N, awaits Gathers{.tasks = tasks}\n"
              "    * Task Outer#3\n"
              "      + Call stack:\n"
              "      |   Gathers at test.cc:N, awaits AllOf{&tasks}: 2 tasks\n"
              "      |   Outer at test.cc:N, awaits Gathers{.tasks = tasks}\n");
    EXPECT_TRUE(loop.run_until_complete(second));
    EXPECT_EQ(call_graph(leader), "* Task Middle#1, which is done\n");
}

// --- from inside ---

struct Looks : Coroutine<Looks, std::string> {
    Progress body() {
        CO_BEGIN;
        CO_RETURN(printed([](std::FILE* out) { print_tree(*current_scheduler, out); }));
        CO_END;
    }
};

TEST_F(AwaitGraphs, ATaskThatLooksItselfRuns) {
    EXPECT_EQ(*loop.run_until_complete(Looks{}), "simulated, turn 1: 1 task\nLooks#1 runs, since turn 0\n");
}

}  // namespace
