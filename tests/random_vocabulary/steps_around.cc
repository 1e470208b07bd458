// Steps that stand around any other: inside a lock or with a permit, with a limit of time, in a group of tasks.
//
// Read next: tests/random_vocabulary/steps_with_others.cc.
#include <array>
#include <cstdint>
#include <utility>

#include "core/co_await.h"
#include "core/combinators/task_group.h"
#include "core/combinators/timeout.h"
#include "core/combinators/wait_for.h"
#include "core/coroutine.h"
#include "tests/random_vocabulary/steps.h"

namespace pollard::random_vocabulary {

namespace {

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
    void add(TaskRef<int>& child) {
        if (const Result<TaskRef<int>> made = add_to(*group, *actor)) child = *made;
    }
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

}  // namespace

// --- any of them ---

Co<int> around_by_hand(Actor& actor, unsigned which) {
    switch (which) {
        case 0:
            co_return co_await in_place([&] { return HoldsByHand<Lock>(stay_at_lock(actor)); });
        case 1:
            co_return co_await in_place([&] { return HoldsByHand<Semaphore>(stay_at_semaphore(actor)); });
        case 2:
            co_return co_await in_place([&] { return LimitByHand{.actor = &actor}; });
        default:
            co_return co_await in_place([&] { return GroupByHand{.actor = &actor}; });
    }
}

Co<int> around_by_compiler(Actor& actor, unsigned which) {
    switch (which) {
        case 0:
            co_return co_await holds_by_compiler(stay_at_lock(actor));
        case 1:
            co_return co_await holds_by_compiler(stay_at_semaphore(actor));
        case 2:
            co_return co_await limit_by_compiler(actor);
        default:
            co_return co_await group_by_compiler(actor);
    }
}

}  // namespace pollard::random_vocabulary
