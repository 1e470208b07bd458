// producer_consumer: a queue between those who make things and those who use them, and how such a program ends.
//
//      tools/demo producer_consumer --kernel simulated               in virtual time: at once
//      tools/demo producer_consumer                                  in real time: 40 s or more
//      tools/demo producer_consumer -p 2 -c 3 --kernel simulated     two producers, three consumers
//      tools/demo producer_consumer -p 3 -c 1 --kernel simulated     too few consumers: the items wait
//      tools/demo producer_consumer --explain --kernel simulated | less
//
// Each producer makes a random number of items, with a random pause before each, and is done. The consumers go on for
// ever: a pause, an item, a pause, an item. No producer knows a consumer; each knows the queue only:
//
//      Producer 0 --.                                  .--> Consumer 0
//      Producer 1 ---+--- put ---> [ queue ] --- get ---+--> Consumer 1
//      ...          -'                                  '--> ...
//
// What to look at: the end. A consumer that waits for an item cannot know that none will come. So Main waits for the
// producers, and then for the queue: `join` is over when every item that was put in has been reported by task_done.
// (An empty queue would not be enough: the last item may have been taken and be half-done.) After that the consumers
// are of no use any more, and Main cancels them where they stand, in their pauses or in `get`.
//
// The pauses are those of Python's random numbers after random.seed(444), so in virtual time this run is the one of the
// same program in Python, line by line: 40 s. In real time two that wake in the same second are microseconds apart, and
// who comes first draws first. So there, as in Python, no two runs need be alike.
//
// Read next: core/queue.h, demos/python_random.h.
#include <array>
#include <cstdio>

#include "core/coroutine.h"
#include "core/queue.h"
#include "core/sleep.h"
#include "core/task.h"
#include "demos/demo_loop.h"
#include "demos/python_random.h"

using namespace pollard;

namespace {

constexpr std::int64_t most_tasks = 100;

struct Item {
    int producer;
    int number;
    std::int64_t put_in_ns;
};

/// What all tasks share.
struct Factory {
    explicit Factory(EventLoop& on) : loop(on), began_ns(on.time_ns()) {}

    EventLoop& loop;
    std::int64_t began_ns;
    PythonRandom random{444};
    Queue<Item> queue;

    std::int64_t random_pause_ns() { return random.randint(0, 10) * second_ns; }
    double elapsed() const { return in_seconds(loop.time_ns() - began_ns); }
};

struct Pause : Coroutine<Pause, void, Awaits<Sleep>> {
    Factory* factory;
    const char* who;
    int number;
    std::int64_t pause_ns = 0;

    Progress body() {
        CO_BEGIN;
        pause_ns = factory->random_pause_ns();
        std::printf("%6.2f  %s %d sleeps for %lld seconds\n", factory->elapsed(), who, number,
                    static_cast<long long>(pause_ns / second_ns));
        CO_TRY(sleep_ns(pause_ns));
        CO_END;
    }
};

struct Produce : Coroutine<Produce, void, Awaits<Pause, Queue<Item>::Put>> {
    Factory* factory;
    int number;
    std::int64_t items = 0;
    std::int64_t i = 0;

    Progress body() {
        CO_BEGIN;
        items = factory->random.randint(0, 10);
        for (i = 0; i < items; ++i) {
            CO_TRY(Pause{.factory = factory, .who = "Producer", .number = number});
            CO_TRY(factory->queue.put({number, static_cast<int>(i), factory->loop.time_ns()}));
            std::printf("%6.2f  Producer %d added <%d.%lld> to the queue\n", factory->elapsed(), number,
                        number, static_cast<long long>(i));
        }
        CO_END;
    }
};

/// Until it is cancelled.
struct Consume : Coroutine<Consume, void, Awaits<Pause, Queue<Item>::Get>> {
    Factory* factory;
    int number;
    Result<Item> item;

    Progress body() {
        CO_BEGIN;
        for (;;) {
            CO_TRY(Pause{.factory = factory, .who = "Consumer", .number = number});
            CO_AWAIT(item, factory->queue.get());
            if (!item) CO_RETURN(item.error());
            std::printf("%6.2f  Consumer %d got element <%d.%d> after %.2f seconds\n", factory->elapsed(),
                        number, item->producer, item->number,
                        in_seconds(factory->loop.time_ns() - item->put_in_ns));
            if (const Result<void> told = factory->queue.task_done(); !told) CO_RETURN(told);
        }
        CO_END;
    }
};

struct Main : Coroutine<Main, void, Awaits<TaskRef<void>&, QueueState::Join>> {
    Factory* factory;
    std::size_t producer_count;
    std::size_t consumer_count;
    std::array<TaskRef<void>, most_tasks> producers;
    std::array<TaskRef<void>, most_tasks> consumers;
    std::size_t i = 0;
    Result<void> ended;

    Progress body() {
        CO_BEGIN;
        if (const Result<void> made = make_tasks(); !made) CO_RETURN(made);
        for (i = 0; i < producer_count; ++i) CO_TRY(producers[i]);
        std::printf("%6.2f  the producers are done; %zu in the queue\n", factory->elapsed(),
                    factory->queue.qsize());
        CO_TRY(factory->queue.join());
        std::printf("%6.2f  every item is done: the consumers are cancelled\n", factory->elapsed());
        for (i = 0; i < consumer_count; ++i) consumers[i].cancel();
        for (i = 0; i < consumer_count; ++i) {
            CO_AWAIT(ended, consumers[i]);
            if (ended.error().kind != ErrorKind::cancelled) CO_RETURN(ended);
        }
        CO_END;
    }

    Result<void> make_tasks() {
        for (i = 0; i < producer_count; ++i)
            if (const auto made =
                    begin(producers[i], Produce{.factory = factory, .number = static_cast<int>(i)});
                !made)
                return made;
        for (i = 0; i < consumer_count; ++i)
            if (const auto made =
                    begin(consumers[i], Consume{.factory = factory, .number = static_cast<int>(i)});
                !made)
                return made;
        return {};
    }
    template <class C>
    Result<void> begin(TaskRef<void>& task, C coroutine) {
        Result<TaskRef<void>> made = factory->loop.create_task(std::move(coroutine));
        if (!made) return made.error();
        task = *std::move(made);
        return {};
    }
};

}  // namespace

int main(int argc, char** argv) {
    DemoLoop demo;
    std::int64_t producers = 5;
    std::int64_t consumers = 10;
    const Option options[] = {number("-p", producers, "N", "how many producers (5)", 1, most_tasks),
                              number("-c", consumers, "N", "how many consumers (10)", 1, most_tasks),
                              demo.kernel_option(), demo.explain_option(), demo.trace_option()};
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;
    if (const int code = demo.open(); code >= 0) return code;

    Factory factory(demo.loop);
    const Result<void> ended =
        demo.loop.run_until_complete(Main{.factory = &factory,
                                          .producer_count = static_cast<std::size_t>(producers),
                                          .consumer_count = static_cast<std::size_t>(consumers)});
    if (ended)
        std::printf("Program completed in %.2f seconds; %zu items are left in the queue.\n",
                    factory.elapsed(), factory.queue.qsize());
    return demo.finish(ended.error());
}
