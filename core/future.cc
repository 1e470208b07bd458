// Futures: their end.
#include "core/future.h"

#include "core/event_loop.h"

namespace pollard {

void FutureState::complete(State how) {
    check_loop();
    state_ = how;
    if (home_ != nullptr) home_->ready.splice_back(waiters_);
}

Error FutureState::error_of_cancel(std::string_view message) {
    if (message.empty() && current_scheduler != nullptr) message = current_scheduler->message_on_its_way;
    return Error(ErrorKind::cancelled, Call::await).on(message.empty() ? "future" : message);
}

void FutureState::close(const Error& error) {
    while (!waiters_.empty()) {
        Work& work = waiters_.pop_front();
        POLLARD_REQUIRE(
            !work.type->is_frame && work.type->wakes == nullptr,
            "a future was destroyed while a frame waits for it: cancel it and let the frame go on first");
        if (work.type == &PooledCall::run_type) static_cast<PooledCall&>(work).finish();
    }
    if (state_ != State::finished || error.kind == ErrorKind::none || result_seen_) return;
    // The loop may have gone before its future.
    constexpr const char* message = "a future's error was never retrieved";
    if (home_ != nullptr && (home_ == current_scheduler || is_open(*home_)))
        home_->report({message, error, nullptr});
    else
        report_problem(message, error);
}

void FutureState::describe(Text& text) const {
    int count = 0;
    for (const Work* work = waiters_.first(); work != nullptr; work = waiters_.next(*work)) ++count;
    constexpr const char* words[] = {"pending", "finished", "cancelled"};
    text.add("a future, %s, %d waiting", words[static_cast<int>(state_)], count);
}

}  // namespace pollard
