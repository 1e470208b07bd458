// wait, as_completed and shield: every rule of them, with both authors of frames.
#include "core/combinators/wait.h"

#include "core/combinators/as_completed.h"
#include "core/combinators/shield.h"
#include "tests/combinators.h"

using namespace pollard;

namespace {

using Row = std::vector<TaskRef<int>>;

/// 100 * done + pending.
struct WaitsMany : Coroutine<WaitsMany, int, Awaits<WaitMany>> {
    Row tasks;
    WaitOptions options;
    std::uint32_t began = 0;
    Result<Waited> counts;
    Progress body() {
        CO_BEGIN;
        began = running_loop().turn_count;
        CO_AWAIT(counts, wait(tasks, options));
        turns_waited = running_loop().turn_count - began;
        story.push_back("waited");
        if (!counts) CO_RETURN(counts.error());
        CO_RETURN(static_cast<int>(100 * counts->done + counts->pending));
        CO_END;
    }
};
Co<int> waits_many(Row tasks, WaitOptions options) {
    const std::uint32_t began = running_loop().turn_count;
    const Result<Waited> counts = co_await wait(tasks, options);
    turns_waited = running_loop().turn_count - began;
    story.push_back("waited");
    if (!counts) co_return counts.error();
    co_return static_cast<int>(100 * counts->done + counts->pending);
}

/// Over tasks that it makes itself: they take their first step in the next turn.
template <class Author>
TaskRef<int> new_child() {
    return *create_task_on(*current_scheduler, Author::child({}));
}
struct WaitsForNew : Coroutine<WaitsForNew, int, Awaits<WaitMany>> {
    Row tasks;
    std::uint32_t began = 0;
    Result<Waited> counts;
    Progress body() {
        CO_BEGIN;
        tasks = {new_child<ByHand>(), new_child<ByHand>()};
        began = running_loop().turn_count;
        CO_AWAIT(counts, wait(tasks));
        turns_waited = running_loop().turn_count - began;
        CO_RETURN(static_cast<int>(100 * counts->done + counts->pending));
        CO_END;
    }
};
Co<int> waits_for_new() {
    Row tasks{new_child<ByCompiler>(), new_child<ByCompiler>()};
    const std::uint32_t began = running_loop().turn_count;
    const Result<Waited> counts = co_await wait(tasks);
    turns_waited = running_loop().turn_count - began;
    co_return static_cast<int>(100 * counts->done + counts->pending);
}

struct WaitsForTwo : Coroutine<WaitsForTwo, int, Awaits<Wait<2>>> {
    TaskRef<int> a;
    TaskRef<int> b;
    Result<Waited> counts;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(counts, wait(WaitOptions{.return_when = ReturnWhen::first_completed}, a, b));
        CO_RETURN(static_cast<int>(100 * counts->done + counts->pending));
        CO_END;
    }
};
Co<int> waits_for_two(TaskRef<int> a, TaskRef<int> b) {
    const auto counts = co_await wait(WaitOptions{.return_when = ReturnWhen::first_completed}, a, b);
    co_return static_cast<int>(100 * counts->done + counts->pending);
}

/// Tells the story of what comes, and gives how many were timed out.
void tell(const Result<TaskRef<int>>& task) {
    if (task)
        story.push_back(task->result() ? std::to_string(*task->result())
                                       : describe(task->result().error().kind));
    else
        story.push_back(describe(task.error().kind));
}
struct TakesInOrder : Coroutine<TakesInOrder, int, Awaits<AsCompleted<int>::Next>> {
    Row tasks;
    std::int64_t timeout_ns = never_ns;
    AsCompleted<int> finished;
    Result<TaskRef<int>> task;
    int missing = 0;
    Progress body() {
        CO_BEGIN;
        finished.begin(tasks, timeout_ns);
        for (;;) {
            CO_AWAIT(task, finished.next());
            tell(task);
            if (!task && task.error().kind != ErrorKind::timed_out) break;
            missing += task ? 0 : 1;
        }
        if (task.error().kind != ErrorKind::stopped) CO_RETURN(task.error());
        CO_RETURN(missing);
        CO_END;
    }
};
Co<int> takes_in_order(Row tasks, std::int64_t timeout_ns) {
    AsCompleted<int> finished;
    finished.begin(tasks, timeout_ns);
    int missing = 0;
    for (;;) {
        const Result<TaskRef<int>> task = co_await finished.next();
        tell(task);
        if (!task && task.error().kind == ErrorKind::stopped) co_return missing;
        if (!task && task.error().kind != ErrorKind::timed_out) co_return task.error();
        missing += task ? 0 : 1;
    }
}

struct Shields : Coroutine<Shields, int, Awaits<Shield<int>>> {
    TaskRef<int> inner;
    std::uint32_t began = 0;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        began = running_loop().turn_count;
        CO_AWAIT(got, shield(inner));
        turns_waited = running_loop().turn_count - began;
        story.push_back("outer goes on");
        CO_RETURN(got);
        CO_END;
    }
};
Co<int> shields(TaskRef<int> inner) {
    const std::uint32_t began = running_loop().turn_count;
    Result<int> got = co_await shield(inner);
    turns_waited = running_loop().turn_count - began;
    story.push_back("outer goes on");
    co_return got;
}
struct ShieldsCoroutine : Coroutine<ShieldsCoroutine, int, Awaits<Shield<int>>> {
    Plan plan;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(got, shield(ByHand::child(plan)));
        CO_RETURN(got);
        CO_END;
    }
};
Co<int> shields_coroutine(Plan plan) { co_return co_await shield(ByCompiler::child(plan)); }

template <class Author>
class WithChildren : public CombinatorTest {
protected:
    static constexpr bool by_hand = std::is_same_v<Author, ByHand>;

    TaskRef<int> child(const Plan& plan) { return spawn(Author::child(plan)); }
    static auto wait_many(Row tasks, WaitOptions options = {}) {
        if constexpr (by_hand)
            return WaitsMany{.tasks = std::move(tasks), .options = options};
        else
            return waits_many(std::move(tasks), options);
    }
    static auto wait_new() {
        if constexpr (by_hand)
            return WaitsForNew{};
        else
            return waits_for_new();
    }
    static auto wait_for_two(const TaskRef<int>& a, const TaskRef<int>& b) {
        if constexpr (by_hand)
            return WaitsForTwo{.a = a, .b = b};
        else
            return waits_for_two(a, b);
    }
    static auto in_order(Row tasks, std::int64_t timeout_ns = never_ns) {
        if constexpr (by_hand)
            return TakesInOrder{.tasks = std::move(tasks), .timeout_ns = timeout_ns};
        else
            return takes_in_order(std::move(tasks), timeout_ns);
    }
    static auto shielded(const TaskRef<int>& inner) {
        if constexpr (by_hand)
            return Shields{.inner = inner};
        else
            return shields(inner);
    }
    static auto shielded_coroutine(const Plan& plan) {
        if constexpr (by_hand)
            return ShieldsCoroutine{.plan = plan};
        else
            return shields_coroutine(plan);
    }
};

// --- wait ---

template <class Author>
using Waits = WithChildren<Author>;
TYPED_TEST_SUITE(Waits, Authors);

TYPED_TEST(Waits, ForAllGivesCountsWhenTheLastHasEnded) {
    Row tasks{this->child({.delay_ns = 2 * s}), this->child({.delay_ns = 3 * s}),
              this->child({.delay_ns = s})};
    EXPECT_EQ(*this->run(this->wait_many(tasks)), 300);
    EXPECT_EQ(this->elapsed_ns(), 3 * s);
}

TYPED_TEST(Waits, OverTasksThatReturnAtOnceTakesThreeTurns) {
    EXPECT_EQ(*this->run(this->wait_new()), 200);
    EXPECT_EQ(turns_waited, 3u);
}

TYPED_TEST(Waits, WithEverythingDoneAlreadyItStillLetsTheOthersRun) {
    Row tasks{this->child({})};
    this->turn();
    auto outer = this->spawn(this->wait_many(tasks));
    auto other = this->child({.name = "other"});
    EXPECT_EQ(*this->loop.run_until_complete(outer), 100);
    EXPECT_EQ(story, (Story{"child ends", "other ends", "waited"}));
    EXPECT_GE(turns_waited, 1u);
}

TYPED_TEST(Waits, NeverGivesAChildsError) {
    Row tasks{this->child({.delay_ns = s, .fails = ErrorKind::broken_pipe}),
              this->child({.delay_ns = 2 * s})};
    EXPECT_EQ(*this->run(this->wait_many(tasks)), 200);
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
    this->expected_reports = {"a task's error was never retrieved"};
}

TYPED_TEST(Waits, ForTheFirstCompletedWhichMayFail) {
    Row tasks{this->child({.delay_ns = 9 * s}), this->child({.delay_ns = s, .fails = ErrorKind::busy})};
    EXPECT_EQ(*this->run(this->wait_many(tasks, {.return_when = ReturnWhen::first_completed})), 101);
    EXPECT_EQ(tasks[1].result().error().kind, ErrorKind::busy);
    EXPECT_EQ(this->elapsed_ns(), s);
    this->finish();
}

TYPED_TEST(Waits, AllThatHaveEndedByTheTimeTheWaiterRunsAreDone) {
    Row tasks{this->child({.delay_ns = s}), this->child({.delay_ns = s}), this->child({.delay_ns = 9 * s})};
    EXPECT_EQ(*this->run(this->wait_many(tasks, {.return_when = ReturnWhen::first_completed})), 201);
    this->finish();
}

TYPED_TEST(Waits, ForTheFirstExceptionACancelledChildDoesNotCount) {
    Row tasks{this->child({.delay_ns = 9 * s}), this->child({.delay_ns = 3 * s, .fails = ErrorKind::busy}),
              this->child({.delay_ns = 8 * s})};
    this->cancel_at(s, tasks[2]);
    EXPECT_EQ(*this->run(this->wait_many(tasks, {.return_when = ReturnWhen::first_exception})), 201);
    EXPECT_EQ(this->elapsed_ns(), 3 * s);
    EXPECT_FALSE(tasks[1].result());
    this->finish();
}

TYPED_TEST(Waits, ForTheFirstExceptionWithoutAnyWaitsForAll) {
    Row tasks{this->child({.delay_ns = s}), this->child({.delay_ns = 3 * s})};
    EXPECT_EQ(*this->run(this->wait_many(tasks, {.return_when = ReturnWhen::first_exception})), 200);
}

TYPED_TEST(Waits, ATimeoutCancelsNothing) {
    Row tasks{this->child({.delay_ns = s}), this->child({.delay_ns = 5 * s})};
    EXPECT_EQ(*this->run(this->wait_many(tasks, {.timeout_ns = 2 * s})), 101);
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
    EXPECT_EQ(tasks[1].cancel_requests(), 0u);
    this->finish();
    EXPECT_TRUE(tasks[1].result());
}

TYPED_TEST(Waits, ATimeoutAtTheInstantOfCompletionCountsWhatHasEnded) {
    Row tasks{this->child({.delay_ns = 2 * s}), this->child({.delay_ns = 2 * s})};
    EXPECT_EQ(*this->run(this->wait_many(tasks, {.timeout_ns = 2 * s})), 200);
}

TYPED_TEST(Waits, ATimeoutOfNothingGivesWhatIsDone) {
    Row tasks{this->child({}), this->child({.delay_ns = s})};
    EXPECT_EQ(*this->run(this->wait_many(tasks, {.timeout_ns = 0})), 101);
    EXPECT_EQ(this->elapsed_ns(), 0);
    this->finish();
}

TYPED_TEST(Waits, ForNothingIsAnError) {
    EXPECT_EQ(this->run(this->wait_many({})).error().kind, ErrorKind::invalid_argument);
}

TYPED_TEST(Waits, CancellingTheWaiterCancelsNoChild) {
    Row tasks{this->child({.name = "a", .delay_ns = s}), this->child({.name = "b", .delay_ns = 5 * s})};
    auto outer = this->spawn(this->wait_many(tasks, {.timeout_ns = 4 * s}));
    this->cancel_at(2 * s, outer);
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
    this->finish();
    EXPECT_EQ(story, (Story{"a ends", "waited", "b ends"}));
    EXPECT_EQ(tasks[1].cancel_requests(), 0u);
}

TYPED_TEST(Waits, CancelledBetweenTheEndAndItsTurnItIsToldAllTheSame) {
    for (const int turns_later : {0, 1}) {
        auto a = this->child({.delay_ns = s});
        auto outer = this->spawn(this->wait_many({a}));
        this->run_for(s);
        this->turn(turns_later);
        ASSERT_FALSE(outer.done());
        outer.cancel();
        EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    }
}

TYPED_TEST(Waits, ARequestTakenBackBeforeItsTurnLetsItHaveItsResult) {
    auto outer = this->spawn(this->wait_many({this->child({.delay_ns = s})}));
    this->run_for(s);
    this->turn();
    outer.cancel();
    outer.uncancel();
    EXPECT_EQ(*this->loop.run_until_complete(outer), 100);
}

TYPED_TEST(Waits, ARequestThatHasEndedTheWaitIsNotUndone) {
    auto outer = this->spawn(this->wait_many({this->child({.delay_ns = s})}));
    this->turn();
    outer.cancel();
    outer.uncancel();
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    this->finish();
}

TYPED_TEST(Waits, CancelledBeforeItStartsItNeverWaits) {
    auto a = this->child({.delay_ns = s});
    auto outer = this->spawn(this->wait_many({a}));
    outer.cancel();
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    this->finish();
    EXPECT_EQ(story, (Story{"child ends"}));
}

TYPED_TEST(Waits, AChildThatSwallowsACancellationIsDoneWhenItHasEnded) {
    auto a = this->child({.delay_ns = 9 * s, .swallows = true, .cleanup_ns = s});
    this->cancel_at(s, a);
    EXPECT_EQ(*this->run(this->wait_many({a})), 100);
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
}

TYPED_TEST(Waits, AFixedNumberOfTasksByName) {
    EXPECT_EQ(*this->run(this->wait_for_two(this->child({.delay_ns = s}), this->child({.delay_ns = 2 * s}))),
              101);
    EXPECT_EQ(this->elapsed_ns(), s);
    this->finish();
}

TYPED_TEST(Waits, NestedInItself) {
    auto inner = this->spawn(this->wait_many({this->child({.delay_ns = 3 * s})}, {.timeout_ns = s}));
    EXPECT_EQ(*this->run(this->wait_many({inner})), 100);
    EXPECT_EQ(*inner.result(), 1);
    EXPECT_EQ(this->elapsed_ns(), s);
    this->finish();
}

// --- as_completed ---

template <class Author>
using TakesAsCompleted = WithChildren<Author>;
TYPED_TEST_SUITE(TakesAsCompleted, Authors);

TYPED_TEST(TakesAsCompleted, NextFinishedFirst) {
    EXPECT_EQ(*this->run(this->in_order({this->child({.delay_ns = 3 * s, .value = 3}),
                                         this->child({.delay_ns = 1 * s, .value = 1}),
                                         this->child({.delay_ns = 2 * s, .value = 2})})),
              0);
    EXPECT_EQ(story, (Story{"child ends", "1", "child ends", "2", "child ends", "3", "stopped"}));
}

TYPED_TEST(TakesAsCompleted, TiesComeInFinishingOrder) {
    Row tasks{this->child({.delay_ns = 2 * s, .value = 1}), this->child({.delay_ns = s, .value = 2}),
              this->child({.delay_ns = s, .value = 3}), this->child({.value = 4})};
    EXPECT_EQ(*this->run(this->in_order(tasks)), 0);
    EXPECT_EQ(story,
              (Story{"child ends", "4", "child ends", "child ends", "2", "3", "child ends", "1", "stopped"}));
}

TYPED_TEST(TakesAsCompleted, ErrorsAreTheTasksOwnWhoeverFails) {
    EXPECT_EQ(*this->run(this->in_order({this->child({.delay_ns = s, .fails = ErrorKind::busy}),
                                         this->child({.delay_ns = 2 * s, .value = 2}),
                                         this->child({.delay_ns = 3 * s, .fails = ErrorKind::closed})})),
              0);
    EXPECT_EQ(story, (Story{"child ends", "busy", "child ends", "2", "child ends", "closed", "stopped"}));
}

TYPED_TEST(TakesAsCompleted, AtTheTimeoutEachMissingOneGivesTimedOutAndNothingIsCancelled) {
    Row tasks{this->child({.delay_ns = s, .value = 1}), this->child({.delay_ns = 5 * s}),
              this->child({.delay_ns = 6 * s})};
    EXPECT_EQ(*this->run(this->in_order(tasks, 2 * s)), 2);
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
    EXPECT_EQ(story, (Story{"child ends", "1", "timed out", "timed out", "stopped"}));
    this->finish();
    EXPECT_TRUE(tasks[1].result());
    EXPECT_TRUE(tasks[2].result());
}

TYPED_TEST(TakesAsCompleted, WhoEndsAtTheInstantOfTheTimeoutIsMissingIfTheTimeoutWasFirst) {
    // Both timers are due at once: the child's was set first, but its watch has its turn after the timeout's.
    EXPECT_EQ(*this->run(this->in_order({this->child({.delay_ns = 2 * s})}, 2 * s)), 1);
}

TYPED_TEST(TakesAsCompleted, OfNothingStopsAtOnce) {
    EXPECT_EQ(*this->run(this->in_order({})), 0);
    EXPECT_EQ(story, (Story{"stopped"}));
}

TYPED_TEST(TakesAsCompleted, CancellingTheWaiterCancelsNoChild) {
    Row tasks{this->child({.delay_ns = s, .value = 1}), this->child({.delay_ns = 5 * s})};
    auto outer = this->spawn(this->in_order(tasks));
    this->cancel_at(2 * s, outer);
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(story, (Story{"child ends", "1", "cancelled"}));
    EXPECT_EQ(tasks[1].cancel_requests(), 0u);
    this->finish();
}

TYPED_TEST(TakesAsCompleted, ARequestTakenBackBeforeItsTurnLetsItHaveItsResult) {
    auto outer = this->spawn(this->in_order({this->child({.delay_ns = s, .value = 1})}));
    this->run_for(s);
    this->turn();
    outer.cancel();
    outer.uncancel();
    EXPECT_EQ(*this->loop.run_until_complete(outer), 0);
    EXPECT_EQ(story, (Story{"child ends", "1", "stopped"}));
}

TYPED_TEST(TakesAsCompleted, ACancelledChildComesLikeOthers) {
    auto a = this->child({.name = "a", .delay_ns = 5 * s});
    this->cancel_at(s, a);
    EXPECT_EQ(*this->run(this->in_order({a, this->child({.name = "b", .delay_ns = 2 * s, .value = 2})})), 0);
    EXPECT_EQ(story, (Story{"a cancelled", "cancelled", "b ends", "2", "stopped"}));
}

TYPED_TEST(TakesAsCompleted, AChildThatSwallowsACancellationComesWithItsValueWhenItHasEnded) {
    auto a = this->child({.name = "a", .delay_ns = 9 * s, .value = 1, .swallows = true, .cleanup_ns = 2 * s});
    this->cancel_at(s, a);
    EXPECT_EQ(*this->run(this->in_order({a, this->child({.name = "b", .delay_ns = 2 * s, .value = 2})})), 0);
    EXPECT_EQ(story, (Story{"b ends", "2", "a cancelled", "1", "stopped"}));
    EXPECT_EQ(this->elapsed_ns(), 3 * s);
}

TYPED_TEST(TakesAsCompleted, NestedInItself) {
    auto inner = this->spawn(this->in_order({this->child({.delay_ns = s, .value = 1})}));
    EXPECT_EQ(*this->run(this->in_order({inner})), 0);
    EXPECT_EQ(story, (Story{"child ends", "1", "stopped", "0", "stopped"}));
}

// --- shield ---

template <class Author>
using ShieldsTasks = WithChildren<Author>;
TYPED_TEST_SUITE(ShieldsTasks, Authors);

TYPED_TEST(ShieldsTasks, PassesTheValueInThreeTurns) {
    auto inner = this->child({.delay_ns = s, .value = 4});
    EXPECT_EQ(*this->run(this->shielded(inner)), 4);
    auto outer = this->spawn(this->shielded_coroutine({.value = 5}));
    const std::uint32_t turns_before = this->loop.turn_count;
    this->turn();
    while (!outer.done()) this->turn();
    EXPECT_EQ(this->loop.turn_count - turns_before, 4u) << "begun in the first turn, done three later";
    EXPECT_EQ(*outer.result(), 5);
}

TYPED_TEST(ShieldsTasks, PassesAnErrorAndACancellationByOthers) {
    EXPECT_EQ(this->run(this->shielded(this->child({.delay_ns = s, .fails = ErrorKind::busy}))).error().kind,
              ErrorKind::busy);
    auto inner = this->child({.delay_ns = 5 * s});
    auto outer = this->spawn(this->shielded(inner));
    this->cancel_at(s, inner);
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(outer.cancel_requests(), 0u);
}

TYPED_TEST(ShieldsTasks, PassesTheValueOfATaskThatSwallowsACancellation) {
    auto inner =
        this->child({.name = "inner", .delay_ns = 9 * s, .value = 4, .swallows = true, .cleanup_ns = s});
    auto outer = this->spawn(this->shielded(inner));
    this->cancel_at(s, inner);
    EXPECT_EQ(*this->loop.run_until_complete(outer), 4);
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
    EXPECT_EQ(story, (Story{"inner cancelled", "outer goes on"}));
}

TYPED_TEST(ShieldsTasks, OfATaskThatIsDoneIsTheTaskItself) {
    auto inner = this->child({.value = 4});
    this->turn();
    EXPECT_EQ(*this->run(this->shielded(inner)), 4);
    EXPECT_EQ(turns_waited, 0u);
}

TYPED_TEST(ShieldsTasks, CancellingTheOuterLeavesTheTaskUntouched) {
    auto inner = this->child({.name = "inner", .delay_ns = 5 * s, .value = 3});
    auto outer = this->spawn(this->shielded(inner));
    this->cancel_at(s, outer);
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(this->elapsed_ns(), s);
    EXPECT_EQ(inner.cancel_requests(), 0u);
    this->finish();
    EXPECT_EQ(story, (Story{"outer goes on", "inner ends"}));
    EXPECT_EQ(*inner.result(), 3);
}

TYPED_TEST(ShieldsTasks, AfterTheOuterWasCancelledTheTasksErrorCountsAsSeen) {
    auto outer = this->spawn(this->shielded(this->child({.delay_ns = 5 * s, .fails = ErrorKind::busy})));
    this->cancel_at(s, outer);
    EXPECT_FALSE(this->loop.run_until_complete(outer));
    this->finish();
    EXPECT_TRUE(this->reported.empty());
}

TYPED_TEST(ShieldsTasks, CancelledBetweenTheEndAndItsTurnTheOuterIsToldAllTheSame) {
    for (const int turns_later : {0, 1}) {
        auto inner = this->child({.delay_ns = s, .value = 3});
        auto outer = this->spawn(this->shielded(inner));
        this->run_for(s);
        this->turn(turns_later);
        ASSERT_TRUE(inner.done() && !outer.done());
        outer.cancel();
        EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
        EXPECT_EQ(*inner.result(), 3);
    }
}

TYPED_TEST(ShieldsTasks, ARequestTakenBackBeforeItsTurnLetsItHaveItsResult) {
    auto outer = this->spawn(this->shielded(this->child({.delay_ns = s, .value = 3})));
    this->run_for(s);
    this->turn();
    outer.cancel();
    outer.uncancel();
    EXPECT_EQ(*this->loop.run_until_complete(outer), 3);
}

TYPED_TEST(ShieldsTasks, CancelledBeforeItStartsItNeverWaits) {
    auto inner = this->child({.delay_ns = s});
    auto outer = this->spawn(this->shielded(inner));
    outer.cancel();
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    this->finish();
    EXPECT_EQ(story, (Story{"child ends"}));
}

TYPED_TEST(ShieldsTasks, AroundAShieldTheInnermostIsUntouched) {
    auto inner = this->child({.delay_ns = 5 * s, .value = 3});
    auto middle = this->spawn(this->shielded(inner));
    auto outer = this->spawn(this->shielded(middle));
    this->cancel_at(s, outer);
    this->cancel_at(2 * s, middle);
    this->finish();
    EXPECT_TRUE(outer.cancelled() && middle.cancelled());
    EXPECT_EQ(*inner.result(), 3);
}

}  // namespace
