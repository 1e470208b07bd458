// Arming, and what it promises: at least one event after the direction becomes ready, whatever makes it so.

#include <algorithm>
#include <cerrno>
#include <string>

#include "platform/socket.h"
#include "platform/system_sockets.h"
#include "tests/conformance/poller_conformance.h"
#include "tests/system.h"

namespace pollard::conformance {

using enum EventBits;

class PollerReadiness : public PollerTest {};

// --- when it becomes ready, seen from the caller ---

TEST_P(PollerReadiness, WhatWasReadyBeforeAddIsTold) {
    const Ends ends = world.pair();
    world.send(ends.peer, "x");
    ASSERT_TRUE(world.await(ends.ours, POLLIN));
    const Token token = add(ends.ours);
    arm(token, Direction::read);
    EXPECT_TRUE(told(token, readable));
}

// A caller tries, would block, and only then asks the poller: what arrives in between must not be lost.
TEST_P(PollerReadiness, WhatArrivesBetweenTheTryAndAddIsTold) {
    const Ends ends = world.pair();
    ASSERT_TRUE(world.would_block(ends.ours));
    world.send(ends.peer, "x");
    ASSERT_TRUE(world.await(ends.ours, POLLIN));
    const Token token = add(ends.ours);
    arm(token, Direction::read);
    EXPECT_TRUE(told(token, readable));
}

TEST_P(PollerReadiness, WhatArrivesBetweenTheTryAndArmIsTold) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    drain();
    ASSERT_TRUE(world.would_block(ends.ours));
    world.send(ends.peer, "x");
    ASSERT_TRUE(world.await(ends.ours, POLLIN));
    arm(token, Direction::read);
    EXPECT_TRUE(told(token, readable));
}

TEST_P(PollerReadiness, WhatArrivesAfterArmIsTold) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    drain();
    ASSERT_TRUE(world.would_block(ends.ours));
    arm(token, Direction::read);
    forget();
    world.send(ends.peer, "x");
    EXPECT_TRUE(told(token, readable));
}

TEST_P(PollerReadiness, AfterEachWouldBlockTheNextArrivalIsTold) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    for (int round = 0; round < 20; ++round) {
        ASSERT_TRUE(world.would_block(ends.ours));
        arm(token, Direction::read);
        forget();
        world.send(ends.peer, "ping");
        ASSERT_TRUE(told(token, readable)) << "round " << round;
        EXPECT_EQ(world.recv(ends.ours, 4), "ping");
    }
}

// Whoever was told and finds nothing (a spurious event, or somebody else was quicker) arms again.
TEST_P(PollerReadiness, ASpuriousEventCostsNothingButATry) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    for (int round = 0; round < 20; ++round) {
        arm(token, Direction::read);
        drain();
        ASSERT_TRUE(world.would_block(ends.ours));
    }
    arm(token, Direction::read);
    forget();
    world.send(ends.peer, "x");
    ASSERT_TRUE(world.await(ends.ours, POLLIN));
    EXPECT_TRUE(told(token, readable));
}

// --- the two directions ---

TEST_P(PollerReadiness, RoomToSendIsTold) {
    const Ends ends = world.narrow_pair();
    const Token token = add(ends.ours);
    for (int round = 0; round < 3; ++round) {
        const std::size_t filled = world.fill(ends.ours);
        arm(token, Direction::write);
        drain();
        arm(token, Direction::write);
        EXPECT_EQ(world.recv(ends.peer, filled).size(), filled);
        ASSERT_TRUE(told(token, writable)) << "round " << round;
    }
}

TEST_P(PollerReadiness, AReadyWriteLeavesTheReadArmed) {
    const Ends ends = world.narrow_pair();
    const std::size_t filled = world.fill(ends.ours);
    const Token token = add(ends.ours);
    arm(token, Direction::read);
    arm(token, Direction::write);
    EXPECT_EQ(world.recv(ends.peer, filled).size(), filled);
    ASSERT_TRUE(told(token, writable));
    ASSERT_TRUE(world.would_block(ends.ours));
    forget();
    world.send(ends.peer, "x");
    EXPECT_TRUE(told(token, readable));
}

TEST_P(PollerReadiness, AReadyReadLeavesTheWriteArmed) {
    const Ends ends = world.narrow_pair();
    std::size_t filled = world.fill(ends.ours);
    const Token token = add(ends.ours);
    arm(token, Direction::read);
    arm(token, Direction::write);
    world.send(ends.peer, "x");
    ASSERT_TRUE(told(token, readable));
    // The kernel may have moved on some of the bytes meanwhile; then it has told so, and is asked again.
    if (was_told(token, writable)) {
        filled += world.fill(ends.ours);
        arm(token, Direction::write);
    }
    forget();
    EXPECT_EQ(world.recv(ends.peer, filled).size(), filled);
    EXPECT_TRUE(told(token, writable));
}

// --- connections ---

TEST_P(PollerReadiness, AConnectionMakesItsListenerReadable) {
    const Handle listening = world.listener();
    const Token token = add(listening);
    for (int round = 0; round < 3; ++round) {
        arm(token, Direction::read);
        drain();
        const Handle client = world.connecting_to(world.address_of(listening));
        ASSERT_TRUE(told(token, readable)) << "round " << round;
        world.close(world.accepted_from(listening));
        world.close(client);
    }
}

TEST_P(PollerReadiness, AConnectThatIsThereMakesItsSocketWritable) {
    const Handle listening = world.listener();
    const Handle client = world.connecting_to(world.address_of(listening));
    const Token token = add(client);
    arm(token, Direction::write);
    ASSERT_TRUE(told(token, writable));
    ASSERT_TRUE(world.await(client, POLLOUT));
    EXPECT_EQ(world.pending_error(client), 0);
}

TEST_P(PollerReadiness, ARefusedConnectIsTold) {
    const Handle listening = world.listener();
    const Address nobody = world.address_of(listening);
    world.close(listening);
    const Handle client = world.socket();
    world.connect(client, nobody);
    const Token token = add(client);
    arm(token, Direction::write);
    ASSERT_TRUE(told(token, a_failure(writable)));
    EXPECT_EQ(world.pending_error(client), ECONNREFUSED);
}

// --- how it ends ---

TEST_P(PollerReadiness, APeerThatClosesIsAHangUp) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    drain();
    arm(token, Direction::read);
    world.close(ends.peer);
    EXPECT_TRUE(told(token, the_end()));
    EXPECT_EQ(world.recv(ends.ours, 10), "");
}

TEST_P(PollerReadiness, APeerThatHalfClosesIsAHangUpAndCanStillBeSentTo) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    drain();
    arm(token, Direction::read);
    world.half_close(ends.peer);
    ASSERT_TRUE(told(token, the_end()));
    EXPECT_EQ(world.recv(ends.ours, 10), "");
    world.send(ends.ours, "good bye");
    EXPECT_EQ(world.recv(ends.peer, 8), "good bye");
}

// The caller reads less than it asked for and has to know that the end is behind it: by this event, or by a
// further one after it armed.
TEST_P(PollerReadiness, TheEndBehindTheLastBytesIsToldToo) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    drain();
    arm(token, Direction::read);
    world.send(ends.peer, "last words");
    world.close(ends.peer);
    ASSERT_TRUE(told(token, readable));
    EXPECT_EQ(world.recv(ends.ours, 10), "last words");
    if (!GetParam().tells_the_end) forget();
    arm(token, Direction::read);
    EXPECT_TRUE(told(token, the_end()));
}

TEST_P(PollerReadiness, AnEndThatWasThereBeforeAddIsTold) {
    const Ends ends = world.pair();
    world.send(ends.peer, "last words");
    world.half_close(ends.peer);
    EXPECT_EQ(world.recv_to_end(ends.ours), "last words");
    const Token token = add(ends.ours);
    arm(token, Direction::read);
    EXPECT_TRUE(told(token, the_end()));
}

TEST_P(PollerReadiness, AResetIsAnErrorOrAHangUp) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    drain();
    arm(token, Direction::read);
    world.reset(ends.peer);
    ASSERT_TRUE(told(token, a_failure()));
    // A socket of Windows keeps no error for SO_ERROR.
    if (world.simulated() != nullptr || test_system::sockets_remember_resets) {
        EXPECT_EQ(world.pending_error(ends.ours), ECONNRESET);
    }
}

TEST_P(PollerReadiness, AResetEndsTheWaitForRoomToo) {
    const Ends ends = world.narrow_pair();
    world.fill(ends.ours);
    const Token token = add(ends.ours);
    arm(token, Direction::write);
    drain();
    arm(token, Direction::write);
    world.reset(ends.peer);
    EXPECT_TRUE(told(token, error | hang_up | writable));
}

TEST_P(PollerReadiness, UrgentDataIsTold) {
    if (!GetParam().has_urgent_data) GTEST_SKIP() << "this kernel knows no urgent data";
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    drain();
    arm(token, Direction::read);
    ASSERT_EQ(world.kernel().send(world.kernel(), ends.peer, "!", 1, MSG_OOB), 1);
    EXPECT_TRUE(told(token, urgent));
}

// --- many at once ---

TEST_P(PollerReadiness, MoreEventsThanFitAreToldLater) {
    std::vector<Ends> all;
    std::vector<Token> tokens;
    for (std::uint32_t number = 0; number < 10; ++number) {
        all.push_back(world.pair());
        tokens.push_back(add(all.back().ours, number));
    }
    drain();
    for (const Token token : tokens) arm(token, Direction::read);
    for (const Ends& ends : all) world.send(ends.peer, "x");
    for (const Ends& ends : all) ASSERT_TRUE(world.await(ends.ours, POLLIN));
    const auto all_told = [&] {
        return std::all_of(tokens.begin(), tokens.end(),
                           [&](Token token) { return was_told(token, readable); });
    };
    for (int looks = 0; looks < 100 && !all_told(); ++looks) wait(0, 3);
    EXPECT_TRUE(all_told());
}

TEST_P(PollerReadiness, AnArrayLargerThanTheKernelsOwnIsFine) {
    std::vector<Ends> all;
    std::vector<Token> tokens;
    for (std::uint32_t number = 0; number < 200; ++number) {
        all.push_back(world.pair());
        tokens.push_back(add(all.back().ours, number));
        arm(tokens.back(), Direction::read);
        world.send(all.back().peer, "x");
    }
    for (int looks = 0; looks < 100; ++looks) wait(millisecond_ns, 1000);
    for (const Token token : tokens) EXPECT_TRUE(was_told(token, readable)) << token.generation;
}

TEST_P(PollerReadiness, OnlyTheOneThatIsReadyIsToldToBe) {
    const Ends quiet = world.narrow_pair();
    const Ends loud = world.pair();
    world.fill(quiet.ours);
    const Token quiet_token = add(quiet.ours, 1);
    const Token loud_token = add(loud.ours, 2);
    drain();
    arm(loud_token, Direction::read);
    world.send(loud.peer, "x");
    ASSERT_TRUE(told(loud_token, readable));
    // Nobody armed the quiet one, so that even a spurious event would be a lie.
    EXPECT_FALSE(was_told(quiet_token, readable | hang_up | error));
}

INSTANTIATE_TEST_SUITE_P(Every, PollerReadiness, testing::ValuesIn(tested_pollers()), subject_name);

}  // namespace pollard::conformance
