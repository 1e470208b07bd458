// Scopes that wait at their ends: what is entered, what is left, in which order, and with which error.
#include "core/async_scope.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/co_await.h"
#include "core/sleep.h"
#include "core/task.h"
#include "tests/bare_scheduler.h"

using namespace pollard;

namespace {

using Story = std::vector<std::string>;
Story story;

std::string words(const Error& error) {
    return error.kind == ErrorKind::none ? "none" : pollard::describe(error.kind);
}

class AsyncScopes : public BareScheduler {
protected:
    void SetUp() override {
        story.clear();
        BareScheduler::SetUp();
    }
};

/// Takes a turn to enter and one to leave; each may fail.
struct Room {
    const char* name;
    Error enter_error = {};
    Error leave_error = {};
    bool swallows = false;

    struct Enter : Coroutine<Enter, void, Awaits<Sleep>> {
        Room* room;
        Progress body() {
            CO_BEGIN;
            CO_TRY(sleep_ns(0));
            if (room->enter_error.kind != ErrorKind::none) CO_RETURN(room->enter_error);
            story.push_back(std::string("in ") + room->name);
            CO_END;
        }
    };
    struct Leave : Coroutine<Leave, bool, Awaits<Sleep>> {
        Room* room;
        Error error;
        Progress body() {
            CO_BEGIN;
            story.push_back(std::string("out ") + room->name + ": " + words(error));
            CO_TRY(sleep_ns(0));
            if (room->leave_error.kind != ErrorKind::none) CO_RETURN(room->leave_error);
            CO_RETURN(room->swallows && error.kind != ErrorKind::none);
            CO_END;
        }
    };
    Enter aenter() { return Enter{.room = this}; }
    Leave aexit(const Error& error) { return Leave{.room = this, .error = error}; }
};

const Error broken(ErrorKind::broken_pipe, Call::send);
const Error unreachable(ErrorKind::unreachable, Call::connect);

struct Works : Coroutine<Works, void, Awaits<Sleep>> {
    Error ends_with = {};
    Progress body() {
        CO_BEGIN;
        story.push_back("works");
        CO_TRY(sleep_ns(0));
        if (ends_with.kind != ErrorKind::none) CO_RETURN(ends_with);
        CO_END;
    }
};
Co<void> co_works(Error ends_with) {
    story.push_back("works");
    Result<void> slept = co_await sleep_ns(0);
    if (!slept) co_return slept;
    if (ends_with.kind != ErrorKind::none) co_return Result<void>(ends_with);
    co_return Result<void>();
}

/// The two ways to write the use of a scope.
struct Visits : Coroutine<Visits, void, Awaits<WithAsync<Room, Works>>> {
    Room* room;
    Error ends_with;
    Progress body() {
        CO_BEGIN;
        CO_TRY(with_async(*room, Works{.ends_with = ends_with}));
        CO_END;
    }
};
Co<void> co_visits(Room* room, Error ends_with) {
    Result<void> visited = co_await in_place([&] { return with_async(*room, co_works(ends_with)); });
    co_return visited;
}
struct ByHand {
    static Visits visit(Room& room, Error ends_with) { return {.room = &room, .ends_with = ends_with}; }
};
struct ByCompiler {
    static Co<void> visit(Room& room, Error ends_with) { return co_visits(&room, ends_with); }
};

template <class Author>
class BothAuthors : public AsyncScopes {
protected:
    auto visit(Room& room, Error ends_with = {}) { return Author::visit(room, ends_with); }
};
using Authors = testing::Types<ByHand, ByCompiler>;
TYPED_TEST_SUITE(BothAuthors, Authors, );

TYPED_TEST(BothAuthors, ItIsEnteredTheBodyRunsAndItIsLeft) {
    Room room{.name = "a"};
    EXPECT_TRUE(this->run(this->visit(room)));
    EXPECT_EQ(story, (Story{"in a", "works", "out a: none"}));
}

TYPED_TEST(BothAuthors, AnErrorOfTheBodyIsShownToAexitAndComesOut) {
    Room room{.name = "a"};
    EXPECT_EQ(this->run(this->visit(room, broken)).error().kind, ErrorKind::broken_pipe);
    EXPECT_EQ(story, (Story{"in a", "works", "out a: the peer no longer receives"}));
}

TYPED_TEST(BothAuthors, AnAexitThatGivesTrueSwallowsTheError) {
    Room room{.name = "a", .swallows = true};
    EXPECT_TRUE(this->run(this->visit(room, broken)));
}

TYPED_TEST(BothAuthors, AnErrorOfAexitTakesThePlaceOfTheBodys) {
    Room room{.name = "a", .leave_error = unreachable};
    EXPECT_EQ(this->run(this->visit(room, broken)).error().kind, ErrorKind::unreachable);
    EXPECT_EQ(this->run(this->visit(room)).error().kind, ErrorKind::unreachable);
}

TYPED_TEST(BothAuthors, WhenEnteringFailsNeitherTheBodyNorAexitRuns) {
    Room room{.name = "a", .enter_error = unreachable};
    EXPECT_EQ(this->run(this->visit(room)).error().kind, ErrorKind::unreachable);
    EXPECT_TRUE(story.empty());
}

TYPED_TEST(BothAuthors, CancelledWhileItEntersItIsNotLeft) {
    Room room{.name = "a"};
    auto task = this->spawn(this->visit(room));
    this->scheduler.run_turn();
    task.cancel();
    this->scheduler.run_until_idle();
    EXPECT_TRUE(task.cancelled());
    EXPECT_TRUE(story.empty());
}

TYPED_TEST(BothAuthors, CancelledInTheBodyItIsLeftWithThatError) {
    Room room{.name = "a"};
    auto task = this->spawn(this->visit(room));
    this->scheduler.run_turn();
    this->scheduler.run_turn();
    task.cancel();
    this->scheduler.run_until_idle();
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(story, (Story{"in a", "works", "out a: cancelled"}));
}

TYPED_TEST(BothAuthors, CancelledWhileItLeavesAexitIsHit) {
    Room room{.name = "a", .swallows = true};
    auto task = this->spawn(this->visit(room, broken));
    for (int i = 0; i < 3; ++i) this->scheduler.run_turn();
    ASSERT_EQ(story.back(), "out a: the peer no longer receives");
    task.cancel();
    this->scheduler.run_until_idle();
    EXPECT_TRUE(task.cancelled());
}

TYPED_TEST(BothAuthors, CancelledBeforeItsFirstStepNothingRuns) {
    Room room{.name = "a"};
    auto task = this->spawn(this->visit(room));
    task.cancel();
    this->scheduler.run_until_idle();
    EXPECT_TRUE(task.cancelled());
    EXPECT_TRUE(story.empty());
}

// --- several ---

struct VisitsTwo : Coroutine<VisitsTwo, void, Awaits<WithAsync<Room, WithAsync<Room, Works>>>> {
    Room* left;
    Room* right;
    Error ends_with = {};
    Progress body() {
        CO_BEGIN;
        CO_TRY(with_async(*left, with_async(*right, Works{.ends_with = ends_with})));
        CO_END;
    }
};

TEST_F(AsyncScopes, SeveralAreEnteredFromLeftToRightAndLeftInReverse) {
    Room a{.name = "a"};
    Room b{.name = "b"};
    EXPECT_TRUE(run(VisitsTwo{.left = &a, .right = &b}));
    EXPECT_EQ(story, (Story{"in a", "in b", "works", "out b: none", "out a: none"}));
}

TEST_F(AsyncScopes, WhatTheInnerSwallowsTheOuterDoesNotSee) {
    Room a{.name = "a"};
    Room b{.name = "b", .swallows = true};
    EXPECT_TRUE(run(VisitsTwo{.left = &a, .right = &b, .ends_with = broken}));
    EXPECT_EQ(story, (Story{"in a", "in b", "works", "out b: the peer no longer receives", "out a: none"}));
}

TEST_F(AsyncScopes, WhenTheSecondCannotBeEnteredTheFirstIsLeftWithThatError) {
    Room a{.name = "a"};
    Room b{.name = "b", .enter_error = unreachable};
    EXPECT_EQ(run(VisitsTwo{.left = &a, .right = &b}).error().kind, ErrorKind::unreachable);
    EXPECT_EQ(story, (Story{"in a", "out a: unreachable"}));
}

// --- a stack ---

struct EntersAll : Coroutine<EntersAll, void, Awaits<EnterInto<Room>, Sleep>> {
    AsyncExitStack* stack;
    std::vector<AsyncExit<Room>>* rooms;
    Error ends_with = {};
    std::size_t i = 0;
    Progress body() {
        CO_BEGIN;
        for (i = 0; i < rooms->size(); ++i) CO_TRY(stack->enter_async_context((*rooms)[i]));
        story.push_back("works");
        CO_TRY(sleep_ns(0));
        if (ends_with.kind != ErrorKind::none) CO_RETURN(ends_with);
        CO_END;
    }
};
struct UsesStack : Coroutine<UsesStack, void, Awaits<WithAsync<AsyncExitStack, EntersAll>>> {
    AsyncExitStack* stack;
    std::vector<AsyncExit<Room>>* rooms;
    Error ends_with = {};
    Progress body() {
        CO_BEGIN;
        CO_TRY(with_async(*stack, EntersAll{.stack = stack, .rooms = rooms, .ends_with = ends_with}));
        CO_END;
    }
};
Co<void> co_enters_all(AsyncExitStack& stack, std::vector<AsyncExit<Room>>& rooms, Error ends_with) {
    for (AsyncExit<Room>& room : rooms) {
        Result<void> entered = co_await in_place([&] { return stack.enter_async_context(room); });
        if (!entered) co_return entered;
    }
    story.push_back("works");
    Result<void> slept = co_await sleep_ns(0);
    if (!slept) co_return slept;
    if (ends_with.kind != ErrorKind::none) co_return Result<void>(ends_with);
    co_return Result<void>();
}
Co<void> co_uses_stack(AsyncExitStack& stack, std::vector<AsyncExit<Room>>& rooms, Error ends_with) {
    Result<void> used =
        co_await in_place([&] { return with_async(stack, co_enters_all(stack, rooms, ends_with)); });
    co_return used;
}

class AsyncExitStacks : public AsyncScopes {
protected:
    /// By both authors; gives the error and leaves the story of the second, which must be the first's.
    Error use(Error ends_with = {}) {
        const Error by_hand =
            run(UsesStack{.stack = &stack, .rooms = &entries, .ends_with = ends_with}).error();
        const Story first = std::exchange(story, {});
        const Error by_compiler = run(co_uses_stack(stack, entries, ends_with)).error();
        EXPECT_EQ(first, story);
        EXPECT_EQ(by_hand.kind, by_compiler.kind);
        EXPECT_TRUE(stack.empty());
        return by_compiler;
    }
    Room a{.name = "a"};
    Room b{.name = "b"};
    Room c{.name = "c"};
    AsyncExitStack stack;
    std::vector<AsyncExit<Room>> entries = make_entries();
    std::vector<AsyncExit<Room>> make_entries() {
        std::vector<AsyncExit<Room>> made;
        for (Room* room : {&a, &b, &c}) made.emplace_back(*room);
        return made;
    }
};

TEST_F(AsyncExitStacks, WhatWasEnteredIsLeftInReverse) {
    EXPECT_EQ(use().kind, ErrorKind::none);
    EXPECT_EQ(story, (Story{"in a", "in b", "in c", "works", "out c: none", "out b: none", "out a: none"}));
}

TEST_F(AsyncExitStacks, WhatOneSwallowsThoseBelowDoNotSee) {
    b.swallows = true;
    EXPECT_EQ(use(broken).kind, ErrorKind::none);
    EXPECT_EQ(story, (Story{"in a", "in b", "in c", "works", "out c: the peer no longer receives",
                            "out b: the peer no longer receives", "out a: none"}));
}

TEST_F(AsyncExitStacks, AnErrorOfOneIsShownToThoseBelowAndComesOut) {
    b.leave_error = unreachable;
    EXPECT_EQ(use().kind, ErrorKind::unreachable);
    EXPECT_EQ(story,
              (Story{"in a", "in b", "in c", "works", "out c: none", "out b: none", "out a: unreachable"}));
}

TEST_F(AsyncExitStacks, AnErrorOfOneMayBeSwallowedByThoseBelow) {
    c.leave_error = unreachable;
    a.swallows = true;
    EXPECT_EQ(use(broken).kind, ErrorKind::none);
}

TEST_F(AsyncExitStacks, OnlyWhatCouldBeEnteredIsLeft) {
    b.enter_error = unreachable;
    EXPECT_EQ(use().kind, ErrorKind::unreachable);
    EXPECT_EQ(story, (Story{"in a", "out a: unreachable"}));
}

TEST_F(AsyncExitStacks, CancelledInTheBodyAllAreLeft) {
    auto task = spawn(UsesStack{.stack = &stack, .rooms = &entries});
    for (int i = 0; i < 4; ++i) scheduler.run_turn();
    ASSERT_EQ(story.back(), "works");
    task.cancel();
    scheduler.run_until_idle();
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(story, (Story{"in a", "in b", "in c", "works", "out c: cancelled", "out b: cancelled",
                            "out a: cancelled"}));
}

TEST_F(AsyncExitStacks, ItMayBeClosedByHandAndPushedWithoutEntering) {
    stack.push_async_exit(entries[0]);
    stack.push_async_exit(entries[1]);
    EXPECT_TRUE(run(stack.aclose()));
    EXPECT_EQ(story, (Story{"out b: none", "out a: none"}));
    EXPECT_TRUE(stack.empty());
}

TEST_F(AsyncExitStacks, DestroyedWhileItLeavesEverythingIsDestroyedInnermostFirst) {
    Frame driver(nullptr);
    {
        UsesStack uses{.stack = &stack, .rooms = &entries};
        ASSERT_FALSE(uses.start(driver));
        uses.waiter = nullptr;
        for (int i = 0; i < 5; ++i) scheduler.run_turn();
        ASSERT_EQ(story.back(), "out b: none");
        destroy_awaited(uses);
    }
}

// --- aclosing ---

struct Counts : AsyncGenerator<Counts, int, Awaits<Sleep>> {
    int i = 0;
    Result<Nothing> asked;
    Progress body() {
        CO_BEGIN;
        for (i = 0;; ++i) {
            CO_AWAIT(asked, yield(i));
            if (!asked) break;
        }
        CO_TRY(sleep_ns(0));
        story.push_back("cleaned up: " + words(asked.error()));
        CO_RETURN(asked.error());
        CO_END;
    }
};
struct TakesOne : Coroutine<TakesOne, void, Awaits<Next<Counts>>> {
    Counts* counts;
    Progress body() {
        CO_BEGIN;
        CO_TRY(counts->next());
        CO_RETURN(broken);
        CO_END;
    }
};
struct Closes : Coroutine<Closes, void, Awaits<WithAsync<Aclosing<Counts>, TakesOne>>> {
    Counts* counts;
    Aclosing<Counts> closing;
    Progress body() {
        CO_BEGIN;
        CO_TRY(with_async(closing, TakesOne{.counts = counts}));
        CO_END;
    }
};

TEST_F(AsyncScopes, AclosingClosesTheGeneratorHoweverTheBodyEnds) {
    Counts counts;
    EXPECT_EQ(run(Closes{.counts = &counts, .closing = aclosing(counts)}).error().kind,
              ErrorKind::broken_pipe);
    EXPECT_EQ(story, (Story{"cleaned up: closed"}));
    EXPECT_EQ(counts.state(), GeneratorState::finished);
}

}  // namespace
