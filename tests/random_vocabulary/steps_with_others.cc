// Steps that have to do with several: other tasks, awaited, shielded, gathered and waited for in all the ways there are;
// and generators, of one's own or shared.
//
// Read next: tests/random_vocabulary/program.cc.
#include <array>
#include <cstdint>
#include <span>
#include <tuple>
#include <utility>

#include "core/async_generator_ref.h"
#include "core/co_await.h"
#include "core/co_generator.h"
#include "core/combinators/as_completed.h"
#include "core/combinators/gather.h"
#include "core/combinators/shield.h"
#include "core/combinators/timeout.h"
#include "core/combinators/wait.h"
#include "core/combinators/wait_for.h"
#include "core/coroutine.h"
#include "core/sleep.h"
#include "tests/random_vocabulary/steps.h"

namespace pollard::random_vocabulary {

namespace {

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

    Progress body() {
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
            CO_RETURN(
                others.task_ended("gather of two", both ? Result<int>(std::get<1>(*both)) : both.error()));
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
            CO_AWAIT(both, gather(WorkByHand{.actor = others.children[0]},
                                  WorkByHand{.actor = others.children[1]}));
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
};

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

}  // namespace

// --- any of them ---

Co<int> with_others_by_hand(Actor& actor) {
    if (actor.percent(60)) co_return co_await in_place([&] { return OthersByHand{.actor = &actor}; });
    if (actor.percent(10)) co_return shut_down(actor, co_await in_place([] { return shutdown_asyncgens(); }));
    const Chance chance{{actor.random.next()}};
    auto source =
        actor.percent(40) ? shared_numbers(chance) : *make_async_generator(NumbersByHand{.chance = chance});
    co_return co_await in_place([&] { return AsksByHand<NumbersByHand>(actor, std::move(source)); });
}

Co<int> with_others_by_compiler(Actor& actor) {
    if (actor.percent(60)) co_return co_await others_by_compiler(actor);
    if (actor.percent(10)) co_return shut_down(actor, co_await in_place([] { return shutdown_asyncgens(); }));
    const Chance chance{{actor.random.next()}};
    if (actor.percent(40)) co_return co_await asks_by_compiler(actor, shared_numbers(chance));
    co_return co_await asks_by_compiler(actor, *make_async_generator(numbers_by_compiler(chance)));
}

void forget_shared_numbers() { shared = {}; }

}  // namespace pollard::random_vocabulary
