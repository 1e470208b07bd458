// Generators: the rules of Python's, one test each.
#include "core/generator.h"

#include <gtest/gtest.h>

#include <vector>

using namespace pollard;

namespace {

struct Countdown : Generator<Countdown, int> {
    int from = 3;
    Progress body() {
        CO_BEGIN;
        while (from > 0) CO_YIELD(from--);
        CO_END;
    }
};

/// Yields what was sent last, starting with 0; 99 ends it with a result.
struct Parrot : Generator<Parrot, int, int, int> {
    Result<int> heard;
    int failures_caught = 0;
    int said = 0;
    Progress body() {
        CO_BEGIN;
        for (;;) {
            CO_AWAIT(heard, yield(said));
            if (!heard && heard.error().kind == ErrorKind::timed_out) {
                ++failures_caught;
                said = -1;
                continue;
            }
            if (!heard) CO_RETURN(heard.error());
            if (*heard == 99) CO_RETURN(1234);
            said = *heard;
        }
        CO_END;
    }
};

struct Around : Generator<Around, int, int, int> {
    Parrot inner;
    Result<int> result;
    Progress body() {
        CO_BEGIN;
        CO_YIELD(-100);
        CO_AWAIT(result, delegate(inner));
        CO_YIELD(result ? *result : -200);
        CO_RETURN(7);
        CO_END;
    }
};

struct Stubborn : Generator<Stubborn, int> {
    Result<Nothing> ignored;
    Progress body() {
        CO_BEGIN;
        for (;;) CO_AWAIT(ignored, yield(1));
        CO_END;
    }
};

struct Nested : Generator<Nested, int> {
    ErrorKind inner_kind = ErrorKind::none;
    Progress body() {
        CO_BEGIN;
        inner_kind = next().error().kind;
        CO_YIELD(1);
        CO_END;
    }
};

struct TryDelegate : Generator<TryDelegate, int> {
    Countdown first;
    bool reached_the_end = false;
    Progress body() {
        CO_BEGIN;
        CO_TRY(delegate(first));
        reached_the_end = true;
        CO_END;
    }
};

struct Noisy {
    int* destroyed;
    explicit Noisy(int* counter) : destroyed(counter) {}
    Noisy(Noisy&& other) noexcept : destroyed(std::exchange(other.destroyed, nullptr)) {}
    ~Noisy() {
        if (destroyed != nullptr) ++*destroyed;
    }
};
struct Holder : Generator<Holder, int> {
    Noisy held;
    Progress body() {
        CO_BEGIN;
        CO_YIELD(1);
        CO_END;
    }
};

TEST(Generator, NoLineOfTheBodyRunsBeforeTheFirstNext) {
    Countdown countdown;
    EXPECT_EQ(countdown.state(), GeneratorState::created);
    EXPECT_EQ(countdown.from, 3);
    EXPECT_EQ(countdown.site, nullptr);
}

TEST(Generator, NextGivesValueAfterValueAndThenStopped) {
    Countdown countdown{.from = 2};
    EXPECT_EQ(*countdown.next(), 2);
    EXPECT_EQ(countdown.state(), GeneratorState::suspended);
    EXPECT_EQ(*countdown.next(), 1);
    EXPECT_EQ(countdown.next().error().kind, ErrorKind::stopped);
    EXPECT_EQ(countdown.state(), GeneratorState::finished);
    EXPECT_EQ(countdown.next().error().kind, ErrorKind::stopped);
}

TEST(Generator, ItsSiteNamesFileAndLineOfTheYieldItStandsAt) {
    Countdown countdown;
    ASSERT_TRUE(countdown.next());
    ASSERT_NE(countdown.site, nullptr);
    EXPECT_EQ(static_cast<unsigned>(countdown.resume_point), countdown.site->line);
    EXPECT_NE(std::string_view(countdown.site->file).find("generator_test.cc"), std::string_view::npos);
    EXPECT_STREQ(countdown.site->expression, "from--");
    EXPECT_STREQ(countdown.frame_type().name, "Countdown");
}

TEST(Generator, RangeForWalksAllValues) {
    Countdown countdown{.from = 4};
    std::vector<int> seen;
    for (int value : countdown) seen.push_back(value);
    EXPECT_EQ(seen, (std::vector{4, 3, 2, 1}));
    EXPECT_TRUE(countdown.returned());
}

TEST(Generator, SendBeforeTheFirstNextIsAnErrorAndLeavesItCreated) {
    Parrot parrot;
    EXPECT_EQ(parrot.send(5).error().kind, ErrorKind::invalid_argument);
    EXPECT_EQ(parrot.state(), GeneratorState::created);
    EXPECT_EQ(*parrot.next(), 0);
}

TEST(Generator, SendIsTheValueOfTheYieldItResumes) {
    Parrot parrot;
    ASSERT_TRUE(parrot.next());
    EXPECT_EQ(*parrot.send(5), 5);
    EXPECT_EQ(*parrot.send(6), 6);
}

TEST(Generator, TheReturnedValueStaysReadable) {
    Parrot parrot;
    ASSERT_TRUE(parrot.next());
    EXPECT_EQ(parrot.send(99).error().kind, ErrorKind::stopped);
    EXPECT_EQ(*parrot.returned(), 1234);
}

TEST(Generator, FailArrivesAtTheYieldAndMayBeCaught) {
    Parrot parrot;
    ASSERT_TRUE(parrot.next());
    EXPECT_EQ(*parrot.fail(Error(ErrorKind::timed_out, Call::none)), -1);
    EXPECT_EQ(parrot.failures_caught, 1);
    EXPECT_EQ(parrot.state(), GeneratorState::suspended);
}

TEST(Generator, FailNotCaughtComesOutAndFinishes) {
    Countdown countdown;
    ASSERT_TRUE(countdown.next());
    EXPECT_EQ(countdown.fail(Error(ErrorKind::broken_pipe, Call::none)).error().kind, ErrorKind::broken_pipe);
    EXPECT_EQ(countdown.state(), GeneratorState::finished);
    EXPECT_EQ(countdown.next().error().kind, ErrorKind::stopped);
}

TEST(Generator, FailBeforeTheStartNeverRunsTheBody) {
    Countdown countdown;
    EXPECT_EQ(countdown.fail(Error(ErrorKind::timed_out, Call::none)).error().kind, ErrorKind::timed_out);
    EXPECT_EQ(countdown.from, 3);
    EXPECT_EQ(countdown.state(), GeneratorState::finished);
}

TEST(Generator, FailAfterTheEndGivesTheErrorBack) {
    Countdown countdown{.from = 0};
    EXPECT_FALSE(countdown.next());
    EXPECT_EQ(countdown.fail(Error(ErrorKind::timed_out, Call::none)).error().kind, ErrorKind::timed_out);
}

TEST(Generator, CloseBeforeTheStartRunsNothing) {
    Countdown countdown;
    EXPECT_TRUE(countdown.close());
    EXPECT_EQ(countdown.from, 3);
    EXPECT_EQ(countdown.state(), GeneratorState::finished);
    EXPECT_TRUE(countdown.close());
}

TEST(Generator, CloseEndsASuspendedBodyAtItsYield) {
    Countdown countdown;
    ASSERT_TRUE(countdown.next());
    EXPECT_TRUE(countdown.close());
    EXPECT_EQ(countdown.state(), GeneratorState::finished);
}

TEST(Generator, YieldingWhenClosedIsInvalid) {
    Stubborn stubborn;
    ASSERT_TRUE(stubborn.next());
    EXPECT_EQ(stubborn.close().error().kind, ErrorKind::invalid_state);
}

TEST(Generator, ResumingFromInsideItselfIsBusyAndUnharmed) {
    Nested nested;
    EXPECT_EQ(*nested.next(), 1);
    EXPECT_EQ(nested.inner_kind, ErrorKind::busy);
}

TEST(Generator, DelegationPassesValuesOutAndSentOnesIn) {
    Around around;
    EXPECT_EQ(*around.next(), -100);
    EXPECT_EQ(*around.next(), 0);
    EXPECT_EQ(*around.send(17), 17);
    EXPECT_EQ(around.inner.said, 17);
}

TEST(Generator, DelegationGivesWhatTheInnerOneReturned) {
    Around around;
    ASSERT_TRUE(around.next());
    ASSERT_TRUE(around.next());
    EXPECT_EQ(*around.send(99), 1234);
    EXPECT_EQ(around.next().error().kind, ErrorKind::stopped);
    EXPECT_EQ(*around.returned(), 7);
}

TEST(Generator, DelegationPassesFailToTheInnermost) {
    Around around;
    ASSERT_TRUE(around.next());
    ASSERT_TRUE(around.next());
    EXPECT_EQ(*around.fail(Error(ErrorKind::timed_out, Call::none)), -1);
    EXPECT_EQ(around.inner.failures_caught, 1);
}

TEST(Generator, AnErrorOfTheInnerOneCanBeCaughtAroundTheDelegation) {
    Around around;
    ASSERT_TRUE(around.next());
    ASSERT_TRUE(around.next());
    EXPECT_EQ(*around.fail(Error(ErrorKind::broken_pipe, Call::none)), -200);
    EXPECT_EQ(around.inner.state(), GeneratorState::finished);
}

TEST(Generator, TryingADelegationGoesOnBehindItWhenTheInnerOneEnds) {
    TryDelegate outer{.first = {.from = 2}};
    EXPECT_EQ(*outer.next(), 2);
    EXPECT_EQ(*outer.next(), 1);
    EXPECT_FALSE(outer.reached_the_end);
    EXPECT_EQ(outer.next().error().kind, ErrorKind::stopped);
    EXPECT_TRUE(outer.reached_the_end);
}

TEST(Generator, ClosingADelegatingOneClosesTheInnerOneFirst) {
    TryDelegate outer;
    ASSERT_TRUE(outer.next());
    EXPECT_TRUE(outer.close());
    EXPECT_EQ(outer.first.state(), GeneratorState::finished);
    EXPECT_FALSE(outer.reached_the_end);
}

TEST(Generator, DroppedHalfWayItDestroysExactlyItsFields) {
    int destroyed = 0;
    {
        Holder holder{.held = Noisy(&destroyed)};
        ASSERT_TRUE(holder.next());
        EXPECT_EQ(destroyed, 0);
    }
    EXPECT_EQ(destroyed, 1);
}

}  // namespace
