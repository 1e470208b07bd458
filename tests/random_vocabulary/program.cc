// A program made of chance: tasks that take steps until it is enough, and a world of them, from its opening to its end.
//
// Read next: tests/random_vocabulary/steps.h.
#include "tests/random_vocabulary/program.h"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/await_graph.h"
#include "core/co_await.h"
#include "core/context.h"
#include "core/coroutine.h"
#include "platform/memory.h"
#include "platform/observer.h"
#include "tests/random_vocabulary/steps.h"

namespace pollard::random_vocabulary {

// --- any step ---

namespace {

/// Deep inside of others, or among many tasks, only what begins nothing more.
unsigned choose_step(Actor& actor) {
    const bool alone = actor.nesting >= 3 || actor.world->tasks.size() > 30;
    return actor.below(alone ? steps_alone : steps_alone + steps_around + 1);
}

Co<int> step_by_hand(Actor& actor, unsigned kind) {
    if (kind < steps_alone) return alone_by_hand(actor, kind);
    if (kind < steps_alone + steps_around) return around_by_hand(actor, kind - steps_alone);
    return with_others_by_hand(actor);
}
Co<int> step_by_compiler(Actor& actor, unsigned kind) {
    if (kind < steps_alone) return alone_by_compiler(actor, kind);
    if (kind < steps_alone + steps_around) return around_by_compiler(actor, kind - steps_alone);
    return with_others_by_compiler(actor);
}

}  // namespace

Co<int> anything(Actor& actor) {
    ++actor.nesting;
    const unsigned kind = choose_step(actor);
    Result<int> how;
    if (actor.by_hand())
        how = co_await step_by_hand(actor, kind);
    else
        how = co_await step_by_compiler(actor, kind);
    --actor.nesting;
    co_return how;
}

// --- a task ---

namespace {

void begins(Actor& actor) { actor.world->actors.push_back(&actor); }
void ends(Actor& actor, const Error& how) {
    std::erase(actor.world->actors, &actor);
    actor.world->note(actor.id, "end", how);
}

/// Sees what the task's creator has set, until the task sets it by itself.
constinit ContextVar<int> mark("mark", 0);

void check_mark(Actor& actor) {
    actor.world->check(mark.get() == actor.marked, "a context variable is somebody else's");
    if (!actor.percent(10)) return;
    actor.marked = actor.id * 100 + static_cast<int>(actor.below(100));
    if (!mark.set(actor.marked)) actor.world->fail("a context variable was not set");
}

/// A group's children may add others as long as it is there.
void add_to_own_group(Actor& actor) {
    if (actor.world->tasks.size() < 30) (void)add_to(*actor.group, actor);
}

/// Between two steps: whether there is another.
bool goes_on(Actor& actor, Result<int>& how) {
    World& world = *actor.world;
    if (actor.stops()) return false;
    if (!how) {
        const bool cancelled = is(how.error(), ErrorKind::cancelled);
        if (actor.percent(cancelled ? 50 : 30)) return false;
        if (cancelled && actor.percent(50)) current_task()->uncancel();
        how = 0;
    }
    check_mark(actor);
    if (actor.percent(30)) world.meddle(actor);
    if (actor.group != nullptr && actor.percent(10)) add_to_own_group(actor);
    if (actor.percent(5)) current_task()->cancel("by itself");
    if (actor.percent(4)) {
        how = Error(ErrorKind::connection_reset, Call::recv).on("a task's own");
        return false;
    }
    return actor.steps_left-- != 0;
}

}  // namespace

Progress WorkByHand::body() {
    CO_BEGIN;
    begins(actor);
    while (goes_on(actor, how)) CO_AWAIT(how, anything(actor));
    ends(actor, how.error());
    CO_RETURN(how);
    CO_END;
}

Co<int> work_by_compiler(Actor actor) {
    Result<int> how = 0;
    begins(actor);
    while (goes_on(actor, how)) how = co_await anything(actor);
    ends(actor, how.error());
    co_return how;
}

Actor make_child_actor(World& world, int depth) {
    Actor actor = make_actor(world, depth);
    actor.marked = current_task() == nullptr ? 0 : mark.get();
    return actor;
}

namespace {

template <class Create>
Result<TaskRef<int>> begin_task(World& world, int depth, Create create, TaskGroup* group = nullptr) {
    Actor actor = make_child_actor(world, depth);
    actor.group = group;
    Result<TaskRef<int>> task =
        actor.by_hand() ? create(WorkByHand{.actor = actor}) : create(work_by_compiler(actor));
    if (task) world.tasks[static_cast<std::size_t>(actor.id)] = *task;
    return task;
}

}  // namespace

TaskRef<int> spawn(World& world, int depth, const TaskOptions& options) {
    return *begin_task(world, depth,
                       [&](auto coroutine) { return world.loop.create_task(std::move(coroutine), options); });
}

Result<TaskRef<int>> add_to(TaskGroup& group, Actor& by) {
    const TaskOptions options{.eager_start = by.percent(30)};
    const bool aborting = group.aborting();
    const auto create = [&](auto coroutine) { return group.create_task(std::move(coroutine), options); };
    Result<TaskRef<int>> made = begin_task(*by.world, by.depth + 1, create, &group);
    by.world->check(static_cast<bool>(made) != aborting,
                    "a group took a child while it was aborting, or did not take one");
    return made;
}

// --- a whole program ---

namespace {

void run_for(World& world, std::int64_t duration_ns) {
    TimedCallback leave([](void* loop) { static_cast<EventLoop*>(loop)->stop(); }, &world.loop);
    world.loop.call_later(leave, duration_ns);
    do world.check(static_cast<bool>(world.loop.run_forever()), "the loop failed");
    while (leave.linked());  // somebody else has stopped it
}

/// Turns until nothing is ready; time stands still.
void settle(World& world) {
    while (!world.loop.ready.empty() && world.failure.empty()) {
        world.loop.stop();
        world.check(static_cast<bool>(world.loop.run_forever()), "the loop failed");
    }
}

/// What a loop may report while programs of chance run on it; all else is a failure.
void hear(void* context, const ErrorReport& report) {
    const std::string_view message = report.message;
    for (const char* expected : {"never retrieved", "during run() shutdown", "after shutdown_asyncgens",
                                 "generator could not be closed"})
        if (message.find(expected) != message.npos) return;
    static_cast<World*>(context)->fail("reported: " + std::string(message) + ": " +
                                       describe(report.error).c_str());
}

/// With no task and nothing ready the loop would wait for ever; with a timer left it would not.
struct WaitsForEver : Observer {
    EventLoop* loop;
    int limited = 0;

    explicit WaitsForEver(EventLoop& of) : loop(&of) {
        wait_entered = [](Observer& self, std::int64_t timeout_ns) {
            auto& it = static_cast<WaitsForEver&>(self);
            if (timeout_ns >= 0) ++it.limited;
            if (timeout_ns < 0 || it.limited > 50) it.loop->handle().stop();
        };
    }
};

void check_that_no_timer_is_left(World& world) {
    WaitsForEver observer(world.loop);
    Observer* const before = std::exchange(current_observer, &observer);
    const std::uint64_t works_before = world.loop.works_run;
    world.check(static_cast<bool>(world.loop.run_forever()), "the loop failed");
    current_observer = before;
    world.check(world.loop.works_run == works_before && observer.limited <= 50,
                "a timer or a callback is left");
}

void end_by_cancelling(World& world) {
    world.ending = true;
    forget_shared_numbers();
    world.cancel_all();
    run_for(world, second_ns);
    if (world.loop.task_count() != 0) {
        print_tree(world.loop, stderr);
        return world.fail("everybody was cancelled, and some did not end");
    }
    run_for(world, second_ns);  // callbacks that were set for later
    check_that_no_timer_is_left(world);
    world.drop_everything();
    if (world.loop.pool->blocks.blocks_in_use() != 0) world.fail("blocks of the pool are left");
    world.check_that_all_is_back();
}

void end_by_closing(World& world) {
    world.ending = true;
    world.check(static_cast<bool>(world.loop.close()), "the loop did not close");
    forget_shared_numbers();
    world.check(world.awaits_begun == world.awaits_ended, "an await has never ended");
    world.drop_everything();
}

/// A world that has failed is not destroyed: that would be the next failure.
std::FILE* nowhere() {
    static std::FILE* const file = std::tmpfile();
    if (file != nullptr) std::rewind(file);
    return file;
}

}  // namespace

Outcome run_program(std::uint64_t seed, Authors authors, Watched watched, bool prints) {
    const MemoryCounters before = memory_counters();
    auto owned = std::make_unique<World>(seed, authors, prints);
    World& world = *owned;
    if (!world.loop.open({.kernel = "simulated"})) return {0, "the loop did not open"};
    world.loop.set_error_handler(hear, &world);
    Observer observer;
    if (watched == Watched::by_an_observer) current_observer = &observer;
    world.loop.set_debug(watched == Watched::in_debug_mode);
    world.nowhere = nowhere();
    const unsigned count = 2 + world.chance.below(6);
    for (unsigned i = 0; i < count; ++i) (void)spawn(world, 0);
    world.meddle_later();
    for (int slice = 0; slice < 3; ++slice) {
        run_for(world, world.chance.delay_ns());
        settle(world);
        world.check_while_idle();
    }
    if (world.chance.percent(25))
        end_by_closing(world);
    else
        end_by_cancelling(world);
    current_observer = nullptr;
    const Outcome outcome{world.trace.value, world.failure};
    if (!world.failure.empty()) {
        (void)owned.release();
        return outcome;
    }
    owned.reset();
    const MemoryCounters after = memory_counters();
    if (after.allocations - before.allocations != after.releases - before.releases)
        return {outcome.trace, "memory is left"};
    return outcome;
}

}  // namespace pollard::random_vocabulary
