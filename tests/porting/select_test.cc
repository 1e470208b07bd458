// What only select(2) does: it ends at FD_SETSIZE, and one closed number in a set fails the whole call.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "platform/socket.h"
#include "tests/conformance/poller_conformance.h"
#include "tests/porting/select_poller.h"

namespace pollard::conformance {

class SelectPollerTest : public testing::Test {
protected:
    void SetUp() override {
        const Result<Poller*> opened = open_select_poller(world.failing);
        ASSERT_TRUE(opened) << describe(opened.error()).c_str();
        poller = *opened;
    }
    void TearDown() override {
        if (poller != nullptr) poller->close();
        world.expect_nothing_left();
    }
    /// The same open file under this number, or under the next that is free.
    Handle under_number(Handle handle, int number) {
        const Handle made = ::fcntl(handle, F_DUPFD_CLOEXEC, number);
        EXPECT_GE(made, number) << "the limit of open descriptors is too low for this test";
        return world.keep(made);
    }
    PollerEvent only_event() {
        PollerEvent events[8];
        const Result<std::size_t> count = poller->wait(events, patience_ns);
        EXPECT_TRUE(count) << describe(count.error()).c_str();
        EXPECT_EQ(count.value_or(0), 1u);
        return events[0];
    }

    World world{{}};
    Poller* poller = nullptr;
};

TEST_F(SelectPollerTest, ANumberThatFitsIntoNoSetIsAnErrorAndNoCrash) {
    if (raise_descriptor_limit() < FD_SETSIZE + 10) GTEST_SKIP() << "too few descriptors are allowed";
    const Ends ends = world.pair();
    for (const int number : {FD_SETSIZE, FD_SETSIZE + 1, FD_SETSIZE + 5}) {
        const Token token = {under_number(ends.ours, number), 1};
        const Result<void> added = poller->add(token);
        EXPECT_EQ(kind_of(added), ErrorKind::descriptors_exhausted);
        EXPECT_EQ(added.error().descriptor, token.handle);
        EXPECT_EQ(kind_of(poller->arm(token, Direction::read)), ErrorKind::not_found);
        EXPECT_EQ(kind_of(poller->remove(token)), ErrorKind::not_found);
    }
}

TEST_F(SelectPollerTest, TheHighestNumberOfASetIsWatched) {
    if (raise_descriptor_limit() < FD_SETSIZE + 10) GTEST_SKIP() << "too few descriptors are allowed";
    const Ends ends = world.pair();
    const Token token = {under_number(ends.ours, FD_SETSIZE - 1), 1};
    ASSERT_TRUE(poller->add(token));
    ASSERT_TRUE(poller->arm(token, Direction::read));
    world.send(ends.peer, "x");
    const PollerEvent event = only_event();
    EXPECT_EQ(event.token, token);
    EXPECT_EQ(event.what, EventBits::readable);
    EXPECT_TRUE(poller->remove(token));
}

TEST_F(SelectPollerTest, APollerWhoseWakeFitsIntoNoSetDoesNotOpen) {
    if (raise_descriptor_limit() < FD_SETSIZE + 10) GTEST_SKIP() << "too few descriptors are allowed";
    const Handle handle = world.socket();
    while (world.keep(::dup(handle)) < FD_SETSIZE - 1) {
    }
    EXPECT_EQ(kind_of(open_select_poller(world.failing)), ErrorKind::descriptors_exhausted);
}

TEST_F(SelectPollerTest, OneClosedNumberIsToldAndTheOthersGoOn) {
    const Ends closed = world.pair();
    const Ends ends = world.pair();
    const Token of_closed = {closed.ours, 1};
    const Token of_other = {ends.ours, 2};
    for (const Token token : {of_closed, of_other}) {
        ASSERT_TRUE(poller->add(token));
        ASSERT_TRUE(poller->arm(token, Direction::read));
    }
    world.close(closed.ours);  // and not removed before: somebody's mistake
    const PollerEvent event = only_event();
    EXPECT_EQ(event.token, of_closed);
    EXPECT_EQ(event.what, EventBits::error);
    world.send(ends.peer, "x");
    EXPECT_EQ(only_event().token, of_other);
    EXPECT_TRUE(poller->remove(of_closed));
}

TEST_F(SelectPollerTest, AnEventDisarmsItsDirectionAndNoOther) {
    const Ends ends = world.pair();
    const Token token = {ends.ours, 1};
    ASSERT_TRUE(poller->add(token));
    ASSERT_TRUE(poller->arm(token, Direction::read));
    ASSERT_TRUE(poller->arm(token, Direction::write));
    EXPECT_EQ(only_event().what, EventBits::writable);
    PollerEvent event;
    EXPECT_EQ(poller->wait({&event, 1}, 0).value_or(1), 0u) << "it would be told again and again";
    world.send(ends.peer, "x");
    EXPECT_EQ(only_event().what, EventBits::readable);
}

}  // namespace pollard::conformance
