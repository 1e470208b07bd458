// Context variables: what tasks and lambdas see of them, and that nothing leaks out. In virtual time.
#include "core/context.h"

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
#include "tests/by_author.h"

using namespace pollard;

namespace {

constinit ContextVar<int> request("request", -1);
constinit ContextVar<int> lane("lane", -2);
constinit ContextVar<const char*> user("user", "nobody");

/// Calls `first`, waits a turn, calls `second`.
struct Calls : Coroutine<Calls, void, Awaits<Sleep>> {
    std::function<void()> first;
    std::function<void()> second;
    Progress body() {
        CO_BEGIN;
        if (first) first();
        CO_TRY(sleep_ns(0));
        if (second) second();
        CO_END;
    }
};

Co<void> calls(std::function<void()> first, std::function<void()> second) {
    if (first) first();
    (void)co_await sleep_ns(0);
    if (second) second();
    co_return Result<void>();
}

class Contexts : public LoopByAuthor {
protected:
    void TearDown() override {
        EXPECT_EQ(loop.pool->bindings, 0u) << "a binding is left";
        LoopByAuthor::TearDown();
    }
    TaskRef<void> spawn(std::function<void()> first, std::function<void()> second = {},
                        const TaskOptions& options = {}) {
        return create_task([&] { return Calls{.first = std::move(first), .second = std::move(second)}; },
                           [&] { return calls(std::move(first), std::move(second)); }, options);
    }
};

TEST_P(Contexts, AVariableHasItsDefaultWhereItIsNotSet) {
    EXPECT_EQ(request.get(), -1);
    EXPECT_EQ(request.get(9), 9);
    int seen = 0, seen_otherwise = 0;
    (void)spawn([&] {
        seen = request.get();
        seen_otherwise = request.get(9);
    });
    run_turns(2);
    EXPECT_EQ(seen, -1);
    EXPECT_EQ(seen_otherwise, 9);
}

TEST_P(Contexts, WhatATaskSetsItSeesAlsoAfterAnAwait) {
    int seen = 0, seen_later = 0;
    (void)spawn(
        [&] {
            ASSERT_TRUE(request.set(5));
            seen = request.get();
        },
        [&] { seen_later = request.get(); });
    run_turns(2);
    EXPECT_EQ(seen, 5);
    EXPECT_EQ(seen_later, 5);
}

TEST_P(Contexts, WhatATaskSetsOtherTasksDoNotSee) {
    int seen = 0;
    (void)spawn([] { ASSERT_TRUE(request.set(5)); });
    (void)spawn([&] { seen = request.get(); });
    run_turns(2);
    EXPECT_EQ(seen, -1);
}

TEST_P(Contexts, ATaskTakesACopyOfItsCreatorsContextAtItsCreation) {
    int in_child = 0, in_creator = 0;
    (void)spawn(
        [&] {
            ASSERT_TRUE(request.set(5));
            (void)spawn([&] {
                in_child = request.get();
                ASSERT_TRUE(request.set(7));
            });
            ASSERT_TRUE(request.set(6));
        },
        [&] { in_creator = request.get(); });
    run_turns(3);
    EXPECT_EQ(in_child, 5) << "as it was at the creation";
    EXPECT_EQ(in_creator, 6) << "changes in the child stay inside";
}

TEST_P(Contexts, AnEagerTaskHasAContextOfItsOwn) {
    int in_child = 0, in_creator = 0;
    (void)spawn([&] {
        ASSERT_TRUE(request.set(5));
        (void)spawn(
            [&] {
                in_child = request.get();
                ASSERT_TRUE(request.set(7));
            },
            {}, {.eager_start = true});
        in_creator = request.get();
    });
    run_turns(3);
    EXPECT_EQ(in_child, 5);
    EXPECT_EQ(in_creator, 5);
}

TEST_P(Contexts, ATaskMayBeGivenAContext) {
    Context given;
    int seen = 0;
    (void)spawn([&] {
        ASSERT_TRUE(request.set(5));
        given = *current_context();
    });
    run_turns(2);
    (void)spawn([&] { seen = request.get(); }, {}, {.context = &given});
    run_turns(2);
    EXPECT_EQ(seen, 5);
    given = Context();
}

TEST_P(Contexts, LambdasRunInACopyOfTheContextInWhichTheyWereRegistered) {
    std::vector<int> seen;
    const auto look = [&] { seen.push_back(request.get()); };
    Future<int> future(loop);
    (void)spawn([&] {
        ASSERT_TRUE(request.set(5));
        ASSERT_TRUE(loop.call_soon(look));
        ASSERT_TRUE(loop.call_soon([&] {
            ASSERT_TRUE(request.set(50));
            look();
        }));
        ASSERT_TRUE(future.add_done_callback(look));
        ASSERT_TRUE(request.set(6));
        ASSERT_TRUE(loop.call_later(look, 1));
        ASSERT_TRUE(loop.call_at(look, loop.time_ns() + 2));
        ASSERT_TRUE(request.set(7));
    });
    run_turns(2);
    EXPECT_EQ(seen, (std::vector<int>{5, 50}));
    ASSERT_TRUE(future.set_result(1));
    run_turns(1);
    EXPECT_EQ(seen.back(), 5);
    ASSERT_TRUE(loop.run_until_complete(Calls{.first = [] {}}));
    ASSERT_TRUE(loop.call_later([&] { loop.stop(); }, 10));
    ASSERT_TRUE(loop.run_forever());
    EXPECT_EQ(seen, (std::vector<int>{5, 50, 5, 6, 6}));
}

TEST_P(Contexts, WhatALambdaCreatesGetsTheContextOfTheLambda) {
    std::vector<int> seen;
    (void)spawn([&] {
        ASSERT_TRUE(request.set(5));
        ASSERT_TRUE(loop.call_soon([&] {
            (void)spawn([&] { seen.push_back(request.get()); });
            ASSERT_TRUE(loop.call_soon([&] { seen.push_back(request.get()); }));
        }));
    });
    run_turns(4);
    EXPECT_EQ(seen, (std::vector<int>{5, 5}));
}

TEST_P(Contexts, CallbacksOfTheCallersHaveNone) {
    static int seen;
    seen = 0;
    Callback look([](void*) { seen = request.get(); }, nullptr);
    (void)spawn([&] {
        ASSERT_TRUE(request.set(5));
        loop.call_soon(look);
    });
    run_turns(2);
    EXPECT_EQ(seen, -1);
}

TEST_P(Contexts, ResetMakesAVariableWhatItWasBeforeTheSet) {
    std::vector<int> seen;
    (void)spawn([&] {
        auto first = *request.set(5);
        auto second = *request.set(6);
        ASSERT_TRUE(request.reset(second));
        seen.push_back(request.get());
        ASSERT_TRUE(request.reset(first));
        seen.push_back(request.get());
        seen.push_back(request.get(9));
    });
    run_turns(2);
    EXPECT_EQ(seen, (std::vector<int>{5, -1, 9}));
}

TEST_P(Contexts, SeveralVariablesDoNotDisturbEachOther) {
    Context kept;
    (void)spawn([&] {
        ASSERT_TRUE(request.set(1));
        ASSERT_TRUE(lane.set(2));
        ASSERT_TRUE(user.set("root"));
        kept = *current_context();
        auto token = *request.set(3);
        EXPECT_EQ(request.get(), 3);
        EXPECT_EQ(lane.get(), 2);
        EXPECT_STREQ(user.get(), "root");
        ASSERT_TRUE(request.reset(token));
        EXPECT_EQ(request.get(), 1);
        EXPECT_EQ(lane.get(), 2);
        ASSERT_TRUE(user.set("guest"));
        EXPECT_EQ(request.get(), 1);
    });
    run_turns(2);
    int checked = 0;
    (void)spawn(
        [&] {
            EXPECT_EQ(request.get(), 1) << "a copy is not changed behind its owner's back";
            EXPECT_EQ(lane.get(), 2);
            EXPECT_STREQ(user.get(), "root");
            ++checked;
        },
        {}, {.context = &kept});
    run_turns(2);
    EXPECT_EQ(checked, 1);
    kept = Context();
}

TEST_P(Contexts, SettingAVariableAgainAndAgainTakesNoMoreMemory) {
    std::uint32_t bindings = 0;
    (void)spawn([&] {
        for (int i = 0; i < 1000; ++i) ASSERT_TRUE(request.set(i));
        const Context copy = *current_context();
        for (int i = 0; i < 1000; ++i) ASSERT_TRUE(request.set(i));
        bindings = loop.pool->bindings;
    });
    run_turns(2);
    EXPECT_EQ(bindings, 2u) << "one of the task, one of the copy";
}

TEST_P(Contexts, ATaskMadeWhereNothingIsSetHasNoExtras) {
    bool extras = true;
    (void)spawn([&] { extras = current_task()->has_extras; });
    run_turns(2);
    EXPECT_FALSE(extras);
}

TEST_P(Contexts, WithoutMemoryASetIsAnErrorAndTheVariableIsAsBefore) {
    ErrorKind kind = ErrorKind::none;
    int seen = 0;
    std::vector<void*> taken;
    (void)spawn([&] {
        ASSERT_TRUE(request.set(5));
        fail_allocations_after(0, 1'000'000);
        while (void* block = loop.pool->blocks.take(sizeof(Binding))) taken.push_back(block);
        kind = lane.set(1).error().kind;
        fail_allocations_after(0, 0);
        seen = request.get();
    });
    run_turns(2);
    for (void* block : taken) loop.pool->blocks.give_back(block, sizeof(Binding));
    EXPECT_EQ(kind, ErrorKind::out_of_memory);
    EXPECT_EQ(seen, 5);
}

TEST_P(Contexts, AContextMayOutliveItsLoop) {
    Context kept;
    {
        EventLoop short_lived;
        ASSERT_TRUE(short_lived.open({.kernel = "simulated"}));
        ASSERT_TRUE(short_lived.run_until_complete(Calls{.first = [&] {
            ASSERT_TRUE(request.set(5));
            kept = *current_context();
        }}));
    }
    EXPECT_FALSE(kept.empty());
    kept = Context();
}

// --- misuse ---

using ContextDeaths = Contexts;

TEST_P(ContextDeaths, SettingOutsideATaskIsAMistakeWithASentence) {
    EXPECT_DEATH((void)request.set(1), "a context variable is set in a task");
}

TEST_P(ContextDeaths, UsingATokenTwiceIsAMistakeWithASentence) {
    EXPECT_DEATH(
        {
            (void)spawn([] {
                auto token = *request.set(1);
                (void)request.reset(token);
                (void)request.reset(token);
            });
            run_turns(1);
        },
        "this token was used already");
}

TEST_P(ContextDeaths, ATokenOfAnotherVariableIsAMistakeWithASentence) {
    EXPECT_DEATH(
        {
            (void)spawn([] {
                auto token = *request.set(1);
                (void)lane.reset(token);
            });
            run_turns(1);
        },
        "this token is of another context variable");
}

TEST_P(ContextDeaths, ATokenOfAnotherTaskIsAMistakeWithASentence) {
    EXPECT_DEATH(
        {
            std::optional<ContextVar<int>::Token> token;
            (void)spawn([&] { token = *request.set(1); });
            (void)spawn([&] { (void)request.reset(*token); });
            run_turns(1);
        },
        "this token was made in another context");
}

INSTANTIATE_TEST_SUITE_P(Frames, Contexts, both_authors(), author_name);
INSTANTIATE_TEST_SUITE_P(Frames, ContextDeaths, both_authors(), author_name);

}  // namespace
