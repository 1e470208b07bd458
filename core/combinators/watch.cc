// What all combinators do with their children.
#include "core/combinators/watch.h"

#include <new>
#include <utility>

namespace pollard {

void Watch::run_turn(Work* work) {
    auto* watch = static_cast<Watch*>(work);
    watch->watcher->child_ended(*watch->watcher, *watch);
}

namespace {
TaskState& task_in(void* child) { return *static_cast<TaskState*>(child); }
Frame& root_in(const void* child) {
    return const_cast<TaskState*>(static_cast<const TaskState*>(child))->root();
}
}  // namespace

const WatchType Watch::on_task{
    {run_turn, "a watch on a task", false, frame_behind},
    [](void* which) {
        TaskState& task = task_in(which);
        POLLARD_REQUIRE(task.pool().scheduler == current_scheduler, "this task belongs to another loop");
        task.hold();
    },
    [](void* which) { task_in(which).let_go(); },
    [](const void* which) -> bool { return static_cast<const TaskState*>(which)->done; },
    [](void* which, Work& watch) { task_in(which).waiters.push_back(watch); },
    [](void* which) { return task_in(which).ask_to_end(); },
    [](void* which) { task_in(which).result_seen = true; },
    [](void* which, Text& text) { text.add("%s", name_of(task_in(which)).c_str()); },
    [](const void* which) -> bool { return root_in(which).flags.failed; },
    [](const void* which) -> bool { return root_in(which).flags.cancelled; },
    [](const void* which) { return root_in(which).frame_type().error(&root_in(which)); },
};

void Watch::hold(const Watched& what) {
    type = what.type;
    child = what.child;
    watch_type().hold(child);
}

void Watch::begin(Watcher& by) {
    watcher = &by;
    if (done())
        current_scheduler->make_ready(*this);
    else
        watch_type().add_waiter(child, *this);
}

void Watch::let_go() {
    unlink();
    if (child != nullptr) watch_type().let_go(std::exchange(child, nullptr));
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
    bool only_tasks = true;
    for (const Watch& watch : children) {
        pending += watch.child != nullptr && !watch.done() ? 1u : 0u;
        only_tasks &= watch.is_task();
    }
    text.add("%zu of %zu %s", pending, children.size(), only_tasks ? "tasks" : "tasks and futures");
    std::size_t named = 0;
    for (const Watch& watch : children) {
        if (watch.child == nullptr || watch.done()) continue;
        if (named == names) {
            text.add(" ...");
            return;
        }
        text.add(named == 0 ? ": " : ", ");
        watch.watch_type().describe(watch.child, text);
        ++named;
    }
}

}  // namespace pollard
