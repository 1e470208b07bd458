// When a wait is over.
#include "core/combinators/wait.h"

namespace pollard {

Waiting::Waiting(const WaitOptions& options)
    : Watcher(on_child_ended),
      deadline_([](void* self) { static_cast<Waiting*>(self)->wake(); }, this),
      options_(options) {}

bool Waiting::start(std::span<Watch> children, Frame& frame_waiting) {
    tell_await(frame_waiting);
    if (children.empty() && refused_.kind == ErrorKind::none)
        refuse(Error(ErrorKind::invalid_argument, Call::wait).on("no task"));
    if (failed()) return true;
    waiter = &frame_waiting;
    left_ = children.size();
    if (options_.timeout_ns != never_ns) running_loop().call_later(deadline_, options_.timeout_ns);
    for (Watch& child : children) child.begin(*this);
    return false;
}

void Waiting::on_child_ended(Watcher& watcher, Watch& child) {
    auto& self = static_cast<Waiting&>(watcher);
    const ReturnWhen when = self.options_.return_when;
    const bool enough = --self.left_ == 0 || when == ReturnWhen::first_completed ||
                        (when == ReturnWhen::first_exception && child.failed() && !child.cancelled());
    if (!enough) return;
    self.deadline_.unlink();
    self.wake();
}

CancelOutcome Waiting::cancel(std::span<Watch> children) {
    deadline_.unlink();
    for (Watch& child : children) child.unlink();
    tell_cancelled();
    return CancelOutcome::accepted;
}

Result<Waited> Waiting::result(std::span<const Watch> children) const {
    if (refused_.kind != ErrorKind::none) return refused_;
    if (told_cancelled) return cancelled_error("wait");
    Waited counts{.done = 0, .pending = 0};
    for (const Watch& child : children) ++(child.done() ? counts.done : counts.pending);
    return counts;
}

}  // namespace pollard
