// BareScheduler: frames and tasks on a scheduler alone, with no loop, no timers and no kernel.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "core/scheduler.h"
#include "core/task.h"

namespace pollard {

/// A scheduler with a pool of tasks, checked to be left empty.
class BareScheduler : public testing::Test {
protected:
    void SetUp() override {
        scheduler.pool = TaskPool::create(scheduler);
        scope.emplace(scheduler);
    }
    void TearDown() override {
        EXPECT_TRUE(scheduler.ready.empty());
        EXPECT_EQ(scheduler.tasks.next, &scheduler.tasks) << "a task is left";
        EXPECT_EQ(scheduler.pool->blocks.blocks_in_use(), 0u) << "a block is left";
        EXPECT_EQ(scheduler.pending_cancels, 0u);
        scope.reset();
        scheduler.pool->orphan();
    }

    template <class C>
    TaskRef<typename C::value_type> spawn(C coroutine) {
        auto task = create_task_on(scheduler, std::move(coroutine));
        EXPECT_TRUE(task);
        return *std::move(task);
    }
    template <class C>
    auto run(C coroutine) {
        auto task = spawn(std::move(coroutine));
        scheduler.run_until_idle();
        return task.result();
    }

    Scheduler scheduler;
    std::optional<SchedulerScope> scope;
};

}  // namespace pollard
