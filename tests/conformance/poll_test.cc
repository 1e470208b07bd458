// The poller of poll(2) alone: its list, and what level-triggered means for it.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "platform/memory.h"
#include "tests/conformance/poller_conformance.h"

namespace pollard::conformance {

using enum EventBits;

class PollList : public PollerTest {
protected:
    std::array<Token, 4> add_four_readable() {
        std::array<Token, 4> tokens;
        for (Token& token : tokens) {
            const Ends ends = world.pair();
            token = add(ends.ours);
            arm(token, Direction::read);
            world.send(ends.peer, "x");
            EXPECT_TRUE(world.await(ends.ours, POLLIN));
        }
        return tokens;
    }
};

TEST_P(PollList, WhatWasToldIsNotToldAgainUntilItIsArmed) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    arm(token, Direction::read);
    world.send(ends.peer, "x");
    ASSERT_TRUE(told(token, readable));
    forget();
    EXPECT_EQ(wait(0), 0u);
    arm(token, Direction::read);
    EXPECT_EQ(wait(0), 1u);
    EXPECT_TRUE(was_told(token, readable));
}

TEST_P(PollList, AHangUpThatNobodyWaitsForDoesNotEndTheWait) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    world.reset(ends.peer);
    ASSERT_TRUE(world.await(ends.ours, POLLIN));
    const std::int64_t took_ns =
        world.duration_of(5 * millisecond_ns, [this](std::int64_t time_ns) { EXPECT_EQ(wait(time_ns), 0u); });
    EXPECT_GE(took_ns, 5 * millisecond_ns);
    arm(token, Direction::write);
    EXPECT_EQ(wait(0), 1u);
    EXPECT_TRUE(was_told(token, hang_up | error));
}

// Out-of-band data stays until it is read, and an ordinary receive does not read it.
TEST_P(PollList, TheUrgentMarkAloneDoesNotEndEachWaitAnew) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    arm(token, Direction::read);
    ASSERT_EQ(world.kernel().send(world.kernel(), ends.peer, "!", 1, MSG_OOB), 1);
    ASSERT_TRUE(told(token, urgent));
    forget();
    arm(token, Direction::read);
    EXPECT_EQ(wait(0), 0u);
    world.send(ends.peer, "x");
    ASSERT_TRUE(told(token, readable));
}

TEST_P(PollList, ANumberThatSomebodyElseHasClosedIsToldOnceAsAnErrorAndCanBeRemoved) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    arm(token, Direction::read);
    arm(token, Direction::write);
    world.close(ends.ours);
    ASSERT_TRUE(told(token, error));
    forget();
    EXPECT_EQ(wait(0), 0u);
    remove(token);
}

TEST_P(PollList, WhicheverEntryIsRemovedTheOthersStay) {
    for (std::size_t removed = 0; removed < 4; ++removed) {
        const std::array<Token, 4> tokens = add_four_readable();
        remove(tokens[removed]);
        EXPECT_EQ(kind_of(poller->arm(tokens[removed], Direction::read)), ErrorKind::not_found);
        EXPECT_EQ(wait(0), 3u);
        for (const Token token : tokens) {
            EXPECT_EQ(was_told(token, readable), token != tokens[removed]);
            if (token != tokens[removed]) remove(token);
        }
        forget();
    }
}

TEST_P(PollList, AStaleTokenReachesNobody) {
    const Ends ends = world.pair();
    add(ends.ours, 2);
    EXPECT_EQ(kind_of(poller->arm({ends.ours, 1}, Direction::read)), ErrorKind::not_found);
    EXPECT_EQ(kind_of(poller->remove({ends.ours, 1})), ErrorKind::not_found);
    arm({ends.ours, 2}, Direction::read);
}

TEST_P(PollList, WhoStandsBehindIsToldAsOftenAsWhoStandsInFront) {
    const std::array<Token, 4> tokens = add_four_readable();
    for (int round = 0; round < 3; ++round) {
        forget();
        for (std::size_t number = 0; number < tokens.size(); ++number) {
            EXPECT_EQ(wait(0, 1), 1u);
            arm(tokens_.back(), Direction::read);  // there is still something to read
        }
        for (const Token token : tokens) EXPECT_TRUE(was_told(token, readable)) << token.handle;
    }
}

TEST_P(PollList, TheKernelLooksAtTheNewestFirstAndAtTheWakeLast) {
    static std::vector<Handle> looked_at;
    world.failing.after = [](InterposedKernel&, const KernelCall& call) {
        const auto* list = static_cast<const pollfd*>(call.bytes);
        if (call.call != Call::poll) return;
        looked_at.clear();
        for (std::int64_t i = 0; i < call.argument[0]; ++i) looked_at.push_back(list[i].fd);
    };
    std::vector<Handle> newest_first;
    for (int number = 0; number < 100; ++number) {  // the list grows meanwhile
        const Token token = add(world.pair().ours);
        arm(token, Direction::read);
        newest_first.insert(newest_first.begin(), token.handle);
    }
    EXPECT_EQ(wait(0), 0u);
    ASSERT_EQ(looked_at.size(), newest_first.size() + 1);
    looked_at.pop_back();
    EXPECT_EQ(looked_at, newest_first);
}

TEST_P(PollList, GrowingWithoutMemoryIsAnErrorAndLosesNothing) {
    const std::array<Token, 4> tokens = add_four_readable();
    const Handle far = world.keep(::fcntl(world.socket(), F_DUPFD_CLOEXEC, 500));
    ASSERT_GE(far, 500);
    for (std::uint64_t passes = 0; passes < 2; ++passes) {
        fail_allocations_after(passes);
        EXPECT_EQ(kind_of(poller->add({far, 1})), ErrorKind::out_of_memory);
        fail_allocations_after(0, 0);
        EXPECT_EQ(kind_of(poller->arm({far, 1}, Direction::read)), ErrorKind::not_found);
    }
    const Token token = add(far);
    arm(token, Direction::write);
    EXPECT_EQ(wait(0), 5u);
    for (const Token each : tokens) EXPECT_TRUE(was_told(each, readable));
    EXPECT_TRUE(was_told_anything(token));
}

TEST_P(PollList, AWakeThatCannotBeReadIsAnErrorAndIsTakenLater) {
    poller->wake();
    world.failing.fail(Call::read, EIO);
    PollerEvent event;
    const Error error = poller->wait({&event, 1}, -1).error();
    EXPECT_EQ(error.code, EIO);
    EXPECT_EQ(error.call, Call::read);
    EXPECT_EQ(wait(-1), 0u);
    world.failing.fail(Call::write, EIO);
    poller->wake();  // fails: there is nothing to wait for
    poller->wake();
    EXPECT_EQ(wait(-1), 0u);
}

TEST_P(PollList, TheFailureOfTheWakeDescriptorIsToldByItsCall) {
    for (const auto& [call, code] : {std::pair(Call::eventfd, EMFILE), std::pair(Call::pipe, ENFILE)}) {
        World other({});
        other.failing.fail(Call::eventfd, call == Call::eventfd ? code : ENOSYS);
        if (call == Call::pipe) other.failing.fail(Call::pipe, code);
        const Error error = open_poll_poller(other.failing).error();
        EXPECT_EQ(error.kind, ErrorKind::descriptors_exhausted);
        EXPECT_EQ(error.call, call);
        other.expect_nothing_left();
    }
}

INSTANTIATE_TEST_SUITE_P(Poll, PollList,
                         testing::Values(PollerSubject{.name = "poll", .open = open_poll},
                                         PollerSubject{.name = "poll_with_pipe",
                                                       .open = open_poll_with_pipe}),
                         subject_name);

}  // namespace pollard::conformance
