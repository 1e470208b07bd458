// TaskGroup: every rule of it, with both authors of frames.
#include "core/combinators/task_group.h"

#include "core/combinators/gather.h"
#include "core/combinators/timeout.h"
#include "tests/combinators.h"

using namespace pollard;

namespace {

using Plans = std::vector<Plan>;

/// What a driver left for the test to look at.
struct Seen {
    std::vector<TaskRef<int>> children;
    TaskGroup* group = nullptr;
    std::vector<std::string> errors;  // "child: busy", "body: closed"
    Error after;                      // of a create_task when all was over
    std::uint32_t messages_left = 0;  // of requests, that the task still keeps
};
Seen seen;

template <class Author>
void add(TaskGroup& group, const Plans& plans) {
    for (const Plan& plan : plans) {
        auto task = group.create_task(Author::child(plan));
        EXPECT_TRUE(task) << describe(task.error()).c_str();
        if (task) seen.children.push_back(*task);
    }
}
/// How the block ended: what join gave, with the errors told.
template <class Author>
Result<void> note(TaskGroup& group, Result<void> done) {
    story.push_back(done ? "joined" : describe(done.error().kind));
    for (const TaskGroup::Errors::Item& item : group.errors())
        seen.errors.push_back(std::string(item.task == nullptr ? "body" : "child") + ": " +
                              describe(item.error.kind));
    seen.after = group.create_task(Author::child({.name = "late"})).error();
    seen.messages_left = current_scheduler->cancel_messages;
    return done;
}

/// Children, and a body that ends by its own plan.
struct Block : Coroutine<Block, void, Awaits<HandWrittenChild, TaskGroup::Join>> {
    Plans children;
    Plan body_plan;
    TaskGroup group;
    std::uint32_t began = 0;
    Result<int> body_ended;
    Result<void> done;
    Progress body() {
        CO_BEGIN;
        seen.group = &group;
        group.enter();
        add<ByHand>(group, children);
        CO_AWAIT(body_ended, ByHand::child(body_plan));
        began = running_loop().turn_count;
        CO_AWAIT(done, group.join(body_ended.error()));
        turns_waited = running_loop().turn_count - began;
        CO_RETURN(note<ByHand>(group, done));
        CO_END;
    }
};
Co<void> block(Plans children, Plan body_plan) {
    TaskGroup group;
    seen.group = &group;
    group.enter();
    add<ByCompiler>(group, children);
    const Result<int> body_ended = co_await ByCompiler::child(body_plan);
    const std::uint32_t began = running_loop().turn_count;
    const Result<void> done = co_await group.join(body_ended.error());
    turns_waited = running_loop().turn_count - began;
    co_return note<ByCompiler>(group, done);
}

/// The same as a block around a coroutine.
struct BodyOfBlock : Coroutine<BodyOfBlock, void, Awaits<HandWrittenChild>> {
    TaskGroup* group = nullptr;
    Plans children;
    Plan plan;
    Result<int> ended;
    Progress body() {
        CO_BEGIN;
        add<ByHand>(*group, children);
        CO_AWAIT(ended, ByHand::child(plan));
        if (!ended) CO_RETURN(ended.error());
        CO_END;
    }
};
Co<void> body_of_block(TaskGroup& group, Plans children, Plan plan) {
    add<ByCompiler>(group, children);
    const Result<int> ended = co_await ByCompiler::child(plan);
    co_return ended ? Result<void>() : Result<void>(ended.error());
}
struct Around : Coroutine<Around, void, Awaits<WithGroup<BodyOfBlock>>> {
    Plans children;
    Plan plan;
    TaskGroup group;
    Result<void> done;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(done, with_group(group, BodyOfBlock{.group = &group, .children = children, .plan = plan}));
        CO_RETURN(note<ByHand>(group, done));
        CO_END;
    }
};
Co<void> around(Plans children, Plan plan) {
    TaskGroup group;
    const Result<void> done =
        co_await in_place([&] { return with_group(group, body_of_block(group, children, plan)); });
    co_return note<ByCompiler>(group, done);
}

template <class Author>
class Groups : public CombinatorTest {
protected:
    static constexpr bool by_hand = std::is_same_v<Author, ByHand>;

    void SetUp() override {
        seen = {};
        CombinatorTest::SetUp();
    }
    void TearDown() override {
        seen = {};
        CombinatorTest::TearDown();
    }
    static auto block_of(const Plans& children, const Plan& body = {.name = "body"}) {
        if constexpr (by_hand)
            return Block{.children = children, .body_plan = body};
        else
            return block(children, body);
    }
    static auto around_body(const Plans& children, const Plan& body = {.name = "body"}) {
        if constexpr (by_hand)
            return Around{.children = children, .plan = body};
        else
            return around(children, body);
    }
    template <class C>
    ErrorKind kind_of(C coroutine) {
        return run(std::move(coroutine)).error().kind;
    }
};
TYPED_TEST_SUITE(Groups, Authors);

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

// --- around a coroutine, nested ---

TYPED_TEST(Groups, AroundACoroutineItJoinsHoweverTheBodyEnds) {
    EXPECT_TRUE(this->run(this->around_body({{.delay_ns = s}})));
    EXPECT_EQ(this->elapsed_ns(), s);
    EXPECT_EQ(this->kind_of(this->around_body({{.delay_ns = 9 * s}}, {.fails = ErrorKind::busy})),
              ErrorKind::group);
    EXPECT_EQ(seen.errors, (Story{"body: busy"}));
    EXPECT_EQ(this->elapsed_ns(), s);
}

TYPED_TEST(Groups, AroundACoroutineTheChainCanBeWalked) {
    auto task = this->spawn(this->around_body({{.delay_ns = s}}, {.delay_ns = 5 * s}));
    this->run_for(2 * s);
    Frame* inner = innermost(task.state().root());
    EXPECT_EQ(task_of(*inner), &task.state());
    EXPECT_STREQ(inner->site->awaited->name, "Sleep");
    this->finish();
}

struct Nests : Coroutine<Nests, void, Awaits<TaskGroup::Join>> {
    Plans inner;
    TaskGroup group;
    std::string told;
    Result<void> done;
    Progress body() {
        CO_BEGIN;
        group.enter();
        EXPECT_TRUE(group.create_task(Block{.children = inner, .body_plan = {}}));
        CO_AWAIT(done, group.join());
        for (const auto& item : group.errors()) {
            told = std::string(pollard::describe(item.error.kind)) + " of";
            EXPECT_EQ(item.nested.count(), 2u);
            for (const auto& leaf : item.nested)
                told += std::string(" ") + pollard::describe(leaf.error.kind);
        }
        story.push_back(told);
        CO_RETURN(done);
        CO_END;
    }
};

class GroupsInGroups : public CombinatorTest {
    void TearDown() override {
        seen = {};
        CombinatorTest::TearDown();
    }
};

TEST_F(GroupsInGroups, NestErrors) {
    EXPECT_EQ(run(Nests{.inner = {{.fails = ErrorKind::busy}, {.fails = ErrorKind::closed}}}).error().kind,
              ErrorKind::group);
    EXPECT_EQ(story.back(),
              std::string(describe(ErrorKind::group)) + " of busy " + describe(ErrorKind::closed));
}

TEST_F(GroupsInGroups, ATimeoutAroundAGroupCancelsItsChildren) {
    struct Limited : Coroutine<Limited, void, Awaits<Timeout<Block>>> {
        Result<void> done;
        Progress body() {
            CO_BEGIN;
            CO_AWAIT(done,
                     timeout(s, Block{.children = {{.name = "a", .delay_ns = 9 * s}}, .body_plan = {}}));
            CO_RETURN(done);
            CO_END;
        }
    };
    EXPECT_EQ(run(Limited{}).error().kind, ErrorKind::timed_out);
    EXPECT_EQ(elapsed_ns(), s);
    EXPECT_TRUE(seen.children[0].cancelled());
}

/// "group [busy closed]": what went wrong, also in the groups inside.
std::string told(const TaskGroup::Errors& errors) {
    std::string text;
    for (const auto& item : errors) {
        text += (text.empty() ? "" : " ") + std::string(item.task == nullptr ? "body " : "");
        text += item.error.kind == ErrorKind::group ? "group" : pollard::describe(item.error.kind);
        if (!item.nested.empty()) text += " [" + told(item.nested) + "]";
    }
    return text;
}

/// A group in each of `depth` tasks, one in the other; in the innermost one children that fail, and its body.
Co<void> groups_in_groups(int depth, Plans plans, Plan body_plan, ErrorKind instead = ErrorKind::none) {
    TaskGroup group;
    group.enter();
    if (depth == 0)
        add<ByCompiler>(group, plans);
    else
        EXPECT_TRUE(group.create_task(groups_in_groups(depth - 1, plans, body_plan, instead)));
    Result<int> ended = 0;
    if (depth == 0) ended = co_await ByCompiler::child(body_plan);
    const Result<void> done = co_await group.join(ended.error());
    if (depth == 0 && instead != ErrorKind::none) co_return Error(instead, Call::send);
    co_return done;
}
Co<std::string> tells_of(int depth, Plans plans, Plan body_plan, ErrorKind instead = ErrorKind::none) {
    TaskGroup group;
    group.enter();
    EXPECT_TRUE(group.create_task(groups_in_groups(depth, plans, body_plan, instead)));
    (void)co_await group.join();
    co_return told(group.errors());
}

TEST_F(GroupsInGroups, TheErrorsOfAnInnerGroupOutliveIt) {
    EXPECT_EQ(*run(tells_of(0, {{.fails = ErrorKind::busy}, {.fails = ErrorKind::closed}}, {.delay_ns = s})),
              "group [busy closed]");
}

TEST_F(GroupsInGroups, NestAsDeepAsTheyStandWithTheErrorsOfTheirBodies) {
    EXPECT_EQ(*run(tells_of(2, {{.delay_ns = 9 * s, .fails_when_cancelled = ErrorKind::busy}},
                            {.delay_ns = s, .fails = ErrorKind::closed})),
              "group [group [group [busy body closed]]]");
}

TEST_F(GroupsInGroups, AnInnerGroupsErrorThatWasHandledIsNotTold) {
    EXPECT_EQ(*run(tells_of(0, {{.fails = ErrorKind::busy}}, {}, ErrorKind::timed_out)), "timed out");
}

/// with_group around a body that is with_group again.
struct AroundAround : Coroutine<AroundAround, void, Awaits<WithGroup<WithGroup<BodyOfBlock>>>> {
    Plans children;
    Plan plan;
    TaskGroup outer;
    TaskGroup inner;
    Result<void> done;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(
            done,
            with_group(outer,
                       with_group(inner, BodyOfBlock{.group = &inner, .children = children, .plan = plan})));
        story.push_back(told(outer.errors()) + " / " + told(inner.errors()));
        CO_RETURN(done);
        CO_END;
    }
};
Co<void> around_around(Plans children, Plan plan) {
    TaskGroup outer;
    TaskGroup inner;
    const Result<void> done = co_await in_place(
        [&] { return with_group(outer, with_group(inner, body_of_block(inner, children, plan))); });
    story.push_back(told(outer.errors()) + " / " + told(inner.errors()));
    co_return done;
}

TYPED_TEST(Groups, AroundAGroupTheOuterOneHasTheInnerOnesErrorAsItsBodys) {
    const auto run_both = [this](const Plans& children, const Plan& plan) {
        if constexpr (TestFixture::by_hand)
            return this->kind_of(AroundAround{.children = children, .plan = plan});
        else
            return this->kind_of(around_around(children, plan));
    };
    EXPECT_EQ(run_both({{.delay_ns = s}}, {.delay_ns = 2 * s}), ErrorKind::none);
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
    EXPECT_EQ(story.back(), " / ");
    EXPECT_EQ(run_both({{.delay_ns = s, .fails = ErrorKind::busy}}, {.delay_ns = 5 * s}), ErrorKind::group);
    EXPECT_EQ(this->elapsed_ns(), 3 * s);
    EXPECT_EQ(story.back(), "body group / busy");
}

TYPED_TEST(Groups, AroundAGroupARequestFromOutsideEndsBoth) {
    auto cancelled = [this] {
        if constexpr (TestFixture::by_hand)
            return this->spawn(AroundAround{.children = {{.delay_ns = 9 * s}}, .plan = {.delay_ns = 9 * s}});
        else
            return this->spawn(around_around({{.delay_ns = 9 * s}}, {.delay_ns = 9 * s}));
    }();
    this->cancel_at(s, cancelled);
    EXPECT_EQ(this->loop.run_until_complete(cancelled).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(this->elapsed_ns(), s);
    EXPECT_TRUE(seen.children[0].cancelled());
    EXPECT_EQ(story.back(), " / ");
}

/// A group is a resource like others: entered into a stack, it is joined when the stack is left.
struct EntersAGroup : Coroutine<EntersAGroup, void, Awaits<EnterInto<TaskGroup>, HandWrittenChild>> {
    AsyncExitStack* stack;
    AsyncExit<TaskGroup>* entry;
    Plans children;
    Plan plan;
    Result<int> ended;
    Progress body() {
        CO_BEGIN;
        CO_TRY(stack->enter_async_context(*entry));
        add<ByHand>(*entry->resource, children);
        CO_AWAIT(ended, ByHand::child(plan));
        if (!ended) CO_RETURN(ended.error());
        CO_END;
    }
};
struct LeavesAGroup : Coroutine<LeavesAGroup, void, Awaits<WithAsync<AsyncExitStack, EntersAGroup>>> {
    Plans children;
    Plan plan;
    AsyncExitStack* stack;
    AsyncExit<TaskGroup>* entry;
    Progress body() {
        CO_BEGIN;
        CO_TRY(with_async(*stack,
                          EntersAGroup{.stack = stack, .entry = entry, .children = children, .plan = plan}));
        CO_END;
    }
};

TEST_F(GroupsInGroups, InAStackOfResourcesAGroupIsJoinedWhenTheStackIsLeft) {
    for (const bool fails : {false, true}) {
        story.clear();
        TaskGroup group;
        AsyncExitStack stack;
        AsyncExit<TaskGroup> entry(group);
        const Plans children{
            {.name = "a", .delay_ns = s, .fails = fails ? ErrorKind::busy : ErrorKind::none}};
        auto left = run(
            LeavesAGroup{.children = children, .plan = {.name = "body"}, .stack = &stack, .entry = &entry});
        EXPECT_EQ(left.error().kind, fails ? ErrorKind::group : ErrorKind::none);
        EXPECT_EQ(story, (Story{"body ends", "a ends"}));
    }
}

/// A child that waits for the task that waits for it.
struct WaitsForParent
    : Coroutine<WaitsForParent, int, Awaits<TaskRef<void>&, Gather<void>, GatherResults<void>>> {
    TaskRef<void>* parent;
    int how;  // 0: by name; 1: gather; 2: gather_results
    Result<void> by_name;
    Result<Gather<void>::Values> gathered;
    Result<GatherResults<void>::Values> collected;
    Progress body() {
        CO_BEGIN;
        if (how == 0)
            CO_AWAIT(by_name, *parent);
        else if (how == 1)
            CO_AWAIT(gathered, gather(*parent));
        else
            CO_AWAIT(collected, gather_results(*parent));
        story.push_back("child");
        CO_RETURN(how == 0 ? by_name.error() : how == 1 ? gathered.error() : collected.error());
        CO_END;
    }
};
struct WaitsForChild : Coroutine<WaitsForChild, void, Awaits<TaskGroup::Join>> {
    TaskRef<void>* self;
    int how;
    TaskRef<int>* child;
    TaskGroup group;
    Result<void> done;
    Progress body() {
        CO_BEGIN;
        group.enter();
        *child = *group.create_task(WaitsForParent{.parent = self, .how = how});
        CO_AWAIT(done, group.join());
        story.push_back("parent");
        CO_RETURN(done);
        CO_END;
    }
};

TEST_F(GroupsInGroups, AChildThatWaitsForItsParentEndsFirstWhereverTheRequestBegins) {
    for (const int how : {0, 1, 2}) {
        for (const bool from_child : {false, true}) {
            story.clear();
            TaskRef<void> parent;
            TaskRef<int> child;
            parent = spawn(WaitsForChild{.self = &parent, .how = how, .child = &child});
            turn(2);
            EXPECT_TRUE(from_child ? child.cancel() : parent.cancel());
            turn(6);
            EXPECT_TRUE(parent.cancelled() && child.cancelled()) << how << from_child;
            EXPECT_EQ(story, (Story{"child", "parent"}));
        }
    }
}

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
