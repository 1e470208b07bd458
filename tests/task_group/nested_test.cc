// TaskGroups in other things and in one another: around a coroutine, below a timeout, nested, in a stack of resources, and
// with a child that waits for its parent. By both authors of frames where that makes a difference.
//
// Read next: core/combinators/task_group.h.
#include <gtest/gtest.h>

#include <string>
#include <type_traits>
#include <utility>

#include "core/async_scope.h"
#include "core/co_await.h"
#include "core/combinators/gather.h"
#include "core/combinators/task_group.h"
#include "core/combinators/timeout.h"
#include "core/coroutine.h"
#include "core/event_loop.h"
#include "tests/combinators.h"
#include "tests/task_group/groups.h"

using namespace pollard;

namespace {

// --- around a coroutine ---

/// What Block does, with the group around a coroutine.
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
auto around_body(const Plans& children, const Plan& body = {.name = "body"}) {
    if constexpr (std::is_same_v<Author, ByHand>)
        return Around{.children = children, .plan = body};
    else
        return around(children, body);
}

TYPED_TEST(Groups, AroundACoroutineItJoinsHoweverTheBodyEnds) {
    EXPECT_TRUE(this->run(around_body<TypeParam>({{.delay_ns = s}})));
    EXPECT_EQ(this->elapsed_ns(), s);
    EXPECT_EQ(this->kind_of(around_body<TypeParam>({{.delay_ns = 9 * s}}, {.fails = ErrorKind::busy})),
              ErrorKind::group);
    EXPECT_EQ(seen.errors, (Story{"body: busy"}));
    EXPECT_EQ(this->elapsed_ns(), s);
}

TYPED_TEST(Groups, AroundACoroutineTheChainCanBeWalked) {
    auto task = this->spawn(around_body<TypeParam>({{.delay_ns = s}}, {.delay_ns = 5 * s}));
    this->run_for(2 * s);
    Frame* inner = innermost(task.state().root());
    EXPECT_EQ(task_of(*inner), &task.state());
    EXPECT_STREQ(inner->site->awaited->name, "Sleep");
    this->finish();
}

// --- in one another ---

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

// --- in a stack of resources, and in a circle ---

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

}  // namespace
