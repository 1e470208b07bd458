// Streams: bytes arrive once and in order, whatever pieces they travel in, and the end is never missed.
//
// The heart of it is the short read. A port may conclude from one that the socket is empty and not ask again;
// then everything that can stand behind the last bytes must be told of by an event: the end, a reset, the
// urgent mark.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <memory>

#include "platform/socket.h"
#include "platform/system_sockets.h"
#include "tests/conformance/completion_port_conformance.h"

namespace pollard::conformance {

class PortStreams : public PortTest {
protected:
    /// Sends and closes in such a way that both are there before the other end looks.
    void send_and_close(Handle peer, std::string_view bytes) {
        world.send(peer, bytes);
        world.close(peer);
    }
};

// --- receiving ---

TEST_P(PortStreams, WhatHasArrivedIsReceived) {
    const Ends ends = pair();
    world.send(ends.peer, "early");
    ASSERT_TRUE(world.await(ends.ours, POLLIN));
    EXPECT_EQ(recv(ends.ours), "early");
}

TEST_P(PortStreams, WhatArrivesLaterIsReceived) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    expect_armed(receiving);
    world.send(ends.peer, "late");
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.text(), "late");
}

TEST_P(PortStreams, ASmallBufferTakesTheBytesPieceByPiece) {
    const Ends ends = pair();
    world.send(ends.peer, "0123456789");
    ASSERT_TRUE(world.await(ends.ours, POLLIN));
    EXPECT_EQ(recv(ends.ours, 4), "0123");
    EXPECT_EQ(recv(ends.ours, 4), "4567");
    EXPECT_EQ(recv(ends.ours, 4), "89");
    Receiving receiving(driver, ends.ours);
    receiving.start();
    expect_armed(receiving);
}

TEST_P(PortStreams, ABufferThatIsExactlyFilledHidesNothing) {
    const Ends ends = pair();
    for (int round = 0; round < 5; ++round) {
        world.send(ends.peer, "12345678");
        EXPECT_EQ(recv_all(ends.ours, 8), "12345678");
    }
    world.half_close(ends.peer);
    EXPECT_EQ(recv(ends.ours, 8), "");
}

TEST_P(PortStreams, AnEmptyBufferReceivesNothingAndConsumesNothing) {
    const Ends ends = pair();
    world.send(ends.peer, "text");
    ASSERT_TRUE(world.await(ends.ours, POLLIN));
    EXPECT_EQ(recv(ends.ours, 0), "");
    EXPECT_EQ(recv(ends.ours), "text");
}

TEST_P(PortStreams, AMegabyteArrivesInOrder) {
    const Ends ends = pair_on_port();
    const std::string bytes = numbered_bytes(1 << 20);
    SendingAll sending(driver, ends.peer, readable_bytes(bytes));
    sending.start();
    const std::string received = recv_all(ends.ours, bytes.size());
    EXPECT_TRUE(received == bytes) << received.size() << " bytes";
    ASSERT_TRUE(sending.finish());
    EXPECT_TRUE(sending.result());
}

// --- the end ---

TEST_P(PortStreams, TheEndIsZeroAndStaysZero) {
    const Ends ends = pair();
    world.half_close(ends.peer);
    for (int times = 0; times < 3; ++times) EXPECT_EQ(recv(ends.ours), "");
}

TEST_P(PortStreams, TheEndCompletesAReceiveThatWaits) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    expect_armed(receiving);
    world.close(ends.peer);
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.result().value_or(1), 0u);
}

TEST_P(PortStreams, AShortReadHidesNoEndThatCameWithIt) {
    const Ends ends = pair();
    send_and_close(ends.peer, "last words");
    ASSERT_TRUE(world.await(ends.ours, POLLRDHUP));
    EXPECT_EQ(recv(ends.ours), "last words");
    EXPECT_EQ(recv(ends.ours), "");
}

TEST_P(PortStreams, AShortReadHidesNoEndThatCameWhileItWaited) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    expect_armed(receiving);
    send_and_close(ends.peer, "last words");
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.text(), "last words");
    EXPECT_EQ(recv(ends.ours), "");
}

// The event told of bytes only; the end arrives before the operation has its turn.
TEST_P(PortStreams, AShortReadHidesNoEndThatCameBetweenTheEventAndItsTurn) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    world.send(ends.peer, "last words");
    for (int waits = 0; waits < 100 && driver.ready.empty(); ++waits) ASSERT_TRUE(driver.wait(patience_ns));
    world.half_close(ends.peer);
    ASSERT_TRUE(world.await(ends.ours, POLLRDHUP));
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.text(), "last words");
    EXPECT_EQ(recv(ends.ours), "");
}

TEST_P(PortStreams, AShortReadHidesNoEndThatComesLater) {
    const Ends ends = pair();
    world.send(ends.peer, "words");
    EXPECT_EQ(recv(ends.ours), "words");
    Receiving receiving(driver, ends.ours);
    receiving.start();
    expect_armed(receiving);
    world.half_close(ends.peer);
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.result().value_or(1), 0u);
}

// An event that came while nobody waited must not be forgotten.
TEST_P(PortStreams, AnEndThatWasToldWhileNobodyWaitedIsFound) {
    const Ends ends = pair();
    world.send(ends.peer, "a");
    EXPECT_EQ(recv(ends.ours), "a");
    Receiving waits(driver, ends.ours, 1);
    waits.start();
    expect_armed(waits);
    send_and_close(ends.peer, "bcd");
    ASSERT_TRUE(world.await(ends.ours, POLLRDHUP));
    ASSERT_TRUE(waits.finish());
    EXPECT_EQ(waits.text(), "b");
    driver.settle();
    EXPECT_EQ(recv(ends.ours), "cd");
    EXPECT_EQ(recv(ends.ours), "");
}

// What a write event says comes between: it must not make the port forget the end that a read event told of.
TEST_P(PortStreams, RoomToSendBringsNoForgettingOfTheEnd) {
    const Ends ends = narrow_pair();
    const std::size_t filled = world.fill(ends.ours);
    Receiving receiving(driver, ends.ours, 1);
    BecomingWritable becoming_writable(driver, ends.ours);
    receiving.start();
    becoming_writable.start();
    world.send(ends.peer, "abc");
    world.half_close(ends.peer);
    ASSERT_TRUE(world.await(ends.ours, POLLRDHUP));
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(world.recv(ends.peer, filled).size(), filled);
    ASSERT_TRUE(becoming_writable.finish());
    driver.settle();
    EXPECT_EQ(recv(ends.ours), "bc");
    EXPECT_EQ(recv(ends.ours), "");
}

TEST_P(PortStreams, AfterThePeersEndSendingGoesOn) {
    const Ends ends = pair();
    world.half_close(ends.peer);
    EXPECT_EQ(recv(ends.ours), "");
    const std::string bytes = numbered_bytes(100'000);
    SendingAll sending(driver, ends.ours, readable_bytes(bytes));
    sending.start();
    EXPECT_TRUE(read_slowly(ends.peer, bytes.size(), bytes.size()) == bytes);
    ASSERT_TRUE(sending.finish());
    EXPECT_TRUE(sending.result());
}

// --- resets ---

TEST_P(PortStreams, AResetIsAnErrorOfTheReceive) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    expect_armed(receiving);
    world.reset(ends.peer);
    ASSERT_TRUE(receiving.finish());
    expect_reset(kind_of(receiving.result()));
    if (receiving.failed()) {
        EXPECT_EQ(receiving.error().call, Call::recv);
    }
}

TEST_P(PortStreams, AShortReadHidesNoReset) {
    const Ends ends = pair();
    world.send(ends.peer, "words");
    ASSERT_TRUE(world.await(ends.ours, POLLIN));
    EXPECT_EQ(recv(ends.ours), "words");
    Receiving receiving(driver, ends.ours);
    receiving.start();
    world.reset(ends.peer);
    ASSERT_TRUE(receiving.finish());
    expect_reset(kind_of(receiving.result()));
}

TEST_P(PortStreams, AResetMakesTheHandleReadableAndWritable) {
    const Ends ends = narrow_pair();
    world.fill(ends.ours);
    BecomingReadable becoming_readable(driver, ends.ours);
    BecomingWritable becoming_writable(driver, ends.ours);
    becoming_readable.start();
    becoming_writable.start();
    world.reset(ends.peer);
    ASSERT_TRUE(all_done(driver, becoming_readable, becoming_writable));
}

// --- the urgent mark ---

// TCP's recv stops at the urgent mark, so that a short read has bytes behind it. (Without SO_OOBINLINE the
// urgent byte itself stands beside the stream.)
TEST_P(PortStreams, BytesBehindTheUrgentMarkAreNotMissed) {
    if (!GetParam().has_urgent_data) GTEST_SKIP() << "this kernel knows no urgent data";
    const auto send_around_mark = [&](Handle peer) {
        world.send(peer, "abc");
        ASSERT_EQ(world.kernel().send(world.kernel(), peer, "!", 1, MSG_OOB), 1);
        world.send(peer, "def");
    };
    const Ends at_once = pair();
    send_around_mark(at_once.peer);
    EXPECT_EQ(recv_all(at_once.ours, 6), "abcdef") << "before the port ever watched";

    const Ends waiting = pair();
    Receiving receiving(driver, waiting.ours);
    receiving.start();
    send_around_mark(waiting.peer);
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.text() + recv_all(waiting.ours, 6 - receiving.text().size()), "abcdef")
        << "while it waited";

    const Ends unwatched = pair();
    world.send(unwatched.peer, "x");
    EXPECT_EQ(recv(unwatched.ours), "x");
    Receiving second(driver, unwatched.ours);
    second.start();
    world.send(unwatched.peer, "y");
    ASSERT_TRUE(second.finish());
    send_around_mark(unwatched.peer);
    driver.settle();
    EXPECT_EQ(recv_all(unwatched.ours, 6), "abcdef") << "while nobody waited";
}

// --- kinds of handles ---

TEST_P(PortStreams, AStreamThatIsNotSaidToBeOneIsReadAsWell) {
    const Ends ends = world.pair();
    open_on_port(ends.ours, HandleKind::other);
    for (int round = 0; round < 3; ++round) {
        world.send(ends.peer, "words");
        EXPECT_EQ(recv(ends.ours), "words");
    }
    send_and_close(ends.peer, "last words");
    EXPECT_EQ(recv(ends.ours), "last words");
    EXPECT_EQ(recv(ends.ours), "");
}

namespace {
Handle bound_datagram_socket(World& world) {
    Kernel& kernel = world.kernel();
    const std::intptr_t made = kernel.socket(kernel, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const Handle handle = world.keep(static_cast<Handle>(made));
    const Address any_port = *parse_address("127.0.0.1", 0);
    EXPECT_EQ(kernel.bind(kernel, handle, any_port.raw(), any_port.length), 0);
    return handle;
}
}  // namespace

TEST_P(PortStreams, EachDatagramIsOneReceive) {
    if (!GetParam().has_datagrams) GTEST_SKIP() << "this kernel has streams only";
    const Handle ours = open_on_port(bound_datagram_socket(world), HandleKind::other);
    const Handle peer = bound_datagram_socket(world);
    world.connect(peer, world.address_of(ours));
    Receiving receiving(driver, ours);
    receiving.start();
    for (const std::string_view text : {"one", "two", "three"}) world.send(peer, text);
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.text(), "one");
    EXPECT_EQ(recv(ours), "two");
    EXPECT_EQ(recv(ours), "three");
}

TEST_P(PortStreams, ADatagramThatDoesNotFitIsCutAndTheNextIsWhole) {
    if (!GetParam().has_datagrams) GTEST_SKIP() << "this kernel has streams only";
    const Handle ours = open_on_port(bound_datagram_socket(world), HandleKind::other);
    const Handle peer = bound_datagram_socket(world);
    world.connect(peer, world.address_of(ours));
    Receiving receiving(driver, ours, 4);
    receiving.start();
    for (const std::string_view text : {"a long one", "another long one", "short"}) world.send(peer, text);
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.text(), "a lo");
    EXPECT_EQ(recv(ours, 4), "anot");
    EXPECT_EQ(recv(ours, 100), "short");
}

TEST_P(PortStreams, EveryFamilyOfAddressesCarriesAStream) {
    const std::string path = "unix:/tmp/pollard-conformance-" + std::to_string(::getpid());
    for (const std::string& host : {std::string("127.0.0.1"), std::string("::1"), path}) {
        const Result<Handle> listening = open_listener(world.kernel(), *parse_address(host, 0));
        if (!listening && (listening.error().kind == ErrorKind::address_not_available ||
                           listening.error().kind == ErrorKind::not_supported))
            continue;  // no IPv6 here
        ASSERT_TRUE(listening) << describe(listening.error()).c_str();
        open_on_port(world.keep(*listening));
        const Address address = world.address_of(*listening);
        const Result<Handle> client = open_stream_socket(world.kernel(), address);
        ASSERT_TRUE(client);
        open_on_port(world.keep(*client));
        Connecting connecting(driver, *client, address);
        Accepting accepting(driver, *listening);
        connecting.start();
        accepting.start();
        ASSERT_TRUE(all_done(driver, connecting, accepting));
        ASSERT_TRUE(connecting.result()) << describe(connecting.result().error()).c_str();
        const Handle server = world.keep(*accepting.result());
        SendingAll sending(driver, server, readable_bytes(host));
        ASSERT_TRUE(sending.finish());
        EXPECT_EQ(recv_all(*client, host.size()), host);
        close(server);
        EXPECT_EQ(recv(*client), "");
        close(*client);
        close(*listening);
        if (host == path) ::unlink(path.c_str() + 5);
    }
}

INSTANTIATE_TEST_SUITE_P(Every, PortStreams, testing::ValuesIn(tested_ports()), port_subject_name);

}  // namespace pollard::conformance
