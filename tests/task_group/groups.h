// What the tests of TaskGroup share: a block with a group in it, whose children and body end by their plans.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/co_await.h"
#include "core/combinators/task_group.h"
#include "core/coroutine.h"
#include "core/event_loop.h"
#include "tests/combinators.h"

namespace pollard {

using Plans = std::vector<Plan>;

/// What a driver left for the test to look at.
struct Seen {
    std::vector<TaskRef<int>> children;
    TaskGroup* group = nullptr;
    std::vector<std::string> errors;  // "child: busy", "body: closed"
    Error after;                      // of a create_task when all was over
    std::uint32_t messages_left = 0;  // of requests, that the task still keeps
};
inline Seen seen;

template <class Author>
void add(TaskGroup& group, const Plans& plans) {
    for (const Plan& plan : plans) {
        auto task = group.create_task(Author::child(plan));
        EXPECT_TRUE(task) << describe(task.error()).c_str();
        if (task) seen.children.push_back(*task);
    }
}
/// How the block ended: what join gave, with the errors told.
template <class Author>
Result<void> note(TaskGroup& group, Result<void> done) {
    story.push_back(done ? "joined" : describe(done.error().kind));
    for (const TaskGroup::Errors::Item& item : group.errors())
        seen.errors.push_back(std::string(item.task == nullptr ? "body" : "child") + ": " +
                              describe(item.error.kind));
    seen.after = group.create_task(Author::child({.name = "late"})).error();
    seen.messages_left = current_scheduler->cancel_messages;
    return done;
}

/// Children, and a body that ends by its own plan.
struct Block : Coroutine<Block, void, Awaits<HandWrittenChild, TaskGroup::Join>> {
    Plans children;
    Plan body_plan;
    TaskGroup group;
    std::uint32_t began = 0;
    Result<int> body_ended;
    Result<void> done;
    Progress body() {
        CO_BEGIN;
        seen.group = &group;
        group.enter();
        add<ByHand>(group, children);
        CO_AWAIT(body_ended, ByHand::child(body_plan));
        began = running_loop().turn_count;
        CO_AWAIT(done, group.join(body_ended.error()));
        turns_waited = running_loop().turn_count - began;
        CO_RETURN(note<ByHand>(group, done));
        CO_END;
    }
};
inline Co<void> block(Plans children, Plan body_plan) {
    TaskGroup group;
    seen.group = &group;
    group.enter();
    add<ByCompiler>(group, children);
    const Result<int> body_ended = co_await ByCompiler::child(body_plan);
    const std::uint32_t began = running_loop().turn_count;
    const Result<void> done = co_await group.join(body_ended.error());
    turns_waited = running_loop().turn_count - began;
    co_return note<ByCompiler>(group, done);
}

template <class Author>
class Groups : public CombinatorTest {
protected:
    static constexpr bool by_hand = std::is_same_v<Author, ByHand>;

    void SetUp() override {
        seen = {};
        CombinatorTest::SetUp();
    }
    void TearDown() override {
        seen = {};
        CombinatorTest::TearDown();
    }
    static auto block_of(const Plans& children, const Plan& body = {.name = "body"}) {
        if constexpr (by_hand)
            return Block{.children = children, .body_plan = body};
        else
            return block(children, body);
    }
    template <class C>
    ErrorKind kind_of(C coroutine) {
        return run(std::move(coroutine)).error().kind;
    }
};
TYPED_TEST_SUITE(Groups, Authors);

/// The same where the author makes no difference.
class GroupsInGroups : public CombinatorTest {
    void TearDown() override {
        seen = {};
        CombinatorTest::TearDown();
    }
};

}  // namespace pollard
