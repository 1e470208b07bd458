// timeout, timeout_at, TimeoutScope and wait_for: every rule of them, with both authors of frames.
#include "core/combinators/timeout.h"

#include "core/combinators/gather.h"
#include "core/combinators/shield.h"
#include "core/combinators/wait_for.h"
#include "tests/combinators.h"

using namespace pollard;

namespace {

Result<int> note(Result<int> ended) {
    story.push_back(ended ? "value" : describe(ended.error().kind));
    return ended;
}

/// A timeout around a child frame, and one around that.
struct Limits : Coroutine<Limits, int, Awaits<Timeout<HandWrittenChild>>> {
    Plan plan;
    std::int64_t delay_ns = 0;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(got, timeout(delay_ns, ByHand::child(plan)));
        CO_RETURN(note(got));
        CO_END;
    }
};
Co<int> limits(Plan plan, std::int64_t delay_ns) {
    Result<int> got = co_await timeout(delay_ns, ByCompiler::child(plan));
    co_return note(got);
}
struct LimitsTwice : Coroutine<LimitsTwice, int, Awaits<Timeout<Limits>>> {
    Plan plan;
    std::int64_t inner_ns = 0;
    std::int64_t outer_ns = 0;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(got, timeout(outer_ns, Limits{.plan = plan, .delay_ns = inner_ns}));
        CO_RETURN(note(got));
        CO_END;
    }
};
Co<int> limits_twice(Plan plan, std::int64_t inner_ns, std::int64_t outer_ns) {
    Result<int> got = co_await timeout(outer_ns, limits(plan, inner_ns));
    co_return note(got);
}

/// A child in a scope, which is told of from outside.
struct Scoped : Coroutine<Scoped, int, Awaits<HandWrittenChild, Sleep>> {
    Plan plan;
    std::int64_t delay_ns = 0;
    TimeoutScope** seen = nullptr;
    TimeoutScope limit;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        if (seen != nullptr) *seen = &limit;
        limit.enter(delay_ns);
        CO_AWAIT(got, ByHand::child(plan));
        got = note(limit.exit(got));
        CO_TRY(sleep_ns(0));
        CO_RETURN(got);
        CO_END;
    }
};
Co<int> scoped(Plan plan, std::int64_t delay_ns, TimeoutScope** seen) {
    TimeoutScope limit;
    if (seen != nullptr) *seen = &limit;
    limit.enter(delay_ns);
    Result<int> got = co_await ByCompiler::child(plan);
    got = note(limit.exit(got));
    if (const Result<void> turned = co_await sleep_ns(0); !turned) co_return turned.error();
    co_return got;
}

struct WaitsForChild : Coroutine<WaitsForChild, int, Awaits<WaitFor<HandWrittenChild>>> {
    Plan plan;
    std::int64_t timeout_ns = 0;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(got, wait_for(ByHand::child(plan), timeout_ns));
        CO_RETURN(note(got));
        CO_END;
    }
};
Co<int> waits_for_child(Plan plan, std::int64_t timeout_ns) {
    Result<int> got = co_await wait_for(ByCompiler::child(plan), timeout_ns);
    co_return note(got);
}
struct WaitsForTask : Coroutine<WaitsForTask, int, Awaits<WaitFor<TaskRef<int>&>>> {
    TaskRef<int> task;
    std::int64_t timeout_ns = 0;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(got, wait_for(task, timeout_ns));
        CO_RETURN(note(got));
        CO_END;
    }
};
Co<int> waits_for_task(TaskRef<int> task, std::int64_t timeout_ns) {
    Result<int> got = co_await wait_for(task, timeout_ns);
    co_return note(got);
}

struct Shielded : Coroutine<Shielded, int, Awaits<Timeout<Shield<int>>>> {
    TaskRef<int> task;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(got, timeout(s, [this] { return shield(task); }));
        CO_RETURN(note(got));
        CO_END;
    }
};
Co<int> shielded(TaskRef<int> task) {
    Result<int> got = co_await timeout(s, [&] { return shield(task); });
    co_return note(got);
}

/// What runs by itself, with no time: a shield, or a gather.
struct HasNoTime : Coroutine<HasNoTime, int, Awaits<WaitFor<Shield<int>>, WaitFor<Gather<int>>>> {
    TaskRef<int> task;
    bool gathers;
    Result<int> got;
    Result<Gather<int>::Values> gathered;
    Progress body() {
        CO_BEGIN;
        if (gathers) {
            CO_AWAIT(gathered, wait_for([this] { return gather(task); }, 0));
            got = gathered ? Result<int>(std::get<0>(*gathered)) : Result<int>(gathered.error());
        } else {
            CO_AWAIT(got, wait_for([this] { return shield(task); }, 0));
        }
        CO_RETURN(note(got));
        CO_END;
    }
};
Co<int> has_no_time(TaskRef<int> task, bool gathers) {
    if (!gathers) {
        Result<int> got = co_await wait_for([&] { return shield(task); }, 0);
        co_return note(got);
    }
    auto gathered = co_await wait_for([&] { return gather(task); }, 0);
    Result<int> got = gathered ? Result<int>(std::get<0>(*gathered)) : Result<int>(gathered.error());
    co_return note(got);
}

template <class Author>
class Timeouts : public CombinatorTest {
protected:
    static constexpr bool by_hand = std::is_same_v<Author, ByHand>;

    TaskRef<int> child(const Plan& plan) { return spawn(Author::child(plan)); }
    static auto limited(const Plan& plan, std::int64_t delay_ns) {
        if constexpr (by_hand)
            return Limits{.plan = plan, .delay_ns = delay_ns};
        else
            return limits(plan, delay_ns);
    }
    static auto twice(const Plan& plan, std::int64_t inner_ns, std::int64_t outer_ns) {
        if constexpr (by_hand)
            return LimitsTwice{.plan = plan, .inner_ns = inner_ns, .outer_ns = outer_ns};
        else
            return limits_twice(plan, inner_ns, outer_ns);
    }
    static auto in_scope(const Plan& plan, std::int64_t delay_ns, TimeoutScope** seen = nullptr) {
        if constexpr (by_hand)
            return Scoped{.plan = plan, .delay_ns = delay_ns, .seen = seen};
        else
            return scoped(plan, delay_ns, seen);
    }
    static auto wait_child(const Plan& plan, std::int64_t timeout_ns) {
        if constexpr (by_hand)
            return WaitsForChild{.plan = plan, .timeout_ns = timeout_ns};
        else
            return waits_for_child(plan, timeout_ns);
    }
    static auto wait_task(const TaskRef<int>& task, std::int64_t timeout_ns) {
        if constexpr (by_hand)
            return WaitsForTask{.task = task, .timeout_ns = timeout_ns};
        else
            return waits_for_task(task, timeout_ns);
    }
    static auto no_time(const TaskRef<int>& task, bool gathers) {
        if constexpr (by_hand)
            return HasNoTime{.task = task, .gathers = gathers};
        else
            return has_no_time(task, gathers);
    }
    static auto behind_shield(const TaskRef<int>& task) {
        if constexpr (by_hand)
            return Shielded{.task = task};
        else
            return shielded(task);
    }
    template <class C>
    ErrorKind kind_of(C coroutine) {
        return run(std::move(coroutine)).error().kind;
    }
};
TYPED_TEST_SUITE(Timeouts, Authors);

// --- the block ---

TYPED_TEST(Timeouts, WhatEndsInTimeGivesItsValueAndTheTimerGoes) {
    EXPECT_EQ(*this->run(this->limited({.delay_ns = s, .value = 4}, 2 * s)), 4);
    EXPECT_EQ(*this->run(this->limited({.value = 5}, 2 * s)), 5);
    EXPECT_EQ(this->elapsed_ns(), s);
}

TYPED_TEST(Timeouts, AnErrorOfItsOwnIsKept) {
    EXPECT_EQ(this->kind_of(this->limited({.delay_ns = s, .fails = ErrorKind::busy}, 2 * s)),
              ErrorKind::busy);
    EXPECT_EQ(
        this->kind_of(this->limited({.delay_ns = 5 * s, .fails_when_cancelled = ErrorKind::busy}, 2 * s)),
        ErrorKind::busy);
}

TYPED_TEST(Timeouts, AtTheDeadlineTheBodyIsCancelledAndItIsTimedOut) {
    auto task = this->spawn(this->limited({.delay_ns = 5 * s}, 2 * s));
    EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::timed_out);
    EXPECT_EQ(task.cancel_requests(), 0u) << "the timeout takes its request back";
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
    EXPECT_EQ(story, (Story{"child cancelled", "timed out"}));
}

TYPED_TEST(Timeouts, TheBodyMayTakeItsTimeToEnd) {
    EXPECT_EQ(this->kind_of(this->limited({.delay_ns = 5 * s, .cleanup_ns = 3 * s}, 2 * s)),
              ErrorKind::timed_out);
    EXPECT_EQ(this->elapsed_ns(), 5 * s);
}

TYPED_TEST(Timeouts, SwallowedItIsNoErrorButExpired) {
    TimeoutScope* limit = nullptr;
    auto task = this->spawn(
        this->in_scope({.delay_ns = 5 * s, .value = 4, .swallows = true, .cleanup_ns = s}, 2 * s, &limit));
    this->run_for(2 * s);
    EXPECT_TRUE(limit->expired());
    EXPECT_EQ(*this->loop.run_until_complete(task), 4);
    EXPECT_EQ(task.cancel_requests(), 0u);
    EXPECT_EQ(story, (Story{"child cancelled", "value"}));
}

TYPED_TEST(Timeouts, AScopeAroundAnAwaitDoesTheSame) {
    EXPECT_EQ(this->kind_of(this->in_scope({.delay_ns = 5 * s}, 2 * s)), ErrorKind::timed_out);
    EXPECT_EQ(*this->run(this->in_scope({.delay_ns = s, .value = 3}, 2 * s)), 3);
    EXPECT_EQ(this->elapsed_ns(), 3 * s);
}

TYPED_TEST(Timeouts, AZeroDeadlineHitsAtTheFirstSuspension) {
    for (const std::int64_t delay_ns : {std::int64_t{0}, -s})
        EXPECT_EQ(this->kind_of(this->limited({.delay_ns = 5 * s}, delay_ns)), ErrorKind::timed_out);
    EXPECT_EQ(this->elapsed_ns(), 0);
}

TYPED_TEST(Timeouts, AZeroDeadlineDoesNotHitABodyWithoutSuspension) {
    EXPECT_EQ(*this->run(this->limited({.value = 6}, 0)), 6);
}

TYPED_TEST(Timeouts, AtTheSameInstantWhatWasSetFirstIsFirst) {
    // The timeout's timer was set before the child's.
    EXPECT_EQ(this->kind_of(this->limited({.delay_ns = 2 * s}, 2 * s)), ErrorKind::timed_out);
    EXPECT_EQ(story, (Story{"child cancelled", "timed out"}));
}

TYPED_TEST(Timeouts, AnOutsideRequestOnTopGoesOut) {
    auto task = this->spawn(this->limited({.delay_ns = 9 * s, .cleanup_ns = 3 * s}, 2 * s));
    this->cancel_at(3 * s, task);
    EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(task.cancel_requests(), 1u);
    EXPECT_EQ(story, (Story{"child cancelled", "cancelled"}));
}

TYPED_TEST(Timeouts, AnOutsideRequestAloneGoesOut) {
    auto task = this->spawn(this->limited({.delay_ns = 9 * s}, 5 * s));
    this->cancel_at(s, task);
    EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(this->elapsed_ns(), s);
}

TYPED_TEST(Timeouts, CancelledBeforeItStartsNothingRuns) {
    auto task = this->spawn(this->limited({.delay_ns = 9 * s}, 5 * s));
    task.cancel();
    EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::cancelled);
    EXPECT_TRUE(story.empty());
}

TYPED_TEST(Timeouts, ARequestSwallowedBeforeDoesNotCountAgainstIt) {
    // The task's count is 1 already when the timeout is entered.
    auto task = this->spawn(this->twice({.delay_ns = 9 * s, .swallows = true}, never_ns, 2 * s));
    this->turn();
    task.cancel();
    EXPECT_TRUE(this->loop.run_until_complete(task));
    EXPECT_EQ(task.cancel_requests(), 1u);
}

TYPED_TEST(Timeouts, NestedTheInnerOneFirst) {
    EXPECT_EQ(this->kind_of(this->twice({.delay_ns = 9 * s}, 2 * s, 5 * s)), ErrorKind::timed_out);
    EXPECT_EQ(story, (Story{"child cancelled", "timed out", "timed out"}))
        << "the second is the first's, passed on";
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
}

TYPED_TEST(Timeouts, NestedTheOuterOneFirst) {
    EXPECT_EQ(this->kind_of(this->twice({.delay_ns = 9 * s}, 5 * s, 2 * s)), ErrorKind::timed_out);
    EXPECT_EQ(story, (Story{"child cancelled", "cancelled", "timed out"}));
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
}

TYPED_TEST(Timeouts, NestedWithTheSameDeadlineTheInnerPassesCancelledAndTheOuterGivesTimedOut) {
    auto task = this->spawn(this->twice({.delay_ns = 9 * s, .cleanup_ns = s}, 2 * s, 2 * s));
    this->run_for(2 * s);
    EXPECT_EQ(task.cancel_requests(), 2u) << "both fire";
    EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::timed_out);
    EXPECT_EQ(story, (Story{"child cancelled", "cancelled", "timed out"}));
    EXPECT_EQ(task.cancel_requests(), 0u);
}

TYPED_TEST(Timeouts, BehindAShieldTheTaskGoesOn) {
    auto inner = this->child({.delay_ns = 5 * s, .value = 8});
    EXPECT_EQ(this->kind_of(this->behind_shield(inner)), ErrorKind::timed_out);
    EXPECT_EQ(this->elapsed_ns(), s);
    this->finish();
    EXPECT_EQ(*inner.result(), 8);
}

TYPED_TEST(Timeouts, RescheduleMovesTheDeadlineAsLongAsItIsActive) {
    TimeoutScope* limit = nullptr;
    auto task = this->spawn(this->in_scope({.delay_ns = 9 * s, .cleanup_ns = s}, 2 * s, &limit));
    this->run_for(s);
    EXPECT_EQ(limit->when_ns(), this->began_ns + 2 * s);
    EXPECT_TRUE(limit->reschedule(never_ns));
    this->run_for(2 * s);
    EXPECT_FALSE(limit->expired());
    EXPECT_TRUE(limit->reschedule(this->loop.time_ns() + s));
    this->run_for(s);
    EXPECT_TRUE(limit->expired());
    const Result<void> late = limit->reschedule(never_ns);
    EXPECT_EQ(late.error().kind, ErrorKind::invalid_state);
    EXPECT_EQ(late.error().call, Call::reschedule);
    EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::timed_out);
    EXPECT_EQ(this->elapsed_ns(), 5 * s);
}

TYPED_TEST(Timeouts, RescheduledIntoThePastItHitsInTheNextTurn) {
    TimeoutScope* limit = nullptr;
    auto task = this->spawn(this->in_scope({.delay_ns = 9 * s}, 5 * s, &limit));
    this->run_for(s);
    EXPECT_TRUE(limit->reschedule(this->began_ns));
    EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::timed_out);
    EXPECT_EQ(this->elapsed_ns(), s);
}

TYPED_TEST(Timeouts, BeforeItIsEnteredAndAfterItWasLeftItCannotBeRescheduled) {
    TimeoutScope limit;
    EXPECT_EQ(limit.reschedule(s).error().kind, ErrorKind::invalid_state);
    TimeoutScope* used = nullptr;
    auto task = this->spawn(this->in_scope({}, s, &used));
    this->turn();
    EXPECT_EQ(used->reschedule(2 * s).error().kind, ErrorKind::invalid_state);
    EXPECT_FALSE(used->expired());
    EXPECT_TRUE(this->loop.run_until_complete(task));
}

TYPED_TEST(Timeouts, ATimedOutFrameStandsInItsChainAndSaysHowMuchTimeIsLeft) {
    auto task = this->spawn(this->limited({.delay_ns = 9 * s}, 5 * s));
    this->run_for(s);
    Frame& root = task.state().root();
    const Text text = describe(root);
    EXPECT_NE(text.view().find("4.000 s left"), std::string_view::npos) << text.c_str();
    Frame* inner = child_of(root);
    ASSERT_NE(inner, nullptr);
    EXPECT_EQ(inner->waiter, &root);
    EXPECT_EQ(innermost(root), inner);
    this->finish();
}

// --- wait_for ---

TYPED_TEST(Timeouts, WaitForWithoutALimitIsAPlainAwait) {
    EXPECT_EQ(*this->run(this->wait_child({.delay_ns = 5 * s, .value = 3}, never_ns)), 3);
    EXPECT_EQ(*this->run(this->wait_task(this->child({.delay_ns = 5 * s, .value = 3}), never_ns)), 3);
}

TYPED_TEST(Timeouts, WaitForWithNoTimeGivesTheValueOfWhatIsDone) {
    auto task = this->child({.value = 3});
    this->turn();
    EXPECT_EQ(*this->run(this->wait_task(task, 0)), 3);
    EXPECT_EQ(*this->run(this->wait_task(task, -s)), 3);
}

TYPED_TEST(Timeouts, WaitForWithNoTimeNeverBeginsACoroutine) {
    EXPECT_EQ(this->kind_of(this->wait_child({.value = 3}, 0)), ErrorKind::timed_out);
    EXPECT_EQ(story, (Story{"timed out"}));
}

TYPED_TEST(Timeouts, WaitForWithNoTimeCancelsATaskAndWaitsForItsEnd) {
    auto task = this->child({.delay_ns = 9 * s, .cleanup_ns = s});
    this->turn();
    EXPECT_EQ(this->kind_of(this->wait_task(task, 0)), ErrorKind::timed_out);
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(this->elapsed_ns(), s);
    auto stubborn = this->child({.delay_ns = 9 * s, .value = 2, .swallows = true, .cleanup_ns = s});
    this->turn();
    EXPECT_EQ(*this->run(this->wait_task(stubborn, 0)), 2);
    auto failing = this->child({.delay_ns = 9 * s, .fails_when_cancelled = ErrorKind::busy});
    this->turn();
    EXPECT_EQ(this->kind_of(this->wait_task(failing, 0)), ErrorKind::busy);
}

TYPED_TEST(Timeouts, WaitForWithNoTimeGivesTheErrorOfWhatIsDoneAlsoCancelled) {
    auto failed = this->child({.fails = ErrorKind::busy});
    auto cancelled = this->child({.delay_ns = s});
    cancelled.cancel();
    this->turn();
    EXPECT_EQ(this->kind_of(this->wait_task(failed, 0)), ErrorKind::busy);
    EXPECT_EQ(this->kind_of(this->wait_task(cancelled, 0)), ErrorKind::cancelled)
        << "it was no deadline's doing";
}

TYPED_TEST(Timeouts, WaitForWithNoTimeOfAShieldLeavesTheTaskUntouched) {
    auto task = this->child({.delay_ns = 2 * s, .value = 3});
    this->turn();
    EXPECT_EQ(this->kind_of(this->no_time(task, false)), ErrorKind::timed_out);
    EXPECT_EQ(this->elapsed_ns(), 0);
    this->finish();
    EXPECT_EQ(*this->run(this->no_time(task, false)), 3);
}

TYPED_TEST(Timeouts, WaitForWithNoTimeOfAGatherCancelsItsChildrenAndWaitsForThem) {
    auto task = this->child({.delay_ns = 9 * s, .cleanup_ns = 2 * s});
    this->turn();
    EXPECT_EQ(this->kind_of(this->no_time(task, true)), ErrorKind::timed_out);
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
    EXPECT_TRUE(task.cancelled());
    auto done = this->child({.value = 3});
    this->turn();
    EXPECT_EQ(*this->run(this->no_time(done, true)), 3);
}

TYPED_TEST(Timeouts, CancelledWhileWaitForWithNoTimeWaitsForTheEnd) {
    auto task = this->child({.delay_ns = 9 * s, .cleanup_ns = 5 * s});
    this->turn();
    auto outer = this->spawn(this->wait_task(task, 0));
    this->cancel_at(s, outer);
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(this->elapsed_ns(), s);
    EXPECT_EQ(task.cancel_requests(), 1u);
    this->finish();
}

TYPED_TEST(Timeouts, WaitForAtTheDeadlineCancelsAndWaitsUntilItHasEnded) {
    auto task = this->child({.delay_ns = 9 * s, .cleanup_ns = 3 * s});
    EXPECT_EQ(this->kind_of(this->wait_task(task, 2 * s)), ErrorKind::timed_out);
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(this->elapsed_ns(), 5 * s);
    EXPECT_EQ(this->kind_of(this->wait_child({.delay_ns = 9 * s, .cleanup_ns = 3 * s}, 2 * s)),
              ErrorKind::timed_out);
    EXPECT_EQ(this->elapsed_ns(), 10 * s);
}

TYPED_TEST(Timeouts, WaitForGivesTheValueThatCameAfterAll) {
    const Plan stubborn{.delay_ns = 9 * s, .value = 2, .swallows = true, .cleanup_ns = s};
    EXPECT_EQ(*this->run(this->wait_task(this->child(stubborn), 2 * s)), 2);
    EXPECT_EQ(*this->run(this->wait_child(stubborn, 2 * s)), 2);
}

TYPED_TEST(Timeouts, WaitForGivesTheErrorThatCameInstead) {
    const Plan failing{.delay_ns = 9 * s, .fails_when_cancelled = ErrorKind::busy};
    EXPECT_EQ(this->kind_of(this->wait_task(this->child(failing), 2 * s)), ErrorKind::busy);
    EXPECT_EQ(this->kind_of(this->wait_child(failing, 2 * s)), ErrorKind::busy);
}

TYPED_TEST(Timeouts, CancellingWhoWaitsForCancelsWhatIsWaitedFor) {
    auto task = this->child({.delay_ns = 9 * s});
    auto outer = this->spawn(this->wait_task(task, 5 * s));
    this->cancel_at(s, outer);
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    EXPECT_TRUE(task.cancelled());
}

TYPED_TEST(Timeouts, WaitForAroundWaitFor) {
    auto inner = this->spawn(this->wait_child({.delay_ns = 9 * s}, 2 * s));
    EXPECT_EQ(this->kind_of(this->wait_task(inner, 2 * s)), ErrorKind::timed_out);
    EXPECT_TRUE(inner.cancelled()) << "it was asked twice: by its own timeout and by the outer one";
}

// --- an operation that wins against the request ---

/// Like a kernel operation whose result is there already: too late to cancel, the true result comes.
struct TooLateToCancel {
    Sleep until;
    bool start(Frame& waiter) { return until.start(waiter); }
    bool failed() const { return until.failed(); }
    Result<void> result() const { return until.result(); }
    static CancelOutcome cancel() { return CancelOutcome::refused; }
    void abandon() { until.abandon(); }
    void describe(Text& text) const { until.describe(text); }
};

Co<int> wins(std::int64_t then_ns) {
    auto won = co_await timeout(s, [] { return TooLateToCancel{sleep_ns(2 * s)}; });
    story.push_back(won ? "won" : "lost");
    if (const Result<void> slept = co_await sleep_ns(then_ns); !slept) co_return slept.error();
    co_return 1;
}
Co<int> wins_inside(std::int64_t delay_ns) {
    TimeoutScope limit;
    limit.enter(delay_ns);
    (void)co_await in_place([] { return ByHand::child({.name = "before"}); });
    const Result<void> won = co_await TooLateToCancel{sleep_ns(2 * s)};
    story.push_back(won ? "won" : "lost");
    const Result<void> slept = co_await sleep_ns(s);
    co_return limit.exit(slept ? Result<int>(1) : Result<int>(slept.error()));
}
Co<int> limits_hand_written(Plan plan) {
    co_return co_await timeout(s, [&] { return ByHand::child(plan); });
}

class TimeoutsAndOperations : public CombinatorTest {};

TEST_F(TimeoutsAndOperations, TheResultOfAnOperationThatWonIsKeptAndTheRequestTakenBack) {
    auto task = spawn(wins(s));
    EXPECT_EQ(*loop.run_until_complete(task), 1);
    EXPECT_EQ(task.cancel_requests(), 0u);
    EXPECT_EQ(elapsed_ns(), 3 * s);
}

TEST_F(TimeoutsAndOperations, TheRequestMeetsTheNextAwaitOfTheSameBody) {
    EXPECT_EQ(run(wins_inside(s)).error().kind, ErrorKind::timed_out);
    EXPECT_EQ(story, (Story{"before ends", "won"}));
    EXPECT_EQ(elapsed_ns(), 2 * s);
}

TEST_F(TimeoutsAndOperations, ACompilersFrameLimitsAHandWrittenOneThatALambdaMakesInPlace) {
    EXPECT_EQ(run(limits_hand_written({.delay_ns = 5 * s})).error().kind, ErrorKind::timed_out);
    EXPECT_EQ(*run(limits_hand_written({.value = 5})), 5);
}

// --- mistakes ---

class TimeoutMistakes : public CombinatorTest {};

TEST_F(TimeoutMistakes, OutsideATaskHasASentence) {
    TimeoutScope limit;
    EXPECT_DEATH(limit.enter_at(s), "needs a task");
}

struct EntersTwice : Coroutine<EntersTwice> {
    TimeoutScope limit;
    Progress body() {
        CO_BEGIN;
        limit.enter(s);
        EXPECT_DEATH(limit.enter(s), "entered once only");
        CO_RETURN(limit.exit(Result<void>()));
        CO_END;
    }
};

TEST_F(TimeoutMistakes, EnteringTwiceHasASentence) { EXPECT_TRUE(run(EntersTwice{})); }

}  // namespace
