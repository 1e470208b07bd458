// three_requests: each 1 s of work, 2 s of waiting, 1 s of work: one after another 12 s, together 6 s.
//
//      tools/demo three_requests --kernel simulated   in virtual time: at once
//      tools/demo three_requests                      in real time: 18 s, for both ways
//      tools/demo three_requests --explain --kernel simulated
//      tools/demo three_requests --trace run.json     the same picture in Perfetto
//
// A request is set up (the thread computes), then waits for its answer (the thread is free), then the answer is worked
// on (the thread computes again). There is one thread. Two requests can never compute at a time; what can overlap is
// waiting with waiting, and waiting with somebody else's computing:
//
//      T1  |#####..........#####          |      #  computes
//      T2  |-----#####..........#####     |      .  waits for its answer
//      T3  |----------#####..........#####|      -  its turn has not come
//
// What to look at: any vertical slice of that picture holds one # at most, and two dots at most. The demo checks this,
// and both numbers are found in the recorded run and not in the drawing: Recorder is an observer
// (platform/observer.h), told of every frame that goes on and of every frame that stops. The coroutines know nothing of
// the picture.
//
// What computes keeps everybody else from running. So 6 s is as short as it gets here: three times 2 s of computing,
// and no moment without it.
//
// Read next: core/trace/chrome_trace.h (the observer behind --trace), demos/chess.cc.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "core/coroutine.h"
#include "core/sleep.h"
#include "core/task.h"
#include "demos/demo_loop.h"
#include "platform/simulated/simulated_kernel.h"

using namespace pollard;

namespace {

constexpr std::int64_t set_up_ns = 1 * second_ns;
constexpr std::int64_t wait_ns = 2 * second_ns;
constexpr std::int64_t post_ns = 1 * second_ns;
constexpr std::size_t request_count = 3;

// --- the machine ---

/// The one processor: its clock, and computing on it.
struct Machine {
    explicit Machine(DemoLoop& demo)
        : clock(&demo.observed == demo.loop.port().kernel ? *demo.observed.inner : *demo.loop.port().kernel) {
        if (demo.simulated()) simulated = static_cast<SimulatedKernel*>(&clock);
    }

    std::int64_t now_ns() { return clock.clock(clock); }

    /// Keeps the thread busy. On the simulated kernel, where computing takes no time, the clock is moved by hand.
    void compute(std::int64_t duration_ns) {
        const std::int64_t end_ns = now_ns() + duration_ns;
        if (simulated != nullptr) simulated->now_ns = end_ns;
        while (now_ns() < end_ns) {
        }
        // What waits from here on does not wait from the beginning of this turn.
        running_loop().update_time();
    }

    Kernel& clock;
    SimulatedKernel* simulated = nullptr;
};

// --- the coroutines ---

struct Request : Coroutine<Request, void, Awaits<Sleep>> {
    Machine* machine;

    Progress body() {
        CO_BEGIN;
        machine->compute(set_up_ns);
        CO_TRY(sleep_ns(wait_ns));  // somewhere else the answer is made
        machine->compute(post_ns);
        CO_END;
    }
};

using Requests = std::array<TaskRef<void>, request_count>;

Result<void> begin(Requests& requests, std::size_t i, Machine& machine) {
    constexpr const char* names[request_count] = {"T1", "T2", "T3"};
    Result<TaskRef<void>> made = running_loop().create_task(Request{.machine = &machine}, {.name = names[i]});
    if (!made) return made.error();
    requests[i] = *std::move(made);
    return {};
}

struct OneAfterAnother : Coroutine<OneAfterAnother, void, Awaits<TaskRef<void>&>> {
    Machine* machine;
    Requests requests;
    std::size_t i = 0;

    Progress body() {
        CO_BEGIN;
        for (i = 0; i < request_count; ++i) {
            if (const Result<void> began = begin(requests, i, *machine); !began) CO_RETURN(began);
            CO_TRY(requests[i]);
        }
        CO_END;
    }
};

struct Together : Coroutine<Together, void, Awaits<TaskRef<void>&>> {
    Machine* machine;
    Requests requests;
    std::size_t i = 0;

    Progress body() {
        CO_BEGIN;
        for (i = 0; i < request_count; ++i)
            if (const Result<void> began = begin(requests, i, *machine); !began) CO_RETURN(began);
        for (i = 0; i < request_count; ++i) CO_TRY(requests[i]);
        CO_END;
    }
};

// --- the record ---

/// What a request does from one moment to another.
struct Span {
    enum class Kind : char { computes = '#', waits = '.', stands_in_line = '-' };
    Kind kind;
    std::int64_t from_ns;
    std::int64_t to_ns;
};

/// All that one request did.
struct Lane {
    static constexpr std::size_t most_spans = 8;
    const TaskState* task = nullptr;
    Text name;
    std::array<Span, most_spans> spans;
    std::size_t count = 0;
    /// The last of them has not ended yet.
    bool open = false;

    void begin(Span::Kind kind, std::int64_t now_ns) {
        end(now_ns);
        POLLARD_REQUIRE(count < most_spans,
                        "a request stops more often than a lane can hold: raise most_spans");
        spans[count++] = {kind, now_ns, now_ns};
        open = true;
    }
    void end(std::int64_t now_ns) {
        if (open) spans[count - 1].to_ns = now_ns;
        open = false;
    }
    /// The answer is there after wait_ns, whenever the thread has time for it. Until then the request stands in line.
    void end_of_wait(std::int64_t now_ns) {
        const std::int64_t answered_ns = spans[count - 1].from_ns + wait_ns;
        if (spans[count - 1].kind == Span::Kind::waits && answered_ns < now_ns)
            begin(Span::Kind::stands_in_line, answered_ns);
    }
};

/// Notes when each request runs and when it does not. Other tasks (there is one that waits for the requests) get no
/// lane.
class Recorder : public Observer {
public:
    explicit Recorder(Machine& machine) : machine_(machine) {
        static constexpr auto self = [](Observer& observer) -> Recorder& {
            return static_cast<Recorder&>(observer);
        };
        task_created = [](Observer& o, TaskState& task) { self(o).on_task_created(task); };
        task_finished = [](Observer& o, TaskState& task) { self(o).on_task_finished(task); };
        frame_resumed = [](Observer& o, Frame& frame) { self(o).on_frame_resumed(frame); };
        frame_suspended = [](Observer& o, Frame& frame) { self(o).on_frame_suspended(frame); };
    }

    void begin() {
        lanes_ = {};
        count_ = 0;
        began_ns_ = machine_.now_ns();
    }
    std::span<const Lane> lanes() const { return {lanes_.data(), count_}; }
    std::int64_t began_ns() const { return began_ns_; }

private:
    void on_task_created(TaskState& task) {
        if (task.root().type != &Request::type_record || count_ == request_count) return;
        Lane& lane = lanes_[count_++];
        lane.task = &task;
        lane.name = name_of(task);
        lane.begin(Span::Kind::stands_in_line, machine_.now_ns());
    }
    void on_frame_resumed(Frame& frame) {
        if (Lane* lane = lane_of(task_of(frame)); lane != nullptr) {
            const std::int64_t now_ns = machine_.now_ns();
            lane->end_of_wait(now_ns);
            lane->begin(Span::Kind::computes, now_ns);
        }
    }
    void on_frame_suspended(Frame& frame) {
        if (Lane* lane = lane_of(task_of(frame)); lane != nullptr)
            lane->begin(Span::Kind::waits, machine_.now_ns());
    }
    void on_task_finished(TaskState& task) {
        if (Lane* lane = lane_of(&task); lane != nullptr) lane->end(machine_.now_ns());
    }

    Lane* lane_of(const TaskState* task) {
        for (std::size_t i = 0; i < count_; ++i)
            if (lanes_[i].task == task) return &lanes_[i];
        return nullptr;
    }

    Machine& machine_;
    std::array<Lane, request_count> lanes_;
    std::size_t count_ = 0;
    std::int64_t began_ns_ = 0;
};

/// How many did the same at a time. The most are met at the beginning of some span.
int most_at_once(std::span<const Lane> lanes, Span::Kind kind) {
    const auto at = [&](std::int64_t moment_ns) {
        int count = 0;
        for (const Lane& lane : lanes)
            for (std::size_t i = 0; i < lane.count; ++i) {
                const Span& span = lane.spans[i];
                if (span.kind == kind && span.from_ns <= moment_ns && moment_ns < span.to_ns) ++count;
            }
        return count;
    };
    int most = 0;
    for (const Lane& lane : lanes)
        for (std::size_t i = 0; i < lane.count; ++i) most = std::max(most, at(lane.spans[i].from_ns));
    return most;
}

// --- what is printed ---

constexpr std::int64_t column_ns = second_ns / 5;
constexpr int columns_a_second = 5;
constexpr std::size_t most_columns = 80;

/// A column shows what was going on in its middle.
void print_lane(const Lane& lane, std::int64_t began_ns, std::size_t columns) {
    char cells[most_columns];
    std::memset(cells, ' ', sizeof cells);
    for (std::size_t column = 0; column < columns; ++column) {
        const std::int64_t middle_ns =
            began_ns + static_cast<std::int64_t>(column) * column_ns + column_ns / 2;
        for (std::size_t i = 0; i < lane.count; ++i) {
            const Span& span = lane.spans[i];
            if (span.from_ns <= middle_ns && middle_ns < span.to_ns)
                cells[column] = static_cast<char>(span.kind);
        }
    }
    std::printf("    %-2s |%.*s|\n", lane.name.c_str(), static_cast<int>(columns), cells);
}

/// "0    1    2    3": one number a second.
void print_scale(std::size_t columns) {
    std::printf("    %-2s  ", "");
    for (std::size_t column = 0; column <= columns; column += columns_a_second)
        std::printf("%-*zu", columns_a_second, column / columns_a_second);
    std::printf("s\n");
}

void print_spans(const Lane& lane, std::int64_t began_ns) {
    std::printf("    %-2s ", lane.name.c_str());
    const char* comma = "";
    for (std::size_t i = 0; i < lane.count; ++i) {
        const Span& span = lane.spans[i];
        if (span.kind == Span::Kind::stands_in_line) continue;
        std::printf("%s %s %.1f to %.1f", comma, span.kind == Span::Kind::computes ? "computes" : "waits",
                    in_seconds(span.from_ns - began_ns), in_seconds(span.to_ns - began_ns));
        comma = ",";
    }
    std::printf("\n");
}

/// Runs one of the two ways and prints what was recorded. Error invalid_state: the record is impossible.
template <class Way>
Result<void> show(const char* title, EventLoop& loop, Machine& machine, Recorder& recorder) {
    recorder.begin();
    if (const Result<void> ran = loop.run_until_complete(Way{.machine = &machine}); !ran) return ran;
    const std::int64_t took_ns = machine.now_ns() - recorder.began_ns();

    std::printf("%s\n\n", title);
    const auto columns =
        std::min(static_cast<std::size_t>((took_ns + column_ns / 2) / column_ns), most_columns);
    print_scale(columns);
    for (const Lane& lane : recorder.lanes()) print_lane(lane, recorder.began_ns(), columns);
    std::printf("\n");
    for (const Lane& lane : recorder.lanes()) print_spans(lane, recorder.began_ns());
    const int computing = most_at_once(recorder.lanes(), Span::Kind::computes);
    const int waiting = most_at_once(recorder.lanes(), Span::Kind::waits);
    const bool possible = computing <= 1 && waiting <= 2;
    std::printf("\n    took %.1f s; at most %d computed at a time, and %d waited: %s\n\n",
                in_seconds(took_ns), computing, waiting, possible ? "as it must be" : "THAT CANNOT BE");
    if (!possible) return Error(ErrorKind::invalid_state, Call::run).on("the record");
    return {};
}

}  // namespace

int main(int argc, char** argv) {
    DemoLoop demo;
    const Option options[] = {demo.kernel_option(), demo.explain_option(), demo.trace_option()};
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;
    if (const int code = demo.open(); code >= 0) return code;

    Machine machine(demo);
    Recorder recorder(machine);
    demo.watchers.add(recorder);
    current_observer = &demo.watchers;

    Result<void> shown = show<OneAfterAnother>("One after another", demo.loop, machine, recorder);
    if (shown) shown = show<Together>("Together", demo.loop, machine, recorder);
    if (shown) std::printf("    #  computes      .  waits for its answer      -  its turn has not come\n");
    return demo.finish(shown.error());
}
