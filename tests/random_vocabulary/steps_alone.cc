// Steps that wait for one thing and stand around no other: a sleep, an event, a barrier, a condition, a queue, a future.
//
// Read next: tests/random_vocabulary/steps_around.cc.
#include <array>
#include <cstdint>
#include <utility>

#include "core/co_await.h"
#include "core/combinators/timeout.h"
#include "core/combinators/wait_for.h"
#include "core/coroutine.h"
#include "core/sleep.h"
#include "tests/random_vocabulary/steps.h"

namespace pollard::random_vocabulary {

namespace {

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

}  // namespace

// --- any of them ---

Co<int> alone_by_hand(Actor& actor, unsigned which) {
    World& world = *actor.world;
    switch (which) {
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
        default:
            co_return co_await in_place([&] { return FutureByHand{.actor = &actor}; });
    }
}

Co<int> alone_by_compiler(Actor& actor, unsigned which) {
    World& world = *actor.world;
    switch (which) {
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
        default:
            co_return co_await future_by_compiler(actor);
    }
}

}  // namespace pollard::random_vocabulary
