// Narration: tells a run as a story, one line an event, indented by floor.
//
//      Serve#2          reverse_server.cc:41  awaits peer.recv(bytes)          core/:     who, where, for what
//        operation        recv  fd 7, up to 1024 bytes                         platform/: what is asked for
//          attempt          try it now
//            kernel           recv(7, .., 1024, 0) = EAGAIN                    each system call
//          poller           park until fd 7 is readable
//      loop             nothing is ready, no timer is set: sleep until the kernel has news
//            kernel           epoll_wait(3, .., 64, -1) = 1   after 812 ms   fd 7: IN
//          attempt          fd 7 may be readable: try again
//            kernel           recv(7, .., 1024, 0) = 14       "Hello Server!\n"
//        operation        recv  fd 7, completed: 14 bytes
//      Serve#2          resumes at reverse_server.cc:41
//
// It is one observer (platform/observer.h) and uses nothing but what every observer is told. Kernel calls are
// told by an ObservedKernel in front of the kernel (platform/interposed_kernel.h); without one those
// lines are missing. What is written goes out when the loop looks into the kernel, so that the story can be
// followed while the program sleeps.
//
// Read next: core/trace/narration.cc; demos/demo_loop.h: `--explain`.
#pragma once

#include <cstdint>
#include <cstdio>

#include "core/frame.h"
#include "platform/observer.h"
#include "platform/result.h"

namespace pollard {

class Narration : public Observer {
public:
    /// `out` is not owned and must stay open as long as this is told anything.
    explicit Narration(std::FILE* out);
    Narration(const Narration&) = delete;

private:
    /// How far that operation has come of which was told last; the next line depends on it.
    enum class Stage : std::uint8_t { none, started, trying, trying_again, parked, completed };

    void on_task_created(TaskState& task);
    void on_task_finished(TaskState& task);
    void on_cancel_requested(TaskState& task);
    void on_cancel_asked(Frame& frame, CancelOutcome outcome);
    void on_work_begins(Work& work);
    void on_timer_set(Work& work, std::int64_t delay_ns);
    void on_frame_awaits(Frame& frame);
    void on_frame_suspended(Frame& frame);
    void on_frame_resumed(Frame& frame);
    void on_operation_started(Operation& operation);
    void on_operation_parked(Operation& operation);
    void on_operation_completed(Operation& operation);
    void on_kernel_called(const KernelCall& call);
    void on_wait_entered(std::int64_t timeout_ns);
    void on_problem(const char* sentence, const Error& error);

    void tell_attempt(const KernelCall& call);
    void tell_what_is_waited_for(Frame& inner);
    [[gnu::format(POLLARD_PRINTF, 4, 5)]] void line(int floor, const char* label, const char* format, ...);

    std::FILE* out_;
    Stage stage_ = Stage::none;
    const Operation* operation_ = nullptr;  // valid while stage_ is `started` or `trying`
    /// The await of which was told last. (Not every await is told before it suspends.)
    const Frame* told_frame_ = nullptr;
    std::uint16_t told_line_ = 0;
    bool in_wait_ = false;
    std::int64_t wait_timeout_ns_ = 0;
};

}  // namespace pollard
