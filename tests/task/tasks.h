// What the tests of tasks share: tasks that do what a plan says, by both authors, and a pool that has run out.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/co_await.h"
#include "core/coroutine.h"
#include "core/event_loop.h"
#include "core/future.h"
#include "core/sleep.h"
#include "core/task.h"
#include "platform/memory.h"
#include "tests/by_author.h"

namespace pollard {

/// What a task does in these tests: one of the kinds of waiting, and what it does when it is cancelled.
struct Plan {
    const char* name = "task";
    std::int64_t sleep_ns = 0;
    Future<int>* future = nullptr;
    TaskRef<int>* task = nullptr;
    /// Called first.
    std::function<void()> at_first;
    /// Called when the await has ended; what it says ends the task.
    std::function<Result<int>(Result<int>)> at_last;
    /// Sleeps so long again after the first await.
    std::int64_t cleanup_ns = -1;
};

inline std::string word(const Result<int>& result) {
    return result ? std::to_string(*result) : std::string(describe(result.error()).c_str());
}

struct Does : Coroutine<Does, int, Awaits<Sleep, Future<int>&, TaskRef<int>&>> {
    Plan plan;
    Result<int> got;
    Result<void> slept;
    Progress body() {
        CO_BEGIN;
        if (plan.at_first) plan.at_first();
        if (plan.future != nullptr) {
            CO_AWAIT(got, *plan.future);
        } else if (plan.task != nullptr) {
            CO_AWAIT(got, *plan.task);
        } else {
            CO_AWAIT(slept, sleep_ns(plan.sleep_ns));
            got = slept ? Result<int>(7) : Result<int>(slept.error());
        }
        story.push_back(std::string(plan.name) + ": " + word(got));
        if (plan.cleanup_ns >= 0) {
            CO_AWAIT(slept, sleep_ns(plan.cleanup_ns));
            if (!slept) got = slept.error();
            story.push_back(std::string(plan.name) + " then: " + word(got));
        }
        CO_RETURN(plan.at_last ? plan.at_last(got) : got);
        CO_END;
    }
};

inline Co<int> does(Plan plan) {
    Result<int> got = 7;
    if (plan.at_first) plan.at_first();
    if (plan.future != nullptr) {
        got = co_await *plan.future;
    } else if (plan.task != nullptr) {
        got = co_await *plan.task;
    } else {
        const Result<void> slept = co_await sleep_ns(plan.sleep_ns);
        if (!slept) got = slept.error();
    }
    story.push_back(std::string(plan.name) + ": " + word(got));
    if (plan.cleanup_ns >= 0) {
        const Result<void> slept = co_await sleep_ns(plan.cleanup_ns);
        if (!slept) got = slept.error();
        story.push_back(std::string(plan.name) + " then: " + word(got));
    }
    co_return plan.at_last ? plan.at_last(got) : got;
}

/// Its tests stand in two files; task_test.cc says for which authors they are run.
class Tasks : public LoopByAuthor {
protected:
    TaskRef<int> spawn(Plan plan, const TaskOptions& options = {}) {
        return create_task([&] { return Does{.plan = std::move(plan)}; },
                           [&] { return does(std::move(plan)); }, options);
    }
    /// Calls `function` in the loop's next turn, without a task.
    void in_the_loop(std::function<void()> function) {
        ASSERT_TRUE(loop.call_soon([function] { function(); }));
        run_turns(1);
    }
    const char* type_name_of_tasks() const { return GetParam() == Author::hand ? "Does" : "Co<int>"; }
};

inline constexpr std::int64_t hour_ns = 3600 * second_ns;
inline const Error broken(ErrorKind::broken_pipe, Call::send);

/// While it lives, a pool has no block for a task's extras.
class NoExtras {
public:
    explicit NoExtras(BlockPool& pool) : pool_(pool) {
        fail_allocations_after(0, 1'000'000);
        while (void* block = pool.take(sizeof(TaskExtras))) taken_.push_back(block);
    }
    ~NoExtras() {
        fail_allocations_after(0, 0);
        for (void* block : taken_) pool_.give_back(block, sizeof(TaskExtras));
    }

private:
    BlockPool& pool_;
    std::vector<void*> taken_;
};

}  // namespace pollard
