// Running, cancelling and destroying chains of frames. Everything here is a loop and nothing recurses,
// because a chain may be longer than a stack is deep.
#include "core/frame.h"

#include <cstdio>

#include "core/scheduler.h"
#include "core/task.h"
#include "platform/observer.h"

namespace pollard {

constinit thread_local Scheduler* current_scheduler = nullptr;

namespace {

/// With somebody watching, or a cancellation to deliver: what comes after the usual.
[[gnu::cold]] void after_suspension(Scheduler& scheduler, Frame* frame) {
    scheduler.running = nullptr;
    if (current_observer != nullptr) current_observer->frame_suspended(*current_observer, *frame);
    if (scheduler.pending_cancels != 0) deliver_pending_cancel(*frame);
}

}  // namespace

// STOP: run_chain
void run_chain(Frame* frame) {
    Scheduler& scheduler = *current_scheduler;
    for (;;) {
        scheduler.running = frame;
        if (current_observer != nullptr) [[unlikely]]
            current_observer->frame_resumed(*current_observer, *frame);
        const Progress progress = frame->frame_type().resume(frame);
        if (progress.suspended()) break;
        // The function has been left, so its frame may be destroyed now: by its waiter, who takes the result.
        if (frame->flags.task_root) return task_finished(*frame->root_task);
        if (frame->waiter == nullptr) {
            scheduler.running = nullptr;  // nobody's frame: its owner may destroy it
            return;
        }
        frame = frame->waiter;
    }
    if (must_be_careful(scheduler)) [[unlikely]]
        after_suspension(scheduler, frame);
}

void run_chain_above(Frame* frame) {
    if (frame->flags.task_root) return task_finished(*frame->root_task);
    current_scheduler->running = nullptr;
    if (frame->waiter != nullptr) run_chain(frame->waiter);
}

void Scheduler::run_turn() {
    ++turn_count;
    batch.splice_back(ready);
    if (must_be_careful(*this)) [[unlikely]]
        return run_batch_carefully();
    while (!batch.empty()) {
        batch.pop_front().run();
        ++works_run;
    }
    running = nullptr;
}

void Scheduler::run_batch_carefully() {
    while (!batch.empty()) {
        run_one_carefully(batch.pop_front());
        ++works_run;
    }
    running = nullptr;
}

void Scheduler::run_one_carefully(Work& work) {
    if (work.type->is_frame) return run_chain(static_cast<Frame*>(&work));
    if (current_observer != nullptr) [[unlikely]]
        current_observer->work_begins(*current_observer, work);
    work.run();
}

const WorkType Scheduler::careful_type = {[](Work*) { current_scheduler->begin_to_be_careful(); }, "careful",
                                          false};

void Scheduler::begin_to_be_careful() {
    // The frame that cancelled itself has suspended meanwhile, and nobody has looked.
    if (running != nullptr) deliver_pending_cancel(*running);
    run_batch_carefully();
}

void Scheduler::be_careful_from_now_on() {
    // A work at the head of the batch: when the running one ends, this one runs all the rest.
    if (!careful_from_here.linked()) batch.push_front(careful_from_here);
}

Frame::Frame(Frame&& other) noexcept : Work(other.type) {
    POLLARD_REQUIRE(!other.flags.started, "a frame that has started cannot move: others point to it");
    other.flags.moved_from = true;
}

Frame::~Frame() { unlink(); }

void* awaited_by(Frame& frame) {
    void* slot = frame.slot();
    return frame.site->indirect ? *static_cast<void**>(slot) : slot;
}

Frame* child_of(Frame& frame) {
    if (frame.site == nullptr) return nullptr;
    switch (frame.site->awaited->kind) {
        case AwaitedType::Kind::child:
            return static_cast<Frame*>(awaited_by(frame));
        case AwaitedType::Kind::child_pointer:
            return *static_cast<Frame**>(awaited_by(frame));
        default:
            return nullptr;
    }
}

Frame* innermost(Frame& frame) {
    Frame* inner = &frame;
    while (Frame* child = child_of(*inner)) inner = child;
    return inner;
}

TaskState* task_of(Frame& frame) {
    Frame* outer = &frame;
    while (!outer->flags.task_root) {
        if (outer->waiter == nullptr) return nullptr;
        outer = outer->waiter;
    }
    return outer->root_task;
}

CancelOutcome cancel_chain(Frame& frame) {
    Frame* inner = innermost(frame);
    CancelOutcome outcome = CancelOutcome::refused;
    if (inner->site != nullptr) outcome = inner->site->awaited->cancel(awaited_by(*inner));
    if (outcome == CancelOutcome::ends_now) {
        inner->unlink();
        current_scheduler->make_ready(*inner);
        outcome = CancelOutcome::accepted;
    }
    if (current_observer != nullptr) [[unlikely]]
        current_observer->cancel_asked(*current_observer, *inner, outcome);
    return outcome;
}

void destroy_awaited(Frame& frame) {
    Frame* inner = innermost(frame);
    for (;;) {
        if (const Site* site = inner->site; site != nullptr) {
            // A frame waiting in the queue of a task or in the ready queue leaves it first.
            inner->unlink();
            void* awaited = awaited_by(*inner);
            inner->site = nullptr;
            site->awaited->abandon(awaited);
            if (!site->borrowed) site->awaited->destroy(awaited);
        }
        if (inner == &frame) return;
        inner = inner->waiter;
    }
}

Text describe(Frame& frame) {
    Text text;
    text.add("%s", frame.frame_type().name);
    if (frame.site != nullptr) {
        // (A co_await has no text but the name of its function, which may be long: what follows matters more.)
        text.add(" at %s:%u, waits for %.80s", frame.site->file, frame.site->line, frame.site->expression);
        Text what;
        frame.site->awaited->describe(awaited_by(frame), what);
        if (what.size != 0) text.add(" (%s)", what.c_str());
    } else if (frame.flags.finished) {
        text.add(", finished");
    } else {
        text.add(frame.flags.started ? ", running" : ", not started");
    }
    return text;
}

void report_never_awaited(const Frame& frame) {
    report_problem("a coroutine was made but never awaited; write CO_AWAIT(result, ...) or create_task(...)",
                   Error(ErrorKind::invalid_state, Call::await).on(frame.frame_type().name));
}

}  // namespace pollard
