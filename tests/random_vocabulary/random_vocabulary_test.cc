// Programs made of chance out of all that asyncio composes waiting with, cancelled at random turns: nothing hangs,
// nothing is left, every await ends once, no lock is held by two.
//
// A program is a handful of tasks. Each takes a few steps that its own sequence of chance chooses: it sleeps, takes
// locks, waits for events, passes things through queues, begins other tasks and waits for them in all the ways there
// are, limits its time, runs groups, asks generators; around most of these can stand any other (`anything`). When
// something fails, it goes on or ends. Meanwhile a meddler cancels, sets and notifies. After a time everybody is
// cancelled, and must end; in some programs the loop is closed instead.
//
// Each kind of step is written twice, with the CO_ macros and with co_await, and what all tasks are told is the same
// for both, turn by turn.
//
//      POLLARD_RANDOM_SEED=4711 random_vocabulary_test      this one program, with all that happens printed
//      POLLARD_RANDOM_SEEDS=100000 random_vocabulary_test   so many programs instead of the usual
//
// What a program is made of, and what it must keep, stands beside this file: the rules in world.h, the steps in steps.h
// and behind it, tasks and whole programs in program.cc.
//
// Read next: tests/random_vocabulary/program.h.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/random_vocabulary/program.h"

namespace pollard::random_vocabulary {

namespace {

std::uint64_t running_seed = 0;

/// Also a seed at which the program breaks off is named.
void name_the_seed(int signal) {
    std::fprintf(stderr, "this was seed %llu: POLLARD_RANDOM_SEED=%llu random_vocabulary_test\n",
                 static_cast<unsigned long long>(running_seed),
                 static_cast<unsigned long long>(running_seed));
    std::signal(signal, SIG_DFL);
    std::raise(signal);
}

std::uint64_t number_in(const char* variable, std::uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class RandomVocabulary : public testing::Test {
protected:
    void SetUp() override {
        for (const int signal : {SIGABRT, SIGSEGV, SIGTERM}) std::signal(signal, name_the_seed);
    }
    void TearDown() override {
        for (const int signal : {SIGABRT, SIGSEGV, SIGTERM}) std::signal(signal, SIG_DFL);
    }
    static Outcome run(std::uint64_t seed, Authors authors, Watched watched = Watched::no,
                       bool prints = false) {
        running_seed = seed;
        Outcome outcome = run_program(seed, authors, watched, prints);
        EXPECT_EQ(outcome.failure, "") << "replay: POLLARD_RANDOM_SEED=" << seed << " random_vocabulary_test";
        return outcome;
    }
};

TEST_F(RandomVocabulary, NothingHangsNothingIsLeftAndEveryAwaitEndsOnce) {
    if (const std::uint64_t only = number_in("POLLARD_RANDOM_SEED", 0); only != 0) {
        run(only, static_cast<Authors>(number_in("POLLARD_RANDOM_AUTHORS", 2)), Watched::no, true);
        return;
    }
    const std::uint64_t first = number_in("POLLARD_RANDOM_FIRST", 1);
    const std::uint64_t count = number_in("POLLARD_RANDOM_SEEDS", 10'000);
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        run(seed, Authors::mixed);
        if (HasFailure()) return;
    }
}

TEST_F(RandomVocabulary, TheSameSeedGivesTheSameTraceWhoeverWroteTheCoroutines) {
    const std::uint64_t first = number_in("POLLARD_RANDOM_SEED", 1);
    const std::uint64_t count =
        number_in("POLLARD_RANDOM_SEED", 0) != 0 ? 1 : number_in("POLLARD_RANDOM_SEEDS", 10'000) / 10;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        const std::uint64_t mixed = run(seed, Authors::mixed).trace;
        EXPECT_EQ(run(seed, Authors::mixed).trace, mixed)
            << "seed " << seed << ": the second run is different";
        EXPECT_EQ(run(seed, Authors::mixed, Watched::by_an_observer).trace, mixed)
            << "seed " << seed << ": different when somebody watches";
        EXPECT_EQ(run(seed, Authors::mixed, Watched::in_debug_mode).trace, mixed)
            << "seed " << seed << ": different in debug mode";
        EXPECT_EQ(run(seed, Authors::by_hand).trace, mixed)
            << "seed " << seed << ": different with the macros";
        EXPECT_EQ(run(seed, Authors::by_compiler).trace, mixed)
            << "seed " << seed << ": different with co_await";
        if (HasFailure()) return;
    }
}

}  // namespace

}  // namespace pollard::random_vocabulary
