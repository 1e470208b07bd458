// ChromeTrace: writes a run as a timeline, for ui.perfetto.dev or chrome://tracing.
//
//      loop       [ run ][------- wait ------][ run ][ wait ]
//      kernel       |        [- epoll_wait --]  | |
//      Main#1     [begins]
//      Serve#2           [41]                 [43]            slices: it runs, from the line where it resumed
//                            .  parked
//      await             <---- peer.recv(bytes) ->            spans: from one moment to another, across runs
//      operation         <---- recv ---------->
//      task       <---- Serve#2 ----------------------->
//
// The file is in the "Trace Event Format", JSON: `X` slices with a duration, `b` and `e` for the ends of a
// span, `i` for a moment, `M` for the names of tracks. It is valid JSON as soon as it is closed, and every
// `b` has its `e`. Times come from the kernel's own clock, so a simulated run has a timeline in virtual time.
//
// Several loops one after another on the observer's thread are several processes on the timeline.
//
// Read next: core/trace/json_writer.h, core/trace/open_spans.h.
#pragma once

#include <cstdint>

#include "core/trace/json_writer.h"
#include "core/trace/open_spans.h"
#include "platform/observer.h"
#include "platform/result.h"

namespace pollard {

struct Kernel;
struct Scheduler;

class ChromeTrace : public Observer {
public:
    ChromeTrace();
    ChromeTrace(const ChromeTrace&) = delete;
    /// Closes; an error then goes to report_problem.
    ~ChromeTrace();

    /// Errors: what opening a file for writing may answer; invalid_state when it is open. What is told while
    /// no file is open is dropped.
    Result<void> open(const char* path);
    /// Ends everything that has begun, writes the end of the file and closes it. Gives the first write error,
    /// also of long ago: a full disk. Harmless when not open.
    Result<void> close();

private:
    /// A slice that has begun and is written when it ends.
    struct Slice {
        std::int64_t track = 0;  // 0: none has begun
        std::int64_t began_ns = 0;
        Text name;
        Text detail;
    };

    void on_task_created(TaskState& task);
    void on_task_finished(TaskState& task);
    void on_cancel_requested(TaskState& task);
    void on_frame_suspended(Frame& frame);
    void on_frame_resumed(Frame& frame);
    void on_operation_started(Operation& operation);
    void on_operation_parked(Operation& operation);
    void on_operation_completed(Operation& operation);
    void on_kernel_called(const KernelCall& call);
    void on_wait_entered(std::int64_t timeout_ns);
    void on_wait_returned();
    void on_problem(const char* sentence, const Error& error);
    template <auto member, class... Arguments>
    static void pass(Observer& self, Arguments... arguments);

    // Times on the timeline: nanoseconds since its beginning, never negative.
    std::int64_t now_ns(Kernel* clock);
    std::int64_t moment_of(std::int64_t clock_ns);

    // Each writes one event.
    void begin_event(const char* phase, std::int64_t track, std::int64_t at_ns, std::string_view name);
    void end_event();
    void name_track(std::int64_t track, std::string_view name);
    void name_process(std::string_view name);
    void begin_span(const OpenSpan& span, std::int64_t at_ns, std::string_view detail);
    void end_span(const void* key, std::int64_t at_ns, std::string_view detail);
    void write_end(const OpenSpan& span, std::int64_t at_ns, std::string_view detail);
    void begin_slice(Slice& slice, std::int64_t track, std::int64_t at_ns, const Text& name);
    void end_slice(Slice& slice, std::int64_t at_ns);

    void start_process();
    void begin_await_spans(Frame& inner, std::int64_t at_ns);

    JsonWriter writer_;
    OpenSpans open_;
    Slice run_;   // the task that runs
    Slice turn_;  // the loop's wait, or what it runs in between
    std::int64_t process_ = 0;
    bool tasks_seen_ = false;
    std::int64_t next_id_ = 1;
    /// The kernel's clock at the timeline's beginning; not known before the first reading.
    bool origin_known_ = false;
    std::int64_t origin_ns_ = 0;
    std::int64_t last_ns_ = 0;
};

}  // namespace pollard
