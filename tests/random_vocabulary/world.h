// A world for programs made of chance: what their tasks share, and the rules that are checked of it while they run.
//
// Everything comes from a seed: what each task does, and who cancels whom in which turn. Each task chooses by a
// sequence of its own, so that leaving one thing out changes as little as possible of the rest. The rules are models
// beside the real things: who is inside a lock, in which order they asked, what is in a queue.
//
// Read next: tests/random_vocabulary/world.cc, then tests/random_vocabulary/steps.h.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/combinators/task_group.h"
#include "core/event_loop.h"
#include "core/future.h"
#include "core/queue.h"
#include "core/sync/barrier.h"
#include "core/sync/condition.h"
#include "core/sync/event.h"
#include "core/sync/lock.h"
#include "core/sync/semaphore.h"
#include "platform/simulated/random.h"

namespace pollard::random_vocabulary {

/// Who writes the tasks' coroutines: the CO_ macros, co_await, or now this and now that.
enum class Authors : std::uint8_t { by_hand, by_compiler, mixed };

struct Chance {
    simulated::Random random{0};

    unsigned below(unsigned bound) { return static_cast<unsigned>(random.below(bound)); }
    bool percent(unsigned of_hundred) { return below(100) < of_hundred; }
    /// Few different ones, so that many fall on the same instant; 0 is one turn.
    std::int64_t delay_ns() { return static_cast<std::int64_t>(below(5)) * millisecond_ns; }
};

/// Who may be inside, and in which order they go in: that of their asking.
struct Occupancy {
    unsigned capacity;
    unsigned inside = 0;
    std::uint64_t next_ticket = 1;
    std::uint64_t last_admitted = 0;
};

/// A queue with what must be in it.
template <class Q>
struct CheckedQueue {
    Q queue;
    std::vector<int> items;  // in the order in which they went in
    std::uint64_t unfinished = 0;

    void went_in(int item) {
        items.push_back(item);
        ++unfinished;
    }
    /// False: this one was not the next.
    bool came_out(int item) {
        if (items.empty()) return false;
        auto next = items.begin();
        if constexpr (std::is_same_v<Q, LifoQueue<int>>) next = items.end() - 1;
        if constexpr (std::is_same_v<Q, PriorityQueue<int>>)
            next = std::min_element(items.begin(), items.end());
        if (*next != item) return false;
        items.erase(next);
        return true;
    }
    bool agrees() const { return queue.qsize() == items.size() && queue.unfinished_tasks() == unfinished; }
};

struct Actor;

struct World {
    std::uint64_t seed;
    Authors authors;
    bool prints;
    Chance chance;
    /// Of all that any task was told, in which turn and when.
    simulated::Digest trace;
    std::string failure;

    EventLoop loop;
    std::array<Lock, 2> locks;
    std::array<Occupancy, 2> lock_models = {{{1}, {1}}};
    std::array<Semaphore, 2> semaphores = {Semaphore(2), Semaphore(1)};
    std::array<Occupancy, 2> semaphore_models = {{{2}, {1}}};
    Event event;
    std::uint64_t event_sets = 0;
    Condition condition;
    unsigned in_condition = 0;
    Barrier barrier{2};
    CheckedQueue<Queue<int>> first_in{.queue = Queue<int>(1)};
    CheckedQueue<LifoQueue<int>> last_in{.queue = LifoQueue<int>(2)};
    CheckedQueue<PriorityQueue<int>> smallest{.queue = PriorityQueue<int>(0)};
    int items_made = 0;
    std::deque<Future<int>> futures;
    std::vector<TaskRef<int>> tasks;  // by the number of their actor; some refer to none
    std::vector<Actor*> actors;       // that have begun and not ended
    std::uint64_t awaits_begun = 0;
    std::uint64_t awaits_ended = 0;
    /// From now on nobody begins anything.
    bool ending = false;
    int meddlings_left = 60;
    /// Cancel messages are "m1", "m2" ... in the order of the requests.
    int messages = 0;
    /// Where trees are printed that nobody reads.
    std::FILE* nowhere = nullptr;

    World(std::uint64_t from, Authors by, bool aloud);
    World(const World&) = delete;

    void fail(const std::string& what) {
        if (failure.empty()) failure = what;
        if (prints) std::printf("    FAILURE: %s\n", what.c_str());
    }
    void check(bool holds, const char* what) {
        if (!holds) fail(what);
    }
    void note(int actor, const char* what, const Error& how);

    // --- what anybody may do at any time ---

    Future<int>& some_future(Chance& by);
    /// One task with a larger number than `above`, so that nobody waits for one who waits for it.
    TaskRef<int>* some_task(Chance& by, int above);
    /// Cancels, sets, notifies, puts, and takes back, as chance has it.
    void meddle(Chance& by);
    /// Again in some later turn.
    void meddle_later();

    /// No two are alike, and they do not come in order.
    int new_item() {
        ++items_made;
        return items_made % 5 * 1000 + items_made;
    }

    // --- the end ---

    /// Nothing is ready: whoever was asked to end has been told so.
    void check_while_idle();
    void check_that_no_wakeup_was_lost();
    void cancel_all();
    /// Nobody needs to know what the futures ended with.
    void drop_everything();
    void check_that_all_is_back();

private:
    void cancel_somebody(Chance& by);
    void expect_message(TaskState& of, int message);
    void settle_a_future(Chance& by);
    void call_at_an_end(Chance& by);
    template <class Q>
    void touch_queue(CheckedQueue<Q>& checked, Chance& by);
};

/// What one task chooses, and what it is told.
struct Actor : Chance {
    World* world = nullptr;
    int id = 0;
    int depth = 0;
    unsigned steps_left = 0;
    unsigned nesting = 0;
    bool awaiting = false;
    /// What it waits for ends as soon as it is cancelled.
    bool ends_at_once = false;
    std::uint32_t requests_before = 0;
    /// Of the request that will end this await; 0: none is known; -1: it cannot be known.
    int expected_message = 0;
    /// The group in which it is a child.
    TaskGroup* group = nullptr;
    /// What its context variable must say.
    int marked = 0;
    Chance author{};

    bool by_hand() {
        const bool coin = author.percent(50);
        return world->authors == Authors::mixed ? coin : world->authors == Authors::by_hand;
    }
    bool stops() const { return world->ending; }
    std::int64_t now_ns() const { return world->loop.time_ns(); }

    /// Before each await, and after it.
    void waits(bool ends_at_once_when_cancelled = true) {
        world->check(!awaiting, "a frame went on although its await has not ended");
        awaiting = true;
        ends_at_once = ends_at_once_when_cancelled;
        const TaskState& self = *current_task();
        // (One that is still pending will end this await.)
        requests_before = self.cancel_requests - self.cancel_pending;
        ++world->awaits_begun;
    }
    template <class T>
    bool told(const char* what, const Result<T>& result) {
        world->check(awaiting, "an await has ended twice");
        awaiting = false;
        ++world->awaits_ended;
        check_message(what, result.error());
        world->note(id, what, result.error());
        return static_cast<bool>(result);
    }

private:
    void check_message(std::string_view what, const Error& how);
};

Actor make_actor(World& world, int depth);

}  // namespace pollard::random_vocabulary
