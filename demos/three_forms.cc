// three_forms: one small coroutine as a flat state machine, with the CO_ macros, and with co_await.
//
//      tools/demo three_forms
//      tools/demo three_forms --switches 1000000
//
// The coroutine sums up squares. For each it calls a child, which returns at once, and then waits for its
// next turn, so that others can run. There are three ways to write it down, and all three are frames on the
// same scheduler:
//
//      flat      an enum of steps and a switch, by hand: where it goes on is `step`, what survives is a field
//      macros    the same written by core/co_macros.h: where it goes on is the line
//      compiler  the same written by the compiler: where it goes on and what survives are its secret
//
// What to look at: read the three sums one after the other. Each stop of the second and third is a few lines
// of the first: make the awaited thing, note the place, start it, return; and later take its result and
// destroy it. Then the table: what they cost. A frame written by hand has its children in itself, and so a
// size that is known; the compiler's takes a block for itself and one for each child it calls. No memory is
// allocated for that while it runs, because a block that was given back is used again, but it is not free.
//
// Nanoseconds are those of the machine that it runs on, for one switch: a turn in the ready queue, the call
// of a child, and one sum. The three are measured in turn, several times; the middle one is shown.
//
// Read next: core/co_macros.h, core/co_await.h; core/frame.cc: run_chain runs all three.
#include <algorithm>
#include <array>
#include <cstdio>
#include <new>
#include <span>

#include "core/co_await.h"
#include "core/coroutine.h"
#include "core/sleep.h"
#include "core/task.h"
#include "demos/options.h"
#include "platform/kernel.h"

using namespace pollard;

namespace {

/// One step of a sum, told on the screen. Without a name it is measured, and says nothing.
void tell(const char* name, std::int64_t sum) {
    if (name != nullptr) std::printf("  %s %3lld", name, static_cast<long long>(sum));
}

// --- the first form: everything by hand ---

namespace flat {
constexpr int first_line = __LINE__;

/// The child.
struct Square : Frame {
    Result<std::int64_t> outcome;
    std::int64_t n;

    explicit Square(std::int64_t number) : Frame(&type_record), n(number) {}

    Progress body() {
        outcome = n * n;
        flags.finished = true;
        return FrameProgress::finished;
    }

    // What one must be able to do to be waited for: see core/awaitable.h.
    bool start(Frame& parent) {
        flags.started = true;
        waiter = &parent;
        tell_await(parent);
        return !body().suspended();
    }
    Result<std::int64_t> result() const { return outcome; }
    bool failed() const { return flags.failed; }
    CancelOutcome cancel() { return CancelOutcome::refused; }  // it never stops: there is nothing to cancel
    void describe(Text& text) const { text.add("the square of %lld", static_cast<long long>(n)); }

    static const FrameType type_record;
};

struct Sum : Frame {
    using value_type = std::int64_t;
    enum class Step : std::uint8_t { next_square, square_is_there, turn_has_come, ended };

    /// What it waits for now, and at last its result. Others look for both just behind the Frame.
    union Area {
        Square square;
        Sleep sleep;
        Result<std::int64_t> result;
        Area() {}
        ~Area() {}
    } area;
    const char* name;
    std::int64_t count;
    std::int64_t n = 0;
    std::int64_t sum = 0;
    Step step = Step::next_square;

    Sum(const char* called, std::int64_t up_to) : Frame(&type_record), name(called), count(up_to) {}
    /// Only before it has started: into the block of its task.
    Sum(Sum&& other) noexcept : Frame(std::move(other)), name(other.name), count(other.count) {}
    void close_unstarted() { flags.started = true; }

    Progress body() {
        for (;;) {
            switch (step) {
                case Step::next_square: {
                    if (++n > count) return end_with(sum);
                    static constexpr Site here = {__FILE__, "Square(n)", &awaited_type<Square>, __LINE__};
                    ::new (&area.square) Square(n);
                    step = Step::square_is_there;
                    site = &here;
                    if (!area.square.start(*this)) return FrameProgress::suspended;
                    break;  // the result is there already: on to the next step at once
                }

                case Step::square_is_there: {
                    const Result<std::int64_t> squared = area.square.result();
                    site = nullptr;
                    area.square.~Square();
                    if (!squared) return end_with(squared);
                    sum += *squared;
                    tell(name, sum);

                    static constexpr Site here = {__FILE__, "Sleep(0)", &awaited_type<Sleep>, __LINE__};
                    ::new (&area.sleep) Sleep(0);
                    step = Step::turn_has_come;
                    site = &here;
                    if (!area.sleep.start(*this)) return FrameProgress::suspended;
                    break;
                }

                case Step::turn_has_come: {
                    const Error error = area.sleep.failed() ? area.sleep.result().error() : Error{};
                    site = nullptr;
                    area.sleep.~Sleep();
                    if (error.kind != ErrorKind::none) return end_with(error);
                    step = Step::next_square;
                    break;
                }

                case Step::ended:  // by somebody else, before it could begin
                    return FrameProgress::finished;
            }
        }
    }

    Progress end_with(const Result<std::int64_t>& outcome) {
        ::new (&area.result) Result<std::int64_t>(outcome);
        flags.finished = true;
        flags.failed = !outcome;
        flags.cancelled = outcome.error().kind == ErrorKind::cancelled;
        step = Step::ended;
        return FrameProgress::finished;
    }

    static const FrameType type_record;
};

constexpr FrameType Square::type_record = {
    {run_from_queue<Square>, "flat::Square", true},
    [](Frame* frame) { return static_cast<Square*>(frame)->body(); },
    [](Frame* frame, const Error& error) { static_cast<Square*>(frame)->outcome = error; },
    [](const Frame* frame) { return static_cast<const Square*>(frame)->outcome.error(); },
    sizeof(Square)};
constexpr FrameType Sum::type_record = {
    {run_from_queue<Sum>, "flat::Sum", true},
    [](Frame* frame) { return static_cast<Sum*>(frame)->body(); },
    [](Frame* frame, const Error& error) { (void)static_cast<Sum*>(frame)->end_with(error); },
    [](const Frame* frame) { return static_cast<const Sum*>(frame)->area.result.error(); },
    sizeof(Sum)};

constexpr int lines = __LINE__ - first_line;
}  // namespace flat

// --- the second form: the macros write the steps ---

namespace macros {
constexpr int first_line = __LINE__;

struct Square : Coroutine<Square, std::int64_t> {
    std::int64_t n;

    Progress body() {
        CO_BEGIN;
        CO_RETURN(n * n);
        CO_END;
    }
};

struct Sum : Coroutine<Sum, std::int64_t, Awaits<Square, Sleep>> {
    const char* name;
    std::int64_t count;
    std::int64_t n = 0;
    std::int64_t sum = 0;
    Result<std::int64_t> squared;

    Progress body() {
        CO_BEGIN;
        for (n = 1; n <= count; ++n) {
            CO_AWAIT(squared, Square{.n = n});
            if (!squared) CO_RETURN(squared);
            sum += *squared;
            tell(name, sum);
            CO_TRY(sleep_ns(0));
        }
        CO_RETURN(sum);
        CO_END;
    }
};

constexpr int lines = __LINE__ - first_line;
}  // namespace macros

// --- the third form: the compiler writes the steps ---

namespace compiler {
constexpr int first_line = __LINE__;

Co<std::int64_t> square(std::int64_t n) { co_return (n * n); }

Co<std::int64_t> sum(const char* name, std::int64_t count) {
    std::int64_t sum = 0;
    for (std::int64_t n = 1; n <= count; ++n) {
        const Result<std::int64_t> squared = co_await square(n);
        if (!squared) co_return squared;
        sum += *squared;
        tell(name, sum);
        const Result<void> turn = co_await sleep_ns(0);
        if (!turn) co_return turn.error();
    }
    co_return sum;
}

constexpr int lines = __LINE__ - first_line;
}  // namespace compiler

// --- the three side by side ---

struct Form {
    const char* name;
    int lines;
    /// Makes a task of a sum.
    Result<TaskRef<std::int64_t>> (*spawn)(Scheduler&, const char* name, std::int64_t count);
    /// The bytes of its frame, and those that a child of it takes besides.
    std::size_t (*frame_size)();
    std::size_t (*child_size)();
};

const Error no_memory(ErrorKind::out_of_memory, Call::allocate);

/// A scheduler alone is enough for frames that wait for nothing but their turn: no loop, no kernel.
struct Ground {
    Scheduler scheduler;
    SchedulerScope scope{scheduler};

    Ground() { scheduler.pool = TaskPool::create(scheduler); }
    ~Ground() {
        if (scheduler.pool != nullptr) scheduler.pool->orphan();
    }
    /// Must be asked first.
    bool has_memory() const { return scheduler.pool != nullptr; }
    BlockPool& blocks() { return scheduler.pool->blocks; }
};

/// What `make` takes from a pool. A new pool cuts its blocks one behind the other, so the distance between
/// two marks tells. 0: there is no memory, or the block is larger than what a pool cuts.
template <class Make>
std::size_t bytes_taken(Make make) {
    Ground ground;
    if (!ground.has_memory()) return 0;
    constexpr std::size_t mark_size = BlockPool::granule;
    void* before = ground.blocks().take(mark_size);
    if (before == nullptr) return 0;
    // The slab that `before` came from is new and large, so this is cut from it too.
    auto made = make();
    void* after = ground.blocks().take(mark_size);
    made.close_unstarted();
    const std::ptrdiff_t distance = static_cast<std::byte*>(after) - static_cast<std::byte*>(before);
    ground.blocks().give_back(after, mark_size);
    ground.blocks().give_back(before, mark_size);
    return static_cast<std::size_t>(distance) - mark_size;
}

constexpr Form forms[] = {
    {"flat", flat::lines,
     [](Scheduler& scheduler, const char* name, std::int64_t count) {
         return create_task_on(scheduler, flat::Sum(name, count));
     },
     [] { return sizeof(flat::Sum); }, [] { return std::size_t{0}; }},
    {"macros", macros::lines,
     [](Scheduler& scheduler, const char* name, std::int64_t count) {
         return create_task_on(scheduler, macros::Sum{.name = name, .count = count});
     },
     [] { return sizeof(macros::Sum); }, [] { return std::size_t{0}; }},
    {"compiler", compiler::lines,
     [](Scheduler& scheduler, const char* name, std::int64_t count) {
         return create_task_on(scheduler, compiler::sum(name, count));
     },
     [] { return bytes_taken([] { return compiler::sum(nullptr, 0); }); },
     [] { return bytes_taken([] { return compiler::square(0); }); }},
};
constexpr std::size_t form_count = std::size(forms);

/// Two sums take turns, until both have ended.
Result<std::int64_t> run_two(Scheduler& scheduler, const Form& form, const char* first, const char* second,
                             std::int64_t count) {
    const auto a = form.spawn(scheduler, first, count);
    const auto b = form.spawn(scheduler, second, count);
    scheduler.run_until_idle();
    if (!a || !b) return no_memory;
    const Result<std::int64_t> result = b->result();
    return result ? a->result() : result;
}

struct Costs {
    std::size_t frame_size = 0;
    std::size_t child_size = 0;
    std::size_t blocks_while_waiting = 0;
    std::uint64_t allocations = 0;
    std::array<double, 9> switch_ns;  // one of each round
};

/// What is the same each time.
Result<void> measure_memory(Ground& ground, const Form& form, Costs& costs) {
    costs.frame_size = form.frame_size();
    costs.child_size = form.child_size();
    const auto task = form.spawn(ground.scheduler, nullptr, 1);
    if (!task) return task.error();
    ground.scheduler.run_turn();
    costs.blocks_while_waiting = ground.blocks().blocks_in_use();
    ground.scheduler.run_until_idle();
    const Result<std::int64_t> result = task->result();
    return result ? Result<void>() : result.error();
}

Result<void> measure_time(Ground& ground, const Form& form, std::int64_t switches, Costs& costs,
                          std::size_t round) {
    Kernel& kernel = system_kernel();
    const std::uint64_t allocations_before = memory_counters().allocations;
    const std::int64_t began_ns = kernel.clock(kernel);
    const Result<std::int64_t> result = run_two(ground.scheduler, form, nullptr, nullptr, switches / 2);
    const std::int64_t took_ns = kernel.clock(kernel) - began_ns;
    if (!result) return result.error();
    costs.switch_ns[round] = static_cast<double>(took_ns) / static_cast<double>(switches);
    costs.allocations += memory_counters().allocations - allocations_before;
    return {};
}

double median(std::array<double, 9> values) {
    // Not sort, nor nth_element: of numbers they are compiled parts of Clang's C++ library.
    const auto middle = values.begin() + values.size() / 2;
    std::ranges::partial_sort(values, middle + 1);
    return *middle;
}

Result<void> run_all_aloud() {
    std::printf("Two of each, A and B, sum up the squares of 1 to 4 and take turns:\n\n");
    for (const Form& form : forms) {
        Ground ground;
        if (!ground.has_memory()) return no_memory;
        std::printf("    %-10s", form.name);
        const Result<std::int64_t> result = run_two(ground.scheduler, form, "A", "B", 4);
        std::printf("\n");
        if (!result) return result.error();
    }
    return {};
}

Result<void> measure_all(std::int64_t switches, std::span<Costs, form_count> costs) {
    for (std::size_t i = 0; i < form_count; ++i) {
        Ground ground;
        if (!ground.has_memory()) return no_memory;
        if (const Result<void> done = measure_memory(ground, forms[i], costs[i]); !done) return done;
    }
    Ground ground;
    if (!ground.has_memory()) return no_memory;
    // The pool takes its first slab of memory here, so that it does not count below.
    if (const auto warm = run_two(ground.scheduler, forms[0], nullptr, nullptr, 1); !warm)
        return warm.error();
    for (std::size_t round = 0; round < costs[0].switch_ns.size(); ++round)
        for (std::size_t i = 0; i < form_count; ++i)
            if (const auto done = measure_time(ground, forms[i], switches, costs[i], round); !done)
                return done;
    return {};
}

void print_costs(std::int64_t switches, std::span<const Costs, form_count> costs) {
    const auto row = [](const char* title, auto print_cell) {
        std::printf("    %-46s", title);
        for (std::size_t i = 0; i < form_count; ++i) print_cell(i);
        std::printf("\n");
    };
    std::printf("\nWhat they cost:\n\n");
    row("", [](std::size_t i) { std::printf("%12s", forms[i].name); });
    row("lines of source", [](std::size_t i) { std::printf("%12d", forms[i].lines); });
    row("bytes of the frame", [&](std::size_t i) { std::printf("%12zu", costs[i].frame_size); });
    row("bytes of a child, besides", [&](std::size_t i) { std::printf("%12zu", costs[i].child_size); });
    row("blocks in use while one waits",
        [&](std::size_t i) { std::printf("%12zu", costs[i].blocks_while_waiting); });
    row(Text().add("allocations in %lld switches", static_cast<long long>(switches)).c_str(),
        [&](std::size_t i) { std::printf("%12llu", static_cast<unsigned long long>(costs[i].allocations)); });
    row("nanoseconds per switch, on this machine",
        [&](std::size_t i) { std::printf("%12.1f", median(costs[i].switch_ns)); });
    std::printf(
        "\n    A child of the first two stands in its parent's frame. The compiler's takes a block from the\n"
        "    pool at each call and gives it back.\n");
#ifndef __OPTIMIZE__
    std::printf(
        "    This program was compiled without optimisation, for the debugger: of the nanoseconds, believe "
        "none.\n"
        "    (meson setup build-release --buildtype=release)\n");
#endif
}

}  // namespace

int main(int argc, char** argv) {
    std::int64_t switches = 200'000;
    const Option options[] = {number("--switches", switches, "N",
                                     "how many switches to measure in each round (200000)", 2, 4'000'000)};
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;

    Result<void> done = run_all_aloud();
    if (!done) return fail("%s", describe(done.error()).c_str());
    Costs costs[form_count];
    done = measure_all(switches, costs);
    if (!done) return fail("%s", describe(done.error()).c_str());
    print_costs(switches, costs);
    return 0;
}
