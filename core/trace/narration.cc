// The words of the story. Each function here is one thing an observer is told, and writes one line or none.
//
// The observer is not told that an operation is tried, now or again; that follows from a kernel call on its
// descriptor, and from whether a frame runs at that moment.
#include "core/trace/narration.h"

#include <cstdarg>
#include <cstring>
#include <string_view>

#include "core/await_graph.h"
#include "core/event_loop.h"
#include "core/sleep.h"
#include "core/trace/place.h"
#include "platform/address.h"
#include "platform/describe_call.h"
#include "platform/operation.h"

namespace pollard {

namespace {

// The floors, by their indentation.
constexpr int loop_floor = 0;
constexpr int operation_floor = 1;
constexpr int port_floor = 2;
constexpr int kernel_floor = 3;

constexpr int indentation = 2;
constexpr int label_width = 16;
constexpr int kernel_call_width = 38;
constexpr int news_column = 16;  // behind the duration of a wait

// --- time ---

Text in_seconds(std::int64_t duration_ns) {
    if (duration_ns < millisecond_ns)
        return Text().add("%lld us", static_cast<long long>(duration_ns / microsecond_ns));
    return Text().add("%.3f s", static_cast<double>(duration_ns) / static_cast<double>(second_ns));
}

Text after(std::int64_t duration_ns) {
    if (duration_ns < microsecond_ns) return Text().add("at once");
    if (duration_ns < millisecond_ns || duration_ns >= second_ns)
        return Text().add("after %s", in_seconds(duration_ns).c_str());
    return Text().add("after %lld ms", static_cast<long long>(duration_ns / millisecond_ns));
}

/// What the call itself was allowed to wait; 0 for those that never do.
std::int64_t time_limit_of(const KernelCall& call) {
    switch (call.call) {
        case Call::epoll_wait:
        case Call::io_uring_enter:
        case Call::iocp_wait:
        case Call::poll:
            return call.argument[1];
        case Call::kevent:
            return call.argument[2];
        case Call::wait:
            return call.argument[0];
        default:
            return 0;
    }
}

// --- operations ---

bool tries_before_it_parks(const Operation& operation) {
    return std::string_view(operation.port->type->name) == "attempt";
}

const char* awaited_readiness(OperationKind kind) {
    switch (kind) {
        case OperationKind::connect:
            return "writable (connected, or refused)";
        case OperationKind::send:
        case OperationKind::send_all:
        case OperationKind::writable:
            return "writable";
        case OperationKind::accept:
            return "readable (a connection has come)";
        default:
            return "readable";
    }
}

long long offset_of(const Operation& operation) {
    return static_cast<const FileOperation&>(operation).offset;
}

Text describe_request(const Operation& operation) {
    const auto handle = static_cast<long long>(operation.handle);
    Text text;
    switch (operation.kind) {
        case OperationKind::accept:
            return text.add("accept  fd %lld, the next connection", handle);
        case OperationKind::connect:
            return text.add("connect  fd %lld, to %s", handle, describe(*operation.peer).c_str());
        case OperationKind::recv:
            return text.add("recv  fd %lld, up to %zu bytes", handle, operation.size);
        case OperationKind::recv_borrowed:
            return text.add("recv  fd %lld, into a buffer of the loop's", handle);
        case OperationKind::send:
            return text.add("send  fd %lld, up to %zu bytes", handle, operation.size);
        case OperationKind::send_all:
            return text.add("send_all  fd %lld, %zu bytes", handle, operation.size);
        case OperationKind::read_at:
            return text.add("read_at  fd %lld, up to %zu bytes from %lld on", handle, operation.size,
                            offset_of(operation));
        case OperationKind::write_at:
            return text.add("write_at  fd %lld, %zu bytes from %lld on", handle, operation.size,
                            offset_of(operation));
        case OperationKind::readable:
        case OperationKind::writable:
        case OperationKind::close:
            break;
    }
    return text.add("%s  fd %lld", describe(operation.kind), handle);
}

void add_outcome(Text& text, const Operation& operation) {
    if (operation.failed()) {
        const Error error = operation.error();
        text.add("%s", describe(error.kind));
        const char* name = name_of_code(error.code);
        if (error.kind != ErrorKind::cancelled && name[0] != '\0') text.add(" (%s)", name);
        return;
    }
    const auto answer = static_cast<long long>(operation.answer);
    switch (operation.kind) {
        case OperationKind::accept:
            text.add("the new connection is fd %lld", answer);
            return;
        case OperationKind::recv:
        case OperationKind::recv_borrowed:
            text.add(answer == 0 ? "0 bytes, the peer sends no more" : "%lld bytes", answer);
            return;
        case OperationKind::read_at:
            text.add(answer == 0 ? "0 bytes, the file ends there" : "%lld bytes", answer);
            return;
        case OperationKind::send:
        case OperationKind::write_at:
            text.add("%lld bytes", answer);
            return;
        case OperationKind::connect:
            text.add("connected");
            return;
        case OperationKind::send_all:
            text.add("all bytes are sent");
            return;
        case OperationKind::close:
            text.add("closed");
            return;
        case OperationKind::readable:
        case OperationKind::writable:
            text.add("it is %s", describe(operation.kind));
            return;
    }
}

/// Those by which the attempt adapter tries an operation.
bool is_attempt(Call call) {
    switch (call) {
        case Call::accept:
        case Call::connect:
        case Call::recv:
        case Call::send:
        case Call::getsockopt:
        case Call::getpeername:
        case Call::poll:
        case Call::pread:
        case Call::pwrite:
            return true;
        default:
            return false;
    }
}

const char* invitation_to(Call call) {
    switch (call) {
        case Call::send:
            return "may be writable: try again";
        case Call::getsockopt:
            return "may be writable: ask how connecting went";
        case Call::poll:
            return "has news: ask again";
        default:
            return "may be readable: try again";
    }
}

// --- frames ---

/// "Serve#2", and for a frame below the task's own "Serve#2 > Greet".
Text name_of(Frame& frame) {
    TaskState* task = task_of(frame);
    const char* own_name = frame.type != nullptr ? frame.frame_type().name : "a frame";
    if (task == nullptr) return Text().add("%s", own_name);
    Text name = name_of(*task);
    if (&frame != &task->root()) name.add(" > %s", own_name);
    return name;
}

template <class A>
A* awaited_as(Frame& frame) {
    return frame.site->awaited == &awaited_type<A> ? static_cast<A*>(awaited_by(frame)) : nullptr;
}

/// What ended the wait, as far as it is no operation (which has told of its own end); begins with ": ".
void add_why_it_resumes(Text& text, Frame& frame) {
    if (const Sleep* sleep = awaited_as<Sleep>(frame)) {
        Text left;
        sleep->describe(left);
        text.add(sleep->failed()  ? ": the sleep was cancelled"
                 : left.size != 0 ? ": its time has come"
                                  : ": its turn has come");
    } else if (Frame* child = child_of(frame)) {
        const char* name = child->frame_type().name;
        if (child->flags.failed)
            text.add(": %s ended: %s", name, describe(child->frame_type().error(child)).c_str());
        else
            text.add(child->flags.has_item ? ": %s gives a value" : ": %s has ended", name);
    } else if (frame.site->awaited->kind == AwaitedType::Kind::task_pointer) {
        TaskState& task = **static_cast<TaskState**>(awaited_by(frame));
        if (task.done) text.add(": %s is done", name_of(task).c_str());
    }
}

}  // namespace

Narration::Narration(std::FILE* out) : out_(out) {
    static constexpr auto self = [](Observer& observer) -> Narration& {
        return static_cast<Narration&>(observer);
    };
    task_created = [](Observer& o, TaskState& task) { self(o).on_task_created(task); };
    task_finished = [](Observer& o, TaskState& task) { self(o).on_task_finished(task); };
    cancel_requested = [](Observer& o, TaskState& task) { self(o).on_cancel_requested(task); };
    cancel_asked = [](Observer& o, Frame& frame, CancelOutcome outcome) {
        self(o).on_cancel_asked(frame, outcome);
    };
    work_begins = [](Observer& o, Work& work) { self(o).on_work_begins(work); };
    timer_set = [](Observer& o, Work& work, std::int64_t delay_ns) { self(o).on_timer_set(work, delay_ns); };
    frame_awaits = [](Observer& o, Frame& frame) { self(o).on_frame_awaits(frame); };
    frame_suspended = [](Observer& o, Frame& frame) { self(o).on_frame_suspended(frame); };
    frame_resumed = [](Observer& o, Frame& frame) { self(o).on_frame_resumed(frame); };
    operation_started = [](Observer& o, Operation& which) { self(o).on_operation_started(which); };
    operation_parked = [](Observer& o, Operation& which) { self(o).on_operation_parked(which); };
    operation_completed = [](Observer& o, Operation& which) { self(o).on_operation_completed(which); };
    kernel_called = [](Observer& o, const KernelCall& call) { self(o).on_kernel_called(call); };
    wait_entered = [](Observer& o, std::int64_t timeout_ns) { self(o).on_wait_entered(timeout_ns); };
    wait_returned = [](Observer& o) { self(o).in_wait_ = false; };
    problem = [](Observer& o, const char* sentence, const Error& error) {
        self(o).on_problem(sentence, error);
    };
}

void Narration::line(int floor, const char* label, const char* format, ...) {
    std::fprintf(out_, "%*s%-*s ", indentation * floor, "", label_width, label);
    va_list arguments;
    va_start(arguments, format);
    std::vfprintf(out_, format, arguments);
    va_end(arguments);
    std::fputc('\n', out_);
}

// --- tasks and frames ---

void Narration::on_task_created(TaskState& task) {
    line(loop_floor, name_of(task).c_str(), "is a new task, and stands in the ready queue");
}

void Narration::on_task_finished(TaskState& task) {
    stage_ = Stage::none;
    Frame& root = task.root();
    Text how;
    if (root.flags.cancelled)
        how.add("cancelled");
    else if (root.flags.failed)
        how.add("failed, %s", describe(root.frame_type().error(&root)).c_str());
    else
        how.add("success");
    line(loop_floor, name_of(task).c_str(), "is done: %s", how.c_str());
}

void Narration::on_cancel_requested(TaskState& task) {
    Frame& root = task.root();
    const bool has_begun = !root.linked() || root.site != nullptr;
    line(loop_floor, name_of(task).c_str(), "is asked to end%s",
         has_begun ? "" : ": it has not begun, and will not");
}

void Narration::on_cancel_asked(Frame& frame, CancelOutcome outcome) {
    if (frame.site == nullptr) {
        line(operation_floor, "cancel", "%s runs: the request keeps until its next await",
             name_of(frame).c_str());
        return;
    }
    // The request went on to a task, which has told what it does with it.
    if (frame.site->awaited->kind == AwaitedType::Kind::task_pointer) return;
    const char* answer = outcome == CancelOutcome::accepted ? "this await ends"
                         : outcome == CancelOutcome::open
                             ? "the port is asked to let go of it"
                             : "too late for this one: the request keeps until the next";
    line(operation_floor, "cancel", "%s  %s: %s", describe_place(*frame.site).c_str(),
         describe_await(frame).c_str(), answer);
}

void Narration::on_work_begins(Work& work) {
    const std::string_view name = work.type->name;
    if (Frame* frame = waiter_of(work); frame != nullptr)
        line(loop_floor, "loop", "%s, for %s", work.type->name, name_of(*frame).c_str());
    else if (name == "a callback" || name == "a timed callback")
        line(loop_floor, "loop", "%s runs", work.type->name);
}

void Narration::on_timer_set(Work& work, std::int64_t delay_ns) {
    line(operation_floor, "timer", "%s, in %s", work.type->name,
         in_seconds(delay_ns < 0 ? 0 : delay_ns).c_str());
}

void Narration::on_frame_awaits(Frame& frame) {
    stage_ = Stage::none;
    if (frame.site == nullptr) return;
    told_frame_ = &frame;
    told_line_ = frame.site->line;
    Text text;
    if (frame.site->awaited->kind == AwaitedType::Kind::task_pointer) {
        TaskState& task = **static_cast<TaskState**>(awaited_by(frame));
        text.add(": %s %s", name_of(task).c_str(), task.done ? "is done already" : "is not done yet");
    }
    line(loop_floor, name_of(frame).c_str(), "%s  %s%s", describe_place(*frame.site).c_str(),
         describe_await(frame).c_str(), text.c_str());
}

void Narration::on_frame_suspended(Frame& frame) {
    Frame& inner = *innermost(frame);
    if (inner.site == nullptr) return;
    if (told_frame_ == &inner && told_line_ == inner.site->line)
        tell_what_is_waited_for(inner);
    else
        line(loop_floor, name_of(inner).c_str(), "%s  %s%s", describe_place(*inner.site).c_str(),
             describe_await(inner).c_str(), inner.linked() ? ": the others first" : "");
    stage_ = Stage::none;
    told_frame_ = nullptr;
}

/// The line above says for what; here: who will say that it is there.
void Narration::tell_what_is_waited_for(Frame& inner) {
    if (stage_ == Stage::parked) return;
    if (stage_ == Stage::started) {
        line(port_floor, "port", "%s",
             operation_->kind == OperationKind::close   ? "what is armed there is told first"
             : operation_->state == OperationState::due ? "it is done already: told in its turn"
             : operation_->linked()                     ? "all buffers are lent: stand in line for one"
                                    : "the kernel has it: go on with others until it is done");
    } else if (stage_ == Stage::completed) {
        line(operation_floor, "ready queue",
             "so many operations in a row were answered at once: the others first");
    } else if (inner.site->awaited->kind == AwaitedType::Kind::leaf) {
        Text what;
        inner.site->awaited->describe(awaited_by(inner), what);
        const bool sleeps = awaited_as<Sleep>(inner) != nullptr;
        if (what.size != 0) line(operation_floor, sleeps ? "timer" : "waits for", "%s", what.c_str());
    }
}

void Narration::on_frame_resumed(Frame& frame) {
    stage_ = Stage::none;
    told_frame_ = nullptr;
    if (frame.resume_point == at_nowhere) return;  // cancelled before its first step: it is done, and says so
    const Text name = name_of(frame);
    if (frame.site == nullptr) {
        line(loop_floor, name.c_str(), "begins");
        return;
    }
    Text why;
    add_why_it_resumes(why, frame);
    line(loop_floor, name.c_str(), "resumes at %s%s", describe_place(*frame.site).c_str(), why.c_str());
}

// --- operations ---

void Narration::on_operation_started(Operation& operation) {
    stage_ = Stage::started;
    operation_ = &operation;
    line(operation_floor, "operation", "%s", describe_request(operation).c_str());
}

void Narration::on_operation_parked(Operation& operation) {
    const auto handle = static_cast<long long>(operation.handle);
    const char* readiness = awaited_readiness(operation.kind);
    if (!tries_before_it_parks(operation)) return;  // told already: the kernel has it
    if (stage_ == Stage::started)
        line(port_floor, "poller", "fd %lld is known to be %s, no attempt: park until it is %s", handle,
             direction_of(operation.kind) == Direction::write ? "full" : "empty", readiness);
    else
        line(port_floor, "poller", "%spark until fd %lld is %s",
             stage_ == Stage::trying_again ? "it would block after all: " : "", handle, readiness);
    stage_ = Stage::parked;
}

void Narration::on_operation_completed(Operation& operation) {
    stage_ = Stage::completed;
    Text outcome;
    add_outcome(outcome, operation);
    const char* name = operation.kind == OperationKind::recv_borrowed ? "recv" : describe(operation.kind);
    line(operation_floor, "operation", "%s  fd %lld, %s: %s", name, static_cast<long long>(operation.handle),
         operation.failed() ? "failed" : "completed", outcome.c_str());
}

// --- the kernel ---

/// Before the first call of an attempt.
void Narration::tell_attempt(const KernelCall& call) {
    if (in_wait_ || !is_attempt(call.call) || stage_ == Stage::trying || stage_ == Stage::trying_again)
        return;
    if (stage_ == Stage::started) {
        line(port_floor, "attempt", "try it now");
        stage_ = Stage::trying;
    } else if (current_scheduler != nullptr && current_scheduler->running == nullptr) {
        if (call.handle == no_handle)
            line(port_floor, "attempt", "its descriptor %s", invitation_to(call.call));
        else
            line(port_floor, "attempt", "fd %lld %s", static_cast<long long>(call.handle),
                 invitation_to(call.call));
        stage_ = Stage::trying_again;
    }
}

void Narration::on_kernel_called(const KernelCall& call) {
    tell_attempt(call);
    const Text described = describe_kernel_call(call);
    Text behind;
    if (time_limit_of(call) != 0)
        behind = after(call.ended_ns - call.began_ns);
    else if (in_wait_ && wait_timeout_ns_ != 0)
        behind.add("no sleep: answers wait in the port");
    if (const Text news = describe_kernel_news(call); news.size != 0)
        behind.add("%*s%s", behind.size == 0 ? 0 : news_column - static_cast<int>(behind.size), "",
                   news.c_str());
    if (behind.size == 0)
        line(kernel_floor, "kernel", "%s", described.c_str());
    else
        line(kernel_floor, "kernel", "%-*s %s", kernel_call_width, described.c_str(), behind.c_str());
}

// --- the loop ---

void Narration::on_wait_entered(std::int64_t timeout_ns) {
    stage_ = Stage::none;
    in_wait_ = true;
    wait_timeout_ns_ = timeout_ns;
    const bool others = current_scheduler != nullptr && !current_scheduler->ready.empty();
    if (timeout_ns < 0)
        line(loop_floor, "loop", "nothing is ready, no timer is set: sleep until the kernel has news");
    else if (timeout_ns > 0)
        line(loop_floor, "loop",
             "nothing is ready: sleep until the first timer, in %s, or until the kernel has news",
             in_seconds(timeout_ns).c_str());
    else
        line(loop_floor, "loop", "%s: look into the kernel, do not wait",
             others ? "something is ready" : "a timer is due, or stop was asked for");
    std::fflush(out_);
}

void Narration::on_problem(const char* sentence, const Error& error) {
    line(loop_floor, "problem", "%s: %s", sentence, describe(error).c_str());
    std::fflush(out_);
}

}  // namespace pollard
