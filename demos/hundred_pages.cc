// hundred_pages: a hundred pages of 1 s each: 100 s one after the other, 1 s all at once, by the same one thread.
//
//      tools/demo hundred_pages
//      tools/demo hundred_pages --pages 1000            1000 s against 1 s
//      tools/demo hundred_pages --pages 3 --explain     little enough to read every step
//      tools/demo hundred_pages --pages 5 --kernel epoll     real time: 5 s, and then 1 s
//      tools/demo hundred_pages --pages 20 --trace run.json  a timeline: a staircase, and a wall
//
// Both ways are run here, in virtual time: the default kernel of this demo is `simulated`, whose clock jumps to the next
// moment at which anything happens. The figures are read from that clock, and from what the pages noted.
//
// What to look at: a page is waited for by a second of sleep, which to the loop is what a second of network is. The sum
// of all waiting is 100 s both times. What differs is how much of it happens at the same time:
//
//      one after the other   |--1--|--2--|--3--|--4--| ...   |--100--|
//
//      all at once           |--1--|
//                            |--2--|
//                             ...
//                            |-100-|
//
// A hundred threads would do it too, with a hundred stacks. A waiting page here is a task: one small block.
//
// A real server would not be asked for everything at once; a Semaphore (core/sync/semaphore.h) says how much.
//
// In Python: `for page in pages: await fetch(page)` against `await asyncio.gather(*map(fetch, pages))`.
//
// Read next: core/combinators/gather.h, core/task.h (what is in the block).
#include <algorithm>
#include <array>
#include <cstdio>
#include <span>

#include "core/combinators/gather.h"
#include "core/coroutine.h"
#include "core/sleep.h"
#include "core/task.h"
#include "demos/demo_loop.h"

using namespace pollard;

namespace {

constexpr std::size_t most_pages = 1000;

/// What is to be fetched, and what is noted meanwhile.
struct Pages {
    EventLoop& loop;
    std::size_t count;
    std::int64_t page_ns;
    std::size_t fetching = 0;
    std::size_t most_fetching = 0;

    void note_begin() { most_fetching = std::max(most_fetching, ++fetching); }
    void note_end() { --fetching; }
};

/// Ends with how long it has waited.
struct Fetch : Coroutine<Fetch, std::int64_t, Awaits<Sleep>> {
    Pages* pages;
    std::int64_t began_ns = 0;

    Progress body() {
        CO_BEGIN;
        began_ns = pages->loop.time_ns();
        pages->note_begin();
        CO_TRY(sleep_ns(pages->page_ns));
        pages->note_end();
        CO_RETURN(pages->loop.time_ns() - began_ns);
        CO_END;
    }
};

// Both ways end with the sum of what the pages have waited.

struct OneAfterTheOther : Coroutine<OneAfterTheOther, std::int64_t, Awaits<Fetch>> {
    Pages* pages;
    std::size_t i = 0;
    std::int64_t waited_ns = 0;
    Result<std::int64_t> fetched;

    Progress body() {
        CO_BEGIN;
        for (i = 0; i < pages->count; ++i) {
            CO_AWAIT(fetched, Fetch{.pages = pages});
            if (!fetched) CO_RETURN(fetched);
            waited_ns += *fetched;
        }
        CO_RETURN(waited_ns);
        CO_END;
    }
};

struct AllAtOnce : Coroutine<AllAtOnce, std::int64_t, Awaits<GatherMany<std::int64_t>>> {
    Pages* pages;
    std::array<TaskRef<std::int64_t>, most_pages> tasks;
    Result<std::span<const TaskRef<std::int64_t>>> fetched;

    Progress body() {
        CO_BEGIN;
        if (const Result<void> begun = begin_all(); !begun) CO_RETURN(begun.error());
        CO_AWAIT(fetched, gather(std::span(tasks).first(pages->count)));
        if (!fetched) CO_RETURN(fetched.error());
        CO_RETURN(sum_of_waits());
        CO_END;
    }

    Result<void> begin_all() {
        for (std::size_t i = 0; i < pages->count; ++i) {
            Result<TaskRef<std::int64_t>> made = pages->loop.create_task(Fetch{.pages = pages});
            if (!made) return made.error();
            tasks[i] = *std::move(made);
        }
        return {};
    }
    /// gather gives the row again, every task in it done.
    std::int64_t sum_of_waits() const {
        std::int64_t sum_ns = 0;
        for (const TaskRef<std::int64_t>& task : *fetched) sum_ns += *task.result();
        return sum_ns;
    }
};

/// Fetches everything in one of the two ways; gives the time it took.
template <class Way>
Result<std::int64_t> fetch_all(const char* title, Pages pages) {
    const std::int64_t began_ns = pages.loop.time_ns();
    const Result<std::int64_t> waited_ns = pages.loop.run_until_complete(Way{.pages = &pages});
    if (!waited_ns) return waited_ns;
    const std::int64_t took_ns = pages.loop.time_ns() - began_ns;
    std::printf("%s\n\n", title);
    std::printf("  time passed                    %7.1f s\n", in_seconds(took_ns));
    std::printf("  sum of all waiting             %7.1f s\n", in_seconds(*waited_ns));
    std::printf("  pages on their way at a time   %5zu at most\n\n", pages.most_fetching);
    return took_ns;
}

/// In real time one should know beforehand how long it will take.
void warn_of_real_time(const char* kernel, std::int64_t seconds) {
    std::fprintf(stderr, "hundred_pages: the kernel %s has real time only: this will take %lld s\n", kernel,
                 static_cast<long long>(seconds));
}

}  // namespace

int main(int argc, char** argv) {
    DemoLoop demo;
    demo.kernel = "simulated";  // whatever POLLARD_KERNEL says: only --kernel asks for real minutes
    std::int64_t count = 100;
    std::int64_t seconds = 1;
    const Option options[] = {number("--pages", count, "N", "how many pages (100)", 1, most_pages),
                              number("--seconds", seconds, "S", "what each takes (1)", 1, 3600),
                              demo.kernel_option(), demo.explain_option(), demo.trace_option()};
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;
    if (const int code = demo.open(); code >= 0) return code;
    if (!demo.simulated()) warn_of_real_time(demo.kernel, (count + 1) * seconds);

    const Pages pages{
        .loop = demo.loop, .count = static_cast<std::size_t>(count), .page_ns = seconds * second_ns};
    std::printf("%lld %s of %lld s each\n\n", static_cast<long long>(count), count == 1 ? "page" : "pages",
                static_cast<long long>(seconds));
    const Result<std::int64_t> in_turn = fetch_all<OneAfterTheOther>("One after the other", pages);
    if (!in_turn) return demo.finish(in_turn.error());
    const Result<std::int64_t> at_once = fetch_all<AllAtOnce>("All at once", pages);
    if (at_once)
        std::printf("All at once is %.0f times as fast.\n", in_seconds(*in_turn) / in_seconds(*at_once));
    return demo.finish(at_once.error());
}
