// Programs made of chance out of all that asyncio composes waiting with, cancelled at random turns: nothing hangs,
// nothing is left, every await ends once, no lock is held by two.
//
// A program is a handful of tasks. Each takes a few steps that its own sequence of chance chooses: it sleeps, takes
// locks, waits for events, passes things through queues, begins other tasks and waits for them in all the ways there
// are, limits its time, runs groups, asks generators; around most of these can stand any other (`anything`). When
// something fails, it goes on or ends. Meanwhile a meddler cancels, sets and notifies. After a time everybody is
// cancelled, and must end; in some programs the loop is closed instead.
//
// Each kind of step is written twice, with the CO_ macros and with co_await, and what all tasks are told is the same
// for both, turn by turn.
//
//      POLLARD_RANDOM_SEED=4711 random_vocabulary_test      this one program, with all that happens printed
//      POLLARD_RANDOM_SEEDS=100000 random_vocabulary_test   so many programs instead of the usual
//
// Read next: tests/random_world.h.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/async_generator_ref.h"
#include "core/co_await.h"
#include "core/co_generator.h"
#include "core/combinators/as_completed.h"
#include "core/combinators/gather.h"
#include "core/combinators/shield.h"
#include "core/combinators/task_group.h"
#include "core/combinators/timeout.h"
#include "core/combinators/wait.h"
#include "core/combinators/wait_for.h"
#include "core/coroutine.h"
#include "core/sleep.h"
#include "tests/random_world.h"

using namespace pollard;

namespace {

/// Any step, by either author, as long as there are not too many around each other.
Co<int> anything(Actor& actor);
/// A task of the world that does what its chance says. `create` gets its coroutine.
template <class Create>
Result<TaskRef<int>> begin_task(World& world, int depth, Create create, TaskGroup* group = nullptr);
TaskRef<int> spawn(World& world, int depth, const TaskOptions& options = {});
Actor make_child_actor(World& world, int depth);

bool is(const Error& error, ErrorKind kind) { return error.kind == kind; }

// --- sleeping ---

struct Nap {
    Actor* actor;
    unsigned way = actor->below(3);
    std::int64_t delay_ns = actor->delay_ns();
    std::int64_t limit_ns = actor->delay_ns();
    std::int64_t began_ns = actor->now_ns();

    auto sleeps() const {
        return [delay = delay_ns] { return sleep_ns(delay); };
    }
    Result<int> ended(const Result<void>& how) const {
        const bool slept = actor->told("sleep", how);
        const std::int64_t took_ns = actor->now_ns() - began_ns;
        World& world = *actor->world;
        if (slept) {
            world.check(took_ns == delay_ns, "a sleep ended too early or too late");
            world.check(way == 0 || limit_ns > delay_ns, "a timeout let a sleep of its own length end");
        } else if (is(how.error(), ErrorKind::timed_out)) {
            world.check(way != 0 && took_ns == limit_ns, "a timeout came at the wrong time");
        }
        if (!slept) return how.error();
        return 1;
    }
};

using LimitedSleep = decltype(timeout(0, std::declval<decltype(std::declval<Nap&>().sleeps())>()));
using SleepWaitedFor = decltype(wait_for(std::declval<decltype(std::declval<Nap&>().sleeps())>(), 0));

struct NapByHand : Coroutine<NapByHand, int, Awaits<Sleep, LimitedSleep, SleepWaitedFor>> {
    Actor* actor;
    Nap nap{actor};
    Result<void> how;

    Progress body() {
        CO_BEGIN;
        actor->waits();
        if (nap.way == 0) {
            CO_AWAIT(how, sleep_ns(nap.delay_ns));
        } else if (nap.way == 1) {
            CO_AWAIT(how, timeout(nap.limit_ns, nap.sleeps()));
        } else {
            CO_AWAIT(how, wait_for(nap.sleeps(), nap.limit_ns));
        }
        CO_RETURN(nap.ended(how));
        CO_END;
    }
};

Co<int> nap_by_compiler(Actor& actor) {
    const Nap nap{&actor};
    Result<void> how;
    actor.waits();
    if (nap.way == 0)
        how = co_await sleep_ns(nap.delay_ns);
    else if (nap.way == 1)
        how = co_await timeout(nap.limit_ns, nap.sleeps());
    else
        how = co_await wait_for(nap.sleeps(), nap.limit_ns);
    co_return nap.ended(how);
}

// --- holding a lock or a semaphore ---

Lock::AcquireGuard guard_of(Lock& lock) { return lock.lock(); }
Semaphore::AcquireGuard guard_of(Semaphore& semaphore) { return semaphore.permit(); }

template <class Resource>
struct Stay {
    Actor* actor;
    Resource* resource;
    Occupancy* model;
    unsigned way = actor->below(3);
    std::int64_t limit_ns = actor->delay_ns();
    std::uint64_t ticket = 0;

    auto acquires() const {
        return [it = resource] { return it->acquire(); };
    }
    void arrives() {
        ticket = model->next_ticket++;
        actor->waits();
    }
    bool enters(const Error& how) {
        if (!actor->told("acquire", Result<void>(how))) return false;
        World& world = *actor->world;
        world.check(ticket > model->last_admitted,
                    "somebody was overtaken in the line of a lock or semaphore");
        world.check(++model->inside <= model->capacity, "a lock or semaphore is held by too many");
        model->last_admitted = ticket;
        return true;
    }
    void leaves(Guard<Resource>& guard) {
        --model->inside;
        if (way == 1)
            guard.release();
        else
            resource->release();
    }
};
template <class Resource>
using LimitedAcquire = decltype(timeout(0, std::declval<Stay<Resource>&>().acquires()));

template <class Resource>
struct HoldsByHand
    : Coroutine<HoldsByHand<Resource>, int,
                Awaits<Acquire<Resource>, AcquireGuard<Resource>, LimitedAcquire<Resource>, Co<int>>> {
    Stay<Resource> stay;
    Result<void> acquired;
    Result<Guard<Resource>> guard;
    Guard<Resource> held;
    Result<int> inside;

    explicit HoldsByHand(const Stay<Resource>& the_stay) : stay(the_stay) {}
    HoldsByHand(HoldsByHand&&) noexcept = default;

    Progress body() {
        CO_BEGIN;
        stay.arrives();
        if (stay.way == 0) {
            CO_AWAIT(acquired, stay.resource->acquire());
        } else if (stay.way == 1) {
            CO_AWAIT(guard, guard_of(*stay.resource));
            acquired = guard ? Result<void>() : guard.error();
            if (guard) held = *std::move(guard);
        } else {
            CO_AWAIT(acquired, timeout(stay.limit_ns, stay.acquires()));
        }
        if (!stay.enters(acquired.error())) CO_RETURN(acquired.error());
        if (!stay.actor->stops()) CO_AWAIT(inside, anything(*stay.actor));
        stay.leaves(held);
        CO_RETURN(inside);
        CO_END;
    }
};

template <class Resource>
Co<int> holds_by_compiler(Stay<Resource> stay) {
    Result<void> acquired;
    Guard<Resource> held;
    stay.arrives();
    if (stay.way == 0) {
        acquired = co_await stay.resource->acquire();
    } else if (stay.way == 1) {
        Result<Guard<Resource>> guard = co_await guard_of(*stay.resource);
        acquired = guard ? Result<void>() : guard.error();
        if (guard) held = *std::move(guard);
    } else {
        acquired = co_await timeout(stay.limit_ns, stay.acquires());
    }
    if (!stay.enters(acquired.error())) co_return acquired.error();
    Result<int> inside;
    if (!stay.actor->stops()) inside = co_await anything(*stay.actor);
    stay.leaves(held);
    co_return inside;
}

Stay<Lock> stay_at_lock(Actor& actor) {
    const unsigned i = actor.below(2);
    return {&actor, &actor.world->locks[i], &actor.world->lock_models[i]};
}
Stay<Semaphore> stay_at_semaphore(Actor& actor) {
    const unsigned i = actor.below(2);
    return {&actor, &actor.world->semaphores[i], &actor.world->semaphore_models[i]};
}

// --- events and barriers ---

struct Signal {
    Actor* actor;
    unsigned way = actor->below(2);
    std::uint64_t sets_before = actor->world->event_sets;

    Event& event() const { return actor->world->event; }
    Barrier& barrier() const { return actor->world->barrier; }
    Result<int> event_came(const Result<void>& how) const {
        if (!actor->told("event", how)) return how.error();
        actor->world->check(event().is_set() || actor->world->event_sets != sets_before,
                            "an event that was not set let somebody through");
        return 1;
    }
    Result<int> barrier_opened(const Result<std::uint32_t>& place) const {
        if (!actor->told("barrier", place)) return place.error();
        actor->world->check(*place < barrier().parties(), "a barrier gave a place that it has not");
        return 1;
    }
};

struct SignalByHand : Coroutine<SignalByHand, int, Awaits<Event::Wait, Barrier::Wait>> {
    Actor* actor;
    Signal signal{actor};
    Result<void> came;
    Result<std::uint32_t> place;

    Progress body() {
        CO_BEGIN;
        actor->waits();
        if (signal.way == 0) {
            CO_AWAIT(came, signal.event().wait());
            CO_RETURN(signal.event_came(came));
        } else {
            CO_AWAIT(place, signal.barrier().wait());
            CO_RETURN(signal.barrier_opened(place));
        }
        CO_END;
    }
};

Co<int> signal_by_compiler(Actor& actor) {
    const Signal signal{&actor};
    actor.waits();
    if (signal.way == 0) co_return signal.event_came(co_await signal.event().wait());
    co_return signal.barrier_opened(co_await signal.barrier().wait());
}

// --- conditions ---

struct Agreement {
    Actor* actor;
    unsigned way = actor->below(2);

    Condition& condition() const { return actor->world->condition; }
    bool enters(const Error& how) const {
        if (!actor->told("condition's lock", Result<void>(how))) return false;
        comes_inside();
        return true;
    }
    void comes_inside() const {
        actor->world->check(++actor->world->in_condition == 1 && condition().locked(),
                            "a condition's lock is held by two, or by none");
    }
    void begins_to_wait() const {
        if (actor->percent(50)) condition().notify();
        --actor->world->in_condition;
        actor->waits(false);
    }
    auto predicate() const {
        return [agreement = *this] {
            Actor& asked = *agreement.actor;
            asked.world->check(agreement.condition().locked(), "a predicate was asked without the lock");
            if (asked.percent(10)) (void)current_task()->cancel();
            return asked.percent(40);
        };
    }
    /// However the wait ended, the lock is held again.
    void ended(const char* what, const Error& how) const {
        (void)actor->told(what, Result<void>(how));
        comes_inside();
    }
    Result<int> leaves(const Error& how) const {
        if (actor->percent(50)) condition().notify(2);
        --actor->world->in_condition;
        condition().release();
        if (!is(how, ErrorKind::none)) return how;
        return 1;
    }
};
using AgreedWait = decltype(std::declval<Condition&>().wait_for(std::declval<Agreement&>().predicate()));

struct AgreesByHand : Coroutine<AgreesByHand, int, Awaits<Lock::Acquire, Condition::Wait, AgreedWait>> {
    Actor* actor;
    Agreement agreement{actor};
    Result<void> how;
    Result<bool> agreed;

    Progress body() {
        CO_BEGIN;
        actor->waits();
        CO_AWAIT(how, agreement.condition().acquire());
        if (!agreement.enters(how.error())) CO_RETURN(how.error());
        if (actor->stops()) CO_RETURN(agreement.leaves(Error()));
        agreement.begins_to_wait();
        if (agreement.way == 0) {
            CO_AWAIT(how, agreement.condition().wait());
        } else {
            CO_AWAIT(agreed, agreement.condition().wait_for(agreement.predicate()));
            how = agreed ? Result<void>() : agreed.error();
        }
        agreement.ended("condition", how.error());
        CO_RETURN(agreement.leaves(how.error()));
        CO_END;
    }
};

Co<int> agrees_by_compiler(Actor& actor) {
    const Agreement agreement{&actor};
    actor.waits();
    Result<void> how = co_await agreement.condition().acquire();
    if (!agreement.enters(how.error())) co_return how.error();
    if (actor.stops()) co_return agreement.leaves(Error());
    agreement.begins_to_wait();
    if (agreement.way == 0) {
        how = co_await agreement.condition().wait();
    } else {
        const Result<bool> agreed = co_await agreement.condition().wait_for(agreement.predicate());
        how = agreed ? Result<void>() : agreed.error();
    }
    agreement.ended("condition", how.error());
    co_return agreement.leaves(how.error());
}

// --- queues ---

template <class Q>
struct Passing {
    Actor* actor;
    CheckedQueue<Q>* checked;
    unsigned way = actor->below(7);
    std::int64_t limit_ns = actor->delay_ns();
    int item = actor->world->new_item();

    auto puts() {
        return [this] { return checked->queue.put_from(item); };
    }
    auto gets() {
        return [this] { return checked->queue.get(); };
    }
    Result<int> was_put(const Result<void>& how) {
        if (actor->told("put", how)) checked->went_in(item);
        agree();
        if (!how) return how.error();
        return 1;
    }
    Result<int> was_got(const Result<int>& got) {
        if (actor->told("get", got)) {
            actor->world->check(checked->came_out(*got), "get gave the wrong item");
            finish_one();
        }
        agree();
        return got;
    }
    Result<int> joined(const Result<void>& how) {
        (void)actor->told("join", how);
        if (!how) return how.error();
        return 1;
    }

private:
    void finish_one() {
        if (actor->percent(20)) return;
        const bool counted = static_cast<bool>(checked->queue.task_done());
        actor->world->check(counted == (checked->unfinished != 0), "task_done miscounts");
        if (counted) --checked->unfinished;
    }
    void agree() { actor->world->check(checked->agrees(), "a queue and its model disagree"); }
};
template <class Q>
using LimitedPut = decltype(timeout(0, std::declval<Passing<Q>&>().puts()));
template <class Q>
using LimitedGet = decltype(timeout(0, std::declval<Passing<Q>&>().gets()));

template <class Q>
struct PassesByHand : Coroutine<PassesByHand<Q>, int,
                                Awaits<typename Q::Put, typename Q::PutFrom, typename Q::Get,
                                       QueueState::Join, LimitedPut<Q>, LimitedGet<Q>>> {
    Passing<Q> passing;
    Result<void> how;
    Result<int> got;

    explicit PassesByHand(const Passing<Q>& the_passing) : passing(the_passing) {}
    PassesByHand(PassesByHand&&) noexcept = default;

    Progress body() {
        CO_BEGIN;
        passing.actor->waits();
        if (passing.way < 2) {
            CO_AWAIT(how, passing.checked->queue.put(passing.item));
            CO_RETURN(passing.was_put(how));
        } else if (passing.way == 2) {
            CO_AWAIT(how, timeout(passing.limit_ns, passing.puts()));
            CO_RETURN(passing.was_put(how));
        } else if (passing.way < 5) {
            CO_AWAIT(got, passing.checked->queue.get());
            CO_RETURN(passing.was_got(got));
        } else if (passing.way == 5) {
            CO_AWAIT(got, timeout(passing.limit_ns, passing.gets()));
            CO_RETURN(passing.was_got(got));
        } else {
            CO_AWAIT(how, passing.checked->queue.join());
            CO_RETURN(passing.joined(how));
        }
        CO_END;
    }
};

template <class Q>
Co<int> passes_by_compiler(Passing<Q> passing) {
    passing.actor->waits();
    Q& queue = passing.checked->queue;
    if (passing.way < 2) co_return passing.was_put(co_await queue.put(passing.item));
    if (passing.way == 2) co_return passing.was_put(co_await timeout(passing.limit_ns, passing.puts()));
    if (passing.way < 5) co_return passing.was_got(co_await queue.get());
    if (passing.way == 5) co_return passing.was_got(co_await timeout(passing.limit_ns, passing.gets()));
    co_return passing.joined(co_await queue.join());
}

// --- futures ---

Result<int> future_ended(Actor& actor, const Future<int>& future, const Result<int>& how) {
    (void)actor.told("future", how);
    actor.world->check(future.done() || is(how.error(), ErrorKind::cancelled),
                       "a future is pending and gave a value");
    if (how) actor.world->check(static_cast<bool>(future.result()), "a future without a value gave one");
    return how;
}

struct FutureByHand : Coroutine<FutureByHand, int, Awaits<Future<int>&>> {
    Actor* actor;
    Future<int>* future = &actor->world->some_future(*actor);
    Result<int> how;

    Progress body() {
        CO_BEGIN;
        actor->waits();
        CO_AWAIT(how, *future);
        CO_RETURN(future_ended(*actor, *future, how));
        CO_END;
    }
};

Co<int> future_by_compiler(Actor& actor) {
    Future<int>& future = actor.world->some_future(actor);
    actor.waits();
    co_return future_ended(actor, future, co_await future);
}

// --- tasks, and waiting for several of them ---

struct Others {
    Actor* actor;
    unsigned way = actor->below(14);
    std::int64_t limit_ns = actor->delay_ns();
    std::array<TaskRef<int>, 3> row = {};
    Future<int>* future = &actor->world->some_future(*actor);
    std::array<Actor, 2> children = {};  // of coroutines of which gather makes tasks
    unsigned given = 0;

    /// A new one when there is none that may be waited for.
    TaskRef<int> one() {
        World& world = *actor->world;
        TaskRef<int>* found = actor->percent(70) ? world.some_task(*actor, actor->id) : nullptr;
        if (found != nullptr) return *found;
        return spawn(world, actor->depth + 1, {.eager_start = actor->percent(30)});
    }
    void choose() {
        for (TaskRef<int>& task : row) task = one();
        if (way != 10) return;
        for (Actor& child : children) child = make_child_actor(*actor->world, actor->depth + 1);
    }
    WaitOptions options() {
        constexpr std::array modes = {ReturnWhen::all_completed, ReturnWhen::first_completed,
                                      ReturnWhen::first_exception};
        return {.timeout_ns = actor->percent(50) ? limit_ns : never_ns,
                .return_when = modes[actor->below(3)]};
    }
    auto shields() const {
        return [this] { return shield(row[0]); };
    }
    auto gathers() const {
        return [this] { return gather(row); };
    }
    Result<int> future_and_task_ended(const Result<std::tuple<int, int>>& how) {
        if (!actor->told("gather of a future and a task", how)) return how.error();
        actor->world->check(future->done() && row[0].done(), "a gathering ended before its children");
        return std::get<0>(*how);
    }
    Result<int> future_ended(const Result<int>& how) {
        if (actor->told("shield of a future", how))
            actor->world->check(future->done(), "a shield gave the value of a future that is pending");
        return how;
    }
    Result<int> both_ended(const Result<std::tuple<int, int>>& how) {
        if (!actor->told("gather of coroutines", how)) return how.error();
        return std::get<0>(*how);
    }

    Result<int> task_ended(const char* what, const Result<int>& how) {
        const bool value = actor->told(what, how);
        if (value)
            actor->world->check(row[0].done() && row[0].result(), "a task gave a value that it has not");
        return how;
    }
    template <class T>
    Result<int> all_ended(const char* what, const Result<T>& how, bool with_errors) {
        if (!actor->told(what, how)) return how.error();
        for (const TaskRef<int>& task : row)
            actor->world->check(task.done() && (with_errors || !is(task.error(), ErrorKind::cancelled)),
                                "a gathering ended before its children");
        return 1;
    }
    Result<int> waited(const WaitOptions& options, const Result<Waited>& how) {
        if (!actor->told("wait", how)) return how.error();
        actor->world->check(how->done + how->pending == row.size(), "wait miscounts");
        const bool enough =
            options.return_when == ReturnWhen::first_completed ? how->done != 0 : how->pending == 0;
        actor->world->check(
            enough || options.timeout_ns != never_ns || options.return_when == ReturnWhen::first_exception,
            "wait ended too early");
        return 1;
    }
    /// False: it was the last.
    bool next_came(const Result<TaskRef<int>>& next) {
        if (actor->told("as_completed", next)) {
            actor->world->check(next->done(), "as_completed gave a task that runs");
            (void)next->error();
        }
        if (next || is(next.error(), ErrorKind::timed_out)) ++given;
        if (is(next.error(), ErrorKind::stopped))
            actor->world->check(given == row.size(), "as_completed gave too few");
        actor->world->check(given <= row.size(), "as_completed gave too many");
        return (next || is(next.error(), ErrorKind::timed_out)) && !actor->stops();
    }
};
using LimitedShield = decltype(timeout(0, std::declval<Others&>().shields()));
using LimitedGather = decltype(timeout(0, std::declval<Others&>().gathers()));

struct OthersByHand
    : Coroutine<OthersByHand, int,
                Awaits<TaskRef<int>&, Shield<int>, WaitFor<TaskRef<int>&>, Gather<int, int>, GatherMany<int>,
                       WaitMany, AsCompleted<int>::Next, LimitedShield, LimitedGather>> {
    Actor* actor;
    Others others{actor};
    Result<int> how;
    Result<std::tuple<int, int>> both;
    Result<std::span<const TaskRef<int>>> all;
    Result<Waited> counts;
    WaitOptions options;
    AsCompleted<int> in_order;
    Result<TaskRef<int>> next;

    Progress body();
};

Co<int> others_by_compiler(Actor& actor);

// --- limits of time around anything ---

struct Limit {
    Actor* actor;
    unsigned way = actor->below(3);
    std::int64_t limit_ns = actor->delay_ns();
    std::uint32_t requests_before = current_task()->cancel_requests;

    Result<int> leaves(TimeoutScope& scope, const Result<int>& content) const {
        const Result<int> how = scope.exit(content);
        if (!is(content.error(), ErrorKind::cancelled) || !scope.expired()) return how;
        const bool asked_by_others = current_task()->cancel_requests > requests_before;
        actor->world->check(is(how.error(), asked_by_others ? ErrorKind::cancelled : ErrorKind::timed_out),
                            "a timeout and a cancellation were taken for one another");
        return how;
    }
    Result<int> ended(const char* what, const Result<int>& how) const {
        actor->world->note(actor->id, what, how.error());
        return how;
    }
};

struct LimitByHand : Coroutine<LimitByHand, int, Awaits<Co<int>, Timeout<Co<int>>, WaitFor<Co<int>>>> {
    Actor* actor;
    Limit limit{actor};
    TimeoutScope scope;
    Result<int> how;

    Progress body() {
        CO_BEGIN;
        if (limit.way == 0) {
            CO_AWAIT(how, timeout(limit.limit_ns, anything(*actor)));
            CO_RETURN(limit.ended("timeout", how));
        } else if (limit.way == 1) {
            CO_AWAIT(how, wait_for(anything(*actor), limit.limit_ns));
            CO_RETURN(limit.ended("wait_for", how));
        }
        scope.enter(limit.limit_ns);
        CO_AWAIT(how, anything(*actor));
        if (how && !actor->stops() && actor->percent(50))
            (void)scope.reschedule(actor->now_ns() + actor->delay_ns());
        if (how && !actor->stops()) CO_AWAIT(how, anything(*actor));
        CO_RETURN(limit.ended("scope", limit.leaves(scope, how)));
        CO_END;
    }
};

Co<int> limit_by_compiler(Actor& actor) {
    const Limit limit{&actor};
    if (limit.way == 0) co_return limit.ended("timeout", co_await timeout(limit.limit_ns, anything(actor)));
    if (limit.way == 1) co_return limit.ended("wait_for", co_await wait_for(anything(actor), limit.limit_ns));
    TimeoutScope scope;
    scope.enter(limit.limit_ns);
    Result<int> how = co_await anything(actor);
    if (how && !actor.stops() && actor.percent(50)) (void)scope.reschedule(actor.now_ns() + actor.delay_ns());
    if (how && !actor.stops()) how = co_await anything(actor);
    co_return limit.ended("scope", limit.leaves(scope, how));
}

// --- groups ---

struct Grouping {
    Actor* actor;
    TaskGroup* group;
    std::array<TaskRef<int>, 3> children = {};

    void begins() {
        group->enter();
        const unsigned count = 1 + actor->below(3);
        for (unsigned i = 0; i < count; ++i) add(children[i]);
        if (actor->percent(10)) group->cancel();
    }
    void body_ends() {
        if (actor->percent(10)) group->cancel();
        actor->waits(false);
    }
    Result<int> joined(const Result<void>& how) {
        (void)actor->told("group", how);
        World& world = *actor->world;
        world.check(group->running() == 0, "a group ended before its children");
        for (const TaskRef<int>& child : children)
            world.check(!child || child.done(), "a group's child still runs");
        world.check((group->errors().count() != 0) == is(how.error(), ErrorKind::group),
                    "a group's error and its list of errors disagree");
        for (const TaskGroup::Errors::Item& item : group->errors())
            world.check(!is(item.error, ErrorKind::none) && !is(item.error, ErrorKind::cancelled),
                        "a group counts as an error what is none");
        if (!how) return how.error();
        return 1;
    }

private:
    void add(TaskRef<int>& child);
};

struct GroupByHand : Coroutine<GroupByHand, int, Awaits<Co<int>, TaskGroup::Join>> {
    Actor* actor;
    TaskGroup group;
    Grouping grouping{actor, nullptr};
    Result<int> content;
    Result<void> how;

    Progress body() {
        CO_BEGIN;
        grouping.group = &group;
        grouping.begins();
        CO_AWAIT(content, anything(*actor));
        grouping.body_ends();
        CO_AWAIT(how, group.join(content.error()));
        CO_RETURN(grouping.joined(how));
        CO_END;
    }
};

Co<int> group_by_compiler(Actor& actor) {
    TaskGroup group;
    Grouping grouping{&actor, &group};
    grouping.begins();
    const Result<int> content = co_await anything(actor);
    grouping.body_ends();
    co_return grouping.joined(co_await group.join(content.error()));
}

// --- generators ---

struct NumbersByHand : AsyncGenerator<NumbersByHand, int, Awaits<Sleep>, int> {
    Chance chance;
    unsigned left = chance.below(4);
    Result<void> slept;
    Result<int> asked;

    Progress body() {
        CO_BEGIN;
        while (left-- != 0) {
            CO_AWAIT(slept, sleep_ns(chance.delay_ns()));
            if (!slept) CO_RETURN(slept.error());
            CO_AWAIT(asked, yield(static_cast<int>(left)));
            if (asked) continue;
            CO_AWAIT(slept, sleep_ns(chance.delay_ns()));
            CO_RETURN(asked.error());
        }
        CO_RETURN();
        CO_END;
    }
};

AsyncGen<int, int> numbers_by_compiler(Chance chance) {
    unsigned left = chance.below(4);
    while (left-- != 0) {
        Result<void> slept = co_await sleep_ns(chance.delay_ns());
        if (!slept) co_return slept;
        const Result<int> asked = co_yield static_cast<int>(left);
        if (asked) continue;
        slept = co_await sleep_ns(chance.delay_ns());
        co_return asked.error();
    }
    co_return Result<void>();
}

/// A generator that several tasks ask, whoever wrote those.
AsyncGeneratorRef<NumbersByHand> shared;

AsyncGeneratorRef<NumbersByHand> shared_numbers(const Chance& chance) {
    if (!shared) shared = *make_async_generator(NumbersByHand{.chance = chance});
    return shared;
}
Result<int> shut_down(Actor& actor, const Result<void>& how) {
    actor.world->note(actor.id, "shutdown_asyncgens", how.error());
    if (!how) return how.error();
    return 1;
}

struct Asking {
    Actor* actor;
    unsigned left = 1 + actor->below(3);
    unsigned way = 0;

    bool asks() {
        if (left-- == 0 || actor->stops()) return false;
        way = actor->below(8);
        actor->waits(false);
        return true;
    }
    template <class T>
    bool told(const Result<T>& how) {
        (void)actor->told("generator", how);
        return !is(how.error(), ErrorKind::cancelled);
    }
};

template <class G>
struct AsksByHand : Coroutine<AsksByHand<G>, int, Awaits<Next<G>, Asend<G>, Athrow<G>, Aclose>> {
    Asking asking;
    AsyncGeneratorRef<G> source;
    Result<int> number;
    Result<void> closed;

    AsksByHand(Actor& actor, AsyncGeneratorRef<G> generator) : asking{&actor}, source(std::move(generator)) {}
    AsksByHand(AsksByHand&&) noexcept = default;

    Progress body() {
        CO_BEGIN;
        while (asking.asks()) {
            if (asking.way < 4) {
                CO_AWAIT(number, source.next());
            } else if (asking.way < 6) {
                CO_AWAIT(number, source.asend(3));
            } else if (asking.way == 6) {
                CO_AWAIT(number, source.athrow(Error(ErrorKind::broken_pipe, Call::send)));
            } else {
                CO_AWAIT(closed, source.aclose());
                number = closed ? Result<int>(1) : closed.error();
            }
            if (!asking.told(number)) break;
        }
        source = {};
        CO_RETURN(number);
        CO_END;
    }
};

template <class G>
Co<int> asks_by_compiler(Actor& actor, AsyncGeneratorRef<G> source) {
    Asking asking{&actor};
    Result<int> number;
    while (asking.asks()) {
        if (asking.way < 4) {
            number = co_await source.next();
        } else if (asking.way < 6) {
            number = co_await source.asend(3);
        } else if (asking.way == 6) {
            number = co_await source.athrow(Error(ErrorKind::broken_pipe, Call::send));
        } else {
            const Result<void> closed = co_await source.aclose();
            number = closed ? Result<int>(1) : closed.error();
        }
        if (!asking.told(number)) break;
    }
    source = {};
    co_return number;
}

// --- any step ---

constexpr unsigned kinds_of_steps = 12;

/// Those that can stand around others come last.
unsigned choose_step(Actor& actor) {
    const bool leaf = actor.nesting >= 3 || actor.world->tasks.size() > 30;
    return actor.below(leaf ? 7 : kinds_of_steps);
}

Co<int> step_by_hand(Actor& actor, unsigned kind) {
    World& world = *actor.world;
    switch (kind) {
        case 0:
            co_return co_await in_place([&] { return NapByHand{.actor = &actor}; });
        case 1:
            co_return co_await in_place([&] { return SignalByHand{.actor = &actor}; });
        case 2:
            co_return co_await in_place([&] { return AgreesByHand{.actor = &actor}; });
        case 3:
            co_return co_await in_place([&] { return PassesByHand<Queue<int>>({&actor, &world.first_in}); });
        case 4:
            co_return co_await in_place(
                [&] { return PassesByHand<LifoQueue<int>>({&actor, &world.last_in}); });
        case 5:
            co_return co_await in_place(
                [&] { return PassesByHand<PriorityQueue<int>>({&actor, &world.smallest}); });
        case 6:
            co_return co_await in_place([&] { return FutureByHand{.actor = &actor}; });
        case 7:
            co_return co_await in_place([&] { return HoldsByHand<Lock>(stay_at_lock(actor)); });
        case 8:
            co_return co_await in_place([&] { return HoldsByHand<Semaphore>(stay_at_semaphore(actor)); });
        case 9:
            co_return co_await in_place([&] { return LimitByHand{.actor = &actor}; });
        case 10:
            co_return co_await in_place([&] { return GroupByHand{.actor = &actor}; });
        default:
            break;
    }
    if (actor.percent(60)) co_return co_await in_place([&] { return OthersByHand{.actor = &actor}; });
    if (actor.percent(10)) co_return shut_down(actor, co_await in_place([] { return shutdown_asyncgens(); }));
    const Chance chance{{actor.random.next()}};
    auto source =
        actor.percent(40) ? shared_numbers(chance) : *make_async_generator(NumbersByHand{.chance = chance});
    co_return co_await in_place([&] { return AsksByHand<NumbersByHand>(actor, std::move(source)); });
}

Co<int> step_by_compiler(Actor& actor, unsigned kind) {
    World& world = *actor.world;
    switch (kind) {
        case 0:
            co_return co_await nap_by_compiler(actor);
        case 1:
            co_return co_await signal_by_compiler(actor);
        case 2:
            co_return co_await agrees_by_compiler(actor);
        case 3:
            co_return co_await passes_by_compiler<Queue<int>>({&actor, &world.first_in});
        case 4:
            co_return co_await passes_by_compiler<LifoQueue<int>>({&actor, &world.last_in});
        case 5:
            co_return co_await passes_by_compiler<PriorityQueue<int>>({&actor, &world.smallest});
        case 6:
            co_return co_await future_by_compiler(actor);
        case 7:
            co_return co_await holds_by_compiler(stay_at_lock(actor));
        case 8:
            co_return co_await holds_by_compiler(stay_at_semaphore(actor));
        case 9:
            co_return co_await limit_by_compiler(actor);
        case 10:
            co_return co_await group_by_compiler(actor);
        default:
            break;
    }
    if (actor.percent(60)) co_return co_await others_by_compiler(actor);
    if (actor.percent(10)) co_return shut_down(actor, co_await in_place([] { return shutdown_asyncgens(); }));
    const Chance chance{{actor.random.next()}};
    if (actor.percent(40)) co_return co_await asks_by_compiler(actor, shared_numbers(chance));
    co_return co_await asks_by_compiler(actor, *make_async_generator(numbers_by_compiler(chance)));
}

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
void add_to_own_group(Actor& actor);

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

struct WorkByHand : Coroutine<WorkByHand, int, Awaits<Co<int>>> {
    Actor actor;
    Result<int> how = 0;

    Progress body() {
        CO_BEGIN;
        begins(actor);
        while (goes_on(actor, how)) CO_AWAIT(how, anything(actor));
        ends(actor, how.error());
        CO_RETURN(how);
        CO_END;
    }
};

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

template <class Create>
Result<TaskRef<int>> begin_task(World& world, int depth, Create create, TaskGroup* group) {
    Actor actor = make_child_actor(world, depth);
    actor.group = group;
    Result<TaskRef<int>> task =
        actor.by_hand() ? create(WorkByHand{.actor = actor}) : create(work_by_compiler(actor));
    if (task) world.tasks[static_cast<std::size_t>(actor.id)] = *task;
    return task;
}

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
void Grouping::add(TaskRef<int>& child) {
    if (const Result<TaskRef<int>> made = add_to(*group, *actor)) child = *made;
}
void add_to_own_group(Actor& actor) {
    if (actor.world->tasks.size() < 30) (void)add_to(*actor.group, actor);
}

Progress OthersByHand::body() {
    CO_BEGIN;
    others.choose();
    actor->waits(false);
    if (others.way < 2) {
        CO_AWAIT(how, others.row[0]);
        CO_RETURN(others.task_ended("task", how));
    } else if (others.way == 2) {
        CO_AWAIT(how, shield(others.row[0]));
        CO_RETURN(others.task_ended("shield", how));
    } else if (others.way == 3) {
        CO_AWAIT(how, wait_for(others.row[0], others.limit_ns));
        CO_RETURN(others.task_ended("wait_for task", how));
    } else if (others.way == 4) {
        CO_AWAIT(how, timeout(others.limit_ns, others.shields()));
        CO_RETURN(others.task_ended("shield with timeout", how));
    } else if (others.way == 5) {
        CO_AWAIT(both, gather(others.row[1], others.row[0]));
        CO_RETURN(others.task_ended("gather of two", both ? Result<int>(std::get<1>(*both)) : both.error()));
    } else if (others.way == 6) {
        CO_AWAIT(all, gather(others.row));
        CO_RETURN(others.all_ended("gather", all, false));
    } else if (others.way == 7) {
        CO_AWAIT(all, gather_results(others.row));
        CO_RETURN(others.all_ended("gather_results", all, true));
    } else if (others.way == 8) {
        CO_AWAIT(all, timeout(others.limit_ns, others.gathers()));
        CO_RETURN(others.all_ended("gather with timeout", all, false));
    } else if (others.way == 12) {
        CO_AWAIT(both, gather(*others.future, others.row[0]));
        CO_RETURN(others.future_and_task_ended(both));
    } else if (others.way == 13) {
        CO_AWAIT(how, shield(*others.future));
        CO_RETURN(others.future_ended(how));
    } else if (others.way == 10) {
        CO_AWAIT(both,
                 gather(WorkByHand{.actor = others.children[0]}, WorkByHand{.actor = others.children[1]}));
        CO_RETURN(others.both_ended(both));
    } else if (others.way == 9) {
        options = others.options();
        CO_AWAIT(counts, wait(others.row, options));
        CO_RETURN(others.waited(options, counts));
    }
    in_order.begin(others.row, actor->percent(50) ? others.limit_ns : never_ns);
    for (;;) {
        CO_AWAIT(next, in_order.next());
        if (!others.next_came(next)) break;
        actor->waits(false);
    }
    if (is(next.error(), ErrorKind::cancelled)) CO_RETURN(next.error());
    CO_RETURN(1);
    CO_END;
}

Co<int> others_by_compiler(Actor& actor) {
    Others others{&actor};
    others.choose();
    actor.waits(false);
    TaskRef<int>& first = others.row[0];
    if (others.way < 2) co_return others.task_ended("task", co_await first);
    if (others.way == 2) co_return others.task_ended("shield", co_await shield(first));
    if (others.way == 3)
        co_return others.task_ended("wait_for task", co_await wait_for(first, others.limit_ns));
    if (others.way == 4)
        co_return others.task_ended("shield with timeout",
                                    co_await timeout(others.limit_ns, others.shields()));
    if (others.way == 5) {
        const auto both = co_await gather(others.row[1], first);
        co_return others.task_ended("gather of two", both ? Result<int>(std::get<1>(*both)) : both.error());
    }
    if (others.way == 6) co_return others.all_ended("gather", co_await gather(others.row), false);
    if (others.way == 7)
        co_return others.all_ended("gather_results", co_await gather_results(others.row), true);
    if (others.way == 8)
        co_return others.all_ended("gather with timeout", co_await timeout(others.limit_ns, others.gathers()),
                                   false);
    if (others.way == 12) co_return others.future_and_task_ended(co_await gather(*others.future, first));
    if (others.way == 13) co_return others.future_ended(co_await shield(*others.future));
    if (others.way == 10) {
        const auto both =
            co_await gather(work_by_compiler(others.children[0]), work_by_compiler(others.children[1]));
        co_return others.both_ended(both);
    }
    if (others.way == 9) {
        const WaitOptions options = others.options();
        co_return others.waited(options, co_await wait(others.row, options));
    }
    AsCompleted<int> in_order;
    in_order.begin(others.row, actor.percent(50) ? others.limit_ns : never_ns);
    Result<TaskRef<int>> next;
    for (;;) {
        next = co_await in_order.next();
        if (!others.next_came(next)) break;
        actor.waits(false);
    }
    if (is(next.error(), ErrorKind::cancelled)) co_return next.error();
    co_return 1;
}

// --- running a program ---

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
    shared = {};
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
    shared = {};
    world.check(world.awaits_begun == world.awaits_ended, "an await has never ended");
    world.drop_everything();
}

struct Outcome {
    std::uint64_t trace;
    std::string failure;
};

/// A world that has failed is not destroyed: that would be the next failure.
std::FILE* nowhere() {
    static std::FILE* const file = std::tmpfile();
    if (file != nullptr) std::rewind(file);
    return file;
}

enum class Watched : std::uint8_t { no, by_an_observer, in_debug_mode };

Outcome run_program(std::uint64_t seed, Authors authors, Watched watched = Watched::no, bool prints = false) {
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

// --- the tests ---

std::uint64_t running_seed = 0;

/// Also a seed at which the program breaks off is named.
void name_the_seed(int signal) {
    std::fprintf(stderr, "this was seed %llu: POLLARD_RANDOM_SEED=%llu random_vocabulary_test\n",
                 static_cast<unsigned long long>(running_seed),
                 static_cast<unsigned long long>(running_seed));
    std::signal(signal, SIG_DFL);
    std::raise(signal);
}

std::uint64_t number_in(const char* variable, std::uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class RandomVocabulary : public testing::Test {
protected:
    void SetUp() override {
        for (const int signal : {SIGABRT, SIGSEGV, SIGTERM}) std::signal(signal, name_the_seed);
    }
    void TearDown() override {
        for (const int signal : {SIGABRT, SIGSEGV, SIGTERM}) std::signal(signal, SIG_DFL);
    }
    static Outcome run(std::uint64_t seed, Authors authors, Watched watched = Watched::no,
                       bool prints = false) {
        running_seed = seed;
        Outcome outcome = run_program(seed, authors, watched, prints);
        EXPECT_EQ(outcome.failure, "") << "replay: POLLARD_RANDOM_SEED=" << seed << " random_vocabulary_test";
        return outcome;
    }
};

TEST_F(RandomVocabulary, NothingHangsNothingIsLeftAndEveryAwaitEndsOnce) {
    if (const std::uint64_t only = number_in("POLLARD_RANDOM_SEED", 0); only != 0) {
        run(only, static_cast<Authors>(number_in("POLLARD_RANDOM_AUTHORS", 2)), Watched::no, true);
        return;
    }
    const std::uint64_t first = number_in("POLLARD_RANDOM_FIRST", 1);
    const std::uint64_t count = number_in("POLLARD_RANDOM_SEEDS", 10'000);
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        run(seed, Authors::mixed);
        if (HasFailure()) return;
    }
}

TEST_F(RandomVocabulary, TheSameSeedGivesTheSameTraceWhoeverWroteTheCoroutines) {
    const std::uint64_t first = number_in("POLLARD_RANDOM_SEED", 1);
    const std::uint64_t count =
        number_in("POLLARD_RANDOM_SEED", 0) != 0 ? 1 : number_in("POLLARD_RANDOM_SEEDS", 10'000) / 10;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        const std::uint64_t mixed = run(seed, Authors::mixed).trace;
        EXPECT_EQ(run(seed, Authors::mixed).trace, mixed)
            << "seed " << seed << ": the second run is different";
        EXPECT_EQ(run(seed, Authors::mixed, Watched::by_an_observer).trace, mixed)
            << "seed " << seed << ": different when somebody watches";
        EXPECT_EQ(run(seed, Authors::mixed, Watched::in_debug_mode).trace, mixed)
            << "seed " << seed << ": different in debug mode";
        EXPECT_EQ(run(seed, Authors::by_hand).trace, mixed)
            << "seed " << seed << ": different with the macros";
        EXPECT_EQ(run(seed, Authors::by_compiler).trace, mixed)
            << "seed " << seed << ": different with co_await";
        if (HasFailure()) return;
    }
}

}  // namespace
