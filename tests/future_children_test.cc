// Futures as children of gather, wait, as_completed and shield, and under wait_for and timeout; alone and beside tasks;
// with both authors of frames.
#include <optional>

#include "core/combinators/as_completed.h"
#include "core/combinators/gather.h"
#include "core/combinators/shield.h"
#include "core/combinators/timeout.h"
#include "core/combinators/wait.h"
#include "core/combinators/wait_for.h"
#include "core/future.h"
#include "tests/combinators.h"

using namespace pollard;

namespace {

/// 100 * the task's value + the future's.
struct GathersBoth : Coroutine<GathersBoth, int, Awaits<Gather<int, int>>> {
    TaskRef<int> task;
    Future<int>* future;
    Result<Gather<int, int>::Values> both;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(both, gather(task, *future));
        if (!both) CO_RETURN(both.error());
        CO_RETURN(100 * std::get<0>(*both) + std::get<1>(*both));
        CO_END;
    }
};
Co<int> gathers_both(TaskRef<int> task, Future<int>* future) {
    auto both = co_await gather(task, *future);
    if (!both) co_return both.error();
    co_return 100 * std::get<0>(*both) + std::get<1>(*both);
}

struct CollectsBoth : Coroutine<CollectsBoth, int, Awaits<GatherResults<int, int>>> {
    TaskRef<int> task;
    Future<int>* future;
    Result<GatherResults<int, int>::Values> both;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(both, gather_results(task, *future));
        if (!both) CO_RETURN(both.error());
        story.push_back(pollard::describe(std::get<1>(*both).error().kind));
        CO_RETURN(std::get<0>(*both));
        CO_END;
    }
};
Co<int> collects_both(TaskRef<int> task, Future<int>* future) {
    auto both = co_await gather_results(task, *future);
    if (!both) co_return both.error();
    story.push_back(describe(std::get<1>(*both).error().kind));
    co_return std::get<0>(*both);
}

int value_of(Future<int>* future) { return future->result().value_or(-1); }
int value_of(const Child<int>& child) { return child.result().value_or(-1); }

/// The sum of a row.
template <class Item>
struct GathersRow : Coroutine<GathersRow<Item>, int, Awaits<GatherMany<Item>>> {
    std::vector<Item> row;
    Result<std::span<const Item>> all;
    int sum = 0;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(all, gather(row));
        if (!all) CO_RETURN(all.error());
        for (const Item& item : *all) sum += value_of(item);
        CO_RETURN(sum);
        CO_END;
    }
};
template <class Item>
Co<int> gathers_row(std::vector<Item> row) {
    const auto all = co_await gather(row);
    if (!all) co_return all.error();
    int sum = 0;
    for (const Item& item : *all) sum += value_of(item);
    co_return sum;
}

/// 100 * done + pending.
struct WaitsForBoth : Coroutine<WaitsForBoth, int, Awaits<Wait<2>>> {
    TaskRef<int> task;
    Future<int>* future;
    WaitOptions options;
    Result<Waited> counts;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(counts, wait(options, task, *future));
        if (!counts) CO_RETURN(counts.error());
        CO_RETURN(static_cast<int>(100 * counts->done + counts->pending));
        CO_END;
    }
};
Co<int> waits_for_both(TaskRef<int> task, Future<int>* future, WaitOptions options) {
    const auto counts = co_await wait(options, task, *future);
    if (!counts) co_return counts.error();
    co_return static_cast<int>(100 * counts->done + counts->pending);
}
struct WaitsForRow : Coroutine<WaitsForRow, int, Awaits<WaitMany>> {
    std::vector<Child<int>> row;
    WaitOptions options;
    Result<Waited> counts;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(counts, wait(row, options));
        if (!counts) CO_RETURN(counts.error());
        CO_RETURN(static_cast<int>(100 * counts->done + counts->pending));
        CO_END;
    }
};
Co<int> waits_for_row(std::vector<Child<int>> row, WaitOptions options) {
    const auto counts = co_await wait(row, options);
    if (!counts) co_return counts.error();
    co_return static_cast<int>(100 * counts->done + counts->pending);
}

/// How many were missing at the timeout.
template <class Item>
struct TakesInOrder : Coroutine<TakesInOrder<Item>, int, Awaits<typename AsCompleted<Item>::Next>> {
    std::vector<Item> row;
    std::int64_t timeout_ns;
    AsCompleted<Item> finished;
    Result<Item> next;
    int missing = 0;
    Progress body() {
        CO_BEGIN;
        finished.begin(row, timeout_ns);
        for (;;) {
            CO_AWAIT(next, finished.next());
            if (!next && next.error().kind == ErrorKind::stopped) CO_RETURN(missing);
            if (next)
                story.push_back(std::to_string(value_of(*next)));
            else
                ++missing;
        }
        CO_END;
    }
};
template <class Item>
Co<int> takes_in_order(std::vector<Item> row, std::int64_t timeout_ns) {
    AsCompleted<Item> finished;
    finished.begin(row, timeout_ns);
    int missing = 0;
    for (;;) {
        const Result<Item> next = co_await finished.next();
        if (!next && next.error().kind == ErrorKind::stopped) co_return missing;
        if (next)
            story.push_back(std::to_string(value_of(*next)));
        else
            ++missing;
    }
}

struct Shields : Coroutine<Shields, int, Awaits<Shield<int>>> {
    Future<int>* future;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(got, shield(*future));
        CO_RETURN(got);
        CO_END;
    }
};
Co<int> shields(Future<int>* future) { co_return co_await shield(*future); }

struct Limits : Coroutine<Limits, int, Awaits<WaitFor<Future<int>&>, Timeout<Future<int>&>>> {
    Future<int>* future;
    std::int64_t limit_ns;
    bool by_wait_for;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        if (by_wait_for)
            CO_AWAIT(got, wait_for(*future, limit_ns));
        else
            CO_AWAIT(got, timeout(limit_ns, *future));
        CO_RETURN(got);
        CO_END;
    }
};
Co<int> limits(Future<int>* future, std::int64_t limit_ns, bool by_wait_for) {
    Result<int> got;
    if (by_wait_for)
        got = co_await wait_for(*future, limit_ns);
    else
        got = co_await timeout(limit_ns, *future);
    co_return got;
}

template <class Author>
class FutureChildren : public CombinatorTest {
protected:
    static constexpr bool by_hand = std::is_same_v<Author, ByHand>;

    TaskRef<int> child(const Plan& plan) { return spawn(Author::child(plan)); }
    template <class F>
    void at(std::int64_t delay_ns, F function) {
        ASSERT_TRUE(loop.call_later(std::move(function), delay_ns));
    }
    static auto both(const TaskRef<int>& task, Future<int>& future) {
        if constexpr (by_hand)
            return GathersBoth{.task = task, .future = &future};
        else
            return gathers_both(task, &future);
    }
    static auto collected(const TaskRef<int>& task, Future<int>& future) {
        if constexpr (by_hand)
            return CollectsBoth{.task = task, .future = &future};
        else
            return collects_both(task, &future);
    }
    template <class Item>
    static auto sum_of(const std::vector<Item>& row) {
        if constexpr (by_hand)
            return GathersRow<Item>{.row = row};
        else
            return gathers_row<Item>(row);
    }
    static auto wait_both(const TaskRef<int>& task, Future<int>& future, const WaitOptions& options = {}) {
        if constexpr (by_hand)
            return WaitsForBoth{.task = task, .future = &future, .options = options};
        else
            return waits_for_both(task, &future, options);
    }
    static auto wait_row(const std::vector<Child<int>>& row, const WaitOptions& options = {}) {
        if constexpr (by_hand)
            return WaitsForRow{.row = row, .options = options};
        else
            return waits_for_row(row, options);
    }
    template <class Item>
    static auto in_order(const std::vector<Item>& row, std::int64_t timeout_ns = never_ns) {
        if constexpr (by_hand)
            return TakesInOrder<Item>{.row = row, .timeout_ns = timeout_ns};
        else
            return takes_in_order<Item>(row, timeout_ns);
    }
    static auto shielded(Future<int>& future) {
        if constexpr (by_hand)
            return Shields{.future = &future};
        else
            return shields(&future);
    }
    static auto limited(Future<int>& future, std::int64_t limit_ns, bool by_wait_for) {
        if constexpr (by_hand)
            return Limits{.future = &future, .limit_ns = limit_ns, .by_wait_for = by_wait_for};
        else
            return limits(&future, limit_ns, by_wait_for);
    }

    Future<int> future;
    Future<int> other;
};
TYPED_TEST_SUITE(FutureChildren, Authors);

// --- gather ---

TYPED_TEST(FutureChildren, GatherGivesTheirValuesBesideThoseOfTasks) {
    this->at(2 * s, [this] { (void)this->future.set_result(2); });
    EXPECT_EQ(*this->run(this->both(this->child({.delay_ns = s, .value = 1}), this->future)), 102);
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
    EXPECT_EQ(*this->run(this->both(this->child({.value = 3}), this->future)), 302) << "one that is done";
}

TYPED_TEST(FutureChildren, GatherGivesTheErrorOfAFutureAtOnceAndTheTaskRunsOn) {
    auto task = this->child({.delay_ns = 5 * s, .value = 1});
    this->at(s, [this] { (void)this->future.set_error(Error(ErrorKind::busy, Call::send)); });
    EXPECT_EQ(this->run(this->both(task, this->future)).error().kind, ErrorKind::busy);
    EXPECT_EQ(this->elapsed_ns(), s);
    this->finish();
    EXPECT_EQ(*task.result(), 1);
}

TYPED_TEST(FutureChildren, GatherAfterTheFirstErrorThatOfAFutureCountsAsSeen) {
    {
        Future<int> late;
        EXPECT_FALSE(this->run(this->both(this->child({.fails = ErrorKind::busy}), late)));
        EXPECT_FALSE(late.done()) << "it is not cancelled";
        (void)late.set_error(Error(ErrorKind::closed, Call::send));
    }
    EXPECT_TRUE(this->reported.empty());
}

TYPED_TEST(FutureChildren, GatherOfAFutureThatSomebodyCancelsIsCancelled) {
    auto task = this->child({.delay_ns = 5 * s});
    this->at(s, [this] { this->future.cancel(); });
    auto outer = this->spawn(this->both(task, this->future));
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(outer.cancel_requests(), 0u);
    EXPECT_EQ(task.cancel_requests(), 0u);
    this->finish();
}

TYPED_TEST(FutureChildren, GatherCancelledCancelsItsFuturesToo) {
    auto task = this->child({.delay_ns = 5 * s});
    auto outer = this->spawn(this->both(task, this->future));
    this->cancel_at(s, outer);
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    EXPECT_TRUE(this->future.cancelled());
    this->finish();
    EXPECT_TRUE(task.cancelled());
}

TYPED_TEST(FutureChildren, GatherCollectingAFuturesErrorIsAnItem) {
    this->at(s, [this] { (void)this->future.set_error(Error(ErrorKind::busy, Call::send)); });
    EXPECT_EQ(*this->run(this->collected(this->child({.delay_ns = 3 * s, .value = 4}), this->future)), 4);
    EXPECT_EQ(story.back(), "busy");
    EXPECT_EQ(this->elapsed_ns(), 3 * s);
}

TYPED_TEST(FutureChildren, GatherTakesARowOfThemAndARowOfBoth) {
    this->at(s, [this] { (void)this->future.set_result(2); });
    this->at(2 * s, [this] { (void)this->other.set_result(40); });
    EXPECT_EQ(*this->run(this->sum_of(std::vector{&this->future, &this->other})), 42);
    const auto task = this->child({.delay_ns = s, .value = 100});
    EXPECT_EQ(*this->run(this->sum_of(std::vector<Child<int>>{task, this->future})), 102);
}

// --- wait ---

TYPED_TEST(FutureChildren, WaitCountsThemAndGivesNoErrorAndCancelsNone) {
    const auto task = this->child({.delay_ns = 3 * s});
    EXPECT_EQ(*this->run(this->wait_both(task, this->future, {.timeout_ns = s})), 2);
    this->at(s, [this] { (void)this->future.set_error(Error(ErrorKind::busy, Call::send)); });
    EXPECT_EQ(*this->run(this->wait_both(task, this->future, {.return_when = ReturnWhen::first_exception})),
              101);
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
    EXPECT_EQ(*this->run(this->wait_row({task, this->future})), 200);
    EXPECT_EQ(this->future.error().kind, ErrorKind::busy);
}

TYPED_TEST(FutureChildren, WaitCancelledLeavesThemUntouched) {
    auto outer = this->spawn(this->wait_row({this->future}));
    this->cancel_at(s, outer);
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    EXPECT_FALSE(this->future.done());
}

// --- as_completed ---

TYPED_TEST(FutureChildren, AsCompletedGivesThemInTheOrderOfTheirEndsBesideTasks) {
    this->at(2 * s, [this] { (void)this->future.set_result(2); });
    EXPECT_EQ(*this->run(this->in_order(std::vector<Child<int>>{this->child({.delay_ns = 3 * s, .value = 3}),
                                                                this->future,
                                                                this->child({.delay_ns = s, .value = 1})})),
              0);
    EXPECT_EQ(story, (Story{"child ends", "1", "2", "child ends", "3"}));
}

TYPED_TEST(FutureChildren, AsCompletedAtTheTimeoutTheyAreMissingAndNotCancelled) {
    this->at(s, [this] { (void)this->other.set_result(1); });
    EXPECT_EQ(*this->run(this->in_order(std::vector{&this->future, &this->other}, 2 * s)), 1);
    EXPECT_EQ(story, (Story{"1"}));
    EXPECT_FALSE(this->future.done());
}

// --- shield ---

TYPED_TEST(FutureChildren, ShieldPassesTheirValueErrorAndCancellation) {
    this->at(s, [this] { (void)this->future.set_result(2); });
    EXPECT_EQ(*this->run(this->shielded(this->future)), 2);
    EXPECT_EQ(*this->run(this->shielded(this->future)), 2) << "one that is done";
    this->at(s, [this] { this->other.cancel(); });
    EXPECT_EQ(this->run(this->shielded(this->other)).error().kind, ErrorKind::cancelled);
}

TYPED_TEST(FutureChildren, ShieldCancelledLeavesTheFutureUntouchedAndItsLaterErrorCountsAsSeen) {
    {
        Future<int> saved;
        auto outer = this->spawn(this->shielded(saved));
        this->cancel_at(s, outer);
        EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
        EXPECT_FALSE(saved.done());
        EXPECT_TRUE(saved.set_error(Error(ErrorKind::busy, Call::send)));
    }
    EXPECT_TRUE(this->reported.empty());
}

// --- limited time ---

TYPED_TEST(FutureChildren, AtTheDeadlineTheFutureIsCancelledAndItIsTimedOut) {
    EXPECT_EQ(this->run(this->limited(this->future, s, true)).error().kind, ErrorKind::timed_out);
    EXPECT_EQ(this->run(this->limited(this->other, s, false)).error().kind, ErrorKind::timed_out);
    EXPECT_TRUE(this->future.cancelled() && this->other.cancelled());
    EXPECT_EQ(this->elapsed_ns(), 2 * s);
}

TYPED_TEST(FutureChildren, InTimeItGivesTheFuturesValue) {
    this->at(s, [this] { (void)this->future.set_result(2); });
    EXPECT_EQ(*this->run(this->limited(this->future, 2 * s, true)), 2);
    EXPECT_EQ(*this->run(this->limited(this->future, 2 * s, false)), 2);
    EXPECT_EQ(this->elapsed_ns(), s);
}

TYPED_TEST(FutureChildren, WaitForWithNoTimeGivesTheValueOfAFutureThatIsDoneAndCancelsOneThatIsNot) {
    (void)this->future.set_result(2);
    EXPECT_EQ(*this->run(this->limited(this->future, 0, true)), 2);
    EXPECT_EQ(this->run(this->limited(this->other, 0, true)).error().kind, ErrorKind::timed_out);
    EXPECT_TRUE(this->other.cancelled());
    EXPECT_EQ(this->elapsed_ns(), 0);
}

TYPED_TEST(FutureChildren, CancellingWhoWaitsForOneForALimitedTimeCancelsIt) {
    auto outer = this->spawn(this->limited(this->future, 5 * s, true));
    this->cancel_at(s, outer);
    EXPECT_EQ(this->loop.run_until_complete(outer).error().kind, ErrorKind::cancelled);
    EXPECT_TRUE(this->future.cancelled());
}

// --- mistakes, and what it costs ---

TYPED_TEST(FutureChildren, OfAnotherLoopHaveASentence) {
    EventLoop another;
    ASSERT_TRUE(another.open({.kernel = "simulated"}));
    Future<int> elsewhere(another);
    EXPECT_DEATH((void)this->run(this->shielded(elsewhere)), "belongs to another loop");
    EXPECT_DEATH((void)this->run(this->wait_row({elsewhere})), "belongs to another loop");
    EXPECT_TRUE(another.close());
}

TYPED_TEST(FutureChildren, ThatGoWhileACombinatorWaitsForThemHaveASentence) {
    std::optional<Future<int>> gone;
    gone.emplace();
    auto outer = this->spawn(this->shielded(*gone));
    this->turn();
    EXPECT_DEATH(gone.reset(), "destroyed while a frame waits for it");
    outer.cancel();
    this->finish();
}

TYPED_TEST(FutureChildren, SayThatTheyAreWaitedFor) {
    auto outer = this->spawn(this->wait_row({this->future, this->child({.delay_ns = s})}));
    this->turn();
    const std::string text = describe(outer.state().root()).c_str();
    EXPECT_NE(text.find("2 of 2 tasks and futures: a future, pending"), std::string::npos) << text;
    outer.cancel();
    this->finish();
}

}  // namespace
