// TaskGroup: when its block ends and with what, errors of children and of the body, cancellation from outside and by
// itself, and what is a mistake. By both authors of frames.
//
// Read next: tests/task_group/groups.h, then tests/task_group/nested_test.cc.
#include "core/combinators/task_group.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/co_await.h"
#include "core/coroutine.h"
#include "core/event_loop.h"
#include "core/sleep.h"
#include "platform/memory.h"
#include "tests/combinators.h"
#include "tests/task_group/groups.h"

using namespace pollard;

namespace {

// --- all succeed ---

TYPED_TEST(Groups, TheEndWaitsForAllChildrenAndTheirValuesStayInTheTasks) {
    EXPECT_TRUE(this->run(this->block_of(
        {{.name = "a", .delay_ns = 2 * s, .value = 1}, {.name = "b", .delay_ns = s, .value = 2}})));
    EXPECT_EQ(story, (Story{"body ends", "b ends", "a ends", "joined"}));
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
    EXPECT_EQ(*seen.children[0].result(), 1);
    EXPECT_EQ(*seen.children[1].result(), 2);
}

TYPED_TEST(Groups, OverTasksThatReturnAtOnceTakesThreeTurns) {
    EXPECT_TRUE(this->run(this->block_of({{}, {}, {}})));
    EXPECT_EQ(turns_waited, 3u);
}

TYPED_TEST(Groups, WithoutChildrenTheEndDoesNotSuspend) {
    EXPECT_TRUE(this->run(this->block_of({})));
    EXPECT_EQ(turns_waited, 0u);
}

TYPED_TEST(Groups, CancelledChildrenAreNoError) {
    auto task =
        this->spawn(this->block_of({{.name = "a", .delay_ns = 9 * s}, {.name = "b", .delay_ns = 2 * s}}));
    this->run_for(s);
    seen.children[0].cancel();
    EXPECT_TRUE(this->loop.run_until_complete(task));
    EXPECT_EQ(story, (Story{"body ends", "a cancelled", "b ends", "joined"}));
}

TYPED_TEST(Groups, ChildrenMayBeAddedWhileItWaits) {
    auto task = this->spawn(this->block_of({{.name = "a", .delay_ns = 2 * s}}));
    this->run_for(s);
    add<TypeParam>(*seen.group, {{.name = "b", .delay_ns = 5 * s}});
    EXPECT_TRUE(this->loop.run_until_complete(task));
    EXPECT_EQ(this->elapsed_ns(), 6 * s);
    EXPECT_EQ(story, (Story{"body ends", "a ends", "b ends", "joined"}));
}

// --- errors ---

TYPED_TEST(Groups, TheFirstChildErrorCancelsTheOthersAndTheWaitingParentOnce) {
    auto task = this->spawn(this->block_of({{.name = "a", .delay_ns = 9 * s},
                                            {.name = "b", .delay_ns = s, .fails = ErrorKind::busy},
                                            {.name = "c", .delay_ns = 9 * s}}));
    const Result<void> done = this->loop.run_until_complete(task);
    EXPECT_EQ(done.error().kind, ErrorKind::group);
    EXPECT_EQ(story,
              (Story{"body ends", "b ends", "a cancelled", "c cancelled", describe(ErrorKind::group)}));
    EXPECT_EQ(seen.errors, (Story{"child: busy"}));
    EXPECT_EQ(task.cancel_requests(), 0u) << "the group takes its request back";
    EXPECT_EQ(this->elapsed_ns(), s);
}

TYPED_TEST(Groups, AChildErrorEndsTheBodyToo) {
    auto task = this->spawn(this->block_of({{.name = "a", .delay_ns = s, .fails = ErrorKind::busy}},
                                           {.name = "body", .delay_ns = 9 * s}));
    EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::group);
    EXPECT_EQ(seen.errors, (Story{"child: busy"}))
        << "the body's cancellation is the group's own: not in the list";
    EXPECT_EQ(task.cancel_requests(), 0u);
    EXPECT_EQ(this->elapsed_ns(), s);
}

TYPED_TEST(Groups, ABodyThatSwallowsTheRequestRunsOnAndTheGroupErrorComesAtTheEnd) {
    EXPECT_EQ(
        this->kind_of(this->block_of({{.name = "a", .delay_ns = s, .fails = ErrorKind::busy}},
                                     {.name = "body", .delay_ns = 9 * s, .swallows = true, .cleanup_ns = s})),
        ErrorKind::group);
    EXPECT_EQ(seen.errors, (Story{"child: busy"}));
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
}

TYPED_TEST(Groups, ErrorsComeInTheOrderInWhichTheChildrenEndedThenTheBodys) {
    EXPECT_EQ(this->kind_of(this->block_of(
                  {{.delay_ns = 9 * s, .fails_when_cancelled = ErrorKind::closed, .cleanup_ns = 2 * s},
                   {.delay_ns = 9 * s, .fails_when_cancelled = ErrorKind::broken_pipe, .cleanup_ns = s},
                   {.delay_ns = s, .fails = ErrorKind::busy}},
                  {.name = "body", .delay_ns = 9 * s, .fails_when_cancelled = ErrorKind::not_found})),
              ErrorKind::group);
    EXPECT_EQ(seen.errors, (Story{std::string("child: ") + describe(ErrorKind::busy),
                                  std::string("child: ") + describe(ErrorKind::broken_pipe),
                                  std::string("child: ") + describe(ErrorKind::closed),
                                  std::string("body: ") + describe(ErrorKind::not_found)}));
    EXPECT_EQ(this->elapsed_ns(), 3 * s);
}

TYPED_TEST(Groups, TheLastMayBeTheOneThatFails) {
    auto task = this->spawn(this->block_of({{.delay_ns = s}, {.delay_ns = 2 * s, .fails = ErrorKind::busy}}));
    EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::group);
    EXPECT_EQ(task.cancel_requests(), 0u);
}

TYPED_TEST(Groups, ABodyErrorAbortsLikewise) {
    auto task = this->spawn(this->block_of({{.name = "a", .delay_ns = 9 * s, .cleanup_ns = s}},
                                           {.name = "body", .delay_ns = s, .fails = ErrorKind::busy}));
    EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::group);
    EXPECT_EQ(story, (Story{"body ends", "a cancelled", describe(ErrorKind::group)}));
    EXPECT_EQ(seen.errors, (Story{"body: busy"}));
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
}

TYPED_TEST(Groups, AChildThatSwallowsTheAbortIsNoError) {
    EXPECT_EQ(this->kind_of(this->block_of({{.delay_ns = 9 * s, .value = 5, .swallows = true},
                                            {.delay_ns = s, .fails = ErrorKind::busy}})),
              ErrorKind::group);
    EXPECT_EQ(seen.errors, (Story{"child: busy"}));
    EXPECT_EQ(*seen.children[0].result(), 5);
}

TYPED_TEST(Groups, ErrorsInAGroupCountAsSeen) {
    EXPECT_EQ(this->kind_of(this->block_of({{.fails = ErrorKind::busy}, {.fails = ErrorKind::closed}})),
              ErrorKind::group);
    EXPECT_EQ(seen.errors.size(), 2u);
    seen = {};
    EXPECT_TRUE(this->reported.empty());
}

// --- cancelled from outside ---

TYPED_TEST(Groups, CancelledFromOutsideItCancelsTheChildrenWaitsForThemAndPassesCancelledOn) {
    auto task = this->spawn(this->block_of({{.name = "a", .delay_ns = 9 * s, .cleanup_ns = 3 * s}}));
    this->cancel_at(s, task);
    this->cancel_at(2 * s, task);
    EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(this->elapsed_ns(), 4 * s);
    EXPECT_EQ(seen.children[0].cancel_requests(), 1u);
    EXPECT_EQ(task.cancel_requests(), 2u);
}

TYPED_TEST(Groups, CancelledInTheBodyFromOutside) {
    auto task =
        this->spawn(this->block_of({{.name = "a", .delay_ns = 9 * s}}, {.name = "body", .delay_ns = 9 * s}));
    this->cancel_at(s, task);
    EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(story, (Story{"body cancelled", "a cancelled", describe(ErrorKind::cancelled)}));
    EXPECT_EQ(task.cancel_requests(), 1u);
}

TYPED_TEST(Groups, TheMessageOfASecondRequestThatFindsItAbortingIsNotKeptForALaterAwait) {
    auto task = this->spawn(this->block_of({{.name = "a", .delay_ns = 9 * s, .cleanup_ns = 3 * s}},
                                           {.name = "body", .delay_ns = 9 * s}));
    this->cancel_at(s, task);
    ASSERT_TRUE(this->loop.call_later([task] { task.cancel("second"); }, 2 * s));
    EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(seen.messages_left, 0u);
}

TYPED_TEST(Groups, CancelledBeforeItStartsNothingRuns) {
    auto task = this->spawn(this->block_of({{}}));
    task.cancel();
    EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::cancelled);
    EXPECT_TRUE(story.empty());
}

TYPED_TEST(Groups, CancelledBetweenTheLastEndAndItsTurnItIsToldAllTheSame) {
    for (const int turns_later : {0, 1}) {
        seen = {};
        auto task = this->spawn(this->block_of({{.delay_ns = s}}));
        this->run_for(s);
        this->turn(turns_later);
        ASSERT_TRUE(seen.children[0].done() && !task.done());
        task.cancel();
        EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::cancelled);
        EXPECT_TRUE(seen.children[0].result());
    }
}

TYPED_TEST(Groups, ARequestTakenBackBeforeItsTurnLetsItHaveItsResult) {
    auto task = this->spawn(this->block_of({{.delay_ns = s}}));
    this->run_for(s);
    this->turn();
    task.cancel();
    task.uncancel();
    EXPECT_TRUE(this->loop.run_until_complete(task));
}

/// Ends its block, then tries to wait.
struct WaitsAfterwards : Coroutine<WaitsAfterwards, void, Awaits<Block, Sleep>> {
    Plans children;
    Result<void> ended;
    Result<void> slept;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(ended, Block{.children = children, .body_plan = {.name = "body"}});
        CO_AWAIT(slept, sleep_ns(s));
        story.push_back(slept ? "slept" : pollard::describe(slept.error().kind));
        CO_RETURN(ended);
        CO_END;
    }
};
Co<void> waits_afterwards(Plans children) {
    const Result<void> ended = co_await block(children, {.name = "body"});
    const Result<void> slept = co_await sleep_ns(s);
    story.push_back(slept ? "slept" : describe(slept.error().kind));
    co_return ended;
}

TYPED_TEST(Groups, WithErrorsTheGroupErrorGoesOutAndTheOutsideRequestIsRenewed) {
    const Plans children{{.name = "a", .delay_ns = 9 * s, .fails_when_cancelled = ErrorKind::busy}};
    const auto check = [&](auto coroutine) {
        auto task = this->spawn(std::move(coroutine));
        this->cancel_at(s, task);
        EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::group);
        EXPECT_EQ(task.cancel_requests(), 1u) << "the count stays as it was";
    };
    if constexpr (TestFixture::by_hand)
        check(WaitsAfterwards{.children = children});
    else
        check(waits_afterwards(children));
    EXPECT_EQ(story, (Story{"body ends", "a cancelled", describe(ErrorKind::group), "cancelled"}));
    EXPECT_EQ(this->elapsed_ns(), s);
}

TYPED_TEST(Groups, ARequestFromOutsideDuringTheAbortStaysAndTheGroupErrorGoesOut) {
    auto task = this->spawn(this->block_of(
        {{.delay_ns = 9 * s, .cleanup_ns = 3 * s}, {.delay_ns = s, .fails = ErrorKind::busy}}));
    this->cancel_at(2 * s, task);
    EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::group);
    EXPECT_EQ(task.cancel_requests(), 1u);
    EXPECT_EQ(this->elapsed_ns(), 4 * s);
}

TYPED_TEST(Groups, WithoutARequestFromOutsideNothingIsRenewed) {
    const Plans children{{.name = "a", .fails = ErrorKind::busy}};
    if constexpr (TestFixture::by_hand)
        EXPECT_EQ(this->kind_of(WaitsAfterwards{.children = children}), ErrorKind::group);
    else
        EXPECT_EQ(this->kind_of(waits_afterwards(children)), ErrorKind::group);
    EXPECT_EQ(story.back(), "slept");
}

// --- create_task at the wrong time ---

TYPED_TEST(Groups, AfterTheEndNoChildIsTakenAndTheCoroutineIsClosedUnstarted) {
    EXPECT_TRUE(this->run(this->block_of({{}})));
    EXPECT_EQ(seen.after.kind, ErrorKind::invalid_state);
    EXPECT_EQ(seen.after.call, Call::create_task);
}

TYPED_TEST(Groups, WhileAbortingNoChildIsTaken) {
    auto task =
        this->spawn(this->block_of({{.delay_ns = 9 * s, .cleanup_ns = 5 * s}, {.fails = ErrorKind::busy}}));
    this->run_for(s);
    EXPECT_TRUE(seen.group->aborting());
    EXPECT_EQ(seen.group->create_task(TypeParam::child({})).error().kind, ErrorKind::invalid_state);
    EXPECT_FALSE(this->loop.run_until_complete(task));
}

TYPED_TEST(Groups, BeforeEnterNoChildIsTaken) {
    TaskGroup group;
    EXPECT_EQ(group.create_task(TypeParam::child({})).error().kind, ErrorKind::invalid_state);
}

// --- eager children ---

TYPED_TEST(Groups, AnEagerChildThatFailsAbortsInItsTurnNotInsideCreateTask) {
    auto task =
        this->spawn(this->block_of({{.name = "a", .delay_ns = 9 * s}}, {.name = "body", .delay_ns = 9 * s}));
    this->run_for(s);
    auto call = this->loop.call_soon([] {
        auto child = seen.group->create_task(TypeParam::child({.name = "eager", .fails = ErrorKind::busy}),
                                             {.eager_start = true});
        EXPECT_TRUE(child && child->done());
        EXPECT_FALSE(seen.group->aborting());
    });
    EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::group);
    EXPECT_EQ(seen.errors, (Story{"child: busy"}));
    EXPECT_EQ(this->elapsed_ns(), s);
}

// --- cancel() ---

TYPED_TEST(Groups, CancelOfTheGroupEndsTheBlockQuietly) {
    for (const std::int64_t body_ns : {std::int64_t{0}, 9 * s}) {
        seen = {};
        auto task = this->spawn(this->block_of({{.delay_ns = 9 * s}}, {.name = "body", .delay_ns = body_ns}));
        this->run_for(s);
        seen.group->cancel();
        seen.group->cancel();
        EXPECT_TRUE(this->loop.run_until_complete(task));
        EXPECT_TRUE(seen.children[0].cancelled());
        EXPECT_EQ(seen.children[0].cancel_requests(), 1u);
        EXPECT_EQ(task.cancel_requests(), 0u);
    }
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
}

TYPED_TEST(Groups, CancelOfTheGroupAndARequestFromOutsideCancelledGoesOut) {
    auto task = this->spawn(this->block_of({{.delay_ns = 9 * s, .cleanup_ns = s}}, {.delay_ns = 9 * s}));
    this->run_for(s);
    seen.group->cancel();
    task.cancel();
    EXPECT_EQ(this->loop.run_until_complete(task).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(task.cancel_requests(), 1u);
}

struct CancelledEarly : Coroutine<CancelledEarly, void, Awaits<Sleep, TaskGroup::Join>> {
    TaskGroup group;
    Result<void> done;
    Progress body() {
        CO_BEGIN;
        group.cancel();
        group.enter();
        CO_AWAIT(done, sleep_ns(9 * s));
        story.push_back(pollard::describe(done.error().kind));
        CO_AWAIT(done, group.join(done.error()));
        CO_RETURN(done);
        CO_END;
    }
};
Co<void> cancelled_early() {
    TaskGroup group;
    group.cancel();
    group.enter();
    const Result<void> slept = co_await sleep_ns(9 * s);
    story.push_back(describe(slept.error().kind));
    co_return co_await group.join(slept.error());
}

TYPED_TEST(Groups, CancelBeforeEnterHitsTheFirstSuspension) {
    if constexpr (TestFixture::by_hand)
        EXPECT_TRUE(this->run(CancelledEarly{}));
    else
        EXPECT_TRUE(this->run(cancelled_early()));
    EXPECT_EQ(story, (Story{"cancelled"}));
    EXPECT_EQ(this->elapsed_ns(), 0);
}

// --- what it says, and what it takes ---

TEST_F(GroupsInGroups, SayWhichChildrenTheyWaitFor) {
    auto task = spawn(Block{.children = {{.delay_ns = s}, {.delay_ns = 3 * s}}, .body_plan = {}});
    run_for(2 * s);
    const Text text = describe(task.state().root());
    EXPECT_NE(text.view().find("1 task: " + std::string(name_of(seen.children[1].state()).view())),
              std::string_view::npos)
        << text.c_str();
    finish();
}

TEST_F(GroupsInGroups, AllocateNothingButTheirTasks) {
    std::uint64_t allocations = 0;
    for (int i = 0; i < 10; ++i) {
        seen = {};
        allocations = memory_counters().allocations;
        EXPECT_FALSE(
            run(Block{.children = {{}, {.fails = ErrorKind::busy}, {.delay_ns = s}}, .body_plan = {}}));
    }
    EXPECT_EQ(memory_counters().allocations, allocations);
}

// --- mistakes ---

struct EntersTwice : Coroutine<EntersTwice, void, Awaits<TaskGroup::Join>> {
    TaskGroup group;
    Progress body() {
        CO_BEGIN;
        group.enter();
        EXPECT_DEATH(group.enter(), "entered once only");
        CO_TRY(group.join());
        EXPECT_DEATH((void)group.join().start(*this), "joined once only");
        CO_END;
    }
};
struct Forgets : Coroutine<Forgets, void, Awaits<TaskGroup::Join>> {
    std::optional<TaskGroup> group;
    Progress body() {
        CO_BEGIN;
        group.emplace();
        group->enter();
        EXPECT_TRUE(group->create_task(ByHand::child({})));
        EXPECT_DEATH(group.reset(), "await join");
        CO_TRY(group->join());
        CO_END;
    }
};

TEST_F(GroupsInGroups, EnteringOrJoiningTwiceHasASentence) { EXPECT_TRUE(run(EntersTwice{})); }
TEST_F(GroupsInGroups, LeavingWithoutJoiningHasASentence) { EXPECT_TRUE(run(Forgets{})); }
TEST_F(GroupsInGroups, EnteringOutsideATaskHasASentence) {
    TaskGroup group;
    EXPECT_DEATH(group.enter(), "needs a task");
}

}  // namespace
