// OperationAwait: a kernel operation that a frame can await.
//
// The platform's operation knows no frame; here it gets one: whom to resume when it has completed.
//
//      CO_AWAIT(n, peer.recv(bytes))
//         start:      port->start(operation)      true: the body goes on at once
//                        |false
//         suspended:  the operation stands parked in the port, the frame with it
//                        |news, and its turn in the ready queue
//         completed:  go_on(waiter)
//
// A kernel that always has an answer ready would never let others run. So after a number of inline
// completions in a row the operation keeps its result and the frame goes to the end of the ready queue once.
//
// Read next: core/io/socket.h, platform/attempt/attempt_port.cc.
#pragma once

#include "core/awaitable.h"
#include "core/scheduler.h"
#include "core/task.h"
#include "platform/completion_port.h"
#include "platform/operation.h"

namespace pollard {

template <class Op>
struct [[nodiscard]] OperationAwait : Op {
    Frame* waiter;

    /// `on` must be what the rest of the operation's constructor says, opened on `through`.
    template <class... Arguments>
    explicit OperationAwait(CompletionPort* through, Arguments&&... arguments)
        : Op(std::forward<Arguments>(arguments)...) {
        this->port = through;
        this->completed = on_completed;
    }
    bool start(Frame& frame_waiting) {
        if (current_observer != nullptr) [[unlikely]]
            tell_await(frame_waiting);
        return start_told(frame_waiting);
    }
    /// For an awaitable around this one that has told of itself already.
    bool start_told(Frame& frame_waiting) {
        waiter = &frame_waiting;
        if (!this->port->start(*this)) {
            frame_waiting.since_turn = current_scheduler->turn_count;
            return false;
        }
        Scheduler& scheduler = *current_scheduler;
        if (--scheduler.inline_left != 0) [[likely]]
            return true;
        scheduler.inline_left = inline_completions_in_a_row;
        scheduler.make_ready(frame_waiting);
        return false;
    }

    /// As the operation's; a cancellation says its message.
    auto result() -> decltype(std::declval<Op&>().result()) {
        if (this->failed() && current_scheduler->cancel_messages != 0) [[unlikely]]
            return with_cancel_message(Op::result().error());
        return Op::result();
    }

    CancelOutcome cancel() {
        // Answered already, and only waiting for its turn: the true result is delivered.
        if (waiter->linked()) return CancelOutcome::refused;
        this->port->cancel(*this);
        return CancelOutcome::open;
    }

    /// The frame goes without its result: an accepted connection is closed, a borrowed buffer given back.
    void abandon() {
        POLLARD_REQUIRE(this->state != OperationState::armed && this->state != OperationState::due,
                        "destroyed while the kernel works on it: cancel, let the loop turn, then destroy");
        if constexpr (requires(Op& operation) { operation.drop_result(); }) this->drop_result();
    }
    void describe(Text& text) const {
        text.add("%s on fd %lld", pollard::describe(this->kind), static_cast<long long>(this->handle));
    }

private:
    static void on_completed(Operation* operation) {
        auto* self = static_cast<OperationAwait*>(operation);
        if (must_be_careful(*current_scheduler)) [[unlikely]]
            return complete_carefully(*self);
        self->waiter->run();
    }
    /// While a cancellation is pending, it may be this operation's. It has been delivered if it won; otherwise the
    /// request stays for the task's next await.
    [[gnu::cold, gnu::noinline]] static void complete_carefully(OperationAwait& self) {
        if (self.cancel_requested && self.failed() && self.error().kind == ErrorKind::cancelled)
            if (TaskState* task = task_of(*self.waiter)) task->clear_pending_cancel();
        run_chain(self.waiter);
    }
};

using Recv = OperationAwait<RecvOperation>;
using BorrowedRecv = OperationAwait<BorrowedRecvOperation>;
using Send = OperationAwait<SendOperation>;
using SendAll = OperationAwait<SendAllOperation>;
using Readable = OperationAwait<ReadableOperation>;
using Writable = OperationAwait<WritableOperation>;
using ReadAt = OperationAwait<ReadAtOperation>;
using WriteAt = OperationAwait<WriteAtOperation>;
using Close = OperationAwait<CloseOperation>;

}  // namespace pollard
