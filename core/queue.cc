// What all queues share and do not do often: their end, their errors, their words.
#include "core/queue.h"

namespace pollard {

Result<void> QueueState::task_done() {
    if (unfinished_ == 0) return error_of(name_, ErrorKind::invalid_argument, Call::task_done);
    item_is_finished();
    return {};
}

void QueueState::tell_all() {
    getters_.wake_all();
    putters_.wake_all();
}

Error QueueState::error_of(const char* name, ErrorKind kind, Call call) { return Error(kind, call).on(name); }

void QueueState::describe_with(Text& text, std::size_t size) const {
    text.add("%s, %zu ", name_, size);
    if (maxsize_ > 0) text.add("of %lld ", static_cast<long long>(maxsize_));
    text.add("items");
    if (const unsigned waiting = getters_.length(); waiting != 0) text.add(", %u wait to get", waiting);
    if (const unsigned waiting = putters_.length(); waiting != 0) text.add(", %u wait to put", waiting);
    if (shut_down_) text.add(", shut down");
}

Result<void> QueueState::Join::result() const {
    if (failed()) return cancelled_error("queue join");
    return {};
}

void QueueState::Join::describe(Text& text) const {
    if (place == Place::woken)
        text.add("queue join, over");  // and the queue may exist no more
    else
        text.add("%s, %llu unfinished", queue_->name_, static_cast<unsigned long long>(queue_->unfinished_));
}

}  // namespace pollard
