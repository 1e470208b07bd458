// What all combinators do with their children.
#include "core/combinators/watch.h"

#include <new>
#include <utility>

namespace pollard {

const WorkType Watch::run_type = {
    .run =
        [](Work* work) {
            auto* watch = static_cast<Watch*>(work);
            watch->watcher->child_ended(*watch->watcher, *watch);
        },
    .name = "a watch on a task",
    .wakes = [](const Work* work) -> Work* { return static_cast<const Watch*>(work)->watcher->waiter; },
};

void Watch::hold(TaskState& child) {
    POLLARD_REQUIRE(child.pool().scheduler == current_scheduler, "this task belongs to another loop");
    task = &child;
    child.hold();
}

void Watch::begin(Watcher& by) {
    watcher = &by;
    if (task->done)
        current_scheduler->make_ready(*this);
    else
        task->waiters.push_back(*this);
}

void Watch::let_go() {
    unlink();
    if (task != nullptr) std::exchange(task, nullptr)->let_go();
}

Error Watch::take_error() const {
    task->result_seen = true;
    const Frame& ended = task->root();
    return ended.frame_type().error(&ended);
}

Watches<std::dynamic_extent>::~Watches() {
    for (Watch& watch : all()) watch.~Watch();
    if (home_ != nullptr) home_->give_back(first_, count_ * sizeof(Watch));
}

bool Watches<std::dynamic_extent>::reserve(std::size_t count) {
    if (count == 0) return true;
    void* memory = current_scheduler->pool->blocks.take(count * sizeof(Watch));
    if (memory == nullptr) return false;
    home_ = current_scheduler->pool;
    first_ = static_cast<Watch*>(memory);
    count_ = count;
    for (std::size_t i = 0; i < count; ++i) ::new (static_cast<void*>(first_ + i)) Watch;
    return true;
}

void describe_pending(std::span<const Watch> children, Text& text) {
    constexpr std::size_t names = 4;
    std::size_t pending = 0;
    for (const Watch& child : children) pending += child.task != nullptr && !child.task->done ? 1u : 0u;
    text.add("%zu of %zu tasks", pending, children.size());
    std::size_t named = 0;
    for (const Watch& child : children) {
        if (child.task == nullptr || child.task->done) continue;
        if (named == names) {
            text.add(" ...");
            return;
        }
        text.add("%s %s", named == 0 ? ":" : ",", name_of(*child.task).c_str());
        ++named;
    }
}

}  // namespace pollard
