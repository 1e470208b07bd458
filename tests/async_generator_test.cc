// Asynchronous generators, by hand and by the compiler: what each request finds, waits for and leaves behind.
#include "core/async_generator.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "core/async_generator_ref.h"
#include "core/co_generator.h"
#include "core/run.h"
#include "core/sleep.h"
#include "core/task.h"
#include "tests/bare_scheduler.h"

using namespace pollard;

namespace {

using Story = std::vector<std::string>;
Story story;

class AsyncGenerators : public BareScheduler {
protected:
    void SetUp() override {
        story.clear();
        BareScheduler::SetUp();
    }
};

std::string words(const Error& error) { return describe(error).c_str(); }
std::string said(const Result<int>& item) {
    return item ? std::to_string(*item) : describe(item.error().kind);
}

// --- generators: one body, two authors ---

/// How a body behaves at what is thrown in.
enum class Manner { ends, returns, yields_again, fails, goes_on };

/// Gives 0, 1, 2 ...; waits two turns before each odd one. Cleans up by waiting a turn.
struct Ticks : AsyncGenerator<Ticks, int, Awaits<Sleep>, int> {
    int count = 0;
    Manner manner = Manner::ends;
    int i = 0;
    Result<int> sent;
    Result<void> slept;

    Progress body() {
        CO_BEGIN;
        for (i = 0; i < count; ++i) {
            if (i % 2 == 1) CO_TRY(sleep_ns(0));
            if (i % 2 == 1) CO_TRY(sleep_ns(0));
            CO_AWAIT(sent, yield(i));
            if (sent) {
                if (*sent != 0) story.push_back("sent " + std::to_string(*sent));
                continue;
            }
            story.push_back(std::string("cleanup begins: ") + pollard::describe(sent.error().kind));
            CO_AWAIT(slept, sleep_ns(0));
            story.push_back(slept ? "cleanup ends" : "cleanup is cancelled");
            if (!slept) CO_RETURN(slept.error());
            if (manner == Manner::ends) CO_RETURN(sent.error());
            if (manner == Manner::returns) CO_RETURN();
            if (manner == Manner::fails) CO_RETURN(Error(ErrorKind::broken_pipe, Call::send));
            if (manner == Manner::yields_again) CO_YIELD(99);
        }
        CO_END;
    }
};

AsyncGen<int, int> co_ticks(int count, Manner manner) {
    for (int i = 0; i < count; ++i) {
        for (int turn = 0; turn < i % 2 * 2; ++turn) {
            Result<void> slept = co_await sleep_ns(0);
            if (!slept) co_return slept;
        }
        const Result<int> sent = co_yield i;
        if (sent) {
            if (*sent != 0) story.push_back("sent " + std::to_string(*sent));
            continue;
        }
        story.push_back(std::string("cleanup begins: ") + describe(sent.error().kind));
        Result<void> slept = co_await sleep_ns(0);
        story.push_back(slept ? "cleanup ends" : "cleanup is cancelled");
        if (!slept) co_return slept;
        if (manner == Manner::ends) co_return sent.error();
        if (manner == Manner::returns) co_return Result<void>();
        if (manner == Manner::fails) co_return Error(ErrorKind::broken_pipe, Call::send);
        if (manner == Manner::yields_again) {
            const Result<int> again = co_yield 99;
            if (!again) co_return again.error();
        }
    }
    co_return Result<void>();
}

/// Makes the same generator of either author.
struct ByHand {
    using Generator = Ticks;
    static Ticks make(int count, Manner manner) { return Ticks{.count = count, .manner = manner}; }
};
struct ByCompiler {
    using Generator = AsyncGen<int, int>;
    static Generator make(int count, Manner manner) { return co_ticks(count, manner); }
};

template <class Author>
class BothAuthors : public AsyncGenerators {
protected:
    using Generator = typename Author::Generator;
    Generator make(int count, Manner manner = Manner::ends) { return Author::make(count, manner); }

    /// Awaits one request in a task of its own; `make_request` builds it.
    template <class MakeRequest>
    auto ask(MakeRequest make_request) {
        using Request = decltype(make_request());
        using Answer = decltype(std::declval<Request&>().result());
        return run(asks<Request, typename Answer::value_type>(make_request));
    }
    template <class Request, class T, class MakeRequest>
    static Co<T> asks(MakeRequest make_request) {
        co_return co_await make_request();
    }
    Result<int> next(Generator& generator) {
        return ask([&] { return generator.next(); });
    }
};
using Authors = testing::Types<ByHand, ByCompiler>;
TYPED_TEST_SUITE(BothAuthors, Authors, );

// --- next ---

TYPED_TEST(BothAuthors, NothingHappensUntilARequestIsAwaited) {
    auto ticks = this->make(3);
    {
        auto asked = ticks.next();
    }
    {
        auto closing = ticks.aclose();
    }
    EXPECT_EQ(ticks.state(), GeneratorState::created);
    EXPECT_EQ(*this->next(ticks), 0);
    EXPECT_EQ(ticks.state(), GeneratorState::suspended);
}

TYPED_TEST(BothAuthors, ItsValuesComeOneByOneAndThenStoppedForEver) {
    auto ticks = this->make(3);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(*this->next(ticks), i);
    for (int i = 0; i < 3; ++i) {
        const Result<int> after = this->next(ticks);
        EXPECT_EQ(after.error().kind, ErrorKind::stopped);
        EXPECT_TRUE(ended(after));
    }
    EXPECT_EQ(ticks.state(), GeneratorState::finished);
}

TYPED_TEST(BothAuthors, AskedWhileAnotherTaskWaitsInItItIsBusy) {
    auto ticks = this->make(3);
    EXPECT_EQ(*this->next(ticks), 0);
    using Tests = BothAuthors<TypeParam>;
    using Requested = typename TypeParam::Generator;
    auto make_next = [&] { return ticks.next(); };
    auto waiting = this->spawn(Tests::template asks<Next<Requested>, int>(make_next));
    this->scheduler.run_turn();
    EXPECT_EQ(ticks.state(), GeneratorState::running);
    auto refused = this->spawn(Tests::template asks<Next<Requested>, int>(make_next));
    auto close_refused = this->spawn(Tests::template asks<Aclose, void>([&] { return ticks.aclose(); }));
    auto send_refused =
        this->spawn(Tests::template asks<Asend<Requested>, int>([&] { return ticks.asend(5); }));
    auto throw_refused = this->spawn(Tests::template asks<Athrow<Requested>, int>(
        [&] { return ticks.athrow(Error(ErrorKind::other, Call::run)); }));
    this->scheduler.run_until_idle();
    EXPECT_EQ(*waiting.result(), 1);
    EXPECT_EQ(refused.result().error().kind, ErrorKind::busy);
    EXPECT_EQ(close_refused.result().error().kind, ErrorKind::busy);
    EXPECT_EQ(send_refused.result().error().kind, ErrorKind::busy);
    EXPECT_EQ(throw_refused.result().error().kind, ErrorKind::busy);
    EXPECT_EQ(*this->next(ticks), 2) << "unharmed";
}

TYPED_TEST(BothAuthors, AnErrorInTheBodyComesOutOfThatItemOnceAndThenItIsFinished) {
    auto ticks = this->make(5, Manner::fails);
    EXPECT_EQ(*this->next(ticks), 0);
    const Result<int> thrown =
        this->ask([&] { return ticks.athrow(Error(ErrorKind::unreachable, Call::connect)); });
    EXPECT_EQ(thrown.error().kind, ErrorKind::broken_pipe);
    EXPECT_EQ(this->next(ticks).error().kind, ErrorKind::stopped);
}

TYPED_TEST(BothAuthors, AConsumerCancelledWhileItWaitsIsHitInsideTheGenerator) {
    auto ticks = this->make(5);
    EXPECT_EQ(*this->next(ticks), 0);
    using Requested = typename TypeParam::Generator;
    auto task = this->spawn(
        BothAuthors<TypeParam>::template asks<Next<Requested>, int>([&] { return ticks.next(); }));
    this->scheduler.run_turn();
    task.cancel();
    this->scheduler.run_until_idle();
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(ticks.state(), GeneratorState::finished)
        << "its await gave `cancelled`, and it ended with that";
}

TYPED_TEST(BothAuthors, AConsumerThatIsDestroyedInTheMiddleOfAnItemLeavesAFinishedGenerator) {
    auto ticks = this->make(5);
    EXPECT_EQ(*this->next(ticks), 0);
    Frame driver(nullptr);
    {
        auto consumer = BothAuthors<TypeParam>::template asks<Next<typename TypeParam::Generator>, int>(
            [&] { return ticks.next(); });
        ASSERT_FALSE(consumer.start(driver));
    }
    this->scheduler.run_until_idle();
    EXPECT_EQ(ticks.state(), GeneratorState::finished);
    EXPECT_EQ(this->next(ticks).error().kind, ErrorKind::stopped);
}

// --- asend ---

TYPED_TEST(BothAuthors, AsendGivesTheYieldItsValueAndGoesOnToTheNext) {
    auto ticks = this->make(3);
    EXPECT_EQ(*this->next(ticks), 0);
    EXPECT_EQ(*this->ask([&] { return ticks.asend(7); }), 1);
    EXPECT_EQ(*this->ask([&] { return ticks.asend(8); }), 2);
    EXPECT_EQ(this->ask([&] { return ticks.asend(9); }).error().kind, ErrorKind::stopped);
    EXPECT_EQ(this->ask([&] { return ticks.asend(10); }).error().kind, ErrorKind::stopped);
    EXPECT_EQ(story, (Story{"sent 7", "sent 8", "sent 9"}));
}

TYPED_TEST(BothAuthors, AsendToAFreshOneIsAnErrorAndLeavesItFresh) {
    auto ticks = this->make(3);
    const Result<int> refused = this->ask([&] { return ticks.asend(7); });
    EXPECT_EQ(words(refused.error()), "next asend before next: invalid argument");
    EXPECT_EQ(ticks.state(), GeneratorState::created);
    EXPECT_EQ(*this->next(ticks), 0);
}

// --- athrow ---

TYPED_TEST(BothAuthors, AthrowArrivesAtTheYieldAndTheBodyMayGoOn) {
    auto ticks = this->make(3, Manner::goes_on);
    EXPECT_EQ(*this->next(ticks), 0);
    EXPECT_EQ(*this->ask([&] { return ticks.athrow(Error(ErrorKind::unreachable, Call::connect)); }), 1);
    EXPECT_EQ(story, (Story{"cleanup begins: unreachable", "cleanup ends"}));
}

TYPED_TEST(BothAuthors, AthrowUncaughtComesOutAndTheGeneratorIsFinished) {
    auto ticks = this->make(3);
    EXPECT_EQ(*this->next(ticks), 0);
    EXPECT_EQ(
        this->ask([&] { return ticks.athrow(Error(ErrorKind::unreachable, Call::connect)); }).error().kind,
        ErrorKind::unreachable);
    EXPECT_EQ(ticks.state(), GeneratorState::finished);
    EXPECT_EQ(this->next(ticks).error().kind, ErrorKind::stopped);
}

TYPED_TEST(BothAuthors, AthrowThatTheBodyAnswersByReturningIsTheEnd) {
    auto ticks = this->make(3, Manner::returns);
    EXPECT_EQ(*this->next(ticks), 0);
    EXPECT_TRUE(ended(this->ask([&] { return ticks.athrow(Error(ErrorKind::other, Call::run)); })));
}

TYPED_TEST(BothAuthors, AthrowIntoAFreshOneRunsNothingAndTheErrorComesOut) {
    auto ticks = this->make(3);
    const Error error(ErrorKind::unreachable, Call::connect);
    EXPECT_EQ(this->ask([&] { return ticks.athrow(error); }).error().kind, ErrorKind::unreachable);
    EXPECT_EQ(ticks.state(), GeneratorState::finished);
    EXPECT_EQ(this->ask([&] { return ticks.athrow(error); }).error().kind, ErrorKind::unreachable);
    EXPECT_EQ(this->next(ticks).error().kind, ErrorKind::stopped);
    EXPECT_TRUE(story.empty());
}

TYPED_TEST(BothAuthors, AStopThatTheBodyEndsWithItselfIsItsMistakeAndNotTheEnd) {
    auto ticks = this->make(3);
    EXPECT_EQ(*this->next(ticks), 0);
    const Result<int> thrown = this->ask([&] { return ticks.athrow(Error(ErrorKind::stopped, Call::next)); });
    EXPECT_EQ(words(thrown.error()), "next stopped in the body: invalid state");
}

// --- aclose ---

TYPED_TEST(BothAuthors, AcloseOfAFreshOneRunsNothing) {
    auto ticks = this->make(3);
    EXPECT_TRUE(this->ask([&] { return ticks.aclose(); }));
    EXPECT_EQ(ticks.state(), GeneratorState::finished);
    EXPECT_TRUE(story.empty());
    EXPECT_TRUE(ended(this->next(ticks)));
}

TYPED_TEST(BothAuthors, AcloseLetsTheBodyCleanUpAndTheCleanupMayWait) {
    auto ticks = this->make(3);
    EXPECT_EQ(*this->next(ticks), 0);
    EXPECT_TRUE(this->ask([&] { return ticks.aclose(); }));
    EXPECT_EQ(story, (Story{"cleanup begins: closed", "cleanup ends"}));
    EXPECT_EQ(ticks.state(), GeneratorState::finished);
}

TYPED_TEST(BothAuthors, AcloseThatTheBodyAnswersByReturningIsFine) {
    auto ticks = this->make(3, Manner::returns);
    EXPECT_EQ(*this->next(ticks), 0);
    EXPECT_TRUE(this->ask([&] { return ticks.aclose(); }));
}

TYPED_TEST(BothAuthors, AcloseOfAFinishedOneDoesNothing) {
    auto ticks = this->make(0);
    EXPECT_TRUE(ended(this->next(ticks)));
    EXPECT_TRUE(this->ask([&] { return ticks.aclose(); }));
    EXPECT_TRUE(this->ask([&] { return ticks.aclose(); }));
    EXPECT_TRUE(story.empty());
}

TYPED_TEST(BothAuthors, AcloseOfABodyThatYieldsAgainIsAnError) {
    auto ticks = this->make(3, Manner::yields_again);
    EXPECT_EQ(*this->next(ticks), 0);
    EXPECT_EQ(words(this->ask([&] { return ticks.aclose(); }).error()),
              "next yielded when closed: invalid state");
    EXPECT_EQ(*this->next(ticks), 1) << "it stands at that yield";
}

TYPED_TEST(BothAuthors, AcloseGivesTheErrorThatTheCleanupEndsWith) {
    auto ticks = this->make(3, Manner::fails);
    EXPECT_EQ(*this->next(ticks), 0);
    EXPECT_EQ(this->ask([&] { return ticks.aclose(); }).error().kind, ErrorKind::broken_pipe);
    EXPECT_EQ(ticks.state(), GeneratorState::finished);
}

TYPED_TEST(BothAuthors, AcloseCancelledInTheCleanupIsHitThere) {
    auto ticks = this->make(3);
    EXPECT_EQ(*this->next(ticks), 0);
    auto task =
        this->spawn(BothAuthors<TypeParam>::template asks<Aclose, void>([&] { return ticks.aclose(); }));
    this->scheduler.run_turn();
    task.cancel();
    this->scheduler.run_until_idle();
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(story, (Story{"cleanup begins: closed", "cleanup is cancelled"}));
}

// --- async for, by hand ---

struct Consumes : Coroutine<Consumes, std::string, Awaits<Next<Ticks>, Sleep>> {
    Ticks* ticks;
    int stop_at = 100;
    bool sleeps = false;
    Result<int> tick;
    std::string seen;

    Progress body() {
        CO_BEGIN;
        for (;;) {
            CO_AWAIT(tick, ticks->next());
            if (!tick) break;
            seen += std::to_string(*tick) + " ";
            if (*tick == stop_at) break;
            if (sleeps) CO_TRY(sleep_ns(0));
        }
        if (!tick && !ended(tick)) CO_RETURN(tick.error());
        CO_RETURN(seen);
        CO_END;
    }
};

Co<std::string> co_consumes(AsyncGen<int, int>& ticks, int stop_at, bool sleeps) {
    std::string seen;
    Result<int> tick;
    while ((tick = co_await ticks.next())) {
        seen += std::to_string(*tick) + " ";
        if (*tick == stop_at) break;
        if (!sleeps) continue;
        Result<void> slept = co_await sleep_ns(0);
        if (!slept) co_return slept.error();
    }
    if (!tick && !ended(tick)) co_return tick.error();
    co_return seen;
}

TEST_F(AsyncGenerators, ALoopOverItSeesEachValueAndEndsWithTheLast) {
    Ticks ticks{.count = 5};
    EXPECT_EQ(*run(Consumes{.ticks = &ticks}), "0 1 2 3 4 ");
    auto written = co_ticks(5, Manner::ends);
    EXPECT_EQ(*run(co_consumes(written, 100, false)), "0 1 2 3 4 ");
}

TEST_F(AsyncGenerators, LeavingTheLoopEarlyDoesNotCloseTheGenerator) {
    Ticks ticks{.count = 5};
    EXPECT_EQ(*run(Consumes{.ticks = &ticks, .stop_at = 2}), "0 1 2 ");
    EXPECT_EQ(ticks.state(), GeneratorState::suspended);
    EXPECT_EQ(*run(Consumes{.ticks = &ticks}), "3 4 ");
    auto written = co_ticks(5, Manner::ends);
    EXPECT_EQ(*run(co_consumes(written, 2, false)), "0 1 2 ");
    EXPECT_EQ(written.state(), GeneratorState::suspended);
    EXPECT_TRUE(story.empty());
}

TEST_F(AsyncGenerators, CancelledInTheBodyOfTheLoopTheGeneratorIsNotTold) {
    Ticks ticks{.count = 5};
    auto task = spawn(Consumes{.ticks = &ticks, .sleeps = true});
    scheduler.run_turn();
    task.cancel();
    scheduler.run_until_idle();
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(ticks.state(), GeneratorState::suspended);
    auto written = co_ticks(5, Manner::ends);
    auto second = spawn(co_consumes(written, 100, true));
    scheduler.run_turn();
    second.cancel();
    scheduler.run_until_idle();
    EXPECT_TRUE(second.cancelled());
    EXPECT_EQ(written.state(), GeneratorState::suspended);
    EXPECT_TRUE(story.empty());
}

/// Asks for a value and drops it.
struct Skips : Coroutine<Skips, int, Awaits<Next<Ticks>>> {
    Ticks* ticks;
    Result<int> tick;
    Progress body() {
        CO_BEGIN;
        CO_TRY(ticks->next());
        CO_TRY(ticks->next());
        CO_AWAIT(tick, ticks->next());
        CO_RETURN(tick);
        CO_END;
    }
};

TEST_F(AsyncGenerators, AValueThatNobodyTakesIsDropped) {
    Ticks ticks{.count = 5};
    EXPECT_EQ(*run(Skips{.ticks = &ticks}), 2);
}

/// Waits for itself.
struct AsksItself : AsyncGenerator<AsksItself, int, Awaits<Next<AsksItself>>> {
    Result<int> own;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(own, next());
        story.push_back(words(own.error()));
        CO_YIELD(1);
        CO_END;
    }
};
struct Asks : Coroutine<Asks, int, Awaits<Next<AsksItself>>> {
    AsksItself generator;
    Result<int> got;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(got, generator.next());
        CO_RETURN(got);
        CO_END;
    }
};

TEST_F(AsyncGenerators, AskedFromInsideItselfItIsBusyAndUnharmed) {
    EXPECT_EQ(*run(Asks{}), 1);
    EXPECT_EQ(story, (Story{"next AsksItself: busy"}));
}

// --- dropped ---

struct Tracked {
    int* alive;
    explicit Tracked(int* counter) : alive(counter) { ++*alive; }
    Tracked(Tracked&& other) noexcept : alive(std::exchange(other.alive, nullptr)) {}
    ~Tracked() {
        if (alive != nullptr) --*alive;
    }
};

struct Holds : AsyncGenerator<Holds, Tracked, Awaits<Sleep>> {
    int* alive;
    Tracked field;
    Progress body() {
        CO_BEGIN;
        for (;;) CO_YIELD(Tracked(alive));
        CO_END;
    }
};
struct TakesTwo : Coroutine<TakesTwo, void, Awaits<Next<Holds>>> {
    Holds* holds;
    Progress body() {
        CO_BEGIN;
        CO_TRY(holds->next());
        CO_TRY(holds->next());
        CO_END;
    }
};
AsyncGen<Tracked> co_holds(int* alive) {
    const Tracked local(alive);
    for (;;) {
        const Result<Nothing> asked = co_yield Tracked(alive);
        if (!asked) co_return asked.error();
    }
}
Co<void> co_takes_one(AsyncGen<Tracked>& holds) {
    const Result<Tracked> taken = co_await holds.next();
    co_return taken ? Result<void>() : Result<void>(taken.error());
}

TEST_F(AsyncGenerators, AnObjectInPlaceDroppedHalfUsedJustGoes) {
    int alive = 0;
    {
        Holds holds{.alive = &alive, .field = Tracked(&alive)};
        EXPECT_TRUE(run(TakesTwo{.holds = &holds}));
        EXPECT_EQ(alive, 1);
    }
    EXPECT_EQ(alive, 0);
    {
        auto holds = co_holds(&alive);
        EXPECT_TRUE(run(co_takes_one(holds)));
        EXPECT_EQ(alive, 1);
    }
    EXPECT_EQ(alive, 0);
}

TEST_F(AsyncGenerators, WithoutMemoryForItTheFirstRequestSaysSo) {
    scope.reset();  // without a scheduler its memory comes from `allocate`, which can be made to fail
    fail_allocations_after(0);
    auto made = co_ticks(3, Manner::ends);
    EXPECT_TRUE(made.allocation_failed());
    scope.emplace(scheduler);
    EXPECT_EQ(run(co_consumes(made, 0, false)).error().kind, ErrorKind::out_of_memory);
}

TEST_F(AsyncGenerators, AskingAllocatesNothing) {
    Ticks ticks{.count = 100'000};
    auto written = co_ticks(1000, Manner::ends);
    EXPECT_EQ(said(*run(Skips{.ticks = &ticks})), "2");
    const MemoryCounters before = memory_counters();
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(run(Skips{.ticks = &ticks}));
    EXPECT_EQ(memory_counters().allocations, before.allocations);
}

// --- counted ones, which the loop closes ---

template <class Author>
class CountedBothAuthors : public BothAuthors<Author> {
protected:
    using Ref = AsyncGeneratorRef<typename Author::Generator>;
    void SetUp() override {
        BothAuthors<Author>::SetUp();
        this->scheduler.error_handler = [](void*, const ErrorReport& report) {
            story.push_back(std::string("reported: ") + report.message + ": " + words(report.error));
        };
    }
    Ref make_counted(int count, Manner manner = Manner::ends) {
        auto made = make_async_generator(this->make(count, manner));
        EXPECT_TRUE(made);
        return *std::move(made);
    }
    Result<int> next(Ref& generator) {
        return this->ask([&] { return generator.next(); });
    }
    std::size_t blocks() { return this->scheduler.pool->blocks.blocks_in_use(); }
};
TYPED_TEST_SUITE(CountedBothAuthors, Authors, );

const char* const not_closed = "reported: an asynchronous generator could not be closed: ";

TYPED_TEST(CountedBothAuthors, DroppedHalfUsedTheLoopClosesItInATaskOfItsOwn) {
    auto ticks = this->make_counted(3);
    EXPECT_EQ(*this->next(ticks), 0);
    ticks = {};
    EXPECT_TRUE(story.empty()) << "not at once";
    EXPECT_NE(this->scheduler.tasks.next, &this->scheduler.tasks);
    this->scheduler.run_until_idle();
    EXPECT_EQ(story, (Story{"cleanup begins: closed", "cleanup ends"}));
    EXPECT_EQ(this->blocks(), 0u);
}

TYPED_TEST(CountedBothAuthors, DroppedUnusedOrFinishedItJustGoes) {
    auto unused = this->make_counted(3);
    auto finished = this->make_counted(0);
    EXPECT_TRUE(ended(this->next(finished)));
    unused = {};
    finished = {};
    EXPECT_EQ(this->scheduler.tasks.next, &this->scheduler.tasks) << "no task was made";
    EXPECT_EQ(this->blocks(), 0u);
    EXPECT_TRUE(story.empty());
}

TYPED_TEST(CountedBothAuthors, OnlyTheLastReferenceCounts) {
    auto ticks = this->make_counted(3);
    auto second = ticks;
    EXPECT_EQ(*this->next(ticks), 0);
    ticks = {};
    this->scheduler.run_until_idle();
    EXPECT_TRUE(story.empty());
    EXPECT_EQ(*this->next(second), 1);
    second = {};
    this->scheduler.run_until_idle();
    EXPECT_EQ(story, (Story{"cleanup begins: closed", "cleanup ends"}));
}

TYPED_TEST(CountedBothAuthors, WhatTheCleanupOfADroppedOneFailsWithGoesToTheHandler) {
    auto ticks = this->make_counted(3, Manner::fails);
    EXPECT_EQ(*this->next(ticks), 0);
    ticks = {};
    this->scheduler.run_until_idle();
    EXPECT_EQ(story.back(), not_closed + words(Error(ErrorKind::broken_pipe, Call::send)));
}

TYPED_TEST(CountedBothAuthors, ACloserThatIsCancelledGivesUpAndTheGeneratorGoes) {
    auto ticks = this->make_counted(3);
    EXPECT_EQ(*this->next(ticks), 0);
    ticks = {};
    TaskState::of(this->scheduler.tasks.next)->cancel();
    this->scheduler.run_until_idle();
    EXPECT_TRUE(story.empty());
    EXPECT_EQ(this->blocks(), 0u);
}

TYPED_TEST(CountedBothAuthors, ShutdownClosesAllHalfUsedOnesTogetherAndReportsTheirErrors) {
    auto fresh = this->make_counted(3);
    auto first = this->make_counted(3);
    auto second = this->make_counted(3, Manner::fails);
    EXPECT_EQ(*this->next(first), 0);
    EXPECT_EQ(*this->next(second), 0);
    EXPECT_TRUE(this->run(shutdown_asyncgens()));
    EXPECT_EQ(story, (Story{"cleanup begins: closed", "cleanup begins: closed", "cleanup ends",
                            "cleanup ends", not_closed + words(Error(ErrorKind::broken_pipe, Call::send))}));
    EXPECT_EQ(first.state_of_body(), GeneratorState::finished);
    EXPECT_EQ(second.state_of_body(), GeneratorState::finished);
    EXPECT_EQ(fresh.state_of_body(), GeneratorState::created);
}

TYPED_TEST(CountedBothAuthors, ShutdownWaitsForThoseThatWereDroppedBefore) {
    auto ticks = this->make_counted(3);
    EXPECT_EQ(*this->next(ticks), 0);
    ticks = {};
    auto task = this->spawn(shutdown_asyncgens());
    while (!task.done()) this->scheduler.run_turn();
    EXPECT_EQ(story, (Story{"cleanup begins: closed", "cleanup ends"}));
}

TYPED_TEST(CountedBothAuthors, ShutdownWithNothingToCloseDoesNotSuspend) {
    auto task = this->spawn(shutdown_asyncgens());
    this->scheduler.run_turn();
    EXPECT_TRUE(task.done());
}

TYPED_TEST(CountedBothAuthors, ShutdownReportsThatAGeneratorIsBusy) {
    auto ticks = this->make_counted(3);
    EXPECT_EQ(*this->next(ticks), 0);
    using Requested = typename TypeParam::Generator;
    auto waiting = this->spawn(
        BothAuthors<TypeParam>::template asks<Next<Requested>, int>([&] { return ticks.next(); }));
    EXPECT_TRUE(this->run(shutdown_asyncgens()));
    ASSERT_EQ(story.size(), 1u);
    EXPECT_NE(story[0].find("could not be closed"), std::string::npos);
    EXPECT_NE(story[0].find("busy"), std::string::npos);
    EXPECT_EQ(*waiting.result(), 1);
    ticks = {};
    this->scheduler.run_until_idle();
}

TYPED_TEST(CountedBothAuthors, ACancelledShutdownEndsCancelled) {
    auto ticks = this->make_counted(3);
    EXPECT_EQ(*this->next(ticks), 0);
    auto task = this->spawn(shutdown_asyncgens());
    this->scheduler.run_turn();
    this->scheduler.run_turn();
    task.cancel();
    this->scheduler.run_until_idle();
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(story, (Story{"cleanup begins: closed", "cleanup is cancelled"}));
}

TYPED_TEST(CountedBothAuthors, OneThatIsFirstAskedAfterShutdownIsReportedOnce) {
    auto ticks = this->make_counted(3);
    EXPECT_TRUE(this->run(shutdown_asyncgens()));
    EXPECT_EQ(*this->next(ticks), 0);
    EXPECT_EQ(*this->next(ticks), 1);
    ASSERT_EQ(story.size(), 1u);
    EXPECT_NE(story[0].find("first asked after shutdown_asyncgens"), std::string::npos);
    ticks = {};
    this->scheduler.run_until_idle();
}

TYPED_TEST(CountedBothAuthors, AReferenceMayOutliveTheLoop) {
    Scheduler other;
    other.pool = TaskPool::create(other);
    AsyncGeneratorRef<typename TypeParam::Generator> kept;
    {
        const SchedulerScope here(other);
        kept = this->make_counted(3);
        auto task = *create_task_on(
            other, BothAuthors<TypeParam>::template asks<Next<typename TypeParam::Generator>, int>(
                       [&] { return kept.next(); }));
        other.run_until_idle();
        EXPECT_EQ(*task.result(), 0);
    }
    other.pool->orphan();
    kept = {};
    EXPECT_TRUE(story.empty());
}

TYPED_TEST(CountedBothAuthors, MakingOneWithoutMemoryIsAnErrorValue) {
    fail_allocations_after(0);
    auto made = make_async_generator(this->make(3));
    EXPECT_EQ(made.error().kind, ErrorKind::out_of_memory);
}

/// Begins a generator, and keeps it or leaves it.
struct Leaves : Coroutine<Leaves, void, Awaits<Next<Ticks>, Sleep>> {
    AsyncGeneratorRef<Ticks>* kept = nullptr;
    bool sleeps = false;
    AsyncGeneratorRef<Ticks> ticks;
    Progress body() {
        CO_BEGIN;
        ticks = *make_async_generator(Ticks{.count = 3});
        CO_TRY(ticks.next());
        if (kept != nullptr) *kept = ticks;
        if (sleeps) CO_TRY(sleep_ns(3600 * second_ns));
        CO_END;
    }
};

TEST(AsyncGeneratorsOfALoop, RunClosesAllThatAreHalfUsedAtItsEnd) {
    story.clear();
    AsyncGeneratorRef<Ticks> kept;
    EXPECT_TRUE(run(Leaves{.kept = &kept}, {.kernel = "simulated"}));
    EXPECT_EQ(story, (Story{"cleanup begins: closed", "cleanup ends"}));
    EXPECT_EQ(kept.state_of_body(), GeneratorState::finished);
}

TEST(AsyncGeneratorsOfALoop, OneThatIsDroppedWhileTheLoopClosesCleansUpToo) {
    story.clear();
    EventLoop loop;
    ASSERT_TRUE(loop.open({.kernel = "simulated"}));
    EXPECT_TRUE(loop.create_task(Leaves{.sleeps = true}));
    loop.stop();
    EXPECT_TRUE(loop.run_forever());
    EXPECT_TRUE(loop.close());
    EXPECT_EQ(story, (Story{"cleanup begins: closed", "cleanup ends"}));
}

TEST_F(AsyncGenerators, DroppingTheLastReferenceUnderOneWhoWaitsIsAMistakeWithASentence) {
    auto ticks = *make_async_generator(Ticks{.count = 3});
    auto make_next = [&] { return ticks.next(); };
    using Tests = BothAuthors<ByHand>;
    struct Opens : Tests {
        using Tests::asks;
    };
    EXPECT_EQ(*run(Opens::asks<Next<Ticks>, int>(make_next)), 0);
    auto waiting = spawn(Opens::asks<Next<Ticks>, int>(make_next));
    scheduler.run_turn();
    EXPECT_DEATH(ticks = {}, "let that frame keep one");
    scheduler.run_until_idle();
    EXPECT_EQ(*waiting.result(), 1);
    ticks = {};
    scheduler.run_until_idle();
}

}  // namespace
