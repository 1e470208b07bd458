// chained: part1 hands its result to part2, and three such chains run side by side: the time of the longest.
//
//      tools/demo chained                               chains 1, 2 and 3: after 4, 8 and 11 s; 11 s in all
//      tools/demo chained --kernel simulated            the same in virtual time: at once
//      tools/demo chained 9 6 3 1                       other chains, as many as you like
//      tools/demo chained --seed 7                      other sleeps: those that Python draws after random.seed(7)
//      tools/demo chained --explain                     each await, each resumption
//      tools/demo chained --trace run.json              a timeline: one lane for each chain
//
// Each part sleeps for a number of seconds from 0 to 10, and gives a result that part2 makes of part1's.
//
// What to look at: inside a chain one thing comes after the other, since part2 needs what part1 gives. An awaited
// coroutine is no task: Part1 stands in Chain's slot while Chain waits for it, and when it has ended Part2 stands
// there. Between the chains nothing has to come after anything, so each is a task, and they wait at the same time:
//
//      Chain 1   part1 |----- 4 s -----| part2 |------------- 7 s -------------|  11 s
//      Chain 2   part1 |----- 4 s -----| part2 |----- 4 s -----|                   8 s
//      Chain 3   part1 | part2 |----- 4 s -----|                                   4 s
//
// Added up that is 23 s of sleep, in 11 s. How many chains there are is known at run time only, so Main gathers a row
// of tasks (demos/make_random.cc has a fixed number).
//
// Read next: core/coroutine.h (the slot), core/combinators/gather.h.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <span>

#include "core/combinators/gather.h"
#include "core/coroutine.h"
#include "core/sleep.h"
#include "core/task.h"
#include "demos/demo_loop.h"
#include "demos/python_random.h"

using namespace pollard;

namespace {

constexpr std::size_t most_chains = 100;

/// What all chains share.
struct Program {
    EventLoop& loop;
    PythonRandom random;
};

constexpr std::int64_t greatest_chain = 9999;
/// What a part gives, by value: with room for the longest, "result9999-2 derived from result9999-1".
struct Words {
    char chars[40];
};

// --- what is drawn and said ---

Text part1_of(long long n) { return Text().add("part1(%lld)", n); }
Text part2_of(long long n, const Words& argument) { return Text().add("part2(%lld, %s)", n, argument.chars); }

Words words_of(const Text& text) {
    Words words = {};
    std::memcpy(words.chars, text.chars, std::min(text.size, sizeof words.chars - 1));
    return words;
}
Words result1_of(long long n) { return words_of(Text().add("result%lld-1", n)); }
Words result2_of(long long n, const Words& argument) {
    return words_of(Text().add("result%lld-2 derived from %s", n, argument.chars));
}

std::int64_t draw_sleep_ns(Program& program, const Text& part) {
    const std::int64_t seconds = program.random.randint(0, 10);
    std::printf("%s sleeps for %lld seconds.\n", part.c_str(), static_cast<long long>(seconds));
    return seconds * second_ns;
}

Words say_result(const Text& part, const Words& result) {
    std::printf("%s gives %s.\n", part.c_str(), result.chars);
    return result;
}

void say_end_of_chain(Program& program, long long n, std::int64_t began_ns, const Words& result) {
    std::printf("--> chained result%lld: %s (took %.2f seconds).\n", n, result.chars,
                in_seconds(program.loop.time_ns() - began_ns));
}

// --- one chain ---

struct Part1 : Coroutine<Part1, Words, Awaits<Sleep>> {
    Program* program;
    long long n;

    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(draw_sleep_ns(*program, part1_of(n))));
        CO_RETURN(say_result(part1_of(n), result1_of(n)));
        CO_END;
    }
};

struct Part2 : Coroutine<Part2, Words, Awaits<Sleep>> {
    Program* program;
    long long n;
    Words argument;

    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(draw_sleep_ns(*program, part2_of(n, argument))));
        CO_RETURN(say_result(part2_of(n, argument), result2_of(n, argument)));
        CO_END;
    }
};

struct Chain : Coroutine<Chain, void, Awaits<Part1, Part2>> {
    Program* program;
    long long n;
    std::int64_t began_ns = 0;
    Result<Words> result;

    Progress body() {
        CO_BEGIN;
        began_ns = program->loop.time_ns();
        CO_AWAIT(result, Part1{.program = program, .n = n});
        if (!result) CO_RETURN(result.error());
        CO_AWAIT(result, Part2{.program = program, .n = n, .argument = *result});
        if (!result) CO_RETURN(result.error());
        say_end_of_chain(*program, n, began_ns, *result);
        CO_END;
    }
};

// --- side by side ---

struct Main : Coroutine<Main, void, Awaits<GatherMany<void>>> {
    Program* program;
    std::span<const std::int64_t> arguments;
    std::array<TaskRef<void>, most_chains> chains;

    Progress body() {
        CO_BEGIN;
        if (const Result<void> begun = begin_all(); !begun) CO_RETURN(begun);
        CO_TRY(gather(std::span(chains).first(arguments.size())));
        CO_END;
    }

    Result<void> begin_all() {
        for (std::size_t i = 0; i < arguments.size(); ++i) {
            Result<TaskRef<void>> made =
                program->loop.create_task(Chain{.program = program, .n = arguments[i]});
            if (!made) return made.error();
            chains[i] = *std::move(made);
        }
        return {};
    }
};

}  // namespace

int main(int argc, char** argv) {
    DemoLoop demo;
    std::int64_t seed = 444;
    std::array<std::int64_t, most_chains> room = {1, 2, 3};
    NumberList given{.room = room};
    const Option options[] = {
        numbers("N", given, "the chains, by their numbers (1 2 3)", 0, greatest_chain),
        number("--seed", seed, "N", "what random.seed(N) draws in Python (444)", 0, INT64_MAX),
        demo.kernel_option(), demo.explain_option(), demo.trace_option()};
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;
    if (given.count == 0) given.count = 3;
    if (const int code = demo.open(); code >= 0) return code;

    Program program{.loop = demo.loop, .random = PythonRandom(static_cast<std::uint64_t>(seed))};
    const std::int64_t began_ns = demo.loop.time_ns();
    const Result<void> ran =
        demo.loop.run_until_complete(Main{.program = &program, .arguments = given.given()});
    if (ran) std::printf("chained executed in %.2f seconds.\n", in_seconds(demo.loop.time_ns() - began_ns));
    return demo.finish(ran.error());
}
