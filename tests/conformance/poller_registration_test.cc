// Registering: what may be watched, how it is named, and how it is forgotten.

#include <algorithm>
#include <cstdint>

#include "platform/memory.h"
#include "platform/socket.h"
#include "platform/system_sockets.h"
#include "tests/conformance/poller_conformance.h"
#include "tests/system.h"

namespace pollard::conformance {

using enum EventBits;

class PollerRegistration : public PollerTest {};

TEST_P(PollerRegistration, ClosingThePollerLeavesTheDescriptorsOpen) {
    const Ends ends = world.pair();
    add(ends.ours);
    poller->close();
    poller = nullptr;
    EXPECT_TRUE(world.is_open(ends.ours));
    world.send(ends.peer, "still here");
    EXPECT_EQ(world.recv(ends.ours, 10), "still here");
}

TEST_P(PollerRegistration, ManyPollersLiveSideBySide) {
    Poller* others[8];
    for (Poller*& other : others) {
        const Result<Poller*> opened = GetParam().open(world);
        ASSERT_TRUE(opened);
        other = *opened;
    }
    for (Poller* other : others) other->close();
}

TEST_P(PollerRegistration, WhatIsRemovedCanBeAddedAgain) {
    const Ends ends = world.pair();
    for (std::uint32_t round = 1; round <= 3; ++round) {
        const Token token = add(ends.ours, round);
        arm(token, Direction::read);
        world.send(ends.peer, "x");
        EXPECT_TRUE(told(token, readable)) << "round " << round;
        EXPECT_EQ(world.recv(ends.ours, 1), "x");
        remove(token);
    }
}

TEST_P(PollerRegistration, AddingTwiceIsAMistakeAndTheFirstRegistrationStays) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours, 1);
    EXPECT_EQ(kind_of(poller->add({ends.ours, 2})), ErrorKind::invalid_argument);
    arm(token, Direction::read);
    world.send(ends.peer, "x");
    ASSERT_TRUE(told(token, readable));
    EXPECT_EQ(std::count(tokens_.begin(), tokens_.end(), Token{ends.ours, 2}), 0);
}

TEST_P(PollerRegistration, RemovingWhatWasNeverAddedIsNotFound) {
    EXPECT_EQ(kind_of(poller->remove({world.pair().ours, 1})), ErrorKind::not_found);
}

TEST_P(PollerRegistration, RemovingTwiceIsNotFound) {
    const Token token = add(world.pair().ours);
    remove(token);
    EXPECT_EQ(kind_of(poller->remove(token)), ErrorKind::not_found);
}

TEST_P(PollerRegistration, AnErrorNamesTheDescriptor) {
    const Ends ends = world.pair();
    const Error error = poller->remove({ends.ours, 1}).error();
    ASSERT_EQ(error.object, Error::Object::descriptor);
    EXPECT_EQ(error.descriptor, ends.ours);
}

TEST_P(PollerRegistration, ADescriptorThatIsNotOpenIsABadHandle) {
    const Handle handle = world.socket();
    world.close(handle);
    EXPECT_EQ(kind_of(poller->add({handle, 1})), ErrorKind::bad_handle);
    EXPECT_EQ(kind_of(poller->add({no_handle, 1})), ErrorKind::bad_handle);
}

// A regular file is always "ready": a kernel either says so, or will not watch one.
TEST_P(PollerRegistration, ARegularFileIsNotSupportedOrAlwaysReady) {
    if (!GetParam().has_files) GTEST_SKIP() << "this kernel has sockets only";
    const int file = test_system::open_regular_file();
    ASSERT_GE(file, 0);
    const Token token = {world.keep(file), 1};
    if (!GetParam().watches_files) {
        EXPECT_EQ(kind_of(poller->add(token)), ErrorKind::not_supported);
        return;
    }
    add(token.handle);
    for (int round = 0; round < 3; ++round) {
        arm(token, Direction::read);
        forget();
        EXPECT_TRUE(told(token, readable));
    }
}

TEST_P(PollerRegistration, TheTokenComesBackUnchanged) {
    for (const std::uint32_t generation : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
        const Ends ends = world.pair();
        const Token token = add(ends.ours, generation);
        arm(token, Direction::read);
        forget();
        world.send(ends.peer, "x");
        ASSERT_TRUE(told(token, readable));
        EXPECT_EQ(tokens_.back(), token);
        remove(token);
    }
}

TEST_P(PollerRegistration, AReusedNumberComesBackWithItsNewGeneration) {
    const Ends first = world.pair();
    const Token token = add(first.ours, 1);
    arm(token, Direction::read);
    world.send(first.peer, "for the former owner");
    remove(token);
    world.close(first.ours);
    // The lowest free number is given out first, so one of these two is the former one.
    const Ends second = world.pair();
    const Handle reused = second.peer == first.ours ? second.peer : second.ours;
    ASSERT_EQ(reused, first.ours);
    const Token successor = add(reused, 2);
    arm(successor, Direction::read);
    world.send(reused == second.ours ? second.peer : second.ours, "x");
    ASSERT_TRUE(told(successor, readable));
    for (const Token each : tokens_) EXPECT_EQ(each, successor);
}

TEST_P(PollerRegistration, NothingIsToldAfterRemove) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    arm(token, Direction::read);
    arm(token, Direction::write);
    world.send(ends.peer, "x");
    remove(token);
    world.close(ends.peer);
    let_pass(10 * millisecond_ns);
    EXPECT_FALSE(was_told_anything(token));
}

TEST_P(PollerRegistration, WhatIsRemovedBetweenTwoBatchesIsNotInTheSecond) {
    const Ends first = world.pair();
    const Ends second = world.pair();
    const Token tokens[] = {add(first.ours), add(second.ours)};
    for (const Token token : tokens) {
        drain();
        arm(token, Direction::read);
    }
    world.send(first.peer, "x");
    world.send(second.peer, "x");
    ASSERT_TRUE(world.await(first.ours, POLLIN) && world.await(second.ours, POLLIN));
    for (int looks = 0; looks < 10 && wait(patience_ns, 1) == 0; ++looks) {
    }
    ASSERT_FALSE(tokens_.empty());
    const Token other = tokens_.back() == tokens[0] ? tokens[1] : tokens[0];
    remove(other);
    let_pass(10 * millisecond_ns);
    EXPECT_FALSE(was_told_anything(other));
}

TEST_P(PollerRegistration, TwoPollersMayWatchOneDescriptor) {
    const Result<Poller*> opened = GetParam().open(world);
    ASSERT_TRUE(opened);
    Poller* other = *opened;
    const Ends ends = world.pair();
    const Token token = add(ends.ours, 1);
    add_to(*other, {ends.ours, 2});
    arm(token, Direction::read);
    ASSERT_TRUE(other->arm({ends.ours, 2}, Direction::read));
    world.send(ends.peer, "x");
    ASSERT_TRUE(told(token, readable));
    forget();
    const std::int64_t deadline_ns = world.now_ns() + patience_ns;
    while (!was_told({ends.ours, 2}, readable) && world.now_ns() < deadline_ns && !HasFailure())
        wait_on(*other, patience_ns);
    EXPECT_TRUE(was_told({ends.ours, 2}, readable));
    EXPECT_EQ(tokens_.back(), (Token{ends.ours, 2}));
    other->close();
}

TEST_P(PollerRegistration, ADuplicateIsADescriptorOfItsOwn) {
    if (!GetParam().has_duplicates) GTEST_SKIP() << "this kernel has no dup(2)";
    const Ends ends = world.pair();
    const Handle twin = world.keep(test_system::duplicate(ends.ours));
    const Token token = add(ends.ours, 1);
    const Token twin_token = add(twin, 2);
    arm(token, Direction::read);
    arm(twin_token, Direction::read);
    world.send(ends.peer, "x");
    EXPECT_TRUE(told(token, readable));
    EXPECT_TRUE(told(twin_token, readable));
}

// The trap of epoll(7): a registration lives until the last duplicate of the open file is closed. Whoever
// removes before closing does not fall into it.
TEST_P(PollerRegistration, ADuplicateKeepsNothingAliveThatWasRemoved) {
    if (!GetParam().has_duplicates) GTEST_SKIP() << "this kernel has no dup(2)";
    const Ends ends = world.pair();
    const Handle twin = world.keep(test_system::duplicate(ends.ours));
    const Token token = add(ends.ours);
    drain();
    remove(token);
    world.close(ends.ours);
    world.send(ends.peer, "x");
    EXPECT_EQ(world.recv(twin, 1), "x");
    let_pass(5 * millisecond_ns);
    EXPECT_FALSE(was_told_anything(token));
}

TEST_P(PollerRegistration, FiveHundredDescriptorsCanBeWatched) {
    raise_descriptor_limit();
    std::vector<Ends> all;
    std::vector<Token> tokens;
    for (std::uint32_t number = 0; number < 500; ++number) {
        all.push_back(world.pair());
        tokens.push_back(add(all.back().ours, number));
        arm(tokens.back(), Direction::read);
    }
    for (const Ends& ends : all) world.send(ends.peer, "x");
    for (const Token token : tokens) ASSERT_TRUE(told(token, readable)) << token.generation;
    for (const Token token : tokens) remove(token);
}

TEST_P(PollerRegistration, OpeningWithoutMemoryIsAnErrorAndLeavesNothing) {
    for (std::uint64_t passes = 0;; ++passes) {
        ASSERT_LT(passes, 100u);
        const std::uint64_t memory = memory_in_use();
        const std::size_t descriptors = open_descriptors();
        fail_allocations_after(passes);
        const Result<Poller*> opened = GetParam().open(world);
        fail_allocations_after(0, 0);
        if (opened) {
            (*opened)->close();
            EXPECT_GE(passes, 1u) << "opening takes no memory, or not from platform/memory.h";
            break;
        }
        EXPECT_EQ(kind_of(opened), ErrorKind::out_of_memory);
        EXPECT_EQ(memory_in_use(), memory);
        EXPECT_EQ(open_descriptors(), descriptors);
    }
}

TEST_P(PollerRegistration, OpeningWithoutDescriptorsIsAnErrorAndLeavesNothing) {
    if (GetParam().world.simulated) GTEST_SKIP() << "its poller takes no descriptor";
    if (!DescriptorShortage::is_possible(world)) GTEST_SKIP() << "this system has no limit of descriptors";
    for (unsigned spare = 0;; ++spare) {
        ASSERT_LT(spare, 100u);
        const std::uint64_t memory = memory_in_use();
        const std::size_t descriptors = open_descriptors();
        const Result<Poller*> opened = [&] {
            const DescriptorShortage shortage(world, spare);
            return GetParam().open(world);
        }();
        if (opened) {
            (*opened)->close();
            EXPECT_GE(spare, 1u) << "there was no shortage";
            break;
        }
        EXPECT_EQ(kind_of(opened), ErrorKind::descriptors_exhausted);
        EXPECT_EQ(memory_in_use(), memory);
        EXPECT_EQ(open_descriptors(), descriptors);
    }
}

INSTANTIATE_TEST_SUITE_P(Every, PollerRegistration, testing::ValuesIn(tested_pollers()), subject_name);

}  // namespace pollard::conformance
