// Frames on a bare scheduler: no kernel, no timers. What suspends, what goes on when, what is destroyed.
#include "core/coroutine.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/co_await.h"
#include "core/sleep.h"
#include "core/task.h"
#include "tests/bare_scheduler.h"
#include "tests/small_stack.h"

using namespace pollard;

namespace {

using Coroutines = BareScheduler;

std::vector<std::string> story;

/// Ready when somebody calls set(); a future in miniature, for a known moment.
struct Gate {
    Frame* waiter = nullptr;
    bool cancelled = false;
    int starts = 0;
    bool ready_at_once = false;

    struct Wait {
        Gate* gate;
        bool start(Frame& frame) {
            ++gate->starts;
            tell_await(frame);
            if (gate->ready_at_once) return true;
            gate->waiter = &frame;
            return false;
        }
        bool failed() const { return gate->cancelled; }
        Result<int> result() const {
            if (gate->cancelled) return Error(ErrorKind::cancelled, Call::await);
            return 42;
        }
        CancelOutcome cancel() {
            gate->cancelled = true;
            gate->set();
            return CancelOutcome::accepted;
        }
        void abandon() { gate->waiter = nullptr; }
        void describe(Text& text) const { text.add("a gate"); }
    };
    Wait wait() { return {this}; }
    void set() {
        if (waiter != nullptr && !waiter->linked()) current_scheduler->make_ready(*waiter);
    }
};

struct Leaf : Coroutine<Leaf, int, Awaits<Gate::Wait>> {
    Gate* gate;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        story.push_back("leaf in");
        CO_AWAIT(got, gate->wait());
        story.push_back("leaf out");
        CO_RETURN(got);
        CO_END;
    }
};

struct Middle : Coroutine<Middle, int, Awaits<Leaf>> {
    Gate* gate;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        story.push_back("middle in");
        CO_AWAIT(got, Leaf{.gate = gate});
        story.push_back("middle out");
        if (!got) CO_RETURN(got.error());
        CO_RETURN(*got + 1);
        CO_END;
    }
};

struct Returns : Coroutine<Returns, int> {
    int value = 0;
    Progress body() {
        CO_BEGIN;
        CO_RETURN(value);
        CO_END;
    }
};

struct Sums : Coroutine<Sums, long long, Awaits<Returns>> {
    int count = 0;
    int i = 0;
    long long sum = 0;
    Result<int> one;
    Progress body() {
        CO_BEGIN;
        for (i = 0; i < count; ++i) {
            CO_AWAIT(one, Returns{.value = i});
            sum += *one;
        }
        CO_RETURN(sum);
        CO_END;
    }
};

struct Fails : Coroutine<Fails, int> {
    Progress body() {
        CO_BEGIN;
        CO_RETURN(Error(ErrorKind::broken_pipe, Call::send));
        CO_END;
    }
};

struct Tries : Coroutine<Tries, int, Awaits<Fails, Returns>> {
    bool went_on = false;
    Progress body() {
        CO_BEGIN;
        CO_TRY(Returns{.value = 1});
        CO_TRY(Fails{});
        went_on = true;
        CO_RETURN(1);
        CO_END;
    }
};

struct YieldsTurns : Coroutine<YieldsTurns, void, Awaits<Sleep>> {
    std::string name;
    int turns = 2;
    Progress body() {
        CO_BEGIN;
        while (turns-- > 0) {
            story.push_back(name);
            CO_TRY(sleep_ns(0));
        }
        CO_END;
    }
};

TEST_F(Coroutines, NothingRunsBeforeTheSchedulerDoes) {
    story.clear();
    Gate gate;
    auto task = spawn(Leaf{.gate = &gate});
    EXPECT_TRUE(story.empty());
    scheduler.run_until_idle();
    EXPECT_EQ(story.size(), 1u);
    gate.set();
    scheduler.run_until_idle();
    EXPECT_EQ(*task.result(), 42);
}

TEST_F(Coroutines, AChildStartsAsAFunctionCallAndItsWaiterGoesOnInTheSameTurn) {
    story.clear();
    Gate gate;
    auto task = spawn(Middle{.gate = &gate});
    scheduler.run_turn();
    EXPECT_EQ(story, (std::vector<std::string>{"middle in", "leaf in"}));
    gate.set();
    scheduler.run_turn();
    EXPECT_EQ(story, (std::vector<std::string>{"middle in", "leaf in", "leaf out", "middle out"}));
    EXPECT_EQ(*task.result(), 43);
}

TEST_F(Coroutines, AnAwaitWhoseResultIsReadyDoesNotSuspend) {
    Gate gate;
    gate.ready_at_once = true;
    auto task = spawn(Middle{.gate = &gate});
    scheduler.run_turn();
    EXPECT_TRUE(task.done());
    EXPECT_EQ(*task.result(), 43);
}

TEST_F(Coroutines, ASuspendedFrameSaysWhereItStoppedForWhatAndWhoWaitsForIt) {
    Gate gate;
    auto task = spawn(Middle{.gate = &gate});
    scheduler.run_until_idle();
    Frame& root = task.state().root();
    EXPECT_STREQ(root.frame_type().name, "Middle");
    EXPECT_STREQ(root.site->expression, "Leaf{.gate = gate}");
    Frame* leaf = child_of(root);
    ASSERT_NE(leaf, nullptr);
    EXPECT_STREQ(leaf->frame_type().name, "Leaf");
    EXPECT_STREQ(leaf->site->expression, "gate->wait()");
    EXPECT_STREQ(leaf->site->awaited->name, "Wait");
    EXPECT_EQ(leaf->waiter, &root);
    EXPECT_EQ(innermost(root), leaf);
    EXPECT_EQ(task_of(*leaf), &task.state());
    EXPECT_NE(describe(*leaf).view().find("coroutine_test.cc"), std::string_view::npos);
    gate.set();
    scheduler.run_until_idle();
}

TEST_F(Coroutines, AnErrorEndsTheFrameThatTriesIt) {
    EXPECT_EQ(run(Tries{}).error().kind, ErrorKind::broken_pipe);
}

TEST_F(Coroutines, TasksTakeTurnsInTheOrderInWhichTheyBecameReady) {
    story.clear();
    auto a = spawn(YieldsTurns{.name = "a"});
    auto b = spawn(YieldsTurns{.name = "b"});
    auto c = spawn(YieldsTurns{.name = "c"});
    scheduler.run_until_idle();
    EXPECT_EQ(story, (std::vector<std::string>{"a", "b", "c", "a", "b", "c"}));
}

TEST_F(Coroutines, WhatBecomesReadyDuringATurnRunsInTheNext) {
    story.clear();
    auto task = spawn(YieldsTurns{.name = "x", .turns = 3});
    scheduler.run_turn();
    EXPECT_EQ(story.size(), 1u);
    scheduler.run_turn();
    EXPECT_EQ(story.size(), 2u);
    scheduler.run_until_idle();
}

TEST_F(Coroutines, AMillionReadyAwaitsRunOnASmallStack) {
    run_on_small_stack(64 * 1024, [this] { EXPECT_EQ(*run(Sums{.count = 1'000'000}), 499'999'500'000LL); });
}

// --- a chain as long as you like ---

/// Begins the next link of the chain after one turn, so that starting does not nest; finishing is what is
/// tested.
struct Link1 : Coroutine<Link1, int, Awaits<Sleep, Link1&, Gate::Wait>> {
    std::vector<std::unique_ptr<Link1>>* links = nullptr;
    Gate* gate = nullptr;
    std::size_t number = 0;
    Result<int> below;
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(0));
        if (number + 1 == links->size()) {
            CO_AWAIT(below, gate->wait());
        } else {
            CO_AWAIT(below, *(*links)[number + 1]);
        }
        if (!below) CO_RETURN(below.error());
        CO_RETURN(*below + 1);
        CO_END;
    }
};

struct Head : Coroutine<Head, int, Awaits<Link1&>> {
    Link1* first = nullptr;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(got, *first);
        CO_RETURN(got);
        CO_END;
    }
};

std::vector<std::unique_ptr<Link1>> make_chain(std::size_t length, Gate& gate) {
    std::vector<std::unique_ptr<Link1>> links(length);
    for (std::size_t i = 0; i < length; ++i) {
        links[i] = std::make_unique<Link1>();
        links[i]->links = &links;
        links[i]->gate = &gate;
        links[i]->number = i;
    }
    return links;
}

TEST_F(Coroutines, AChainOfAHundredThousandFinishesOnASmallStack) {
    Gate gate;
    auto links = make_chain(100'000, gate);
    for (auto& link : links) link->links = &links;
    auto task = spawn(Head{.first = links[0].get()});
    run_on_small_stack(64 * 1024, [&] {
        const SchedulerScope here(scheduler);
        scheduler.run_until_idle();
        gate.set();
        scheduler.run_until_idle();
    });
    EXPECT_EQ(*task.result(), 100'042);
}

TEST_F(Coroutines, AChainOfAHundredThousandIsCancelledAndDescribedOnASmallStack) {
    Gate gate;
    auto links = make_chain(100'000, gate);
    for (auto& link : links) link->links = &links;
    auto task = spawn(Head{.first = links[0].get()});
    run_on_small_stack(64 * 1024, [&] {
        const SchedulerScope here(scheduler);
        scheduler.run_until_idle();
        EXPECT_EQ(innermost(task.state().root()), links.back().get());
        EXPECT_TRUE(task.cancel());
        scheduler.run_until_idle();
    });
    EXPECT_TRUE(task.cancelled());
}

// --- cancelling ---

TEST_F(Coroutines, CancellingReachesTheInnermostAwaitAndComesOutAsAnError) {
    Gate gate;
    auto task = spawn(Middle{.gate = &gate});
    scheduler.run_until_idle();
    EXPECT_TRUE(task.cancel());
    EXPECT_FALSE(task.done());
    scheduler.run_until_idle();
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(task.result().error().kind, ErrorKind::cancelled);
    EXPECT_FALSE(task.cancel());
}

TEST_F(Coroutines, ATaskCancelledBeforeItsFirstStepNeverRuns) {
    story.clear();
    Gate gate;
    auto task = spawn(Leaf{.gate = &gate});
    EXPECT_TRUE(task.cancel());
    scheduler.run_until_idle();
    EXPECT_TRUE(story.empty());
    EXPECT_TRUE(task.cancelled());
}

TEST_F(Coroutines, ASleeperThatWasWokenButHasNotRunIsCancelledAllTheSame) {
    story.clear();
    auto task = spawn(YieldsTurns{.name = "x"});
    scheduler.run_turn();
    EXPECT_TRUE(task.cancel());
    scheduler.run_until_idle();
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(story.size(), 1u);
}

/// Cancels itself, goes on until its next real suspension.
struct CancelsItself : Coroutine<CancelsItself, int, Awaits<Sleep, Returns>> {
    bool suspends = true;
    int* steps = nullptr;
    Result<void> slept;
    Progress body() {
        CO_BEGIN;
        current_scheduler->running_task()->cancel();
        ++*steps;
        CO_TRY(Returns{.value = 1});
        ++*steps;
        if (suspends) {
            CO_AWAIT(slept, sleep_ns(0));
            if (!slept) ++*steps;
            if (!slept) CO_RETURN(slept.error());
        }
        CO_RETURN(7);
        CO_END;
    }
};

TEST_F(Coroutines, ATaskThatCancelsItselfGoesOnUntilItsNextSuspension) {
    int steps = 0;
    auto task = spawn(CancelsItself{.steps = &steps});
    scheduler.run_until_idle();
    EXPECT_EQ(steps, 3);
    EXPECT_TRUE(task.cancelled());
}

TEST_F(Coroutines, ATaskThatCancelsItselfAndReturnsIsCancelledAndItsValueLost) {
    int steps = 0;
    auto task = spawn(CancelsItself{.suspends = false, .steps = &steps});
    scheduler.run_until_idle();
    EXPECT_EQ(steps, 2);
    EXPECT_TRUE(task.cancelled());
}

struct Swallows : Coroutine<Swallows, int, Awaits<Gate::Wait, Sleep>> {
    Gate* gate;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(got, gate->wait());
        CO_TRY(sleep_ns(0));
        CO_RETURN(got ? 1 : 2);
        CO_END;
    }
};

TEST_F(Coroutines, ATaskThatHandlesCancellationGoesOnAndKeepsTheCount) {
    Gate gate;
    auto task = spawn(Swallows{.gate = &gate});
    scheduler.run_until_idle();
    task.cancel();
    scheduler.run_until_idle();
    EXPECT_EQ(*task.result(), 2);
    EXPECT_FALSE(task.cancelled());
    EXPECT_EQ(task.cancel_requests(), 1u);
}

struct AwaitsTask : Coroutine<AwaitsTask, int, Awaits<TaskRef<int>&>> {
    TaskRef<int> other;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(got, other);
        CO_RETURN(got);
        CO_END;
    }
};

TEST_F(Coroutines, SeveralFramesMayWaitForOneTaskAndGoOnInTheOrderInWhichTheyCame) {
    Gate gate;
    auto inner = spawn(Leaf{.gate = &gate});
    auto first = spawn(AwaitsTask{.other = inner});
    auto second = spawn(AwaitsTask{.other = inner});
    scheduler.run_until_idle();
    gate.set();
    scheduler.run_until_idle();
    EXPECT_EQ(*first.result(), 42);
    EXPECT_EQ(*second.result(), 42);
}

TEST_F(Coroutines, CancellingOneWhoWaitsForATaskCancelsThatTask) {
    Gate gate;
    auto inner = spawn(Leaf{.gate = &gate});
    auto outer = spawn(AwaitsTask{.other = inner});
    scheduler.run_until_idle();
    outer.cancel();
    scheduler.run_until_idle();
    EXPECT_TRUE(inner.cancelled());
    EXPECT_TRUE(outer.cancelled());
    EXPECT_EQ(inner.cancel_requests(), 1u);
}

TEST_F(Coroutines, ANewTaskThatReturnsAtOnceIsAwaitedInTwoTurns) {
    auto inner = spawn(Returns{.value = 5});
    auto outer = spawn(AwaitsTask{.other = inner});
    scheduler.run_turn();
    EXPECT_TRUE(inner.done());
    const std::uint32_t before = scheduler.turn_count;
    scheduler.run_until_idle();
    EXPECT_TRUE(outer.done());
    EXPECT_LE(scheduler.turn_count - before, 1u);
}

// --- cancelled, drained and destroyed at every suspension ---

struct Tracked {
    int* alive;
    explicit Tracked(int* counter) : alive(counter) { ++*alive; }
    Tracked(Tracked&& other) noexcept : alive(std::exchange(other.alive, nullptr)) {}
    ~Tracked() {
        if (alive != nullptr) --*alive;
    }
};

struct Inner : Coroutine<Inner, int, Awaits<Sleep, Gate::Wait>> {
    Gate* gate;
    Tracked tracked;
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(0));
        CO_TRY(gate->wait());
        CO_TRY(sleep_ns(0));
        CO_RETURN(1);
        CO_END;
    }
};

struct Outer : Coroutine<Outer, int, Awaits<Sleep, Inner, TaskRef<int>&>> {
    Gate* gate;
    int* alive;
    Tracked tracked;
    TaskRef<int> other;
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(0));
        CO_TRY(Inner{.gate = gate, .tracked = Tracked(alive)});
        CO_TRY(other);
        CO_TRY(Inner{.gate = gate, .tracked = Tracked(alive)});
        CO_RETURN(2);
        CO_END;
    }
};

TEST_F(Coroutines, CancelledAtEverySuspensionEveryFieldIsDestroyedAndTheTaskEndsCancelled) {
    for (int stop_after = 0; stop_after < 20; ++stop_after) {
        int alive = 0;
        Gate gate;
        bool was_done = false;
        {
            auto other = spawn(Returns{.value = 3});
            auto task =
                spawn(Outer{.gate = &gate, .alive = &alive, .tracked = Tracked(&alive), .other = other});
            for (int i = 0; i < stop_after && !task.done(); ++i) {
                scheduler.run_turn();
                if (i % 4 == 3) gate.set();
            }
            was_done = task.done();
            EXPECT_EQ(task.cancel(), !was_done);
            scheduler.run_until_idle();
            ASSERT_TRUE(task.done());
            EXPECT_EQ(task.cancelled(), !was_done) << "cancelled after turn " << stop_after;
        }
        EXPECT_EQ(alive, 0) << "cancelled after turn " << stop_after;
        if (was_done) return;
    }
    FAIL() << "the task never ended by itself: more turns are needed";
}

TEST_F(Coroutines, DestroyedAtEverySuspensionWhatItWaitsForGoesFirst) {
    for (int stop_after = 0; stop_after < 20; ++stop_after) {
        int alive = 0;
        Gate gate;
        auto other = spawn(Returns{.value = 3});
        Frame driver(nullptr);
        bool finished = false;
        {
            Outer outer{.gate = &gate, .alive = &alive, .tracked = Tracked(&alive), .other = other};
            finished = outer.start(driver);
            outer.waiter = nullptr;
            for (int i = 0; i < stop_after && !outer.flags.finished; ++i) {
                scheduler.run_turn();
                if (i % 4 == 3) gate.set();
            }
            finished = outer.flags.finished;
            destroy_awaited(outer);
        }
        EXPECT_EQ(alive, 0) << "destroyed after turn " << stop_after;
        scheduler.run_until_idle();
        if (finished) return;
    }
    FAIL() << "the frame never ended by itself: more turns are needed";
}

// --- the other author: co_await ---

Co<int> co_leaf(Gate& gate) {
    Result<int> got = co_await gate.wait();
    co_return got;
}
Co<int> co_middle(Gate& gate) {
    Result<int> got = co_await co_leaf(gate);
    if (!got) co_return got.error();
    co_return *got + 1;
}
Co<int> co_awaits_hand_written(Gate& gate) {
    co_return co_await in_place([&] { return Middle{.gate = &gate}; });
}
Co<int> co_loop(int count) {
    int sum = 0;
    for (int i = 0; i < count; ++i) sum += *co_await in_place([] { return Returns{.value = 1}; });
    co_return sum;
}
Co<int> co_awaits_task(TaskRef<int> task) { co_return co_await task; }
Co<void> co_nothing() { co_return Result<void>(); }

struct AwaitsCo : Coroutine<AwaitsCo, int, Awaits<Co<int>>> {
    Gate* gate;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(got, co_middle(*gate));
        CO_RETURN(got);
        CO_END;
    }
};

TEST_F(Coroutines, CompilerMadeFramesAwaitEachOther) {
    Gate gate;
    auto task = spawn(co_middle(gate));
    scheduler.run_until_idle();
    EXPECT_FALSE(task.done());
    gate.set();
    scheduler.run_until_idle();
    EXPECT_EQ(*task.result(), 43);
}

TEST_F(Coroutines, HandWrittenFramesAwaitCompilerMadeOnesAndTheReverse) {
    Gate gate;
    auto one = spawn(AwaitsCo{.gate = &gate});
    scheduler.run_until_idle();
    gate.set();
    scheduler.run_until_idle();
    EXPECT_EQ(*one.result(), 43);
    Gate other;
    auto two = spawn(co_awaits_hand_written(other));
    scheduler.run_until_idle();
    other.set();
    scheduler.run_until_idle();
    EXPECT_EQ(*two.result(), 43);
}

TEST_F(Coroutines, ACompilerMadeFrameSaysWhereItStopped) {
    Gate gate;
    auto task = spawn(AwaitsCo{.gate = &gate});
    scheduler.run_until_idle();
    Frame* leaf = innermost(task.state().root());
    ASSERT_NE(leaf->site, nullptr);
    EXPECT_NE(std::string_view(leaf->site->file).find("coroutine_test.cc"), std::string_view::npos);
    EXPECT_STREQ(leaf->site->awaited->name, "Wait");
    task.cancel();
    scheduler.run_until_idle();
    EXPECT_TRUE(task.cancelled());
}

TEST_F(Coroutines, AMillionReadyAwaitsOfTheCompilersRunOnASmallStack) {
    run_on_small_stack(64 * 1024, [this] { EXPECT_EQ(*run(co_loop(1'000'000)), 1'000'000); });
}

TEST_F(Coroutines, ACompilerMadeTaskCancelledBeforeItsFirstStepNeverRuns) {
    Gate gate;
    auto task = spawn(co_leaf(gate));
    task.cancel();
    scheduler.run_until_idle();
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(gate.starts, 0);
}

TEST_F(Coroutines, CompilerMadeFramesAwaitTasks) {
    auto inner = spawn(Returns{.value = 9});
    EXPECT_EQ(*run(co_awaits_task(inner)), 9);
    EXPECT_TRUE(run(co_nothing()));
}

TEST_F(Coroutines, ACompilerMadeFrameWithoutMemoryIsAnErrorValue) {
    Gate gate;
    scope.reset();  // without a scheduler its memory comes from `allocate`, which can be made to fail
    fail_allocations_after(0);
    Co<int> made = co_leaf(gate);
    EXPECT_TRUE(made.allocation_failed());
    scope.emplace(scheduler);
    Frame waiter(nullptr);
    EXPECT_TRUE(made.start(waiter));
    EXPECT_EQ(made.result().error().kind, ErrorKind::out_of_memory);
}

// --- mistakes ---

std::string last_problem;
struct Listening : Observer {
    Listening() {
        problem = [](Observer&, const char* sentence, const Error&) { last_problem = sentence; };
        current_observer = this;
        last_problem.clear();
    }
    ~Listening() { current_observer = nullptr; }
};

TEST_F(Coroutines, ACoroutineThatNobodyAwaitsIsReported) {
    const Listening listening;
    {
        Returns forgotten{.value = 1};
    }
    EXPECT_NE(last_problem.find("never awaited"), std::string::npos);
}

TEST_F(Coroutines, ATasksErrorThatNobodyReadIsReportedWhenTheTaskIsFreed) {
    const Listening listening;
    {
        auto task = spawn(Fails{});
        scheduler.run_until_idle();
        EXPECT_TRUE(last_problem.empty());
    }
    EXPECT_NE(last_problem.find("never retrieved"), std::string::npos);
}

TEST_F(Coroutines, ATasksErrorThatSomebodyReadIsNotReported) {
    const Listening listening;
    EXPECT_FALSE(run(Fails{}));
    EXPECT_TRUE(last_problem.empty());
}

TEST_F(Coroutines, AwaitingACoroutineTwiceIsAMistakeWithASentence) {
    Returns once{.value = 1};
    Frame waiter(nullptr);
    EXPECT_TRUE(once.start(waiter));
    EXPECT_DEATH((void)once.start(waiter), "awaited once only");
    EXPECT_EQ(*once.result(), 1);
}

TEST_F(Coroutines, MovingAFrameThatHasStartedIsAMistakeWithASentence) {
    Gate gate;
    Frame waiter(nullptr);
    Leaf leaf{.gate = &gate};
    ASSERT_FALSE(leaf.start(waiter));
    EXPECT_DEATH(Leaf moved(std::move(leaf)), "cannot move");
    destroy_awaited(leaf);
}

TEST_F(Coroutines, DestroyingASuspendedFrameIsAMistakeWithASentence) {
    Gate gate;
    Frame waiter(nullptr);
    auto leaf = std::make_unique<Leaf>(Leaf{.gate = &gate});
    ASSERT_FALSE(leaf->start(waiter));
    EXPECT_DEATH(leaf.reset(), "suspended frame was destroyed");
    destroy_awaited(*leaf);
}

TEST_F(Coroutines, MakingATaskWithoutMemoryIsAnErrorValue) {
    // The pool's first slab is taken here, so the failure hits exactly this.
    fail_allocations_after(0);
    auto task = create_task_on(scheduler, Returns{.value = 1});
    EXPECT_FALSE(task);
    EXPECT_EQ(task.error().kind, ErrorKind::out_of_memory);
}

TEST_F(Coroutines, RunningTasksAllocatesNothingAfterWarmUp) {
    EXPECT_TRUE(run(Sums{.count = 3}));
    const MemoryCounters before = memory_counters();
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(run(Sums{.count = 3}));
    EXPECT_EQ(memory_counters().allocations, before.allocations);
}

}  // namespace
