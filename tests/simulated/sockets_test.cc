// The simulated kernel alone, with no loop and no adapter: what each call on a socket answers, from its number and its
// name to the connection. It answers as Linux does.
//
// Read next: tests/simulated/door.h for the words of these tests, then tests/simulated/streams_test.cc.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "platform/address.h"
#include "platform/clock.h"
#include "platform/simulated/simulated_kernel.h"
#include "platform/system_sockets.h"
#include "tests/simulated/door.h"

namespace pollard {
namespace {

using SimulatedDescriptors = Simulated;
using SimulatedNames = Simulated;
using SimulatedConnections = Simulated;

// --- descriptors ---

TEST_F(SimulatedDescriptors, ANewOneIsTheLowestFreeNumber) {
    EXPECT_EQ(door.open(), 3);
    EXPECT_EQ(door.open(AF_INET6), 4);
    EXPECT_EQ(door.open(AF_UNIX), 5);
    EXPECT_EQ(door.close(4), 0);
    EXPECT_EQ(door.close(3), 0);
    EXPECT_EQ(door.open(), 3);
    EXPECT_EQ(door.open(), 4);
    EXPECT_EQ(door.open(), 6);
    EXPECT_EQ(kernel.open_descriptors, 4u);
}

TEST_F(SimulatedDescriptors, AThousandFitInTheTable) {
    for (Handle expected = 3; expected < 1003; ++expected) ASSERT_EQ(door.open(AF_UNIX), expected);
    EXPECT_EQ(door.close(500), 0);
    EXPECT_EQ(door.open(), 500);
}

TEST_F(SimulatedDescriptors, WhatIsNoStreamSocketOfAKnownFamilyIsRefused) {
    EXPECT_EQ(kernel.socket(kernel, AF_UNSPEC, SOCK_STREAM, 0), -EAFNOSUPPORT);
    EXPECT_EQ(kernel.socket(kernel, AF_INET, SOCK_DGRAM, 0), -ESOCKTNOSUPPORT);
    EXPECT_EQ(kernel.socket(kernel, AF_INET, SOCK_STREAM, IPPROTO_UDP), -EPROTONOSUPPORT);
    EXPECT_EQ(kernel.open_descriptors, 0u);
}

TEST_F(SimulatedDescriptors, ANumberThatIsNotOpenIsEbadfInEveryCall) {
    const Handle closed = door.open();
    door.close(closed);
    for (const Handle handle : {closed, Handle{-1}, Handle{100000}}) {
        EXPECT_EQ(door.bind(handle, at("127.0.0.1")), -EBADF);
        EXPECT_EQ(door.listen(handle), -EBADF);
        EXPECT_EQ(door.connect(handle, at("127.0.0.1", 1)), -EBADF);
        EXPECT_EQ(door.accept(handle), -EBADF);
        EXPECT_EQ(door.send(handle, "x"), -EBADF);
        EXPECT_EQ(door.recv(handle), -EBADF);
        EXPECT_EQ(door.shutdown(handle, SHUT_WR), -EBADF);
        EXPECT_EQ(door.get(handle, SO_ERROR), -EBADF);
        EXPECT_EQ(door.set(handle, SO_REUSEADDR, 1), -EBADF);
        EXPECT_EQ(door.name_of(handle).length, 0u);
        EXPECT_EQ(door.peer_of(handle).length, 0u);
        EXPECT_EQ(door.close(handle), -EBADF);
        EXPECT_EQ(door.poll(handle), handle < 0 ? 0 : POLLNVAL);
        char byte = 0;
        EXPECT_EQ(kernel.read(kernel, handle, &byte, 1), -EBADF);
        EXPECT_EQ(kernel.write(kernel, handle, &byte, 1), -EBADF);
    }
}

TEST_F(SimulatedDescriptors, TheStandardStreamsAreNoSockets) {
    for (const Handle handle : {0, 1, 2}) {
        EXPECT_EQ(door.recv(handle), -ENOTSOCK);
        EXPECT_EQ(door.listen(handle), -ENOTSOCK);
        char byte = 0;
        EXPECT_EQ(kernel.write(kernel, handle, &byte, 1), -EBADF);
        EXPECT_EQ(door.close(handle), -EBADF);
    }
}

TEST_F(SimulatedDescriptors, TheLimitIsEmfileAndTheConnectionStaysInTheQueue) {
    kernel.descriptor_limit = 5;
    const Handle listening = listener();
    const Handle client = connected_to(listening);
    EXPECT_EQ(door.open(), -EMFILE);
    EXPECT_EQ(door.accept(listening), -EMFILE);
    EXPECT_EQ(door.accept(listening), -EMFILE);
    kernel.descriptor_limit = 6;
    EXPECT_EQ(door.accept(listening), 5);
    EXPECT_EQ(door.send(client, "x"), 1);
}

TEST_F(SimulatedDescriptors, TheCallsOfOtherKernelsAreEnosys) {
    EXPECT_EQ(kernel.epoll_create(kernel, 0), -ENOSYS);
    EXPECT_EQ(kernel.epoll_ctl(kernel, 3, 1, 4, nullptr), -ENOSYS);
    EXPECT_EQ(kernel.epoll_wait(kernel, 3, nullptr, 1, 0), -ENOSYS);
    EXPECT_EQ(kernel.io_uring_setup(kernel, 8, nullptr), -ENOSYS);
    EXPECT_EQ(kernel.io_uring_enter(kernel, 3, 0, 0, 0, nullptr, 0), -ENOSYS);
    EXPECT_EQ(kernel.io_uring_register(kernel, 3, 0, nullptr, 0), -ENOSYS);
    EXPECT_EQ(kernel.mmap(kernel, no_handle, 4096, 0, 0, 0), -ENOSYS);
    EXPECT_EQ(kernel.munmap(kernel, nullptr, 4096), -ENOSYS);
    EXPECT_EQ(kernel.eventfd(kernel, 0, 0), -ENOSYS);
    EXPECT_EQ(kernel.pipe(kernel, nullptr, 0), -ENOSYS);
    EXPECT_EQ(kernel.kqueue(kernel), -ENOSYS);
    EXPECT_EQ(kernel.kevent(kernel, 3, nullptr, 0, nullptr, 1, nullptr), -ENOSYS);
}

TEST_F(SimulatedDescriptors, OptionsAreKeptAndUnknownOnesAreRefused) {
    const Handle handle = door.open();
    EXPECT_EQ(door.get(handle, SO_TYPE), SOCK_STREAM);
#ifdef SO_DOMAIN
    EXPECT_EQ(door.get(handle, SO_DOMAIN), AF_INET);
    EXPECT_EQ(door.get(handle, SO_PROTOCOL), IPPROTO_TCP);
#endif
    EXPECT_EQ(door.get(handle, SO_REUSEADDR), 0);
    EXPECT_EQ(door.set(handle, SO_REUSEADDR, 1), 0);
    EXPECT_EQ(door.get(handle, SO_REUSEADDR), 1);
    const int on = 1;
    EXPECT_EQ(kernel.setsockopt(kernel, handle, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    EXPECT_EQ(kernel.setsockopt(kernel, handle, SOL_SOCKET, SO_REUSEADDR, &on, 1), -EINVAL);
    EXPECT_EQ(kernel.setsockopt(kernel, handle, IPPROTO_TCP, 999, &on, sizeof on), -ENOPROTOOPT);
    EXPECT_EQ(door.get(handle, 999), -ENOPROTOOPT);
    const Handle unix_socket = door.open(AF_UNIX);
    EXPECT_EQ(kernel.setsockopt(kernel, unix_socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), -EOPNOTSUPP);
}

// --- names ---

TEST_F(SimulatedNames, PortZeroChoosesAPortThatNobodyHas) {
    const Handle one = listener();
    const Handle other = listener();
    EXPECT_NE(door.name_of(one).port(), 0);
    EXPECT_NE(door.name_of(one).port(), door.name_of(other).port());
    EXPECT_EQ(describe(door.name_of(one)).view().substr(0, 10), "127.0.0.1:");
}

TEST_F(SimulatedNames, ATakenPortIsEaddrinuse) {
    listener(at("127.0.0.1", 80));
    const Handle second = door.open();
    EXPECT_EQ(door.bind(second, at("127.0.0.1", 80)), -EADDRINUSE);
    EXPECT_EQ(door.bind(second, at("0.0.0.0", 80)), -EADDRINUSE);
    EXPECT_EQ(door.bind(second, at("127.0.0.2", 80)), 0);
    EXPECT_EQ(door.bind(second, at("127.0.0.3", 80)), -EINVAL);
    const Handle ipv6 = door.open(AF_INET6);
    EXPECT_EQ(door.bind(ipv6, at("::1", 80)), 0);
}

TEST_F(SimulatedNames, ReuseAddressSharesAPortUntilSomebodyListens) {
    const Handle one = door.open(), other = door.open(), late = door.open();
    for (const Handle handle : {one, other, late}) door.set(handle, SO_REUSEADDR, 1);
    EXPECT_EQ(door.bind(one, at("127.0.0.1", 80)), 0);
    EXPECT_EQ(door.bind(other, at("127.0.0.1", 80)), 0);
    EXPECT_EQ(door.listen(one), 0);
    EXPECT_EQ(door.listen(other), -EADDRINUSE);
    EXPECT_EQ(door.bind(late, at("127.0.0.1", 80)), -EADDRINUSE);
}

TEST_F(SimulatedNames, ReusePortSharesConnectionsAmongListeners) {
    std::array<Handle, 2> listening;
    for (Handle& handle : listening) {
        handle = door.open();
        door.set(handle, SO_SHARE_PORT, 1);
        ASSERT_EQ(door.bind(handle, at("127.0.0.1", 80)), 0);
        ASSERT_EQ(door.listen(handle, 100), 0);
    }
    for (int count = 0; count < 40; ++count) connected_to(listening[0]);
    std::array<int, 2> accepted = {0, 0};
    for (int which : {0, 1})
        while (door.accept(listening[static_cast<std::size_t>(which)]) > 0)
            ++accepted[static_cast<std::size_t>(which)];
    EXPECT_EQ(accepted[0] + accepted[1], 40);
    EXPECT_GT(accepted[0], 5);
    EXPECT_GT(accepted[1], 5);
}

TEST_F(SimulatedNames, AListenerOnTheAddressGoesBeforeOneOnAllAddresses) {
    const Handle everywhere = door.open(), here = door.open();
    for (const Handle handle : {everywhere, here}) door.set(handle, SO_SHARE_PORT, 1);
    ASSERT_EQ(door.bind(everywhere, at("0.0.0.0", 80)), 0);
    ASSERT_EQ(door.bind(here, at("127.0.0.1", 80)), 0);
    ASSERT_EQ(door.listen(here), 0);
    ASSERT_EQ(door.listen(everywhere), 0);
    for (int count = 0; count < 10; ++count) connected_to(here);
    EXPECT_EQ(door.poll(here), POLLIN);
    EXPECT_EQ(door.poll(everywhere), 0);
    EXPECT_EQ(door.connect(door.open(), at("127.0.0.9", 80)), -EINPROGRESS);
    EXPECT_EQ(door.poll(everywhere), POLLIN);
}

TEST_F(SimulatedNames, OnlyThisMachinesAddressesExist) {
    const Handle handle = door.open();
    EXPECT_EQ(door.bind(handle, at("192.0.2.1", 80)), -EADDRNOTAVAIL);
    EXPECT_EQ(door.connect(handle, at("192.0.2.1", 80)), -ENETUNREACH);
    EXPECT_EQ(door.bind(handle, at("::1", 80)), -EAFNOSUPPORT);
    EXPECT_EQ(kernel.bind(kernel, handle, at("127.0.0.1").raw(), 4), -EINVAL);
    EXPECT_EQ(kernel.bind(kernel, handle, nullptr, 16), -EFAULT);
}

TEST_F(SimulatedNames, AUnixPathIsTakenUntilItsSocketIsClosed) {
    const Address path = at("unix:/run/test");
    const Handle listening = listener(path);
    EXPECT_EQ(door.bind(door.open(AF_UNIX), path), -EADDRINUSE);
    EXPECT_STREQ(describe(door.name_of(listening)).c_str(), "unix:/run/test");
    door.close(listening);
    EXPECT_EQ(door.connect(door.open(AF_UNIX), path), -ENOENT);
    const Handle bound = door.open(AF_UNIX);
    EXPECT_EQ(door.bind(bound, path), 0);
    EXPECT_EQ(door.connect(door.open(AF_UNIX), path), -ECONNREFUSED);
}

TEST_F(SimulatedNames, BothEndsKnowBothNames) {
    for (const char* host : {"127.0.0.1", "::1", "unix:/run/test"}) {
        const Handle listening = listener(at(host));
        const Handle client = connected_to(listening);
        Address told;
        told.length = sizeof told.bytes;
        const auto server =
            static_cast<Handle>(kernel.accept(kernel, listening, told.raw(), &told.length, 0));
        ASSERT_GT(server, 0);
        const auto same = [](const Address& one, const Address& other) {
            return one.length == other.length && std::memcmp(one.bytes, other.bytes, one.length) == 0;
        };
        EXPECT_TRUE(same(told, door.name_of(client))) << host;
        EXPECT_TRUE(same(door.peer_of(server), door.name_of(client))) << host;
        EXPECT_TRUE(same(door.peer_of(client), door.name_of(listening))) << host;
        EXPECT_TRUE(same(door.name_of(server), door.name_of(listening))) << host;
        for (const Handle handle : {listening, client, server}) door.close(handle);
    }
}

TEST_F(SimulatedNames, ANameThatDoesNotFitIsCutAndItsWholeLengthTold) {
    const Handle listening = listener();
    Address address;
    address.length = 2;
    EXPECT_EQ(kernel.getsockname(kernel, listening, address.raw(), &address.length), 0);
    EXPECT_EQ(address.raw()->sa_family, AF_INET);
    EXPECT_EQ(address.port(), 0);
    EXPECT_EQ(address.length, 16u);
}

TEST_F(SimulatedNames, ListeningWithoutANameTakesAnyPort) {
    const Handle handle = door.open();
    EXPECT_EQ(door.listen(handle), 0);
    EXPECT_NE(door.name_of(handle).port(), 0);
    EXPECT_EQ(door.get(handle, SO_ACCEPTCONN), 1);
    EXPECT_EQ(door.listen(door.open(AF_UNIX)), -EINVAL);
}

// --- connections ---

TEST_F(SimulatedConnections, AConnectIsInProgressAndThenThere) {
    kernel.latency_ns = 10 * millisecond_ns;
    const Handle listening = listener();
    const Handle client = door.open();
    EXPECT_EQ(door.connect(client, door.name_of(listening)), -EINPROGRESS);
    EXPECT_EQ(door.connect(client, door.name_of(listening)), -EALREADY);
    EXPECT_EQ(door.poll(client), 0);
    EXPECT_EQ(door.accept(listening), -EAGAIN);
    EXPECT_EQ(door.send(client, "x"), -EAGAIN);
    EXPECT_EQ(door.recv(client), -EAGAIN);
    EXPECT_EQ(door.poll(client, -1), POLLOUT);
    EXPECT_EQ(kernel.now_ns, SimulatedKernel::start_ns + 20 * millisecond_ns);
    EXPECT_EQ(door.get(client, SO_ERROR), 0);
    EXPECT_EQ(door.connect(client, door.name_of(listening)), 0);
    EXPECT_EQ(door.connect(client, door.name_of(listening)), -EISCONN);
    EXPECT_GT(door.accept(listening), 0);
    EXPECT_EQ(door.accept(listening), -EAGAIN);
}

TEST_F(SimulatedConnections, AUnixConnectIsThereAtOnce) {
    const Handle listening = listener(at("unix:/run/test"));
    const Handle client = door.open(AF_UNIX);
    EXPECT_EQ(door.connect(client, at("unix:/run/test")), 0);
    EXPECT_EQ(door.connect(client, at("unix:/run/test")), -EISCONN);
    EXPECT_EQ(door.poll(listening), POLLIN);
}

TEST_F(SimulatedConnections, WhereNobodyListensItIsRefusedAndSoErrorSaysSoOnce) {
    const Handle client = door.open();
    EXPECT_EQ(door.connect(client, at("127.0.0.1", 80)), -EINPROGRESS);
    EXPECT_EQ(door.poll(client), POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
    EXPECT_EQ(door.get(client, SO_ERROR), ECONNREFUSED);
    EXPECT_EQ(door.get(client, SO_ERROR), 0);
    EXPECT_EQ(door.send(client, "x"), -EPIPE);
    EXPECT_EQ(door.peer_of(client).length, 0u);
}

TEST_F(SimulatedConnections, AfterARefusalTheSameSocketCanTryAgain) {
    const Handle client = door.open();
    EXPECT_EQ(door.connect(client, at("127.0.0.1", 80)), -EINPROGRESS);
    EXPECT_EQ(door.connect(client, at("127.0.0.1", 80)), -ECONNREFUSED);
    const Handle listening = listener(at("127.0.0.1", 80));
    EXPECT_EQ(door.connect(client, at("127.0.0.1", 80)), -EINPROGRESS);
    EXPECT_EQ(door.get(client, SO_ERROR), 0);
    EXPECT_GT(door.accept(listening), 0);
}

TEST_F(SimulatedConnections, AFullQueueMakesTheClientAskAgainAfterASecond) {
    const Handle listening = listener(at("127.0.0.1", 80), 1);
    connected_to(listening);
    connected_to(listening);  // a queue holds one more than its backlog
    const Handle late = connected_to(listening);
    EXPECT_EQ(door.poll(late), 0);
    EXPECT_GT(door.accept(listening), 0);
    EXPECT_EQ(door.poll(late, 999), 0);
    EXPECT_EQ(door.poll(late, 1), POLLOUT);
    EXPECT_EQ(kernel.now_ns, SimulatedKernel::start_ns + second_ns);
}

TEST_F(SimulatedConnections, AQueueThatStaysFullIsEtimedoutAfter63Seconds) {
    const Handle listening = listener(at("127.0.0.1", 80), 0);
    connected_to(listening);
    const Handle late = connected_to(listening);
    EXPECT_NE(door.poll(late, -1), 0);
    EXPECT_EQ(door.get(late, SO_ERROR), ETIMEDOUT);
    EXPECT_EQ(kernel.now_ns, SimulatedKernel::start_ns + (1 + 2 + 4 + 8 + 16 + 32) * second_ns);
}

TEST_F(SimulatedConnections, AFullUnixQueueIsEagain) {
    const Handle listening = listener(at("unix:/run/test"), 0);
    connected_to(listening);
    const Handle late = door.open(AF_UNIX);
    EXPECT_EQ(door.connect(late, at("unix:/run/test")), -EAGAIN);
    EXPECT_GT(door.accept(listening), 0);
    EXPECT_EQ(door.connect(late, at("unix:/run/test")), 0);
}

TEST_F(SimulatedConnections, ClosingTheListenerResetsWhatNobodyAccepted) {
    for (const char* host : {"127.0.0.1", "unix:/run/test"}) {
        const Handle listening = listener(at(host));
        const Handle client = connected_to(listening);
        door.close(listening);
        EXPECT_EQ(door.recv(client), -ECONNRESET) << host;
        EXPECT_EQ(door.recv(client), 0) << host;
        EXPECT_EQ(door.send(client, "x"), -EPIPE) << host;
        door.close(client);
    }
    EXPECT_EQ(kernel.open_descriptors, 0u);
}

TEST_F(SimulatedConnections, AClientThatLeftTheQueueIsStillAccepted) {
    const Handle listening = listener();
    const Handle client = connected_to(listening);
    EXPECT_EQ(door.send(client, "bye"), 3);
    door.close(client);
    const auto server = static_cast<Handle>(door.accept(listening));
    ASSERT_GT(server, 0);
    EXPECT_EQ(door.recv(server), 3);
    EXPECT_EQ(door.recv(server), 0);
}

TEST_F(SimulatedConnections, ClosingAConnectingSocketLeavesNothingBehind) {
    kernel.latency_ns = millisecond_ns;
    const Handle listening = listener();
    door.close(connected_to(listening));  // the request is on its way
    const Handle second = connected_to(listening);
    door.poll(listening, -1);
    door.close(second);  // the answer is on its way
    const auto server = static_cast<Handle>(door.accept(listening));
    ASSERT_GT(server, 0);
    kernel.poll(kernel, nullptr, 0, 10);
    EXPECT_EQ(door.recv(server), -ECONNRESET);
}

TEST_F(SimulatedConnections, OnlyAListenerAccepts) {
    EXPECT_EQ(door.accept(door.open()), -EINVAL);
    const Handle listening = listener();
    EXPECT_EQ(kernel.accept(kernel, listening, nullptr, nullptr, 1), -EINVAL);
    EXPECT_EQ(door.connect(listening, at("127.0.0.1", 80)), -EISCONN);
    EXPECT_EQ(door.listen(connected_to(listening)), -EINVAL);
}

}  // namespace
}  // namespace pollard
