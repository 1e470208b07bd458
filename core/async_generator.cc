// What becomes of a request to an asynchronous generator.
#include "core/async_generator.h"

namespace pollard {

// STOP: GeneratorRequest::start
bool GeneratorRequest::start(Frame& waiter) {
    if (frame_ == nullptr) return refuse(Error(ErrorKind::out_of_memory, Call::allocate).on("generator"));
    Frame& generator = *frame_;
    if (generator.flags.finished) return answer_finished();
    if (generator.waiter != nullptr)
        return refuse(Error(ErrorKind::busy, Call::next).on(generator.frame_type().name));
    if (generator.flags.started)
        ::new (generator.slot()) GeneratorRequest*(this);  // the yield will look at it
    else if (ask_ != Ask::next)
        return answer_unstarted();
    generator.flags.started = true;
    generator.waiter = &waiter;
    in_progress_ = true;
    tell_await(waiter);
    return !generator.frame_type().resume(&generator).suspended();
}

Error GeneratorRequest::take_thrown() {
    if (ask_ == Ask::close) return {ErrorKind::closed, Call::next};
    return std::exchange(error_, Error{});
}

bool GeneratorRequest::refuse(const Error& error) {
    error_ = error;
    return true;
}

bool GeneratorRequest::answer_unstarted() {
    if (ask_ == Ask::send)
        return refuse(Error(ErrorKind::invalid_argument, Call::next).on("asend before next"));
    // Closed, or failed with an error that comes out: either way the body never runs.
    frame_->flags.started = true;
    frame_->flags.finished = true;
    return true;
}

bool GeneratorRequest::answer_finished() {
    if (ask_ == Ask::next || ask_ == Ask::send) return refuse(Error(ErrorKind::stopped, Call::next));
    return true;  // nothing is left to close; an error that was to be thrown in comes out
}

Error GeneratorRequest::outcome_of_close() const {
    if (!in_progress_) return error_;
    if (!frame_->flags.finished) return Error(ErrorKind::invalid_state, Call::next).on("yielded when closed");
    const Error last = frame_->frame_type().error(frame_);
    return last.kind == ErrorKind::closed || last.kind == ErrorKind::stopped ? Error{} : last;
}

void GeneratorRequest::release() {
    in_progress_ = false;
    frame_->waiter = nullptr;
    if (frame_->flags.has_item)
        static_cast<const AsyncGeneratorType&>(frame_->frame_type()).drop_item(frame_);
}

void GeneratorRequest::abandon() {
    if (!in_progress_) return;
    in_progress_ = false;
    frame_->waiter = nullptr;
    frame_->flags.finished = true;
}

void GeneratorRequest::describe(Text& text) const {
    const char* name = frame_ == nullptr ? "no memory" : frame_->frame_type().name;
    text.add(ask_ == Ask::close ? "the end of %s" : "the next value of %s", name);
}

Error last_item(const Error& error) {
    if (error.kind != ErrorKind::stopped) return error;
    return Error(ErrorKind::invalid_state, Call::next).on("stopped in the body");
}

GeneratorState state_of(const Frame& generator) {
    if (generator.flags.finished) return GeneratorState::finished;
    if (!generator.flags.started) return GeneratorState::created;
    const Site* site = generator.site;
    return site != nullptr && site->awaited == &consumer_type ? GeneratorState::suspended
                                                              : GeneratorState::running;
}

}  // namespace pollard
