// Timers beside libev's: how long it takes to set one, to cancel one, and to fire one.
//
//      timers_benchmark [timers [rounds [turn_us]]]        1000000 timers, 9 rounds, turns of 10 ms
//
// A round: all timers are set, in the order in which they stand in memory, with random deadlines within ten
// seconds. A random half of them is cancelled, in random order. Then the clock goes on, turn by turn, until
// the rest has fired. Both libraries play the same rounds with the same numbers, in alternation, so that a
// noisy neighbour disturbs both alike. The table shows the median of the rounds, in nanoseconds a timer.
//
// Ten seconds need not pass for that. Pollard is told the time. libev asks clock_gettime(2) and
// gettimeofday(2), and is linked to the functions of these names in this file, which tell it the time of the
// round. (So the measurement has to ask the kernel itself, by syscall(2).)
//
// A turn of libev is ev_run(EVRUN_NOWAIT), and that makes one epoll_wait(2) which does not wait. A turn of
// Pollard is `advance`, then running what it made ready; there is no such call in it. With a million timers
// and turns of 10 ms, 500 timers share the call, less than a nanosecond each. With few timers or short turns
// the call is most of what is seen, and the ratio says little about timers.
//
// What the timers do is count. Their memory is the program's in both libraries: 32 bytes a timer with
// Pollard, 48 with libev, which has 16 more of its own in the heap. The first round is not counted, so that
// all memory has been touched and libev's heap has grown to its full size.
//
// Without libev (HAVE_LIBEV is not defined) only Pollard's figures are printed.
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <vector>

#include "core/timers.h"
#include "platform/work.h"

#ifdef HAVE_LIBEV
#include <ev.h>
#include <sys/time.h>
#endif

namespace {

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t spread_ns = 10 * second_ns;
constexpr std::int64_t start_ns = 1000 * second_ns;

/// What both libraries are given to do in a round.
struct Plan {
    std::vector<std::int64_t> delays_ns;
    std::vector<std::uint32_t> cancelled;
    std::int64_t turn_ns;

    Plan(std::uint32_t count, std::int64_t turn, std::uint64_t seed)
        : delays_ns(count), cancelled(count), turn_ns(turn) {
        std::mt19937_64 random(seed);
        std::uniform_int_distribution<std::int64_t> delay(1, spread_ns);
        for (std::int64_t& delay_ns : delays_ns) delay_ns = delay(random);
        std::iota(cancelled.begin(), cancelled.end(), 0u);
        std::shuffle(cancelled.begin(), cancelled.end(), random);
        cancelled.resize(count / 2);
    }
};

std::size_t fired;

class PollardTimers {
public:
    explicit PollardTimers(std::uint32_t count) : memory_(count, pollard::Timer(&counting)) {}

    void set(std::size_t i, std::int64_t delay_ns) {
        memory_[i].deadline_ns = now_ns_ + delay_ns;
        timers_.insert(memory_[i]);
    }
    void cancel(std::size_t i) { timers_.cancel(memory_[i]); }
    void turn(std::int64_t passed_ns) {
        now_ns_ += passed_ns;
        timers_.advance(now_ns_, ready_);
        while (!ready_.empty()) ready_.pop_front().run();
    }

private:
    static constexpr pollard::WorkType counting{[](pollard::Work*) { ++fired; }, "count"};

    std::int64_t now_ns_ = start_ns;
    pollard::Timers timers_{start_ns};
    pollard::WorkList ready_;
    std::vector<pollard::Timer> memory_;
};

#ifdef HAVE_LIBEV

std::int64_t libevs_clock_ns = start_ns;

class LibevTimers {
public:
    explicit LibevTimers(std::uint32_t count) : loop_(ev_loop_new(EVFLAG_AUTO)), memory_(count) {
        if (loop_ != nullptr) return;
        std::fprintf(stderr, "libev could not make a loop\n");
        std::exit(1);
    }
    LibevTimers(const LibevTimers&) = delete;
    LibevTimers& operator=(const LibevTimers&) = delete;
    ~LibevTimers() { ev_loop_destroy(loop_); }

    void set(std::size_t i, std::int64_t delay_ns) {
        ev_timer_init(&memory_[i], count, static_cast<double>(delay_ns) * 1e-9, 0.);
        ev_timer_start(loop_, &memory_[i]);
    }
    void cancel(std::size_t i) { ev_timer_stop(loop_, &memory_[i]); }
    void turn(std::int64_t passed_ns) {
        libevs_clock_ns += passed_ns;
        ev_run(loop_, EVRUN_NOWAIT);
    }

private:
    static void count(struct ev_loop*, ev_timer*, int) { ++fired; }

    struct ev_loop* loop_;
    std::vector<ev_timer> memory_;
};

#endif

class Stopwatch {
public:
    /// Nanoseconds since the last lap, for each of `count`.
    double lap(std::size_t count) {
        const std::int64_t before_ns = last_ns_;
        last_ns_ = clock_ns();
        return static_cast<double>(last_ns_ - before_ns) / static_cast<double>(count);
    }

private:
    static std::int64_t clock_ns() {
        timespec time;
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &time);
        return time.tv_sec * second_ns + time.tv_nsec;
    }
    std::int64_t last_ns_ = clock_ns();
};

/// Nanoseconds a timer.
struct Figures {
    double insert, cancel, fire;
};

template <class Library>
Figures play(const Plan& plan, Library& library) {
    const std::size_t count = plan.delays_ns.size();
    const std::size_t left = count - plan.cancelled.size();
    Figures figures;
    fired = 0;
    Stopwatch stopwatch;
    for (std::size_t i = 0; i < count; ++i) library.set(i, plan.delays_ns[i]);
    figures.insert = stopwatch.lap(count);
    for (const std::uint32_t i : plan.cancelled) library.cancel(i);
    figures.cancel = stopwatch.lap(plan.cancelled.size());
    // One turn more than needed: libev's time is a double, and rounded.
    for (std::int64_t passed_ns = 0; passed_ns <= spread_ns; passed_ns += plan.turn_ns)
        library.turn(plan.turn_ns);
    figures.fire = stopwatch.lap(left);
    if (fired != left) {
        std::fprintf(stderr, "%zu timers fired instead of %zu\n", fired, left);
        std::exit(1);
    }
    return figures;
}

double median(const std::vector<Figures>& rounds, double Figures::* phase) {
    std::vector<double> values;
    for (const Figures& figures : rounds) values.push_back(figures.*phase);
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::ranges::nth_element(values, middle);
    return *middle;
}

struct Phase {
    const char* name;
    double Figures::* figure;
    double target;
};
constexpr Phase phases[] = {
    {"insert", &Figures::insert, 0.60}, {"cancel", &Figures::cancel, 0.40}, {"fire", &Figures::fire, 1.00}};

/// `libevs` is empty when there is no libev.
void print(const std::vector<Figures>& pollards, const std::vector<Figures>& libevs) {
    std::printf("            pollard%s\n", libevs.empty() ? "" : "     libev");
    for (const Phase& phase : phases) {
        const double ours_ns = median(pollards, phase.figure);
        std::printf("  %-8s %5.0f ns", phase.name, ours_ns);
        if (!libevs.empty()) {
            const double theirs_ns = median(libevs, phase.figure);
            std::printf("  %5.0f ns     %s %.2f (<= %.2f)", theirs_ns, phase.name, ours_ns / theirs_ns,
                        phase.target);
        }
        std::printf("\n");
    }
    if (libevs.empty()) std::printf("libev not found: no ratio\n");
}

}  // namespace

#ifdef HAVE_LIBEV

// What libev finds instead of the C library's. Visible, whatever the build says of other functions.
extern "C" {
[[gnu::visibility("default")]] int clock_gettime(clockid_t, timespec* time) noexcept {
    time->tv_sec = libevs_clock_ns / second_ns;
    time->tv_nsec = libevs_clock_ns % second_ns;
    return 0;
}
[[gnu::visibility("default")]] int gettimeofday(timeval* __restrict time, void* __restrict) noexcept {
    time->tv_sec = libevs_clock_ns / second_ns;
    time->tv_usec = libevs_clock_ns % second_ns / 1000;
    return 0;
}
}

#endif

int main(int argc, char** argv) {
    const auto count = static_cast<std::uint32_t>(argc > 1 ? std::atol(argv[1]) : 1'000'000);
    const int rounds = argc > 2 ? std::atoi(argv[2]) : 9;
    const std::int64_t turn_ns = (argc > 3 ? std::atol(argv[3]) : 10'000) * 1000;
    if (count < 2 || rounds < 1 || turn_ns < 1) {
        std::fprintf(stderr, "usage: timers_benchmark [timers [rounds [turn_us]]]\n");
        return 2;
    }
    PollardTimers pollard_timers(count);
    std::vector<Figures> pollards;
    std::vector<Figures> libevs;
#ifdef HAVE_LIBEV
    LibevTimers libev_timers(count);
#endif
    for (int round = 0; round <= rounds; ++round) {
        const Plan plan(count, turn_ns, static_cast<std::uint64_t>(round));
        pollards.push_back(play(plan, pollard_timers));
#ifdef HAVE_LIBEV
        libevs.push_back(play(plan, libev_timers));
#endif
    }
    pollards.erase(pollards.begin());
    if (!libevs.empty()) libevs.erase(libevs.begin());
    std::printf("%u timers within 10 s, half of them cancelled, turns of %g ms, %d rounds\n", count,
                static_cast<double>(turn_ns) * 1e-6, rounds);
    print(pollards, libevs);
}
