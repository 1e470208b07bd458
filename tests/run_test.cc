// run() and Runner: a loop from its opening to its closing. In virtual time.
#include "core/run.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "core/co_await.h"
#include "core/coroutine.h"
#include "core/future.h"
#include "core/sleep.h"

using namespace pollard;

namespace {

using Story = std::vector<std::string>;
Story story;
Story reports;

constexpr std::int64_t hour_ns = 3600 * second_ns;
std::int64_t began_ns = 0;
const Error broken(ErrorKind::broken_pipe, Call::send);
const LoopOptions simulated = {.kernel = "simulated"};

void take_report(void*, const ErrorReport& report) {
    reports.push_back(std::string(report.message) + ": " + describe(report.error).c_str() + " in " +
                      (report.task == nullptr ? "none" : name_of(*report.task).c_str()));
}

class Runs : public testing::Test {
protected:
    void SetUp() override {
        story.clear();
        reports.clear();
        began_ns = 0;
        before = memory_counters();
    }
    void TearDown() override {
        EXPECT_EQ(all_loops, nullptr) << "a loop is open";
        const MemoryCounters after = memory_counters();
        EXPECT_EQ(after.allocations - before.allocations, after.releases - before.releases)
            << "memory is left";
    }
    MemoryCounters before;
};

/// Since the first main task began.
std::int64_t seconds() { return (running_loop().time_ns() - began_ns) / second_ns; }

/// Calls `begin`, sleeps, ends as told.
struct Main : Coroutine<Main, int, Awaits<Sleep>> {
    std::function<void()> begin;
    std::int64_t delay_ns = 0;
    Result<int> end = 7;
    Progress body() {
        CO_BEGIN;
        running_loop().set_error_handler(take_report, nullptr);
        if (began_ns == 0) began_ns = running_loop().time_ns();
        if (begin) begin();
        CO_TRY(sleep_ns(delay_ns));
        CO_RETURN(end);
        CO_END;
    }
};

/// Sleeps for an hour; cancelled, it cleans up and ends as told.
struct Worker : Coroutine<Worker, void, Awaits<Sleep>> {
    const char* name;
    std::int64_t cleanup_ns = 0;
    Result<void> end = Error(ErrorKind::cancelled, Call::await);
    std::function<void()> at_last;
    Result<void> slept;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(slept, sleep_ns(hour_ns));
        CO_AWAIT(slept, sleep_ns(cleanup_ns));
        story.push_back(std::string(name) + " cleaned up at " + std::to_string(seconds()));
        if (at_last) at_last();
        CO_RETURN(end);
        CO_END;
    }
};

void spawn(Worker worker) {
    const char* name = worker.name;
    ASSERT_TRUE(running_loop().create_task(std::move(worker), {.name = name}));
}

Co<int> doubled(int value) {
    const Result<void> slept = co_await sleep_ns(second_ns);
    if (!slept) co_return slept.error();
    co_return 2 * value;
}

// --- run ---

TEST_F(Runs, RunGivesTheValueOfTheMainTask) {
    EXPECT_EQ(*run(Main{}, simulated), 7);
    EXPECT_EQ(*run(doubled(4), simulated), 8);
}

TEST_F(Runs, RunGivesTheErrorOfTheMainTask) {
    EXPECT_EQ(run(Main{.end = broken}, simulated).error().kind, ErrorKind::broken_pipe);
}

TEST_F(Runs, AMainTaskThatIsCancelledGivesCancelled) {
    const Result<int> ran = run(Main{.begin = [] { current_task()->cancel("by itself"); }}, simulated);
    EXPECT_EQ(ran.error().kind, ErrorKind::cancelled);
    EXPECT_STREQ(ran.error().text, "by itself");
}

TEST_F(Runs, WhatIsLeftIsCancelledAndWaitedFor) {
    EXPECT_TRUE(run(Main{.begin =
                             [] {
                                 spawn({.name = "slow", .cleanup_ns = 5 * second_ns});
                                 spawn({.name = "quick", .cleanup_ns = second_ns});
                             },
                         .delay_ns = 10 * second_ns},
                    simulated));
    EXPECT_EQ(story, (Story{"quick cleaned up at 11", "slow cleaned up at 15"}));
    EXPECT_EQ(reports, Story{});
}

TEST_F(Runs, WhatIsLeftIsCancelledAndWaitedForAlsoAfterAnError) {
    EXPECT_FALSE(run(Main{.begin = [] { spawn({.name = "slow", .cleanup_ns = 5 * second_ns}); },
                          .delay_ns = second_ns,
                          .end = broken},
                     simulated));
    EXPECT_EQ(story, Story{"slow cleaned up at 6"});
}

TEST_F(Runs, WhatEndsWithAnErrorMeanwhileIsReportedWhenAllHaveEnded) {
    EXPECT_TRUE(run(Main{.begin =
                             [] {
                                 spawn({.name = "first", .cleanup_ns = 2 * second_ns, .end = broken});
                                 spawn({.name = "second", .cleanup_ns = second_ns, .end = broken});
                                 spawn({.name = "swallows", .end = {}});
                                 spawn({.name = "last", .cleanup_ns = 3 * second_ns, .at_last = [] {
                                            EXPECT_EQ(reports, Story{});
                                        }});
                             },
                         .delay_ns = second_ns},
                    simulated));
    const std::string report = "unhandled error during run() shutdown: send: the peer no longer receives in ";
    EXPECT_EQ(reports, (Story{report + "second", report + "first"})) << "in the order in which they ended";
}

TEST_F(Runs, WhatIsCreatedWhileTheLoopShutsDownEndsToo) {
    EXPECT_TRUE(run(Main{.begin =
                             [] {
                                 spawn({.name = "old", .at_last = [] {
                                            spawn({.name = "young"});
                                            story.push_back("young is created");
                                        }});
                             },
                         .delay_ns = second_ns},
                    simulated));
    EXPECT_EQ(story, (Story{"old cleaned up at 1", "young is created"})) << "young never began";
    EXPECT_EQ(reports, Story{});
}

TEST_F(Runs, RunInsideARunningLoopIsInvalid) {
    ErrorKind kind = ErrorKind::none;
    testing::internal::CaptureStderr();
    EXPECT_TRUE(run(Main{.begin = [&] { kind = run(Main{}, simulated).error().kind; }}, simulated));
    EXPECT_EQ(kind, ErrorKind::invalid_state);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "no coroutine that was never awaited";
}

TEST_F(Runs, AStoppedRunSaysSoAndTheMainTaskIsCancelled) {
    struct Stops : Coroutine<Stops, void, Awaits<Sleep>> {
        Progress body() {
            CO_BEGIN;
            running_loop().stop();
            CO_AWAIT(slept, sleep_ns(hour_ns));
            story.push_back(slept ? "slept" : "cancelled");
            CO_END;
        }
        Result<void> slept;
    };
    EXPECT_EQ(run(Stops{}, simulated).error().kind, ErrorKind::stopped);
    EXPECT_EQ(story, Story{"cancelled"});
}

TEST_F(Runs, ALoopThatCannotBeOpenedIsAnErrorAndTheCoroutineIsNotReported) {
    testing::internal::CaptureStderr();
    EXPECT_EQ(run(Main{}, {.kernel = "no such kernel"}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(Runs, WhatNeverEndsIsReportedAsDestroyedPending) {
    struct Refuses : Coroutine<Refuses, void, Awaits<Future<int>&>> {
        Future<int>* nobodys;
        Future<int>* nobodys_either;
        Result<int> got;
        Progress body() {
            CO_BEGIN;
            CO_AWAIT(got, *nobodys);
            CO_AWAIT(got, *nobodys_either);
            CO_END;
        }
    };
    struct {
        Future<int> nobodys, nobodys_either;
    } futures;
    TaskRef<void> task;
    EXPECT_TRUE(
        run(Main{.begin =
                     [&] {
                         task = *running_loop().create_task(
                             Refuses{.nobodys = &futures.nobodys, .nobodys_either = &futures.nobodys_either},
                             {.name = "refuses"});
                     },
                 .delay_ns = second_ns},
            simulated));
    ASSERT_EQ(reports.size(), 2u);
    EXPECT_NE(reports[0].find("some tasks could not end"), std::string::npos) << reports[0];
    EXPECT_NE(reports[1].find("a task was destroyed but it is pending"), std::string::npos) << reports[1];
    EXPECT_NE(reports[1].find("in refuses"), std::string::npos) << reports[1];
    EXPECT_FALSE(task.done());
    EXPECT_FALSE(task.cancel()) << "there is no loop to end it in";
    task.state().let_go();  // the reference that the loop has left behind
}

// --- Runner ---

TEST_F(Runs, ARunnerRunsManyTimesOnOneLoop) {
    Runner runner(simulated);
    EventLoop* first = nullptr;
    EventLoop* second = nullptr;
    EXPECT_EQ(*runner.run(Main{.begin = [&] { first = &running_loop(); }, .delay_ns = second_ns}), 7);
    EXPECT_EQ(*runner.run(Main{.begin = [&] { second = &running_loop(); }, .end = 8}), 8);
    EXPECT_EQ(*runner.run(doubled(4)), 8);
    EXPECT_EQ(first, second);
    EXPECT_EQ((*runner.loop())->time_ns() - began_ns, 2 * second_ns) << "one clock";
    EXPECT_TRUE(runner.close());
}

TEST_F(Runs, OtherTasksKeepTheirStateForTheNextRunOfARunner) {
    Runner runner(simulated);
    EXPECT_TRUE(runner.run(Main{.begin = [] { spawn({.name = "stays"}); }, .delay_ns = second_ns}));
    EXPECT_EQ((*runner.loop())->task_count(), 1u);
    EXPECT_TRUE(runner.run(Main{.delay_ns = hour_ns}));
    EXPECT_EQ(story, Story{"stays cleaned up at 3600"});
    EXPECT_TRUE(runner.close());
}

TEST_F(Runs, ARunnerOpensItsLoopWhenItNeedsIt) {
    {
        Runner runner(simulated);
        EXPECT_EQ(all_loops, nullptr);
        EXPECT_TRUE(runner.loop());
        EXPECT_NE(all_loops, nullptr);
    }
    EXPECT_EQ(all_loops, nullptr) << "closed by its end";
}

TEST_F(Runs, AClosedRunnerRefusesToRunAndMayBeClosedAgain) {
    Runner runner(simulated);
    EXPECT_TRUE(runner.close());
    EXPECT_TRUE(runner.close());
    testing::internal::CaptureStderr();
    EXPECT_EQ(runner.run(Main{}).error().kind, ErrorKind::closed);
    EXPECT_EQ(runner.loop().error().kind, ErrorKind::closed);
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(Runs, ARunnerRefusesToRunInsideARunAndToBeClosedThere) {
    Runner runner(simulated);
    ErrorKind running = ErrorKind::none, closing = ErrorKind::none;
    EXPECT_EQ(*runner.run(Main{.begin =
                                   [&] {
                                       running = runner.run(Main{}).error().kind;
                                       closing = runner.close().error().kind;
                                   }}),
              7);
    EXPECT_EQ(running, ErrorKind::invalid_state);
    EXPECT_EQ(closing, ErrorKind::invalid_state);
    EXPECT_EQ(*runner.run(Main{}), 7);
}

TEST_F(Runs, WhatAMainTaskSetsTheNextOneOfItsRunnerSees) {
    static constinit ContextVar<int> request("request", -1);
    int seen = 0;
    Runner runner(simulated);
    EXPECT_TRUE(runner.run(Main{.begin = [] { ASSERT_TRUE(request.set(5)); }}));
    EXPECT_TRUE(runner.run(Main{.begin = [&] { seen = request.get(); }}));
    EXPECT_EQ(seen, 5);
    EXPECT_TRUE(runner.close());
}

}  // namespace
