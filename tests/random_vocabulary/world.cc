// What the world does by itself: it writes down what tasks are told, meddles, and checks that nothing is lost or left.
//
// Read next: tests/random_vocabulary/steps.h.
#include "tests/random_vocabulary/world.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "core/await_graph.h"

namespace pollard::random_vocabulary {

Actor make_actor(World& world, int depth) {
    const int id = static_cast<int>(world.tasks.size());
    world.tasks.emplace_back();
    const std::uint64_t own = world.seed * 1000 + static_cast<std::uint64_t>(id);
    Actor actor;
    actor.random.state = own;
    actor.author.random.state = ~own;
    actor.world = &world;
    actor.id = id;
    actor.depth = depth;
    actor.steps_left = 1 + actor.below(5);
    return actor;
}

World::World(std::uint64_t from, Authors by, bool aloud)
    : seed(from), authors(by), prints(aloud), chance{{from * 1000 + 999}} {}

// --- what tasks are told ---

namespace {

int message_in(const Error& how) {
    if (how.kind != ErrorKind::cancelled || how.object != ErrorHead::Object::text || how.text[0] != 'm')
        return 0;
    return std::atoi(how.text + 1);
}

}  // namespace

void World::note(int actor, const char* what, const Error& how) {
    trace.add(actor);
    trace.add_bytes(what, std::char_traits<char>::length(what));
    trace.add(static_cast<int>(how.kind));
    trace.add(loop.time_ns());
    trace.add(loop.turn_count);
    if (prints)
        std::printf("%4lld ms, turn %3u, task %2d: %s: %s\n",
                    static_cast<long long>(loop.time_ns() / millisecond_ns), loop.turn_count, actor, what,
                    how.kind == ErrorKind::none ? "done" : describe(how).c_str());
}

void Actor::check_message(std::string_view what, const Error& how) {
    const int message = message_in(how);
    const int expected = std::exchange(expected_message, 0);
    // (A future that was cancelled says what it was cancelled with, also later, and to everybody.)
    if (how.kind == ErrorKind::cancelled && expected > 0 && what != "future" && message != expected)
        world->fail("a request's message was lost on its way to: " + std::string(what));
    TaskState& self = *current_task();
    if (!self.cancel_pending && self.extras() != nullptr && self.extras()->cancel_message[0] != '\0')
        world->fail("a message is kept for a later await after: " + std::string(what));
}

void World::expect_message(TaskState& of, int message) {
    for (Actor* actor : actors) {
        const TaskRef<int>& task = tasks[static_cast<std::size_t>(actor->id)];
        if (!task || &task.state() != &of) continue;
        const bool first = of.cancel_requests == actor->requests_before;
        if (message == 0)
            actor->expected_message = -1;
        else if (actor->awaiting && actor->ends_at_once && first && actor->expected_message == 0)
            actor->expected_message = message;
    }
}

// --- meddling ---

Future<int>& World::some_future(Chance& by) {
    if (futures.empty() || (futures.back().done() && futures.size() < 8 && by.percent(60)))
        futures.emplace_back(loop);
    return futures[futures.size() - 1 -
                   by.below(static_cast<unsigned>(std::min<std::size_t>(2, futures.size())))];
}

TaskRef<int>* World::some_task(Chance& by, int above) {
    const unsigned first = static_cast<unsigned>(above) + 1;
    const auto count = static_cast<unsigned>(tasks.size());
    if (first >= count) return nullptr;
    TaskRef<int>& task = tasks[first + by.below(count - first)];
    return task ? &task : nullptr;
}

void World::cancel_somebody(Chance& by) {
    unsigned left = by.below(static_cast<unsigned>(loop.task_count()) + 1);
    for (TaskState& task : all_tasks(loop)) {
        if (left-- != 0) continue;
        std::string message;
        if (by.percent(40)) {
            message = "m" + std::to_string(++messages);
            expect_message(task, messages);
        }
        check(task.cancel(message), "cancel() of a task that is not done said it was done");
        const unsigned then = by.below(6);
        if (then == 0) task.cancel();
        if (then == 1) {
            task.uncancel();
            expect_message(task, 0);
        }
        return;
    }
}

void World::settle_a_future(Chance& by) {
    Future<int>& future = some_future(by);
    const bool was_done = future.done();
    bool took;
    switch (by.below(3)) {
        case 0:
            took = static_cast<bool>(future.set_result(7));
            break;
        case 1:
            took = static_cast<bool>(future.set_error(Error(ErrorKind::connection_reset, Call::recv)));
            break;
        default:
            took = future.cancel();
            break;
    }
    check(took != was_done, "a future was completed twice, or not at all");
}

/// Somebody meddles when a future or a task is done.
void World::call_at_an_end(Chance& by) {
    const auto meddles = [this] {
        if (!ending) meddle(chance);
    };
    TaskRef<int>* task = some_task(by, -1);
    Result<CallHandle> handle = by.percent(50) || task == nullptr ? some_future(by).add_done_callback(meddles)
                                                                  : task->add_done_callback(meddles);
    check(static_cast<bool>(handle), "a callback was not taken");
    if (by.percent(20)) handle->cancel();
}

template <class Q>
void World::touch_queue(CheckedQueue<Q>& checked, Chance& by) {
    Q& queue = checked.queue;
    switch (by.below(8)) {
        case 0:
        case 1: {
            const bool fits = !queue.full() && !queue.is_shut_down();
            const int item = new_item();
            const bool put = static_cast<bool>(queue.put_nowait(item));
            check(put == fits, "put_nowait took an item for which there was no room, or did not");
            if (put) checked.went_in(item);
            break;
        }
        case 2:
        case 3: {
            const bool has = !queue.empty();
            const Result<int> item = queue.get_nowait();
            check(static_cast<bool>(item) == has, "get_nowait gave nothing of a queue that had something");
            if (item) check(checked.came_out(*item), "get_nowait gave the wrong item");
            break;
        }
        case 7:
            if (!by.percent(15)) break;
            queue.shutdown(by.percent(50));
            if (queue.qsize() == checked.items.size()) break;
            checked.unfinished -= std::min<std::uint64_t>(checked.unfinished, checked.items.size());
            checked.items.clear();
            break;
        default:
            check(static_cast<bool>(queue.task_done()) == (checked.unfinished != 0), "task_done miscounts");
            if (checked.unfinished != 0) --checked.unfinished;
            break;
    }
    check(checked.agrees(), "a queue and its model disagree");
}

void World::meddle(Chance& by) {
    switch (by.below(16)) {
        case 0:
        case 1:
        case 2:
        case 3:
            cancel_somebody(by);
            break;
        case 12:
            call_at_an_end(by);
            break;
        case 13:
            if (nowhere != nullptr && by.percent(10)) print_tree(loop, nowhere);
            break;
        case 14:
            if (by.percent(30)) loop.stop();
            break;
        case 15:
            // Nobody but the loop, and who waits for it, holds it now.
            if (TaskRef<int>* task = some_task(by, -1); task != nullptr && by.percent(30)) *task = {};
            break;
        case 4:
            settle_a_future(by);
            break;
        case 5:
            event.set();
            ++event_sets;
            if (by.percent(50)) event.clear();
            break;
        case 6:
            event.clear();
            break;
        case 7:
            if (condition.locked()) condition.notify(1 + by.below(2));
            break;
        case 8:
            if (by.percent(70)) break;
            if (by.percent(50)) barrier.abort();
            barrier.reset();
            break;
        case 9:
            touch_queue(first_in, by);
            break;
        case 10:
            touch_queue(last_in, by);
            break;
        default:
            touch_queue(smallest, by);
            break;
    }
}

void World::meddle_later() {
    if (meddlings_left-- == 0 || ending) return;
    const auto again = [this] {
        if (ending) return;
        meddle(chance);
        meddle_later();
    };
    if (chance.percent(60))
        (void)loop.call_soon(again);
    else
        (void)loop.call_later(again, chance.delay_ns());
}

// --- the rules at rest, and at the end ---

namespace {

bool waits(const auto& for_what, const char* how) {
    Text text;
    for_what.describe(text);
    return std::string_view(text.view()).find(how) != std::string_view::npos;
}

}  // namespace

void World::check_while_idle() {
    check(loop.ready.empty(), "the loop is not idle");
    check(loop.pending_cancels == 0, "a request to end has reached nobody");
    check_that_no_wakeup_was_lost();
    for (const Actor* actor : actors) {
        const TaskRef<int>& task = tasks[static_cast<std::size_t>(actor->id)];
        if (!actor->awaiting || !actor->ends_at_once || !task) continue;
        check(task.cancel_requests() <= actor->requests_before, "an await goes on although it was cancelled");
    }
}

void World::check_that_no_wakeup_was_lost() {
    for (std::size_t i = 0; i < 2; ++i) {
        check(locks[i].locked() || !waits(locks[i], "in line"), "somebody waits for a lock that is free");
        check(semaphores[i].value() == 0 || !waits(semaphores[i], "in line"),
              "somebody waits for a permit that is free");
    }
    check(!event.is_set() || !waits(event, "in line"), "somebody waits for an event that is set");
    check(barrier.n_waiting() < barrier.parties(), "all have arrived at a barrier, and it is shut");
    const auto check_queue = [this](auto& queue) {
        check(queue.empty() || !waits(queue, "wait to get"), "somebody waits for an item that is there");
        check(queue.full() || !waits(queue, "wait to put"), "somebody waits for room that is there");
        check(!queue.is_shut_down() || !waits(queue, "wait to"),
              "somebody waits for a queue that is shut down");
    };
    check_queue(first_in.queue);
    check_queue(last_in.queue);
    check_queue(smallest.queue);
}

void World::drop_everything() {
    tasks.clear();
    for (const Future<int>& future : futures) (void)future.result();
    futures.clear();
}

void World::cancel_all() {
    for (TaskState& task : all_tasks(loop)) task.cancel();
}

void World::check_that_all_is_back() {
    check(awaits_begun == awaits_ended, "an await has never ended");
    for (std::size_t i = 0; i < 2; ++i) {
        check(lock_models[i].inside == 0 && !locks[i].locked(), "a lock is still held");
        check(semaphore_models[i].inside == 0 && semaphores[i].value() == semaphore_models[i].capacity &&
                  !semaphores[i].locked(),
              "a semaphore has not got its permits back");
        Text text;
        locks[i].describe(text);
        check(text.view() == "lock, free", "a lock is not free, or somebody stands in its line");
    }
    check(in_condition == 0 && !condition.locked(), "the condition's lock is still held");
    Text text;
    condition.describe(text);
    event.describe(text);
    barrier.describe(text);
    first_in.queue.describe(text);
    last_in.queue.describe(text);
    smallest.queue.describe(text);
    check(std::string(text.view()).find("wait") == std::string::npos &&
              std::string(text.view()).find("1 in line") == std::string::npos,
          "somebody stands in line who does not exist any more");
    check(barrier.broken() || barrier.n_waiting() == 0, "the barrier counts somebody who has gone");
    check(first_in.agrees() && last_in.agrees() && smallest.agrees(), "a queue and its model disagree");
    check(loop.pending_cancels == 0, "a cancellation is counted as pending, and there is no task");
    check(loop.cancel_messages == 0, "a cancel message is counted, and there is no task");
}

}  // namespace pollard::random_vocabulary
