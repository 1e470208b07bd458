// What the tests of waiting share: a loop in virtual time, a story, and tasks by both authors.
//
// A test suite is typed by its author: `ByHand`, whose coroutines are hand-written frames, and `ByCompiler`, who
// writes co_await.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/await_graph.h"
#include "core/co_await.h"
#include "core/coroutine.h"
#include "core/event_loop.h"
#include "core/sleep.h"
#include "tests/system.h"

namespace pollard {

using Story = std::vector<std::string>;
inline Story story;

inline void say(const std::string& what) { story.push_back(what); }

/// "a", or "a: cancelled".
template <class T>
void tell(const std::string& name, const Result<T>& result) {
    say(result ? name : name + ": " + describe(result.error().kind));
}

// --- what the tests make their tasks of, by both authors ---

template <class Make>
using MadeBy = std::invoke_result_t<Make&>;

/// Awaits one thing and says how that ended.
template <class Make>
struct WaitsFrame : Coroutine<WaitsFrame<Make>, void, Awaits<MadeBy<Make>>> {
    std::string name;
    Make make;
    AwaitResult<MadeBy<Make>> got;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(got, make());
        tell(name, got);
        if (!got) CO_RETURN(got.error());
        CO_RETURN();
        CO_END;
    }
};

struct ByHand {
    template <class Make>
    static auto waits(std::string name, Make make) {
        return WaitsFrame<Make>{.name = std::move(name), .make = std::move(make)};
    }
};

struct ByCompiler {
    template <class Make>
    static Co<void> waits(std::string name, Make make) {
        const auto got = co_await make();
        tell(name, got);
        if (!got) co_return got.error();
        co_return Result<void>();
    }
};

using Authors = testing::Types<ByHand, ByCompiler>;
struct AuthorNames {
    template <class Author>
    static std::string GetName(int) {
        return std::is_base_of_v<ByHand, Author> ? "ByHand" : "ByCompiler";
    }
};

class VirtualLoop : public testing::Test {
protected:
    void SetUp() override {
        story.clear();
        ASSERT_TRUE(loop.open({.kernel = "simulated"}));
        // That nobody asks some of the tasks for their errors is no news here.
        loop.set_error_handler([](void*, const ErrorReport&) {}, nullptr);
    }
    void TearDown() override {
        EXPECT_EQ(loop.task_count(), 0u) << "a task is left";
        EXPECT_EQ(loop.pool->blocks.blocks_in_use(), 0u) << "a block is left";
        EXPECT_TRUE(loop.close());
    }

    template <class C>
    TaskRef<void> spawn(C coroutine) {
        auto task = loop.create_task(std::move(coroutine));
        EXPECT_TRUE(task);
        return *std::move(task);
    }
    void turn() {
        loop.stop();
        ASSERT_TRUE(loop.run_forever());
    }
    /// Turns until nothing is ready; time stands still.
    void settle() {
        while (!loop.ready.empty()) turn();
    }
    std::int64_t now_ms() { return loop.time_ns() / millisecond_ns; }
    void pass_ms(std::int64_t duration_ms) {
        TimedCallback leave([](void* self) { static_cast<EventLoop*>(self)->stop(); }, &loop);
        loop.call_later(leave, duration_ms * millisecond_ns);
        ASSERT_TRUE(loop.run_forever());
    }
    void cancel_after_ms(TaskRef<void>& task, std::int64_t delay_ms) {
        ASSERT_TRUE(loop.call_later([&task] { task.cancel(); }, delay_ms * millisecond_ns));
    }
    /// Begins a frame that has no task, and waits.
    template <class F>
    void begin(F& frame, Frame& driver) {
        const SchedulerScope scope(loop);
        EXPECT_FALSE(frame.start(driver));
        frame.waiter = nullptr;
    }
    void destroy_while_it_waits(Frame& frame) {
        const SchedulerScope scope(loop);
        destroy_awaited(frame);
    }
    std::string printed_tree() {
        return test_system::printed([this](std::FILE* file) { print_tree(loop, file); });
    }
    static bool contains(const std::string& text, const char* part) {
        return text.find(part) != std::string::npos;
    }

    EventLoop loop;
};

}  // namespace pollard
