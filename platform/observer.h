// Observer: who watches the floors.
//
// Each floor of the picture tells an observer what passes through it, in about a dozen words. Without an
// observer a floor pays one branch on a thread-local pointer. The narration (`--explain`) and the timeline
// (`--trace FILE`) are two observers in core/trace/; a program may bring its own.
//
//      task_created, task_finished            tasks
//      cancel_requested, cancel_asked         somebody wants a task to end; what its await says to that
//      frame_awaits, _suspended, _resumed      frames
//      operation_started, _parked, _completed operations
//      kernel_called                          the door (told by an InterposedKernel in front of the real one)
//      work_begins, timer_set                 callbacks, and what else stands in the ready queue and is no frame
//      wait_entered, wait_returned            the loop
//      problem                                an error that nobody else can hear, from closing a descriptor, say
//
// Thread rule: an observer belongs to the thread that installed it and is told on that thread only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "platform/result.h"

/// How a thread-local pointer of Pollard's is found: by one instruction in an executable. Code for a shared
/// library (-fPIC) must ask for its place first.
#if defined(__PIC__) && !defined(__PIE__)
#define POLLARD_THREAD_LOCAL [[gnu::tls_model("initial-exec")]]
#elif defined(__GNUC__) && !defined(_WIN32)
#define POLLARD_THREAD_LOCAL [[gnu::tls_model("local-exec")]]
#else
#define POLLARD_THREAD_LOCAL
#endif

namespace pollard {

struct Frame;
struct TaskState;
struct Operation;
struct KernelCall;
struct Work;
enum class CancelOutcome : std::uint8_t;

struct Observer {
    void (*task_created)(Observer&, TaskState&) = [](Observer&, TaskState&) {};
    void (*task_finished)(Observer&, TaskState&) = [](Observer&, TaskState&) {};
    /// Somebody wants the task to end. What comes of it is told next, unless it has not begun: then it will not.
    void (*cancel_requested)(Observer&, TaskState&) = [](Observer&, TaskState&) {};
    /// A request to end has come to the innermost frame of a chain. The answer is that of its await; a frame that runs
    /// and awaits nothing refuses.
    void (*cancel_asked)(Observer&, Frame&, CancelOutcome) = [](Observer&, Frame&, CancelOutcome) {};
    /// A frame is about to wait for what its site says; it may turn out not to have to.
    void (*frame_awaits)(Observer&, Frame&) = [](Observer&, Frame&) {};
    /// A frame has returned to the scheduler. It is the one that was resumed last; the innermost of its chain, which
    /// stands at an await of its own, may be a child that it has started.
    void (*frame_suspended)(Observer&, Frame&) = [](Observer&, Frame&) {};
    /// Told before the frame goes on; its site still says where it stood. (A task's first step has none.)
    void (*frame_resumed)(Observer&, Frame&) = [](Observer&, Frame&) {};
    void (*operation_started)(Observer&, Operation&) = [](Observer&, Operation&) {};
    /// The operation would block and waits for the poller's word.
    void (*operation_parked)(Observer&, Operation&) = [](Observer&, Operation&) {};
    /// The outcome is in the operation; its owner has not run yet.
    void (*operation_completed)(Observer&, Operation&) = [](Observer&, Operation&) {};
    void (*kernel_called)(Observer&, const KernelCall&) = [](Observer&, const KernelCall&) {};
    /// The turn of a work that is no frame has come: a callback, a timer, an operation that tries again.
    void (*work_begins)(Observer&, Work&) = [](Observer&, Work&) {};
    /// A callback shall run at a time, so far from now. (A sleeping frame's timer is told by its await.)
    void (*timer_set)(Observer&, Work&, std::int64_t delay_ns) = [](Observer&, Work&, std::int64_t) {};
    /// `timeout_ns`: 0 only looks, negative waits for ever.
    void (*wait_entered)(Observer&, std::int64_t timeout_ns) = [](Observer&, std::int64_t) {};
    void (*wait_returned)(Observer&) = [](Observer&) {};
    void (*problem)(Observer&, const char* sentence, const Error&) = [](Observer&, const char*,
                                                                        const Error&) {};
};

/// The observer of this thread; null (the usual case) when nobody watches.
POLLARD_THREAD_LOCAL extern constinit thread_local Observer* current_observer;

/// Reports what nobody else can hear: to the observer, or on stderr when nobody watches.
void report_problem(const char* sentence, const Error& error);

}  // namespace pollard
