// The timeline: which event opens a span, which closes it, and on which track.
#include "core/trace/chrome_trace.h"

#include <cstdio>

#include "core/event_loop.h"
#include "core/trace/place.h"
#include "platform/describe_call.h"
#include "platform/operation.h"

namespace pollard {

namespace {

constexpr std::int64_t loop_track = 1;
constexpr std::int64_t kernel_track = 2;
/// Of a task: this and its number.
constexpr std::int64_t tasks_track = 2;

std::int64_t track_of(const TaskState& task) { return tasks_track + task.id; }

/// Null when there is no loop, hence no clock.
Kernel* clock_of(const Scheduler* scheduler) {
    if (scheduler == nullptr || scheduler->loop == nullptr || scheduler->loop->is_closed()) return nullptr;
    return scheduler->loop->port().kernel;
}
Kernel* clock_here() { return clock_of(current_scheduler); }

/// For operations: the task that runs now, or else the loop.
std::int64_t track_here() {
    TaskState* task = current_scheduler != nullptr ? current_scheduler->running_task() : nullptr;
    return task != nullptr ? track_of(*task) : loop_track;
}

const char* name_of_await(const Site& site) {
    const bool made_by_compiler = site.indirect && site.borrowed;
    return made_by_compiler ? site.awaited->name : site.expression;
}

Text describe_timeout(std::int64_t timeout_ns) {
    if (timeout_ns < 0) return Text().add("until the kernel has news");
    if (timeout_ns == 0) return Text().add("only a look");
    return Text().add("at most %.6f s", static_cast<double>(timeout_ns) / static_cast<double>(second_ns));
}

}  // namespace

template <auto member, class... Arguments>
void ChromeTrace::pass(Observer& self, Arguments... arguments) {
    auto& trace = static_cast<ChromeTrace&>(self);
    if (trace.writer_.is_open()) (trace.*member)(arguments...);
}

ChromeTrace::ChromeTrace() {
    task_created = pass<&ChromeTrace::on_task_created>;
    task_finished = pass<&ChromeTrace::on_task_finished>;
    cancel_requested = pass<&ChromeTrace::on_cancel_requested>;
    frame_suspended = pass<&ChromeTrace::on_frame_suspended>;
    frame_resumed = pass<&ChromeTrace::on_frame_resumed>;
    operation_started = pass<&ChromeTrace::on_operation_started>;
    operation_parked = pass<&ChromeTrace::on_operation_parked>;
    operation_completed = pass<&ChromeTrace::on_operation_completed>;
    kernel_called = pass<&ChromeTrace::on_kernel_called>;
    wait_entered = pass<&ChromeTrace::on_wait_entered>;
    wait_returned = pass<&ChromeTrace::on_wait_returned>;
    problem = [](Observer& self, const char* sentence, const Error& error) {
        static_cast<ChromeTrace&>(self).on_problem(sentence, error);
    };
}

ChromeTrace::~ChromeTrace() {
    if (const Result<void> closed = close(); !closed)
        report_problem("the timeline is not complete", closed.error());
}

Result<void> ChromeTrace::open(const char* path) {
    if (const Result<void> opened = writer_.open(path); !opened) return opened;
    process_ = 0;
    tasks_seen_ = false;
    last_ns_ = 0;
    writer_.begin_object();
    writer_.text("displayTimeUnit", "ns");
    writer_.begin_array("traceEvents");
    start_process();
    return {};
}

Result<void> ChromeTrace::close() {
    if (!writer_.is_open()) return {};
    end_slice(run_, last_ns_);
    end_slice(turn_, last_ns_);
    while (const auto span = open_.take_any()) write_end(*span, last_ns_, "not ended");
    return writer_.close();
}

// --- time ---

std::int64_t ChromeTrace::moment_of(std::int64_t clock_ns) {
    if (!origin_known_) {
        origin_known_ = true;
        origin_ns_ = clock_ns - last_ns_;
    }
    const std::int64_t moment_ns = clock_ns - origin_ns_;
    if (moment_ns > last_ns_) last_ns_ = moment_ns;
    return moment_ns > 0 ? moment_ns : 0;
}

/// Without a clock time stands still; before the first reading each event takes a microsecond, so that the
/// timeline of a scheduler without a loop shows at least the order.
std::int64_t ChromeTrace::now_ns(Kernel* clock) {
    if (clock != nullptr) return moment_of(clock->clock(*clock));
    if (!origin_known_) last_ns_ += microsecond_ns;
    return last_ns_;
}

// --- events ---

void ChromeTrace::begin_event(const char* phase, std::int64_t track, std::int64_t at_ns,
                              std::string_view name) {
    writer_.next_line();
    writer_.begin_object();
    writer_.text("ph", phase);
    writer_.number("pid", process_);
    writer_.number("tid", track);
    writer_.microseconds("ts", at_ns);
    writer_.text("name", name);
}

void ChromeTrace::end_event() { writer_.end(); }

void ChromeTrace::name_track(std::int64_t track, std::string_view name) {
    begin_event("M", track, 0, "thread_name");
    writer_.begin_object("args");
    writer_.text("name", name);
    writer_.end();
    end_event();
    begin_event("M", track, 0, "thread_sort_index");
    writer_.begin_object("args");
    writer_.number("sort_index", track);
    writer_.end();
    end_event();
}

void ChromeTrace::name_process(std::string_view name) {
    begin_event("M", loop_track, 0, "process_name");
    writer_.begin_object("args");
    writer_.text("name", name);
    writer_.end();
    end_event();
}

void ChromeTrace::begin_span(const OpenSpan& span, std::int64_t at_ns, std::string_view detail) {
    // Of something that went without an end, and something else lives at its address now.
    end_span(span.key, at_ns, "not ended");
    if (!open_.put(span)) return;  // out of memory: this span is left out, with both its ends
    begin_event("b", span.track, at_ns, span.name);
    writer_.text("cat", span.category);
    writer_.number("id", span.id);
    writer_.begin_object("args");
    if (!detail.empty()) writer_.text("what", detail);
    writer_.end();
    end_event();
}

void ChromeTrace::end_span(const void* key, std::int64_t at_ns, std::string_view detail) {
    if (const auto span = open_.take(key)) write_end(*span, at_ns, detail);
}

void ChromeTrace::write_end(const OpenSpan& span, std::int64_t at_ns, std::string_view detail) {
    begin_event("e", span.track, at_ns, span.name);
    writer_.text("cat", span.category);
    writer_.number("id", span.id);
    writer_.begin_object("args");
    if (!detail.empty()) writer_.text("end", detail);
    writer_.end();
    end_event();
}

void ChromeTrace::begin_slice(Slice& slice, std::int64_t track, std::int64_t at_ns, const Text& name) {
    slice.track = track;
    slice.began_ns = at_ns;
    slice.name = name;
    slice.detail = Text();
}

void ChromeTrace::end_slice(Slice& slice, std::int64_t at_ns) {
    if (slice.track == 0) return;
    begin_event("X", slice.track, slice.began_ns, slice.name.view());
    writer_.microseconds("dur", at_ns > slice.began_ns ? at_ns - slice.began_ns : 0);
    writer_.begin_object("args");
    if (slice.detail.size != 0) writer_.text("what", slice.detail.view());
    writer_.end();
    end_event();
    slice.track = 0;
}

// --- tasks and frames ---

void ChromeTrace::start_process() {
    ++process_;
    origin_known_ = false;  // another loop may have another clock
    name_track(loop_track, "loop");
    name_track(kernel_track, "kernel");
}

void ChromeTrace::on_task_created(TaskState& task) {
    Scheduler& scheduler = task.scheduler();
    if (task.id == 1) {
        if (tasks_seen_) start_process();
        name_process(scheduler.loop != nullptr ? scheduler.loop->kernel_name() : "a scheduler");
    }
    tasks_seen_ = true;
    const Text name = name_of(task);
    name_track(track_of(task), name.view());
    begin_span({.key = &task,
                .category = "task",
                .name = task.root().frame_type().name,
                .id = next_id_++,
                .track = track_of(task)},
               now_ns(clock_of(&scheduler)), name.view());
}

void ChromeTrace::on_task_finished(TaskState& task) {
    const std::int64_t at_ns = now_ns(clock_of(&task.scheduler()));
    const Frame& root = task.root();
    const Text how = root.flags.failed ? describe(root.frame_type().error(&root)) : Text().add("success");
    run_.detail.add("%sdone: %s", run_.detail.size == 0 ? "" : ", ", how.c_str());
    end_slice(run_, at_ns);
    end_span(&task, at_ns, how.view());
}

void ChromeTrace::on_cancel_requested(TaskState& task) {
    begin_event("i", track_of(task), now_ns(clock_here()), "cancel requested");
    writer_.text("s", "t");
    end_event();
}

void ChromeTrace::on_frame_resumed(Frame& frame) {
    const std::int64_t at_ns = now_ns(clock_here());
    end_span(&frame, at_ns, {});
    TaskState* task = task_of(frame);
    if (task == nullptr || run_.track == track_of(*task)) return;  // the waiter of one that has just ended
    end_slice(run_, at_ns);
    begin_slice(run_, track_of(*task), at_ns,
                frame.site != nullptr ? describe_place(*frame.site) : Text().add("begins"));
}

void ChromeTrace::on_frame_suspended(Frame& frame) {
    const std::int64_t at_ns = now_ns(clock_here());
    Frame& inner = *innermost(frame);
    if (inner.site != nullptr) {
        run_.detail.add("%s  %s", describe_place(*inner.site).c_str(), describe_await(inner).c_str());
        begin_await_spans(inner, at_ns);
    }
    end_slice(run_, at_ns);
}

/// For each frame of the chain that was not waiting before: from the innermost outwards, as far as needed.
void ChromeTrace::begin_await_spans(Frame& inner, std::int64_t at_ns) {
    TaskState* task = task_of(inner);
    for (Frame* frame = &inner;; frame = frame->waiter) {
        const Site* site = frame->site;
        if (site != nullptr && site->awaited->kind != AwaitedType::Kind::yield) {
            if (frame != &inner && open_.find(frame) != nullptr) return;
            begin_span({.key = frame,
                        .category = "await",
                        .name = name_of_await(*site),
                        .id = next_id_++,
                        .track = task != nullptr ? track_of(*task) : loop_track},
                       at_ns, describe_place(*site).view());
        }
        if (frame->flags.task_root || frame->waiter == nullptr) return;
    }
}

// --- operations ---

void ChromeTrace::on_operation_started(Operation& operation) {
    begin_span({.key = &operation,
                .category = "operation",
                .name = describe(operation.kind),
                .id = next_id_++,
                .track = track_here()},
               now_ns(operation.port->kernel),
               Text().add("fd %lld", static_cast<long long>(operation.handle)).view());
}

void ChromeTrace::on_operation_parked(Operation& operation) {
    const OpenSpan* span = open_.find(&operation);
    begin_event("i", span != nullptr ? span->track : loop_track, now_ns(operation.port->kernel), "parked");
    writer_.text("s", "t");
    writer_.begin_object("args");
    writer_.text("operation", describe(operation.kind));
    writer_.number("fd", static_cast<std::int64_t>(operation.handle));
    writer_.end();
    end_event();
}

void ChromeTrace::on_operation_completed(Operation& operation) {
    const Text outcome = operation.failed() ? describe(operation.error())
                                            : Text().add("%lld", static_cast<long long>(operation.answer));
    end_span(&operation, now_ns(operation.port->kernel), outcome.view());
}

void ChromeTrace::on_kernel_called(const KernelCall& call) {
    const std::int64_t began_ns = moment_of(call.began_ns);
    const std::int64_t ended_ns = moment_of(call.ended_ns);
    begin_event("X", kernel_track, began_ns, describe(call.call));
    writer_.microseconds("dur", ended_ns > began_ns ? ended_ns - began_ns : 0);
    writer_.begin_object("args");
    writer_.text("call", describe_kernel_call(call).view());
    if (const Text news = describe_kernel_news(call); news.size != 0) writer_.text("news", news.view());
    writer_.end();
    end_event();
}

// --- the loop ---

void ChromeTrace::on_wait_entered(std::int64_t timeout_ns) {
    // Between the last thing told and now the run may have ended and another begun: that is no running.
    end_slice(run_, last_ns_);
    end_slice(turn_, last_ns_);
    begin_slice(turn_, loop_track, now_ns(clock_here()), Text().add("wait"));
    turn_.detail = describe_timeout(timeout_ns);
}

void ChromeTrace::on_wait_returned() {
    const std::int64_t at_ns = now_ns(clock_here());
    end_slice(turn_, at_ns);
    begin_slice(turn_, loop_track, at_ns, Text().add("run what is ready"));
}

/// Nobody reads a timeline at once, so stderr is told too.
void ChromeTrace::on_problem(const char* sentence, const Error& error) {
    const Text what = describe(error);
    std::fprintf(stderr, "pollard: %s: %s\n", sentence, what.c_str());
    if (!writer_.is_open()) return;
    begin_event("i", loop_track, now_ns(clock_here()), sentence);
    writer_.text("s", "g");
    writer_.begin_object("args");
    writer_.text("error", what.view());
    writer_.end();
    end_event();
}

}  // namespace pollard
