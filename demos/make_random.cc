// make_random: three coroutines draw until they are content, each at its own pace; gather has all three results.
//
//      tools/demo make_random                           12 s; one colour for each of the three
//      tools/demo make_random --kernel simulated        the same in virtual time: at once
//      tools/demo make_random --seed 7                  other numbers: those that Python draws after random.seed(7)
//      tools/demo make_random --co-await                the same frames written by the compiler; not a word is different
//      tools/demo make_random --plain                   without colours (as with NO_COLOR in the environment)
//      tools/demo make_random --explain                 who waits for what in between
//      tools/demo make_random --trace run.json          a timeline: retries of 1, 2 and 3 s on top of each other
//
// Each draws a number from 0 to 10. Below its threshold it pauses and draws again:
//
//      make_random(0)   more than 9    pauses 1 s    hard to please, and quick
//      make_random(1)   more than 8    pauses 2 s
//      make_random(2)   more than 7    pauses 3 s    easy to please, and slow
//
// What to look at: Main waits once, for a gather of three. Whoever ends first, the results stand in the order of the
// arguments, as a tuple: r1, r2, r3. Nobody counts the tasks or collects what they give.
//
//      Main  CO_AWAIT(all, gather(a, b, c)) --.                               .--> tuple of three
//      a     draw - pause - draw - pause - draw - pause - draw ------ ends ---|
//      b     draw --- pause --- draw --- pause --- draw - ends ---------------|
//      c     draw ------ pause ------ draw ------ ends -----------------------'
//
// All three draw from one generator, and none of them locks it: a frame is left only where it waits, never in the middle
// of a draw. So with the seed 444 the numbers are 4 4 0 4 7 4 4 8 10 7 8 4 7 ..., dealt out in the order in which the
// pauses end. At 2 s two of them end: first that which was begun first, which is make_random(1)'s. In real time who woke
// a little late begins its next pause a little late, and comes behind the others all the more.
//
// The frames stand here twice, by hand and as functions with co_await. gather does not know the difference.
//
// In Python: `r1, r2, r3 = await asyncio.gather(*(makerandom(i, 9 - i) for i in range(3)))`.
//
// Read next: core/combinators/gather.h, demos/three_forms.cc (what the two ways to write a frame cost).
#include <cstdio>
#include <cstdlib>
#include <tuple>

#include "core/co_await.h"
#include "core/combinators/gather.h"
#include "core/coroutine.h"
#include "core/sleep.h"
#include "demos/demo_loop.h"
#include "demos/python_random.h"

using namespace pollard;

namespace {

/// What the three share.
struct Table {
    EventLoop& loop;
    PythonRandom random;
    bool colours;
    std::int64_t began_ns = loop.time_ns();

    /// Cyan, red, magenta: the sequences that every terminal knows.
    const char* colour_of(int index) const {
        constexpr const char* of_each[] = {"\033[36m", "\033[91m", "\033[35m"};
        return colours ? of_each[index] : "";
    }
    const char* end_of_colour() const { return colours ? "\033[0m" : ""; }

    void say(int index, const Text& what) const {
        std::printf("%s%6.2f s  make_random(%d) %s%s\n", colour_of(index),
                    in_seconds(loop.time_ns() - began_ns), index, what.c_str(), end_of_colour());
    }
};

int threshold_of(int index) { return 9 - index; }
std::int64_t pause_of(int index) { return 1 + index; }  // in seconds

void say_begin(const Table& table, int index) {
    table.say(index, Text().add("begins, and wants more than %d", threshold_of(index)));
}
int draw(Table& table, int index) {
    const auto drawn = static_cast<int>(table.random.randint(0, 10));
    if (drawn > threshold_of(index))
        table.say(index, Text().add("drew %d: content", drawn));
    else
        table.say(index, Text().add("drew %d: too low, again in %lld s", drawn,
                                    static_cast<long long>(pause_of(index))));
    return drawn;
}

// --- by hand ---

using ThreeNumbers = std::tuple<int, int, int>;

struct MakeRandom : Coroutine<MakeRandom, int, Awaits<Sleep>> {
    Table* table;
    int index;
    int drawn = 0;

    Progress body() {
        CO_BEGIN;
        say_begin(*table, index);
        while ((drawn = draw(*table, index)) <= threshold_of(index))
            CO_TRY(sleep_ns(pause_of(index) * second_ns));
        CO_RETURN(drawn);
        CO_END;
    }
};

struct Main : Coroutine<Main, ThreeNumbers, Awaits<Gather<int, int, int>>> {
    Table* table;
    Result<ThreeNumbers> all;

    Progress body() {
        CO_BEGIN;
        // Each becomes a task; the first error of any would be the error here.
        CO_AWAIT(all, gather(MakeRandom{.table = table, .index = 0}, MakeRandom{.table = table, .index = 1},
                             MakeRandom{.table = table, .index = 2}));
        CO_RETURN(all);
        CO_END;
    }
};

// --- the same by the compiler ---

Co<int> make_random(Table& table, int index) {
    say_begin(table, index);
    for (;;) {
        const int drawn = draw(table, index);
        if (drawn > threshold_of(index)) co_return drawn;
        const Result<void> slept = co_await sleep_ns(pause_of(index) * second_ns);
        if (!slept) co_return slept.error();
    }
}

Co<ThreeNumbers> gather_three(Table& table) {
    co_return co_await gather(make_random(table, 0), make_random(table, 1), make_random(table, 2));
}

}  // namespace

int main(int argc, char** argv) {
    DemoLoop demo;
    std::int64_t seed = 444;
    bool co_await_form = false;
    bool plain = std::getenv("NO_COLOR") != nullptr;
    const Option options[] = {
        number("--seed", seed, "N", "what random.seed(N) draws in Python (444)", 0, INT64_MAX),
        flag("--co-await", co_await_form, "the frames as functions with co_await"),
        flag("--plain", plain, "no colours"),
        demo.kernel_option(),
        demo.explain_option(),
        demo.trace_option()};
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;
    if (const int code = demo.open(); code >= 0) return code;

    Table table{
        .loop = demo.loop, .random = PythonRandom(static_cast<std::uint64_t>(seed)), .colours = !plain};
    const Result<ThreeNumbers> all = co_await_form ? demo.loop.run_until_complete(gather_three(table))
                                                   : demo.loop.run_until_complete(Main{.table = &table});
    if (all) {
        const auto [r1, r2, r3] = *all;
        std::printf("\nr1: %d, r2: %d, r3: %d\n", r1, r2, r3);
        std::printf("make_random executed in %.2f seconds.\n",
                    in_seconds(demo.loop.time_ns() - table.began_ns));
    }
    return demo.finish(all.error());
}
