// gather: every rule of it, with both authors of frames.
#include "core/combinators/gather.h"

#include "tests/combinators.h"

#include <algorithm>

using namespace pollard;

namespace {

/// 100 * first + second; the sum of many; as Results.
struct GathersTwo : Coroutine<GathersTwo, int, Awaits<Gather<int, int>>> {
    TaskRef<int> a;
    TaskRef<int> b;
    std::uint32_t began = 0;
    Result<Gather<int, int>::Values> both;
    Progress body() {
        CO_BEGIN;
        began = running_loop().turn_count;
        CO_AWAIT(both, gather(a, b));
        turns_waited = running_loop().turn_count - began;
        story.push_back("gathered");
        if (!both) CO_RETURN(both.error());
        CO_RETURN(100 * std::get<0>(*both) + std::get<1>(*both));
        CO_END;
    }
};
Co<int> gathers_two(TaskRef<int> a, TaskRef<int> b) {
    const std::uint32_t began = running_loop().turn_count;
    auto both = co_await gather(a, b);
    turns_waited = running_loop().turn_count - began;
    story.push_back("gathered");
    if (!both) co_return both.error();
    co_return 100 * std::get<0>(*both) + std::get<1>(*both);
}

struct GathersPlans : Coroutine<GathersPlans, int, Awaits<Gather<int, int, int>>> {
    Plan a;
    Plan b;
    Plan c;
    std::uint32_t began = 0;
    Result<Gather<int, int, int>::Values> all;
    Progress body() {
        CO_BEGIN;
        began = running_loop().turn_count;
        CO_AWAIT(all, gather(ByHand::child(a), ByHand::child(b), ByHand::child(c)));
        turns_waited = running_loop().turn_count - began;
        if (!all) CO_RETURN(all.error());
        CO_RETURN(100 * std::get<0>(*all) + 10 * std::get<1>(*all) + std::get<2>(*all));
        CO_END;
    }
};
Co<int> gathers_plans(Plan a, Plan b, Plan c) {
    const std::uint32_t began = running_loop().turn_count;
    auto all = co_await gather(ByCompiler::child(a), ByCompiler::child(b), ByCompiler::child(c));
    turns_waited = running_loop().turn_count - began;
    if (!all) co_return all.error();
    co_return 100 * std::get<0>(*all) + 10 * std::get<1>(*all) + std::get<2>(*all);
}

using Kinds = std::vector<ErrorKind>;
Kinds kinds_of(const GatherResults<int, int>::Values& both) {
    return {std::get<0>(both).error().kind, std::get<1>(both).error().kind};
}

struct CollectsTwo : Coroutine<CollectsTwo, Kinds, Awaits<GatherResults<int, int>>> {
    TaskRef<int> a;
    TaskRef<int> b;
    Result<GatherResults<int, int>::Values> both;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(both, gather_results(a, b));
        story.push_back("gathered");
        if (!both) CO_RETURN(both.error());
        CO_RETURN(kinds_of(*both));
        CO_END;
    }
};
Co<Kinds> collects_two(TaskRef<int> a, TaskRef<int> b) {
    auto both = co_await gather_results(a, b);
    story.push_back("gathered");
    if (!both) co_return both.error();
    co_return kinds_of(*both);
}

/// Of tasks that need not exist when this one is made.
struct GathersNamed
    : Coroutine<GathersNamed, int, Awaits<TaskRef<int>&, Gather<int, int>, GatherResults<int, int>>> {
    const char* name;
    TaskRef<int>* a;
    TaskRef<int>* b;  // null: only a, and no gather
    bool collects;
    Result<int> one;
    Result<Gather<int, int>::Values> both;
    Result<GatherResults<int, int>::Values> collected;
    Progress body() {
        CO_BEGIN;
        if (b == nullptr)
            CO_AWAIT(one, *a);
        else if (collects)
            CO_AWAIT(collected, gather_results(*a, *b));
        else
            CO_AWAIT(both, gather(*a, *b));
        story.push_back(name);
        CO_RETURN(b == nullptr ? one.error() : collects ? collected.error() : both.error());
        CO_END;
    }
};
Co<int> gathers_named(const char* name, TaskRef<int>* a, TaskRef<int>* b, bool collects) {
    Error error;
    if (b == nullptr)
        error = (co_await *a).error();
    else if (collects)
        error = (co_await gather_results(*a, *b)).error();
    else
        error = (co_await gather(*a, *b)).error();
    story.push_back(name);
    co_return error;
}

using Row = std::vector<TaskRef<int>>;
int sum_of(std::span<const TaskRef<int>> tasks) {
    int sum = 0;
    for (const auto& task : tasks) sum += task.result().value_or(1000);
    return sum;
}
struct GathersMany : Coroutine<GathersMany, int, Awaits<GatherMany<int>>> {
    Row tasks;
    bool collects = false;
    Result<GatherMany<int>::Values> all;
    Progress body() {
        CO_BEGIN;
        if (collects)
            CO_AWAIT(all, gather_results(tasks));
        else
            CO_AWAIT(all, gather(tasks));
        if (!all) CO_RETURN(all.error());
        CO_RETURN(sum_of(*all));
        CO_END;
    }
};
Co<int> gathers_many(Row tasks, bool collects) {
    Result<GatherMany<int>::Values> all;
    if (collects)
        all = co_await gather_results(tasks);
    else
        all = co_await gather(tasks);
    if (!all) co_return all.error();
    co_return sum_of(*all);
}

template <class Author>
class Gathers : public CombinatorTest {
protected:
    static constexpr bool by_hand = std::is_same_v<Author, ByHand>;

    TaskRef<int> child(const Plan& plan) { return spawn(Author::child(plan)); }
    static auto two(const TaskRef<int>& a, const TaskRef<int>& b) {
        if constexpr (by_hand)
            return GathersTwo{.a = a, .b = b};
        else
            return gathers_two(a, b);
    }
    static auto plans(const Plan& a, const Plan& b, const Plan& c) {
        if constexpr (by_hand)
            return GathersPlans{.a = a, .b = b, .c = c};
        else
            return gathers_plans(a, b, c);
    }
    static auto collect(const TaskRef<int>& a, const TaskRef<int>& b) {
        if constexpr (by_hand)
            return CollectsTwo{.a = a, .b = b};
        else
            return collects_two(a, b);
    }
    static auto named(const char* name, TaskRef<int>& a, TaskRef<int>* b = nullptr, bool collects = false) {
        if constexpr (by_hand)
            return GathersNamed{.name = name, .a = &a, .b = b, .collects = collects};
        else
            return gathers_named(name, &a, b, collects);
    }
    static auto many(Row tasks, bool collects = false) {
        if constexpr (by_hand)
            return GathersMany{.tasks = std::move(tasks), .collects = collects};
        else
            return gathers_many(std::move(tasks), collects);
    }
};
TYPED_TEST_SUITE(Gathers, Authors);

// --- all succeed ---

TYPED_TEST(Gathers, GivesTheResultsInArgumentOrderWhoeverEndsFirst) {
    EXPECT_EQ(*this->run(this->plans({.name = "a", .delay_ns = 3 * s, .value = 1},
                                     {.name = "b", .delay_ns = 1 * s, .value = 2},
                                     {.name = "c", .delay_ns = 2 * s, .value = 3})),
              123);
    EXPECT_EQ(story, (Story{"b ends", "c ends", "a ends"}));
    EXPECT_EQ(this->elapsed_ns(), 3 * s);
}

TYPED_TEST(Gathers, OverTasksThatReturnAtOnceTakesThreeTurns) {
    EXPECT_EQ(*this->run(this->plans({.value = 1}, {.value = 2}, {.value = 3})), 123);
    EXPECT_EQ(turns_waited, 3u);
}

TYPED_TEST(Gathers, OfTasksThatAreDoneIsDoneAtOnce) {
    auto a = this->child({.value = 1});
    auto b = this->child({.value = 2});
    this->turn();
    EXPECT_EQ(*this->run(this->two(a, b)), 102);
    EXPECT_EQ(turns_waited, 0u);
}

TYPED_TEST(Gathers, OneDoneAndOneRunning) {
    auto a = this->child({.value = 1});
    this->turn();
    auto b = this->child({.delay_ns = s, .value = 2});
    EXPECT_EQ(*this->run(this->two(a, b)), 102);
}

TYPED_TEST(Gathers, ATaskNamedTwiceIsAwaitedOnceAndHasTwoPlaces) {
    auto a = this->child({.name = "a", .delay_ns = s, .value = 7});
    EXPECT_EQ(*this->run(this->two(a, a)), 707);
    EXPECT_EQ(story, (Story{"a ends", "gathered"}));
}

TYPED_TEST(Gathers, OfNothingIsDoneAtOnceAndEmpty) { EXPECT_EQ(*this->run(this->many({})), 0); }

TYPED_TEST(Gathers, TakesANumberKnownAtRunTime) {
    Row tasks;
    for (int i = 0; i < 100; ++i) tasks.push_back(this->child({.delay_ns = (100 - i) * s, .value = i}));
    EXPECT_EQ(*this->run(this->many(tasks)), 4950);
    EXPECT_EQ(this->elapsed_ns(), 100 * s);
}

// --- errors ---

TYPED_TEST(Gathers, TheFirstErrorGoesOutAtOnceAndTheOthersRunOn) {
    auto a = this->child({.name = "a", .delay_ns = 3 * s});
    auto b = this->child({.name = "b", .delay_ns = 1 * s, .fails = ErrorKind::broken_pipe});
    EXPECT_EQ(this->run(this->two(a, b)).error().kind, ErrorKind::broken_pipe);
    EXPECT_EQ(this->elapsed_ns(), 1 * s);
    EXPECT_FALSE(a.done());
    this->finish();
    EXPECT_EQ(story, (Story{"b ends", "gathered", "a ends"}));
    EXPECT_TRUE(a.result());
}

TYPED_TEST(Gathers, TheLastMayBeTheOneThatFails) {
    auto a = this->child({.delay_ns = 1 * s});
    auto b = this->child({.delay_ns = 3 * s, .fails = ErrorKind::broken_pipe});
    EXPECT_EQ(this->run(this->two(a, b)).error().kind, ErrorKind::broken_pipe);
    EXPECT_EQ(this->elapsed_ns(), 3 * s);
}

TYPED_TEST(Gathers, ErrorsAfterTheFirstCountAsSeen) {
    auto first = this->run(this->plans({.delay_ns = 1 * s, .fails = ErrorKind::broken_pipe},
                                       {.delay_ns = 2 * s, .fails = ErrorKind::busy},
                                       {.delay_ns = 1 * s, .fails = ErrorKind::closed}));
    EXPECT_EQ(first.error().kind, ErrorKind::broken_pipe);
    this->finish();
    EXPECT_TRUE(this->reported.empty());
}

TYPED_TEST(Gathers, ACancelledChildIsAnErrorLikeOthers) {
    auto a = this->child({.delay_ns = 3 * s});
    auto b = this->child({.delay_ns = 3 * s});
    this->cancel_at(s, b);
    auto outer = this->spawn(this->two(a, b));
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(outer.cancel_requests(), 0u) << "nobody asked the waiter to end";
    EXPECT_FALSE(a.done());
    this->finish();
}

TYPED_TEST(Gathers, AChildThatHasFailedBeforeGoesOutAtOnce) {
    auto a = this->child({.delay_ns = s});
    auto b = this->child({.fails = ErrorKind::broken_pipe});
    this->turn();
    EXPECT_EQ(this->run(this->two(a, b)).error().kind, ErrorKind::broken_pipe);
    EXPECT_EQ(turns_waited, 0u);
    this->finish();
}

TYPED_TEST(Gathers, CollectingWaitsForAllAndErrorsAreItems) {
    auto a = this->child({.delay_ns = 1 * s, .fails = ErrorKind::broken_pipe});
    auto b = this->child({.delay_ns = 3 * s});
    EXPECT_EQ(*this->run(this->collect(a, b)), (Kinds{ErrorKind::broken_pipe, ErrorKind::none}));
    EXPECT_EQ(this->elapsed_ns(), 3 * s);
}

TYPED_TEST(Gathers, CollectingACancelledChildIsAnItemToo) {
    auto a = this->child({.delay_ns = 3 * s});
    auto b = this->child({.delay_ns = 2 * s});
    this->cancel_at(s, b);
    EXPECT_EQ(*this->run(this->collect(a, b)), (Kinds{ErrorKind::none, ErrorKind::cancelled}));
}

TYPED_TEST(Gathers, CollectingANumberKnownAtRunTimeGivesTheTasksAllDone) {
    Row tasks{this->child({.value = 5}), this->child({.delay_ns = s, .fails = ErrorKind::busy})};
    EXPECT_EQ(*this->run(this->many(tasks, true)), 1005);
    tasks[1] = this->child({.delay_ns = s, .fails = ErrorKind::busy});
    EXPECT_EQ(this->run(this->many(tasks)).error().kind, ErrorKind::busy);
}

// --- cancelling ---

TYPED_TEST(Gathers, CancelledBeforeItStartsNoChildIsTouched) {
    auto a = this->child({.delay_ns = s});
    auto b = this->child({.delay_ns = s});
    auto outer = this->spawn(this->two(a, b));
    outer.cancel();
    this->turn(2);
    EXPECT_TRUE(outer.cancelled());
    EXPECT_EQ(a.cancel_requests() + b.cancel_requests(), 0u);
    this->finish();
}

TYPED_TEST(Gathers, CancellingTheWaiterCancelsAllUnfinishedChildren) {
    auto a = this->child({.name = "a", .delay_ns = 1 * s});
    auto b = this->child({.name = "b", .delay_ns = 9 * s});
    auto outer = this->spawn(this->two(a, b));
    this->cancel_at(2 * s, outer);
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(story, (Story{"a ends", "b cancelled", "gathered"}));
    EXPECT_TRUE(a.result());
    EXPECT_EQ(a.cancel_requests(), 0u) << "it had ended";
    EXPECT_TRUE(b.cancelled());
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
}

TYPED_TEST(Gathers, WithoutCollectingItEndsWithTheFirstChildThatEndsCancelled) {
    auto a = this->child({.name = "a", .delay_ns = 9 * s, .cleanup_ns = 5 * s});
    auto b = this->child({.name = "b", .delay_ns = 9 * s});
    auto outer = this->spawn(this->two(a, b));
    this->cancel_at(2 * s, outer);
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
    EXPECT_FALSE(a.done());
    this->finish();
    EXPECT_EQ(story, (Story{"b cancelled", "gathered", "a cancelled"}));
}

TYPED_TEST(Gathers, CollectingItEndsCancelledAfterAllHaveEnded) {
    auto a = this->child({.name = "a", .delay_ns = 9 * s, .cleanup_ns = 5 * s});
    auto b = this->child({.name = "b", .delay_ns = 9 * s});
    auto outer = this->spawn(this->collect(a, b));
    this->cancel_at(2 * s, outer);
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(this->elapsed_ns(), 7 * s);
    EXPECT_EQ(story, (Story{"b cancelled", "a cancelled", "gathered"}));
}

TYPED_TEST(Gathers, ItEndsCancelledEvenIfEveryChildSwallowedTheRequest) {
    for (const bool collects : {false, true}) {
        auto a = this->child({.delay_ns = 9 * s, .swallows = true, .cleanup_ns = s});
        auto b = this->child({.delay_ns = 9 * s, .swallows = true});
        auto outer = this->spawn(this->many({a, b}, collects));
        this->cancel_at(2 * s, outer);
        EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
        EXPECT_TRUE(a.result());
        EXPECT_TRUE(b.result());
    }
}

TYPED_TEST(Gathers, AChildThatFailsWhenCancelledGivesItsError) {
    auto a = this->child({.delay_ns = 9 * s, .fails_when_cancelled = ErrorKind::broken_pipe});
    auto b = this->child({.delay_ns = 9 * s});
    auto outer = this->spawn(this->two(a, b));
    this->cancel_at(s, outer);
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::broken_pipe);
    EXPECT_EQ(outer.cancel_requests(), 1u);
}

TYPED_TEST(Gathers, CancelledWhenAllChildrenAreDoneItIsToldAllTheSameAndTheyAreNotTouched) {
    // The watches stand in the ready queue; one turn later, the waiter.
    for (const int turns_later : {0, 1}) {
        auto a = this->child({.delay_ns = s, .value = 1});
        auto b = this->child({.delay_ns = s, .value = 2});
        auto outer = this->spawn(this->two(a, b));
        this->run_for(s);
        this->turn(turns_later);
        ASSERT_TRUE(a.done() && b.done() && !outer.done());
        outer.cancel();
        EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
        EXPECT_EQ(a.cancel_requests() + b.cancel_requests(), 0u);
    }
}

TYPED_TEST(Gathers, ARequestTakenBackBeforeItsTurnLetsItHaveItsResult) {
    for (const int turns_later : {0, 1}) {
        auto a = this->child({.delay_ns = s, .value = 1});
        auto b = this->child({.delay_ns = s, .value = 2});
        auto outer = this->spawn(this->two(a, b));
        this->run_for(s);
        this->turn(turns_later);
        outer.cancel();
        this->turn(1 - turns_later);  // until the waiter itself is in the ready queue
        ASSERT_FALSE(outer.done());
        outer.uncancel();
        EXPECT_EQ(*this->loop.run_until_complete(outer), 102);
    }
}

TYPED_TEST(Gathers, AfterOneHasFailedItIsDoneAndCancellingTouchesNoChild) {
    auto a = this->child({.delay_ns = 9 * s});
    auto b = this->child({.delay_ns = s, .fails = ErrorKind::broken_pipe});
    auto outer = this->spawn(this->two(a, b));
    this->run_for(s);
    this->turn();  // the watch: the gathering is over, the waiter has not run
    ASSERT_FALSE(outer.done());
    outer.cancel();
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(a.cancel_requests(), 0u);
    this->expected_reports = {"a task's error was never retrieved"};
    b = {};
    this->finish();
}

TYPED_TEST(Gathers, NestedACancellationReachesTheInnermostChildren) {
    auto a = this->child({.name = "a", .delay_ns = 9 * s});
    auto b = this->child({.name = "b", .delay_ns = 9 * s});
    auto inner = this->spawn(this->two(a, b));
    auto other = this->spawn(this->two(b, a));
    auto outer = this->spawn(this->two(inner, other));
    this->cancel_at(s, outer);
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    this->finish();
    EXPECT_TRUE(a.cancelled() && b.cancelled() && inner.cancelled());
}

TYPED_TEST(Gathers, NestedGivesTheValuesOfAll) {
    auto inner = this->spawn(this->two(this->child({.value = 1}), this->child({.delay_ns = s, .value = 2})));
    auto other = this->spawn(this->two(this->child({.delay_ns = 2 * s}), this->child({.value = 4})));
    EXPECT_EQ(*this->run(this->two(inner, other)), 10204);
}

// --- the rest ---

TYPED_TEST(Gathers, InACircleARequestEndsEachTaskOnceWhereverItBegins) {
    for (const bool collects : {false, true}) {
        for (const int begins_at : {0, 1, 2}) {
            story.clear();
            TaskRef<int> gathering;
            TaskRef<int> waits_by_name;
            auto other = this->child({.name = "other", .delay_ns = 9 * s, .value = 1, .swallows = true});
            gathering = this->spawn(this->named("gathering", waits_by_name, &other, collects));
            waits_by_name = this->spawn(this->named("waits by name", gathering));
            this->turn();
            if (begins_at == 2) {
                EXPECT_TRUE(this->loop.close());
            } else {
                EXPECT_TRUE((begins_at == 0 ? gathering : waits_by_name).cancel());
                this->turn(6);
            }
            EXPECT_TRUE(gathering.done() && waits_by_name.done() && other.done());
            std::sort(story.begin(), story.end());
            EXPECT_EQ(story, (Story{"gathering", "other cancelled", "waits by name"}));
            if (begins_at != 2) continue;
            gathering = waits_by_name = other = {};
            EXPECT_TRUE(this->loop.open({.kernel = "simulated"}));
        }
    }
}

TYPED_TEST(Gathers, ThatGatherOneAnotherEndWithARequestToAnyOfThem) {
    for (const bool collects : {false, true}) {
        story.clear();
        TaskRef<int> a, b;
        a = this->spawn(this->named("a", b, &b, collects));
        b = this->spawn(this->named("b", a, &a, collects));
        this->turn();
        EXPECT_TRUE(b.cancel());
        this->turn(6);
        EXPECT_TRUE(a.cancelled() && b.cancelled());
        EXPECT_EQ(story, (Story{"a", "b"}));
    }
}

TYPED_TEST(Gathers, SaysWhichChildrenItStillWaitsFor) {
    auto a = this->child({.delay_ns = 1 * s});
    auto b = this->child({.delay_ns = 3 * s});
    auto outer = this->spawn(this->two(a, b));
    this->run_for(s);
    const Text text = describe(outer.state().root());
    EXPECT_NE(text.view().find("1 of 2 tasks: " + std::string(name_of(b.state()).view())),
              std::string_view::npos)
        << text.c_str();
    this->finish();
}

TYPED_TEST(Gathers, WithoutMemoryForItsWatchesItFailsAndTheTasksGoOn) {
    Row tasks;
    for (int i = 0; i < 100; ++i) tasks.push_back(this->child({.delay_ns = s}));
    auto outer = this->spawn(this->many(tasks));
    this->loop.stop();
    fail_allocations_after(0);
    ASSERT_TRUE(this->loop.run_forever());
    EXPECT_EQ(outer.result().error().kind, ErrorKind::out_of_memory);
    EXPECT_FALSE(tasks[0].done());
    this->finish();
}

struct OfEachKind : Coroutine<OfEachKind, int, Awaits<Gather<void, int>>> {
    struct Nobody : Coroutine<Nobody> {
        Progress body() {
            CO_BEGIN;
            CO_END;
        }
    };
    TaskRef<int> task;
    Result<Gather<void, int>::Values> both;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(both, gather(Nobody{}, task));
        EXPECT_EQ(std::get<0>(*both), Nothing{});
        CO_RETURN(std::get<1>(*both));
        CO_END;
    }
};

class GathersMixed : public CombinatorTest {};

TEST_F(GathersMixed, ACoroutineWithoutValueGivesNothing) {
    EXPECT_EQ(*run(OfEachKind{.task = spawn(compiled_child({.value = 8}))}), 8);
}

TEST_F(GathersMixed, AFixedNumberAllocatesNothingInTheSteadyState) {
    std::uint64_t allocations = 0;
    for (int i = 0; i < 10; ++i) {
        allocations = memory_counters().allocations;
        EXPECT_TRUE(run(GathersPlans{.a = {}, .b = {.delay_ns = s}, .c = {}}));
    }
    EXPECT_EQ(memory_counters().allocations, allocations);
}

}  // namespace
