// Tests that are run twice, once with hand-written frames and once with the compiler's, on a loop in virtual time that
// must leave nothing behind.
//
// (Here the author is a value. Where what a test makes has another type for each author, the author is a type: see
// tests/virtual_loop.h.)
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/event_loop.h"
#include "core/task.h"
#include "platform/memory.h"

namespace pollard {

enum class Author { hand, compiler };

inline std::string author_name(const testing::TestParamInfo<Author>& author) {
    return author.param == Author::hand ? "ByHand" : "ByTheCompiler";
}
inline auto both_authors() { return testing::Values(Author::hand, Author::compiler); }

using Story = std::vector<std::string>;
/// What happened, and what the loop has reported, in order.
inline Story story;
inline Story reports;

class LoopByAuthor : public testing::TestWithParam<Author> {
protected:
    void SetUp() override {
        story.clear();
        reports.clear();
        before = memory_counters();
        const Result<void> opened = loop.open({.kernel = "simulated"});
        ASSERT_TRUE(opened) << describe(opened.error()).c_str();
        loop.set_error_handler(take_report, nullptr);
    }
    void TearDown() override {
        EXPECT_TRUE(loop.close());
        EXPECT_EQ(loop.pending_cancels, 0u);
        EXPECT_EQ(loop.cancel_messages, 0u);
        const MemoryCounters after = memory_counters();
        EXPECT_EQ(after.allocations - before.allocations, after.releases - before.releases)
            << "memory is left";
    }

    /// A task of the frame that one gives, or of the coroutine that the other calls.
    template <class ByHand, class ByCompiler>
    auto create_task(ByHand frame, ByCompiler coroutine, const TaskOptions& options = {}) {
        if (GetParam() == Author::hand) return *loop.create_task(frame(), options);
        std::optional<SchedulerScope> scope;  // the compiler's frame comes from this loop's pool
        if (current_scheduler == nullptr) scope.emplace(loop);
        auto made = coroutine();
        scope.reset();
        return *loop.create_task(std::move(made), options);
    }
    void run_turns(int count) {
        for (int i = 0; i < count; ++i) {
            loop.stop();
            ASSERT_TRUE(loop.run_forever());
        }
    }

    MemoryCounters before;
    EventLoop loop;

private:
    static void take_report(void*, const ErrorReport& report) {
        std::string text = std::string(report.message) + ": " + describe(report.error).c_str();
        if (report.task != nullptr) text += std::string(" in ") + name_of(*report.task).c_str();
        reports.push_back(text);
    }
};

}  // namespace pollard
