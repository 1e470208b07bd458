// What a task waits for may be destroyed when the task has outlived its loop, for it will never ask again: a rule of the
// line in which frames wait, tested on all five of core/sync.
//
// Read next: core/sync/waiter_line.h.
#include <gtest/gtest.h>

#include <type_traits>
#include <utility>
#include <vector>

#include "core/sync/barrier.h"
#include "core/sync/condition.h"
#include "core/sync/event.h"
#include "core/sync/lock.h"
#include "core/sync/semaphore.h"
#include "tests/virtual_loop.h"

using namespace pollard;

namespace {

/// Refuses to end.
template <class Make>
struct WaitsForEverFrame : Coroutine<WaitsForEverFrame<Make>, void, Awaits<MadeBy<Make>>> {
    Make make;
    AwaitResult<MadeBy<Make>> got;
    Progress body() {
        CO_BEGIN;
        for (;;) CO_AWAIT(got, make());
        CO_END;
    }
};
template <class Make>
Co<void> waits_for_ever(Make make) {
    for (;;) (void)co_await make();
    co_return Result<void>();
}

template <class Author>
class AfterTheLoop : public testing::Test {
protected:
    template <class Make>
    static TaskRef<void> leave_behind(Make make) {
        EventLoop loop;
        EXPECT_TRUE(loop.open({.kernel = "simulated"}));
        loop.set_error_handler([](void*, const ErrorReport&) {}, nullptr);
        TaskRef<void> task = create(loop, std::move(make));
        loop.stop();
        EXPECT_TRUE(loop.run_forever());
        return task;
    }

private:
    template <class Make>
    static TaskRef<void> create(EventLoop& loop, Make make) {
        const SchedulerScope scope(loop);  // the compiler's frame comes from this loop's pool
        if constexpr (std::is_base_of_v<ByHand, Author>)
            return *loop.create_task(WaitsForEverFrame<Make>{.make = std::move(make)});
        else
            return *loop.create_task(waits_for_ever(std::move(make)));
    }
};
TYPED_TEST_SUITE(AfterTheLoop, Authors, AuthorNames);

TYPED_TEST(AfterTheLoop, WhatALostTaskWaitsForMayGo) {
    std::vector<TaskRef<void>> lost;
    {
        Lock lock;
        Event event;
        Semaphore semaphore(0);
        Barrier barrier(2);
        Condition condition;
        lost.push_back(this->leave_behind([&] { return event.wait(); }));
        lost.push_back(this->leave_behind([&] { return semaphore.acquire(); }));
        lost.push_back(this->leave_behind([&] { return barrier.wait(); }));
        lost.push_back(this->leave_behind([&] { return lock.acquire(); }));  // the second time it must wait
        lost.push_back(this->leave_behind([&] { return condition.acquire(); }));
    }
    for (const TaskRef<void>& task : lost) {
        EXPECT_FALSE(task.done());
        task.state().let_go();  // the reference that the loop has left behind
    }
}

}  // namespace
