// Closing: what is armed completes first, then the close, then the number is free and its next owner is a stranger.
#include <algorithm>
#include <cerrno>
#include <memory>

#include "platform/observer.h"
#include "platform/system_sockets.h"
#include "tests/conformance/completion_port_conformance.h"
#include "tests/system.h"

namespace pollard::conformance {

class PortClose : public PortTest {
protected:
    std::size_t place_of(const Operation& operation) {
        const auto found = std::find(driver.told.begin(), driver.told.end(), &operation);
        return static_cast<std::size_t>(found - driver.told.begin());
    }
    /// Opened on the port, with the number that was just given back.
    Handle reuse(Handle number) {
        const Handle handle = socket();
        EXPECT_EQ(handle, number) << "the lowest free number is given out first";
        return handle;
    }
    void connect(Handle handle, Handle listening) {
        const Address address = world.address_of(listening);
        Connecting connecting(driver, handle, address);
        ASSERT_TRUE(connecting.finish());
        EXPECT_TRUE(connecting.result());
    }
};

// --- close ---

TEST_P(PortClose, AnIdleHandleIsClosed) {
    const Ends ends = pair();
    close(ends.ours);
    EXPECT_FALSE(world.is_open(ends.ours));
    EXPECT_EQ(world.recv_to_end(ends.peer), "");
}

TEST_P(PortClose, AHandleThatWasInUseIsClosed) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    world.send(ends.peer, "data");
    ASSERT_TRUE(receiving.finish());
    close(ends.ours);
    EXPECT_FALSE(world.is_open(ends.ours));
    EXPECT_EQ(world.recv_to_end(ends.peer), "");
}

TEST_P(PortClose, WhatIsArmedIsCancelledFirst) {
    const Ends ends = narrow_pair();
    const std::string bytes = numbered_bytes(5'000'000);
    Receiving receiving(driver, ends.ours);
    SendingAll sending(driver, ends.ours, readable_bytes(bytes));
    receiving.start();
    sending.start();
    expect_armed(receiving);
    Closing closing(driver, ends.ours);
    closing.start();
    EXPECT_FALSE(closing.done());
    ASSERT_TRUE(closing.finish());
    EXPECT_TRUE(closing.result());
    world.closed(ends.ours);
    ASSERT_TRUE(receiving.done() && sending.done());
    EXPECT_EQ(kind_of(receiving.result()), ErrorKind::cancelled);
    EXPECT_EQ(kind_of(sending.result()), ErrorKind::cancelled);
    EXPECT_LT(place_of(receiving), place_of(closing));
    EXPECT_LT(place_of(sending), place_of(closing));
    EXPECT_FALSE(world.is_open(ends.ours));
}

TEST_P(PortClose, AListenerWithAnArmedAcceptIsClosed) {
    const Handle listening = listener();
    Accepting accepting(driver, listening);
    accepting.start();
    close(listening);
    ASSERT_TRUE(accepting.done());
    EXPECT_EQ(kind_of(accepting.result()), ErrorKind::cancelled);
}

TEST_P(PortClose, WhatWasJustCancelledCompletesBeforeTheClose) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    receiving.cancel();
    bool was_told_first = false;
    Closing closing(driver, ends.ours);
    closing.then = [&] { was_told_first = receiving.done(); };
    if (closing.start().done()) was_told_first = receiving.done();
    ASSERT_TRUE(all_done(driver, receiving, closing));
    EXPECT_TRUE(closing.result());
    world.closed(ends.ours);
    EXPECT_TRUE(was_told_first);
}

TEST_P(PortClose, WhatHasNewsAlreadyCompletesBeforeTheClose) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    world.send(ends.peer, "data");
    ASSERT_TRUE(has_come(ends.ours));
    for (int waits = 0; waits < 100 && driver.ready.empty(); ++waits) {
        ASSERT_TRUE(driver.wait(patience_ns));
    }
    bool was_told_first = false;
    Closing closing(driver, ends.ours);
    closing.then = [&] { was_told_first = receiving.done(); };
    if (closing.start().done()) was_told_first = receiving.done();
    ASSERT_TRUE(all_done(driver, receiving, closing));
    EXPECT_TRUE(closing.result());
    world.closed(ends.ours);
    EXPECT_TRUE(was_told_first);
    if (!receiving.result()) {
        EXPECT_EQ(kind_of(receiving.result()), ErrorKind::cancelled);
    }
}

TEST_P(PortClose, DuringAndAfterACloseTheHandleIsABadHandle) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    Closing closing(driver, ends.ours);
    closing.start();
    const auto expect_refused = [&] {
        Sending sending(driver, ends.ours, readable_bytes(std::string_view("x")));
        ASSERT_TRUE(sending.start().was_inline());
        EXPECT_EQ(kind_of(sending.result()), ErrorKind::bad_handle);
        Closing again(driver, ends.ours);
        ASSERT_TRUE(again.start().was_inline());
        EXPECT_EQ(kind_of(again.result()), ErrorKind::bad_handle);
    };
    expect_refused();
    ASSERT_TRUE(closing.finish());
    world.closed(ends.ours);
    expect_refused();
}

TEST_P(PortClose, ClosingWithUnreadBytesResetsThePeer) {
    const Ends ends = pair();
    world.send(ends.peer, "never read");
    ASSERT_TRUE(world.await(ends.ours, POLLIN));
    close(ends.ours);
    ASSERT_TRUE(world.await(ends.peer, POLLIN));
    // A socket of Windows keeps no error for SO_ERROR; there the receive tells it.
    if (world.simulated() != nullptr || test_system::sockets_remember_resets) {
        EXPECT_EQ(world.pending_error(ends.peer), ECONNRESET);
    }
}

// Also where the kernel has received them ahead, for an operation that never came.
TEST_P(PortClose, ClosingWithUnreadBytesBehindAReceiveResetsThePeerToo) {
    const Ends ends = pair();
    Borrowing borrowing(driver, ends.ours);
    borrowing.start();
    world.send(ends.peer, "read");
    ASSERT_TRUE(borrowing.finish());
    EXPECT_TRUE(borrowing.result());
    world.send(ends.peer, "never read");
    driver.settle();
    close(ends.ours);
    ASSERT_TRUE(world.await(ends.peer, POLLIN));
    if (world.simulated() != nullptr || test_system::sockets_remember_resets) {
        EXPECT_EQ(world.pending_error(ends.peer), ECONNRESET);
    }
}

TEST_P(PortClose, ACompletionMayCloseItsOwnHandle) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    Closing closing(driver, ends.ours);
    receiving.then = [&] { closing.start(); };
    receiving.start();
    ASSERT_FALSE(receiving.done());
    world.send(ends.peer, "data");
    ASSERT_TRUE(all_done(driver, receiving, closing));
    EXPECT_EQ(receiving.text(), "data");
    EXPECT_TRUE(closing.result());
    world.closed(ends.ours);
}

// asyncio's way to end: one side of a conversation closes while the other still waits.
TEST_P(PortClose, BothEndsOfAConnectionCanBeClosedAtOnce) {
    const Ends ends = pair_on_port();
    Receiving one(driver, ends.ours);
    Receiving other(driver, ends.peer);
    one.start();
    other.start();
    Closing closing_one(driver, ends.ours);
    Closing closing_other(driver, ends.peer);
    closing_one.start();
    closing_other.start();
    ASSERT_TRUE(all_done(driver, one, other, closing_one, closing_other));
    world.closed(ends.ours);
    world.closed(ends.peer);
}

TEST_P(PortClose, AFailedCloseIsAnError) {
    if (!GetParam().passes_the_door) GTEST_SKIP() << "its operations make no calls that could fail";
    const Ends ends = pair();
    world.failing.fail(Call::close, EIO);
    Closing closing(driver, ends.ours);
    ASSERT_TRUE(closing.finish());
    EXPECT_EQ(kind_of(closing.result()), ErrorKind::other);
    EXPECT_EQ(closing.result().error().code, EIO);
    EXPECT_EQ(closing.result().error().call, Call::close);
}

// --- the number's next owner ---

TEST_P(PortClose, ANumberThatIsReusedBelongsToAStranger) {
    const Handle listening = world.listener();
    for (int round = 0; round < 10; ++round) {
        const Handle former = socket();
        connect(former, listening);
        const Handle peer = world.accepted_from(listening);
        Receiving receiving(driver, former);
        receiving.start();
        world.send(peer, "for the former");
        close(former);
        // Whatever the kernel still has to say of the former owner must not reach the new one.
        const Handle stranger = reuse(former);
        BecomingReadable becoming_readable(driver, stranger);
        connect(stranger, listening);
        becoming_readable.start();
        expect_armed(becoming_readable);
        const Handle strangers_peer = world.accepted_from(listening);
        world.send(strangers_peer, "for the stranger");
        ASSERT_TRUE(becoming_readable.finish());
        EXPECT_EQ(recv(stranger), "for the stranger");
        close(stranger);
        world.close(peer);
        world.close(strangers_peer);
    }
}

// Two handles have news in one batch; the first one's completion ends the second and takes its number.
TEST_P(PortClose, ANumberThatIsReusedWithinABatchBelongsToAStranger) {
    const Handle listening = world.listener();
    Ends pairs[2] = {pair(), pair()};
    Receiving receivings[2] = {{driver, pairs[0].ours}, {driver, pairs[1].ours}};
    Handle stranger = no_handle;
    std::unique_ptr<Receiving> strangers;
    const auto take_over = [&](Handle victim) {
        if (stranger != no_handle) return;
        driver.discard(victim);
        world.closed(victim);
        stranger = socket();
    };
    receivings[0].then = [&] { take_over(pairs[1].ours); };
    receivings[1].then = [&] { take_over(pairs[0].ours); };
    for (Receiving& each : receivings) each.start();
    for (const Ends& ends : pairs) world.send(ends.peer, "data");
    for (const Ends& ends : pairs) ASSERT_TRUE(has_come(ends.ours));
    ASSERT_TRUE(all_done(driver, receivings[0], receivings[1]));
    connect(stranger, listening);
    BecomingReadable becoming_readable(driver, stranger);
    becoming_readable.start();
    expect_armed(becoming_readable);
    world.send(world.accepted_from(listening), "hello");
    ASSERT_TRUE(becoming_readable.finish());
    EXPECT_EQ(recv(stranger), "hello");
}

// --- discard ---

TEST_P(PortClose, DiscardClosesWithNobodyListening) {
    const Ends ends = pair();
    driver.discard(ends.ours);
    driver.settle();
    world.closed(ends.ours);
    EXPECT_FALSE(world.is_open(ends.ours));
    EXPECT_EQ(world.recv_to_end(ends.peer), "");
}

TEST_P(PortClose, DiscardCompletesWhatIsArmed) {
    const Ends ends = narrow_pair();
    const std::string bytes = numbered_bytes(5'000'000);
    Receiving receiving(driver, ends.ours);
    SendingAll sending(driver, ends.ours, readable_bytes(bytes));
    receiving.start();
    sending.start();
    expect_armed(sending);
    driver.discard(ends.ours);
    ASSERT_TRUE(all_done(driver, receiving, sending));
    world.closed(ends.ours);
    EXPECT_EQ(kind_of(receiving.result()), ErrorKind::cancelled);
    EXPECT_EQ(kind_of(sending.result()), ErrorKind::cancelled);
    driver.settle();
    EXPECT_FALSE(world.is_open(ends.ours));
}

TEST_P(PortClose, DiscardingTwiceOrAfterACloseIsHarmless) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    driver.discard(ends.ours);
    driver.discard(ends.ours);
    ASSERT_TRUE(receiving.finish());
    world.closed(ends.ours);
    driver.settle();
    driver.discard(ends.ours);
    const Ends others = pair();
    close(others.ours);
    driver.discard(others.ours);
}

TEST_P(PortClose, ACompletionMayDiscardItsOwnHandle) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.then = [&] { driver.discard(ends.ours); };
    receiving.start();
    ASSERT_FALSE(receiving.done());
    world.send(ends.peer, "data");
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.text(), "data");
    driver.settle();
    world.closed(ends.ours);
    EXPECT_FALSE(world.is_open(ends.ours));
}

TEST_P(PortClose, AFailedDiscardIsReported) {
    if (!GetParam().passes_the_door) GTEST_SKIP() << "its operations make no calls that could fail";
    struct Listening : Observer {
        Error heard;
    } observer;
    observer.problem = [](Observer& self, const char*, const Error& error) {
        static_cast<Listening&>(self).heard = error;
    };
    const Ends ends = pair();
    current_observer = &observer;
    world.failing.fail(Call::close, EIO);
    driver.discard(ends.ours);
    current_observer = nullptr;
    EXPECT_EQ(observer.heard.code, EIO);
    EXPECT_EQ(observer.heard.descriptor, ends.ours);
}

INSTANTIATE_TEST_SUITE_P(Every, PortClose, testing::ValuesIn(tested_ports()), port_subject_name);

}  // namespace pollard::conformance
