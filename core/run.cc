// Runner: a loop from its opening to its closing.
#include "core/run.h"

namespace pollard {

Result<EventLoop*> Runner::loop() {
    if (closed_) return Error(ErrorKind::closed, Call::run).on("runner");
    if (loop_.is_closed())
        if (const Result<void> opened = loop_.open(options_); !opened) return opened.error();
    return &loop_;
}

Result<EventLoop*> Runner::loop_for_a_run() {
    if (current_scheduler != nullptr && current_scheduler->loop != nullptr)
        return Error(ErrorKind::invalid_state, Call::run).on("a loop is running here");
    return loop();
}

void Runner::keep_context(TaskState& main_task) {
    context_ = main_task.has_extras ? main_task.extras()->context : Context();
}

Result<void> Runner::close() {
    context_ = Context();
    const Result<void> done = loop_.close();
    if (done) closed_ = true;
    return done;
}

}  // namespace pollard
