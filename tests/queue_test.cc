// Queues: who gets which item, who waits, who is woken, and what cancellation does at each point. In virtual time.
// Each rule is tested twice: with hand-written frames and with the compiler's coroutines.
#include "core/queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/virtual_loop.h"

using namespace pollard;

namespace {

/// Gets one item and says which: "a got 3".
template <class Q>
struct GetsFrame : Coroutine<GetsFrame<Q>, void, Awaits<typename Q::Get>> {
    std::string name;
    Q* queue;
    Result<typename Q::Item> item;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(item, queue->get());
        say(item ? name + " got " + std::to_string(*item) : name + ": " + describe(item.error().kind));
        if (!item) CO_RETURN(item.error());
        CO_RETURN();
        CO_END;
    }
};

/// Puts numbers, one after the other, and takes a time between them.
template <class Q>
struct ProducesFrame : Coroutine<ProducesFrame<Q>, void, Awaits<typename Q::Put, Sleep>> {
    Q* queue;
    int count;
    std::int64_t pause_ns;
    int i = 0;

    Progress body() {
        CO_BEGIN;
        for (i = 0; i < count; ++i) {
            CO_TRY(sleep_ns(pause_ns));
            CO_TRY(queue->put(i));
        }
        CO_END;
    }
};

/// Gets until the queue is shut down, and adds up.
template <class Q>
struct ConsumesFrame : Coroutine<ConsumesFrame<Q>, void, Awaits<typename Q::Get, Sleep>> {
    Q* queue;
    std::vector<int>* got;
    std::int64_t pause_ns;
    Result<int> item;

    Progress body() {
        CO_BEGIN;
        for (;;) {
            CO_AWAIT(item, queue->get());
            if (!item) CO_RETURN(item.error());
            got->push_back(*item);
            CO_TRY(sleep_ns(pause_ns));
            if (!queue->task_done()) CO_RETURN(Error(ErrorKind::other, Call::task_done));
        }
        CO_END;
    }
};

struct QueueByHand : ByHand {
    template <class Q>
    static auto gets(std::string name, Q& queue) {
        return GetsFrame<Q>{.name = std::move(name), .queue = &queue};
    }
    template <class Q>
    static auto produces(Q& queue, int count, std::int64_t pause_ns) {
        return ProducesFrame<Q>{.queue = &queue, .count = count, .pause_ns = pause_ns};
    }
    template <class Q>
    static auto consumes(Q& queue, std::vector<int>& got, std::int64_t pause_ns) {
        return ConsumesFrame<Q>{.queue = &queue, .got = &got, .pause_ns = pause_ns};
    }
};

struct QueueByCompiler : ByCompiler {
    template <class Q>
    static Co<void> gets(std::string name, Q& queue) {
        const auto item = co_await queue.get();
        say(item ? name + " got " + std::to_string(*item) : name + ": " + describe(item.error().kind));
        if (!item) co_return item.error();
        co_return Result<void>();
    }
    template <class Q>
    static Co<void> produces(Q& queue, int count, std::int64_t pause_ns) {
        for (int i = 0; i < count; ++i) {
            const Result<void> slept = co_await sleep_ns(pause_ns);
            if (!slept) co_return slept;
            const Result<void> put = co_await queue.put(i);
            if (!put) co_return put;
        }
        co_return Result<void>();
    }
    template <class Q>
    static Co<void> consumes(Q& queue, std::vector<int>& got, std::int64_t pause_ns) {
        for (;;) {
            const Result<int> item = co_await queue.get();
            if (!item) co_return item.error();
            got.push_back(*item);
            const Result<void> slept = co_await sleep_ns(pause_ns);
            if (!slept) co_return slept;
            const Result<void> done = queue.task_done();
            if (!done) co_return done;
        }
    }
};

template <class Author>
class Queues : public VirtualLoop {
protected:
    template <class Q>
    TaskRef<void> get(const std::string& name, Q& queue) {
        return this->spawn(Author::gets(name, queue));
    }
    template <class Q>
    TaskRef<void> put(const std::string& name, Q& queue, int item) {
        return this->spawn(Author::waits(name, [&queue, item] { return queue.put(item); }));
    }
};
using QueueAuthors = testing::Types<QueueByHand, QueueByCompiler>;
TYPED_TEST_SUITE(Queues, QueueAuthors, AuthorNames);

// --- put and get ---

TYPED_TEST(Queues, PutAndGetDoNotSuspendWhileThereIsRoomAndAnItem) {
    Queue<int> queue(1);
    auto put = this->put("put", queue, 7);
    auto get = this->get("a", queue);
    this->turn();
    EXPECT_EQ(story, (Story{"put", "a got 7"}));
}

TYPED_TEST(Queues, ItemsComeOutInTheOrderInWhichTheyWentIn) {
    Queue<int> queue;
    std::vector<int> got;
    auto producer = this->spawn(TypeParam::produces(queue, 100, 0));
    auto consumer = this->spawn(TypeParam::consumes(queue, got, millisecond_ns));
    ASSERT_TRUE(this->loop.run_until_complete(producer));
    auto join = this->spawn(TypeParam::waits("joined", [&] { return queue.join(); }));
    ASSERT_TRUE(this->loop.run_until_complete(join));
    ASSERT_EQ(got.size(), 100u);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(got[i], i);
    queue.shutdown();
    EXPECT_EQ(this->loop.run_until_complete(consumer).error().kind, ErrorKind::queue_shut_down);
}

TYPED_TEST(Queues, AFullQueueMakesPuttersWaitAndAnEmptyOneGetters) {
    Queue<int, 2> queue;
    std::vector<int> got;
    const std::int64_t began_ms = this->now_ms();
    auto producer = this->spawn(TypeParam::produces(queue, 10, 0));
    auto consumer = this->spawn(TypeParam::consumes(queue, got, second_ns));
    this->settle();
    EXPECT_EQ(queue.qsize(), 2u);
    EXPECT_TRUE(queue.full());
    ASSERT_TRUE(this->loop.run_until_complete(producer));
    EXPECT_EQ(this->now_ms() - began_ms, 7000);
    auto join = this->spawn(TypeParam::waits("joined", [&] { return queue.join(); }));
    ASSERT_TRUE(this->loop.run_until_complete(join));
    EXPECT_EQ(got.size(), 10u);
    consumer.cancel();
    this->settle();
    EXPECT_TRUE(consumer.cancelled());
}

TYPED_TEST(Queues, GettersAreWokenFirstInFirstOutOnePerItem) {
    Queue<int> queue;
    auto a = this->get("a", queue);
    auto b = this->get("b", queue);
    auto c = this->get("c", queue);
    this->settle();
    ASSERT_TRUE(queue.put_nowait(1));
    ASSERT_TRUE(queue.put_nowait(2));
    this->turn();
    EXPECT_EQ(story, (Story{"a got 1", "b got 2"}));
    ASSERT_TRUE(queue.put_nowait(3));
    this->settle();
    EXPECT_EQ(story.back(), "c got 3");
}

TYPED_TEST(Queues, PuttersAreWokenFirstInFirstOutOnePerFreePlace) {
    Queue<int> queue(1);
    ASSERT_TRUE(queue.put_nowait(0));
    auto a = this->put("a", queue, 1);
    auto b = this->put("b", queue, 2);
    this->settle();
    EXPECT_TRUE(story.empty());
    EXPECT_EQ(*queue.get_nowait(), 0);
    this->settle();
    EXPECT_EQ(story, Story{"a"});
    EXPECT_EQ(*queue.get_nowait(), 1);
    this->settle();
    EXPECT_EQ(story, (Story{"a", "b"}));
    EXPECT_EQ(*queue.get_nowait(), 2);
}

TYPED_TEST(Queues, AWokenGetterWhoseItemWasTakenWaitsAgainAtTheEndOfTheLine) {
    Queue<int> queue;
    auto a = this->get("a", queue);
    auto b = this->get("b", queue);
    this->settle();
    ASSERT_TRUE(queue.put_nowait(1));
    EXPECT_EQ(*queue.get_nowait(), 1);
    this->settle();
    EXPECT_TRUE(story.empty());
    ASSERT_TRUE(queue.put_nowait(2));
    ASSERT_TRUE(queue.put_nowait(3));
    this->settle();
    EXPECT_EQ(story, (Story{"b got 2", "a got 3"}));
}

TYPED_TEST(Queues, AWokenPutterWhosePlaceWasTakenWaitsAgainAtTheEndOfTheLine) {
    Queue<int> queue(1);
    ASSERT_TRUE(queue.put_nowait(0));
    auto a = this->put("a", queue, 1);
    auto b = this->put("b", queue, 2);
    this->settle();
    EXPECT_EQ(*queue.get_nowait(), 0);
    ASSERT_TRUE(queue.put_nowait(9));
    this->settle();
    EXPECT_TRUE(story.empty());
    EXPECT_EQ(*queue.get_nowait(), 9);
    this->settle();
    EXPECT_EQ(story, Story{"b"});
    EXPECT_EQ(*queue.get_nowait(), 2);
    this->settle();
    EXPECT_EQ(*queue.get_nowait(), 1);
}

// --- cancellation ---

TYPED_TEST(Queues, AGetterCancelledInLineLeavesItAndNothingIsLost) {
    Queue<int> queue;
    auto a = this->get("a", queue);
    auto b = this->get("b", queue);
    this->settle();
    a.cancel();
    ASSERT_TRUE(queue.put_nowait(1));
    this->settle();
    EXPECT_EQ(story, (Story{"a: cancelled", "b got 1"}));
}

TYPED_TEST(Queues, TheMessageOfACancellationComesOut) {
    Queue<int> queue(1);
    LifoQueue<int> newest;
    ASSERT_TRUE(queue.put_nowait(0));
    auto a = this->put("a", queue, 1);
    auto b = this->get("b", newest);
    auto c = this->get("c", newest);
    this->settle();
    a.cancel("too late");
    b.cancel("too late");
    c.cancel();
    this->settle();
    EXPECT_STREQ(describe(a.result().error()).c_str(), "await too late: cancelled");
    EXPECT_STREQ(describe(b.result().error()).c_str(), "await too late: cancelled");
    EXPECT_STREQ(describe(c.result().error()).c_str(), "await LIFO queue: cancelled");
}

TYPED_TEST(Queues, AGetterCancelledAfterItWasWokenPassesTheWakeUpOn) {
    Queue<int> queue;
    auto a = this->get("a", queue);
    auto b = this->get("b", queue);
    this->settle();
    ASSERT_TRUE(queue.put_nowait(1));
    a.cancel();
    this->settle();
    EXPECT_EQ(story, (Story{"a: cancelled", "b got 1"}));
}

TYPED_TEST(Queues, TheOnlyGetterCancelledAfterItWasWokenLeavesTheItem) {
    Queue<int> queue;
    auto a = this->get("a", queue);
    this->settle();
    ASSERT_TRUE(queue.put_nowait(1));
    a.cancel();
    this->settle();
    EXPECT_TRUE(a.cancelled());
    EXPECT_EQ(*queue.get_nowait(), 1);
}

TYPED_TEST(Queues, APutterCancelledInLineLeavesItAndPutsNothing) {
    Queue<int> queue(1);
    ASSERT_TRUE(queue.put_nowait(0));
    auto a = this->put("a", queue, 1);
    auto b = this->put("b", queue, 2);
    this->settle();
    a.cancel();
    EXPECT_EQ(*queue.get_nowait(), 0);
    this->settle();
    EXPECT_EQ(story, (Story{"a: cancelled", "b"}));
    EXPECT_EQ(*queue.get_nowait(), 2);
    EXPECT_TRUE(queue.empty());
}

TYPED_TEST(Queues, APutterCancelledAfterItWasWokenPassesTheWakeUpOn) {
    Queue<int> queue(1);
    ASSERT_TRUE(queue.put_nowait(0));
    auto a = this->put("a", queue, 1);
    auto b = this->put("b", queue, 2);
    this->settle();
    EXPECT_EQ(*queue.get_nowait(), 0);
    a.cancel();
    this->settle();
    EXPECT_EQ(story, (Story{"a: cancelled", "b"}));
    EXPECT_EQ(*queue.get_nowait(), 2);
}

TYPED_TEST(Queues, ATimeoutAtTheInstantOfThePutLosesNoItem) {
    for (const bool timeout_first : {false, true}) {
        Queue<int> queue;
        auto a = this->get("a", queue);
        this->settle();
        if (timeout_first) this->cancel_after_ms(a, 10);
        ASSERT_TRUE(this->loop.call_later([&] { ASSERT_TRUE(queue.put_nowait(5)); }, 10 * millisecond_ns));
        if (!timeout_first) this->cancel_after_ms(a, 10);
        EXPECT_FALSE(this->loop.run_until_complete(a));
        this->settle();
        EXPECT_EQ(*queue.get_nowait(), 5);
    }
}

// --- without waiting ---

TYPED_TEST(Queues, TheNowaitFormsFailInsteadOfWaiting) {
    Queue<int> queue(1);
    EXPECT_EQ(queue.get_nowait().error().kind, ErrorKind::queue_empty);
    EXPECT_TRUE(queue.put_nowait(1));
    EXPECT_EQ(queue.put_nowait(2).error().kind, ErrorKind::queue_full);
    EXPECT_STREQ(describe(queue.put_nowait(2).error()).c_str(), "put queue: the queue is full");
    EXPECT_EQ(*queue.get_nowait(), 1);
}

TYPED_TEST(Queues, SizesSayWhatIsThere) {
    Queue<int> queue(2);
    EXPECT_EQ(queue.maxsize(), 2);
    EXPECT_TRUE(queue.empty());
    EXPECT_FALSE(queue.full());
    ASSERT_TRUE(queue.put_nowait(1));
    ASSERT_TRUE(queue.put_nowait(2));
    EXPECT_EQ(queue.qsize(), 2u);
    EXPECT_TRUE(queue.full());
    EXPECT_EQ((Queue<int, 5>().maxsize()), 5);
}

TYPED_TEST(Queues, WithoutABoundOrWithOneOfZeroOrLessItIsNeverFull) {
    for (const std::int64_t maxsize : {0, -1}) {
        Queue<int> queue(maxsize);
        for (int i = 0; i < 1000; ++i) ASSERT_TRUE(queue.put_nowait(i));
        EXPECT_FALSE(queue.full());
        EXPECT_EQ(queue.qsize(), 1000u);
        EXPECT_EQ(queue.maxsize(), maxsize);
    }
}

// --- join ---

TYPED_TEST(Queues, JoinOfAQueueWithNothingUnfinishedDoesNotSuspend) {
    Queue<int> queue;
    auto join = this->spawn(TypeParam::waits("joined", [&] { return queue.join(); }));
    this->turn();
    EXPECT_TRUE(join.done());
}

TYPED_TEST(Queues, JoinWaitsUntilTaskDoneWasCalledForEveryItem) {
    Queue<int> queue;
    ASSERT_TRUE(queue.put_nowait(1));
    ASSERT_TRUE(queue.put_nowait(2));
    auto first = this->spawn(TypeParam::waits("first", [&] { return queue.join(); }));
    auto second = this->spawn(TypeParam::waits("second", [&] { return queue.join(); }));
    EXPECT_TRUE(queue.get_nowait() && queue.get_nowait());
    this->settle();
    EXPECT_EQ(queue.unfinished_tasks(), 2u);
    EXPECT_TRUE(this->contains(this->printed_tree(), " queue, 2 unfinished, since"));
    EXPECT_TRUE(queue.task_done());
    this->settle();
    EXPECT_TRUE(story.empty()) << "getting is not finishing";
    EXPECT_TRUE(queue.task_done());
    this->settle();
    EXPECT_EQ(story, (Story{"first", "second"}));
}

TYPED_TEST(Queues, JoinersThatWereWokenGoOnEvenIfSomethingIsPutBeforeTheyRunAndCanBeCancelled) {
    Queue<int> queue;
    ASSERT_TRUE(queue.put_nowait(1));
    auto first = this->spawn(TypeParam::waits("first", [&] { return queue.join(); }));
    auto second = this->spawn(TypeParam::waits("second", [&] { return queue.join(); }));
    auto third = this->spawn(TypeParam::waits("third", [&] { return queue.join(); }));
    this->settle();
    third.cancel();
    EXPECT_TRUE(queue.get_nowait());
    EXPECT_TRUE(queue.task_done());
    ASSERT_TRUE(queue.put_nowait(2));
    second.cancel();
    this->settle();
    EXPECT_EQ(story, (Story{"third: cancelled", "first", "second: cancelled"}));
}

TYPED_TEST(Queues, TaskDoneCalledTooOftenIsAnError) {
    Queue<int> queue;
    EXPECT_EQ(queue.task_done().error().kind, ErrorKind::invalid_argument);
    ASSERT_TRUE(queue.put_nowait(1));
    EXPECT_TRUE(queue.task_done());
    EXPECT_STREQ(describe(queue.task_done().error()).c_str(), "task_done queue: invalid argument");
}

// --- shutdown ---

TYPED_TEST(Queues, AfterShutdownPutsFailAndGetsDrainWhatIsThere) {
    Queue<int> queue;
    ASSERT_TRUE(queue.put_nowait(1));
    queue.shutdown();
    EXPECT_EQ(queue.put_nowait(2).error().kind, ErrorKind::queue_shut_down);
    auto put = this->put("put", queue, 3);
    auto a = this->get("a", queue);
    auto b = this->get("b", queue);
    this->turn();
    EXPECT_EQ(story, (Story{"put: the queue was shut down", "a got 1", "b: the queue was shut down"}));
    EXPECT_EQ(queue.get_nowait().error().kind, ErrorKind::queue_shut_down);
}

TYPED_TEST(Queues, ShutdownWakesThoseWhoWait) {
    Queue<int> empty;
    Queue<int> full(1);
    ASSERT_TRUE(full.put_nowait(1));
    auto a = this->get("a", empty);
    auto b = this->get("b", empty);
    auto c = this->put("c", full, 2);
    this->settle();
    empty.shutdown();
    full.shutdown();
    this->settle();
    EXPECT_EQ(story, (Story{"a: the queue was shut down", "b: the queue was shut down",
                            "c: the queue was shut down"}));
    EXPECT_EQ(*full.get_nowait(), 1);
}

TYPED_TEST(Queues, AGetterWokenForAnItemBeforeTheShutdownGetsIt) {
    Queue<int> queue;
    auto a = this->get("a", queue);
    auto b = this->get("b", queue);
    this->settle();
    ASSERT_TRUE(queue.put_nowait(1));
    queue.shutdown();
    this->settle();
    EXPECT_EQ(story, (Story{"a got 1", "b: the queue was shut down"}));
}

TYPED_TEST(Queues, AnImmediateShutdownThrowsTheItemsAwayAndEndsJoins) {
    Queue<int> queue;
    ASSERT_TRUE(queue.put_nowait(1));
    ASSERT_TRUE(queue.put_nowait(2));
    auto join = this->spawn(TypeParam::waits("joined", [&] { return queue.join(); }));
    this->settle();
    queue.shutdown(true);
    EXPECT_TRUE(queue.empty());
    this->settle();
    EXPECT_EQ(story, Story{"joined"});
    EXPECT_EQ(queue.get_nowait().error().kind, ErrorKind::queue_shut_down);
    queue.shutdown(true);
}

TYPED_TEST(Queues, AnImmediateShutdownLeavesJoinsWaitingForWhatWasTakenAndIsNotFinished) {
    Queue<int> queue;
    ASSERT_TRUE(queue.put_nowait(1));
    ASSERT_TRUE(queue.put_nowait(2));
    EXPECT_TRUE(queue.get_nowait());
    auto join = this->spawn(TypeParam::waits("joined", [&] { return queue.join(); }));
    this->settle();
    queue.shutdown(true);
    this->settle();
    EXPECT_TRUE(story.empty());
    EXPECT_TRUE(queue.task_done());
    this->settle();
    EXPECT_EQ(story, Story{"joined"});
}

// --- orders ---

TYPED_TEST(Queues, ALifoQueueGivesTheNewestFirst) {
    LifoQueue<int> queue;
    for (const int item : {1, 2, 3}) ASSERT_TRUE(queue.put_nowait(item));
    auto a = this->get("a", queue);
    this->settle();
    ASSERT_TRUE(queue.put_nowait(4));
    auto b = this->get("b", queue);
    auto c = this->get("c", queue);
    this->settle();
    EXPECT_EQ(story, (Story{"a got 3", "b got 4", "c got 2"}));
}

TYPED_TEST(Queues, APriorityQueueGivesTheSmallestFirst) {
    PriorityQueue<int> queue;
    for (const int item : {5, 1, 4, 2, 3}) ASSERT_TRUE(queue.put_nowait(item));
    auto a = this->get("a", queue);
    auto b = this->get("b", queue);
    this->settle();
    ASSERT_TRUE(queue.put_nowait(0));
    auto c = this->get("c", queue);
    auto d = this->get("d", queue);
    this->settle();
    EXPECT_EQ(story, (Story{"a got 1", "b got 2", "c got 0", "d got 3"}));
}

TYPED_TEST(Queues, BoundedLifoAndPriorityQueuesMakePuttersWait) {
    LifoQueue<int, 1> newest;
    PriorityQueue<int> smallest(1);
    ASSERT_TRUE(newest.put_nowait(1));
    ASSERT_TRUE(smallest.put_nowait(1));
    auto a = this->put("a", newest, 2);
    auto b = this->put("b", smallest, 2);
    this->settle();
    EXPECT_TRUE(newest.get_nowait() && smallest.get_nowait());
    this->settle();
    EXPECT_EQ(*newest.get_nowait(), 2);
    EXPECT_EQ(*smallest.get_nowait(), 2);
}

TYPED_TEST(Queues, PrintTreeSaysWhatExactlyIsWaitedFor) {
    Queue<int> full(1);
    PriorityQueue<int> empty;
    ASSERT_TRUE(full.put_nowait(1));
    auto a = this->put("a", full, 2);
    auto b = this->get("b", empty);
    auto c = this->get("c", empty);
    this->settle();
    EXPECT_TRUE(this->contains(this->printed_tree(), " queue, 1 of 1 items, 1 wait to put, since"))
        << this->printed_tree();
    EXPECT_TRUE(this->contains(this->printed_tree(), " priority queue, 0 items, 2 wait to get, since"));
    full.shutdown();
    empty.shutdown();
    this->settle();
}

TYPED_TEST(Queues, NothingIsAllocatedInTheSteadyState) {
    Queue<int> queue;
    std::vector<int> got;
    got.reserve(100'000);
    const auto pass_a_thousand = [&] {
        TaskRef<void> producer;
        TaskRef<void> consumer;
        {
            const SchedulerScope scope(this->loop);  // so that the compiler's frames come from its pool
            producer = this->spawn(TypeParam::produces(queue, 1000, 0));
            consumer = this->spawn(TypeParam::consumes(queue, got, 0));
        }
        this->settle();
        consumer.cancel();
        this->settle();
    };
    pass_a_thousand();
    const MemoryCounters before = memory_counters();
    for (int i = 0; i < 5; ++i) pass_a_thousand();
    EXPECT_EQ(memory_counters().allocations, before.allocations);
    EXPECT_EQ(got.size(), 6000u);
}

// --- the items themselves ---

class QueueItems : public VirtualLoop {};

struct Numbered {
    int priority;
    int number;
    bool operator<(const Numbered& other) const { return priority < other.priority; }
};

TEST_F(QueueItems, EqualPrioritiesComeOutInTheOrderInWhichTheyCame) {
    PriorityQueue<Numbered> queue;
    for (int number = 0; number < 300; ++number) ASSERT_TRUE(queue.put_nowait({number * 7 % 3, number}));
    Numbered last = {-1, -1};
    while (!queue.empty()) {
        const Numbered item = *queue.get_nowait();
        EXPECT_TRUE(last.priority < item.priority ||
                    (last.priority == item.priority && last.number < item.number));
        last = item;
    }
    EXPECT_EQ(last.priority, 2);
}

TEST_F(QueueItems, MoveOnlyItemsPassThroughAllThreeOrders) {
    struct Boxed {
        std::unique_ptr<int> value;
        bool operator<(const Boxed& other) const { return *value < *other.value; }
    };
    const auto pass = [](auto& queue) {
        for (int i = 0; i < 40; ++i) EXPECT_TRUE(queue.put_nowait({std::make_unique<int>(i)}));
        std::string text;
        for (int i = 0; i < 3; ++i) text += std::to_string(*queue.get_nowait()->value) + " ";
        return text;
    };
    Queue<Boxed> queue;
    LifoQueue<Boxed> newest;
    PriorityQueue<Boxed> smallest;
    EXPECT_EQ(pass(queue), "0 1 2 ");
    EXPECT_EQ(pass(newest), "39 38 37 ");
    EXPECT_EQ(pass(smallest), "0 1 2 ");
}

TEST_F(QueueItems, AQueueThatGrowsWhileItWrapsRoundKeepsItsOrder) {
    Queue<int> queue;
    int put = 0;
    int got = 0;
    for (int round = 0; round < 200; ++round) {
        for (int i = 0; i < 7; ++i) ASSERT_TRUE(queue.put_nowait(put++));
        for (int i = 0; i < 5; ++i) ASSERT_EQ(*queue.get_nowait(), got++);
    }
    while (!queue.empty()) ASSERT_EQ(*queue.get_nowait(), got++);
    EXPECT_EQ(got, put);
}

TEST_F(QueueItems, ABoundedQueueTakesItsMemoryOnceAndAnInlineOneNone) {
    const MemoryCounters before = memory_counters();
    {
        Queue<int> queue(1000);
        Queue<int, 1000> inside;
        for (int i = 0; i < 1000; ++i) ASSERT_TRUE(queue.put_nowait(i) && inside.put_nowait(i));
        EXPECT_EQ(memory_counters().allocations - before.allocations, 1u);
    }
    const MemoryCounters after = memory_counters();
    EXPECT_EQ(after.releases - before.releases, 1u);
}

TEST_F(QueueItems, AHugeBoundTakesNoMoreMemoryThanItsItemsNeed) {
    Queue<int> queue(std::int64_t{1} << 60);
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(queue.put_nowait(i));
    for (int i = 0; i < 100; ++i) EXPECT_EQ(*queue.get_nowait(), i);
}

TEST_F(QueueItems, WithoutMemoryAPutIsAnErrorAndNothingIsLost) {
    Queue<std::unique_ptr<int>> queue;
    for (int i = 0; i < 16; ++i) ASSERT_TRUE(queue.put_nowait(std::make_unique<int>(i)));
    auto item = std::make_unique<int>(16);
    fail_allocations_after(0);
    const Result<void> refused = queue.put_nowait(std::move(item));
    EXPECT_EQ(refused.error().kind, ErrorKind::out_of_memory);
    ASSERT_NE(item, nullptr) << "it is moved from only when it is taken";
    EXPECT_EQ(queue.unfinished_tasks(), 16u);
    EXPECT_TRUE(queue.put_nowait(std::move(item)));
    for (int i = 0; i <= 16; ++i) EXPECT_EQ(**queue.get_nowait(), i);
}

struct PutsFrom : Coroutine<PutsFrom, void, Awaits<Queue<std::unique_ptr<int>>::PutFrom>> {
    Queue<std::unique_ptr<int>>* queue;
    std::unique_ptr<int>* item;
    Progress body() {
        CO_BEGIN;
        CO_TRY(queue->put_from(*item));
        CO_END;
    }
};
Co<void> puts_from(Queue<std::unique_ptr<int>>& queue, std::unique_ptr<int>& item) {
    co_return co_await queue.put_from(item);
}

TEST_F(QueueItems, PutFromLeavesTheItemWhereItIsUntilItIsInTheQueue) {
    Queue<std::unique_ptr<int>> queue(1);
    ASSERT_TRUE(queue.put_nowait(std::make_unique<int>(0)));
    auto first = std::make_unique<int>(1);
    auto second = std::make_unique<int>(2);
    auto a = spawn(PutsFrom{.queue = &queue, .item = &first});
    auto b = spawn(puts_from(queue, second));
    settle();
    a.cancel();
    settle();
    ASSERT_NE(first, nullptr);
    EXPECT_EQ(*first, 1);
    EXPECT_TRUE(queue.get_nowait());
    settle();
    EXPECT_TRUE(b.result());
    EXPECT_EQ(second, nullptr);
    EXPECT_EQ(**queue.get_nowait(), 2);
    auto c = spawn(PutsFrom{.queue = &queue, .item = &first});
    settle();
    EXPECT_EQ(first, nullptr);
}

TEST_F(QueueItems, ItemsThatAreLeftAreDestroyedWithTheQueueAndOnesThatNobodyTakesWithTheirGet) {
    const auto item = std::make_shared<int>(1);
    {
        Queue<std::shared_ptr<int>> queue;
        for (int i = 0; i < 20; ++i) ASSERT_TRUE(queue.put_nowait(item));
        EXPECT_EQ(item.use_count(), 21);
        Frame driver(nullptr);
        const SchedulerScope scope(loop);
        {
            auto get = queue.get();
            EXPECT_TRUE(get.start(driver));
        }
        EXPECT_EQ(item.use_count(), 20);
    }
    EXPECT_EQ(item.use_count(), 1);
}

TEST_F(QueueItems, AFrameDestroyedWhileItWaitsLeavesTheLineOrPassesTheWakeUpOn) {
    for (const bool woken : {false, true}) {
        story.clear();
        Queue<int> queue;
        Frame driver(nullptr);
        TaskRef<void> next;
        {
            auto destroyed = QueueByHand::gets("destroyed", queue);
            begin(destroyed, driver);
            next = spawn(QueueByHand::gets("next", queue));
            settle();
            if (woken) {
                ASSERT_TRUE(queue.put_nowait(1));
            }
            destroy_while_it_waits(destroyed);
        }
        if (!woken) {
            ASSERT_TRUE(queue.put_nowait(1));
        }
        settle();
        EXPECT_EQ(story, Story{"next got 1"});
    }
}

using QueueItemsDeathTest = QueueItems;

TEST_F(QueueItemsDeathTest, DestroyingAQueueThatFramesWaitForIsAMistake) {
    EXPECT_DEATH(
        {
            TaskRef<void> task;
            {
                Queue<int> queue;
                task = spawn(QueueByHand::gets("a", queue));
                settle();
            }
        },
        "cancel them and let them end first");
}

}  // namespace
