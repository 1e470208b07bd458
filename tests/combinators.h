// What the tests of combinators share: a loop in virtual time, a child that can end in every way, and the two authors of
// frames. Each test runs twice: with hand-written frames (ByHand) and with the compiler's (ByCompiler).
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/co_await.h"
#include "core/coroutine.h"
#include "core/event_loop.h"
#include "core/sleep.h"

namespace pollard {

/// What happened, in order: "a ends", "b cancelled".
inline std::vector<std::string> story;
using Story = std::vector<std::string>;

/// How a child ends.
struct Plan {
    const char* name = "child";
    std::int64_t delay_ns = 0;  // of nothing: it returns at its first step
    int value = 0;
    ErrorKind fails = ErrorKind::none;  // with this, after the delay
    bool swallows = false;              // cancelled: it gives its value all the same
    ErrorKind fails_when_cancelled = ErrorKind::none;
    std::int64_t cleanup_ns = 0;  // cancelled: it takes so long to end
};

inline Result<int> end_of(const Plan& plan, const Result<void>& slept) {
    story.push_back(std::string(plan.name) + (slept ? " ends" : " cancelled"));
    if (slept) {
        if (plan.fails != ErrorKind::none) return Error(plan.fails, Call::send);
        return plan.value;
    }
    if (plan.fails_when_cancelled != ErrorKind::none) return Error(plan.fails_when_cancelled, Call::send);
    if (plan.swallows) return plan.value;
    return slept.error();
}

struct HandWrittenChild : Coroutine<HandWrittenChild, int, Awaits<Sleep>> {
    Plan plan;
    Result<void> slept;
    Result<void> cleaned;
    Progress body() {
        CO_BEGIN;
        if (plan.delay_ns > 0) CO_AWAIT(slept, sleep_ns(plan.delay_ns));
        if (!slept && plan.cleanup_ns > 0) CO_AWAIT(cleaned, sleep_ns(plan.cleanup_ns));
        CO_RETURN(end_of(plan, slept));
        CO_END;
    }
};

inline Co<int> compiled_child(Plan plan) {
    Result<void> slept;
    if (plan.delay_ns > 0) slept = co_await sleep_ns(plan.delay_ns);
    if (!slept && plan.cleanup_ns > 0) (void)co_await sleep_ns(plan.cleanup_ns);
    co_return end_of(plan, slept);
}

struct ByHand {
    static HandWrittenChild child(const Plan& plan) { return HandWrittenChild{.plan = plan}; }
};
struct ByCompiler {
    static Co<int> child(const Plan& plan) { return compiled_child(plan); }
};

/// Shared by the tests: what a driver noted.
inline std::uint32_t turns_waited;

/// A loop on the simulated kernel, checked to be left empty.
class CombinatorTest : public testing::Test {
protected:
    void SetUp() override {
        story.clear();
        reported.clear();
        turns_waited = 0;
        before = memory_counters();
        ASSERT_TRUE(loop.open({.kernel = "simulated"}));
        loop.set_error_handler(
            [](void* self, const ErrorReport& report) {
                static_cast<CombinatorTest*>(self)->reported.push_back(report.message);
            },
            this);
        began_ns = loop.time_ns();
    }
    void TearDown() override {
        EXPECT_EQ(loop.pending_cancels, 0u);
        EXPECT_EQ(loop.task_count(), 0u) << "a task is left";
        if (loop.pool != nullptr) {
            EXPECT_EQ(loop.pool->blocks.blocks_in_use(), 0u) << "a block is left";
        }
        EXPECT_EQ(reported, expected_reports);
        EXPECT_TRUE(loop.close());
        const MemoryCounters after = memory_counters();
        EXPECT_EQ(after.allocations - before.allocations, after.releases - before.releases);
    }

    template <class C>
    auto spawn(C coroutine) {
        auto task = loop.create_task(std::move(coroutine));
        EXPECT_TRUE(task);
        return *std::move(task);
    }
    template <class C>
    auto run(C coroutine) {
        return loop.run_until_complete(std::move(coroutine));
    }
    void turn(int count = 1) {
        for (int i = 0; i < count; ++i) {
            loop.stop();
            ASSERT_TRUE(loop.run_forever());
        }
    }
    /// Up to the turn in which `delay_ns` have passed, that turn included.
    void run_for(std::int64_t delay_ns) {
        auto call = loop.call_later([this] { loop.stop(); }, delay_ns);
        ASSERT_TRUE(call);
        ASSERT_TRUE(loop.run_forever());
    }
    /// Until nothing of what was started is left.
    void finish() {
        while (loop.task_count() != 0) {
            const TaskRef<void> first(*TaskState::of(loop.tasks.next));
            ASSERT_TRUE(loop.run_until_complete(first) || true);
        }
    }
    /// As if somebody called task.cancel() at this time.
    template <class Ref>
    void cancel_at(std::int64_t delay_ns, Ref& task) {
        auto call = loop.call_later([&task] { task.cancel(); }, delay_ns);
        ASSERT_TRUE(call);
    }
    std::int64_t elapsed_ns() { return loop.time_ns() - began_ns; }

    EventLoop loop;
    MemoryCounters before;
    std::int64_t began_ns = 0;
    std::vector<std::string> reported;
    std::vector<std::string> expected_reports;
};

using Authors = testing::Types<ByHand, ByCompiler>;

inline constexpr std::int64_t s = second_ns;

}  // namespace pollard
