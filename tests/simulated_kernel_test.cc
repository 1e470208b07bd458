// The simulated kernel alone: no loop, no adapter. What each call answers, what the two contracts on it
// promise, each fault, and that a run repeats to the byte.
#include "platform/simulated/simulated_kernel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "platform/address.h"
#include "platform/clock.h"
#include "platform/memory.h"
#include "platform/observer.h"
#include "platform/simulated/simulated_completion_port.h"
#include "platform/simulated/simulated_poller.h"
#include "platform/system_sockets.h"
#include "tests/system.h"

namespace pollard {
namespace {

// --- a door in shorter words ---

struct Door {
    Kernel& kernel;

    Handle open(int domain = AF_INET) {
        return static_cast<Handle>(
            kernel.socket(kernel, domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    }
    std::intptr_t bind(Handle handle, const Address& address) {
        return kernel.bind(kernel, handle, address.raw(), address.length);
    }
    std::intptr_t listen(Handle handle, int backlog = 16) { return kernel.listen(kernel, handle, backlog); }
    std::intptr_t connect(Handle handle, const Address& address) {
        return kernel.connect(kernel, handle, address.raw(), address.length);
    }
    std::intptr_t accept(Handle handle) {
        return kernel.accept(kernel, handle, nullptr, nullptr, SOCK_NONBLOCK);
    }
    std::intptr_t send(Handle handle, std::string_view bytes) {
        return kernel.send(kernel, handle, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    std::intptr_t recv(Handle handle, std::size_t size = 100, int flags = 0) {
        received.resize(size);
        const std::intptr_t count = kernel.recv(kernel, handle, received.data(), size, flags);
        received.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
        return count;
    }
    std::intptr_t shutdown(Handle handle, int how) { return kernel.shutdown(kernel, handle, how); }
    std::intptr_t close(Handle handle) { return kernel.close(kernel, handle); }
    std::intptr_t set(Handle handle, int option, int value) {
        return kernel.setsockopt(kernel, handle, SOL_SOCKET, option, &value, sizeof value);
    }
    int get(Handle handle, int option) {
        int value = -1;
        unsigned length = sizeof value;
        const std::intptr_t result = kernel.getsockopt(kernel, handle, SOL_SOCKET, option, &value, &length);
        return result < 0 ? static_cast<int>(result) : value;
    }
    std::intptr_t linger_zero(Handle handle) {
        const linger setting = {.l_onoff = 1, .l_linger = 0};
        return kernel.setsockopt(kernel, handle, SOL_SOCKET, SO_LINGER, &setting, sizeof setting);
    }
    short poll(Handle handle, int timeout_ms = 0) {
        pollfd descriptor = poll_entry(handle, POLLIN | POLLOUT | POLLRDHUP);
        const std::intptr_t count = kernel.poll(kernel, &descriptor, 1, timeout_ms);
        return static_cast<short>(count < 0 ? count : descriptor.revents);
    }
    Address name_of(Handle handle) { return ask(kernel.getsockname, handle); }
    Address peer_of(Handle handle) { return ask(kernel.getpeername, handle); }

    std::string received;

private:
    Address ask(std::intptr_t (*call)(Kernel&, Handle, sockaddr*, unsigned*), Handle handle) {
        Address address;
        address.length = sizeof address.bytes;
        if (call(kernel, handle, address.raw(), &address.length) < 0) return Address{};
        return address;
    }
};

Address at(std::string_view host, std::uint16_t port = 0) { return *parse_address(host, port); }

class Simulated : public testing::Test {
protected:
    void TearDown() override {
        fail_allocations_after(0, 0);
        current_observer = nullptr;
    }

    Handle listener(const Address& address = at("127.0.0.1"), int backlog = 16) {
        const Handle handle = door.open(address.raw()->sa_family);
        EXPECT_EQ(door.bind(handle, address), 0);
        EXPECT_EQ(door.listen(handle, backlog), 0);
        return handle;
    }
    Handle connected_to(Handle listening) {
        const Address address = door.name_of(listening);
        const Handle handle = door.open(address.raw()->sa_family);
        const std::intptr_t result = door.connect(handle, address);
        EXPECT_TRUE(result == -EINPROGRESS || result == 0) << result;
        return handle;
    }
    /// Two ends of a connection; the listener is closed again.
    struct Ends {
        Handle client;
        Handle server;
    };
    Ends pair(std::string_view host = "127.0.0.1") {
        const Handle listening = listener(at(host));
        const Handle client = connected_to(listening);
        door.poll(listening, -1);
        const auto server = static_cast<Handle>(door.accept(listening));
        EXPECT_GT(server, 0);
        door.poll(client, -1);
        door.close(listening);
        return {client, server};
    }
    std::size_t fill(Handle handle) {
        std::size_t sent = 0;
        std::intptr_t count;
        while ((count = door.send(handle, std::string(1000, 'x'))) > 0)
            sent += static_cast<std::size_t>(count);
        EXPECT_EQ(count, -EAGAIN);
        return sent;
    }

    SimulatedKernel kernel{7};
    Door door{kernel};
};

using SimulatedDescriptors = Simulated;
using SimulatedNames = Simulated;
using SimulatedConnections = Simulated;
using SimulatedStreams = Simulated;
using SimulatedClock = Simulated;
using SimulatedFaults = Simulated;

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
        door.set(handle, SO_REUSEPORT, 1);
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
    for (const Handle handle : {everywhere, here}) door.set(handle, SO_REUSEPORT, 1);
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

// --- streams ---

TEST_F(SimulatedStreams, BytesArriveInOrderOverEveryFamily) {
    for (const char* host : {"127.0.0.1", "::1", "unix:/run/test"}) {
        const Ends ends = pair(host);
        EXPECT_EQ(door.recv(ends.server), -EAGAIN);
        EXPECT_EQ(door.send(ends.client, "hello "), 6);
        EXPECT_EQ(door.send(ends.client, "world"), 5);
        EXPECT_EQ(door.recv(ends.server, 4), 4);
        EXPECT_EQ(door.received, "hell");
        EXPECT_EQ(door.recv(ends.server), 7);
        EXPECT_EQ(door.received, "o world");
        EXPECT_EQ(door.recv(ends.server), -EAGAIN);
        EXPECT_EQ(door.send(ends.server, "back"), 4);
        EXPECT_EQ(door.recv(ends.client), 4);
        door.close(ends.client);
        door.close(ends.server);
    }
}

TEST_F(SimulatedStreams, ReadAndWriteWorkOnSocketsToo) {
    const Ends ends = pair();
    EXPECT_EQ(kernel.write(kernel, ends.client, "hi", 2), 2);
    char bytes[8];
    EXPECT_EQ(kernel.read(kernel, ends.server, bytes, sizeof bytes), 2);
}

TEST_F(SimulatedStreams, PeekingLeavesTheBytes) {
    const Ends ends = pair();
    door.send(ends.client, "abc");
    EXPECT_EQ(door.recv(ends.server, 2, MSG_PEEK), 2);
    EXPECT_EQ(door.received, "ab");
    EXPECT_EQ(door.recv(ends.server), 3);
    EXPECT_EQ(door.recv(ends.server, 1, MSG_OOB), -EOPNOTSUPP);
}

TEST_F(SimulatedStreams, ABufferIsBoundedAndWritableAgainWhenAThirdIsFree) {
    kernel.buffer_size = 9000;
    const Ends ends = pair();
    EXPECT_EQ(fill(ends.client), 9000u);
    EXPECT_EQ(door.poll(ends.client), 0);
    EXPECT_EQ(door.recv(ends.server, 2999), 2999);
    EXPECT_EQ(door.poll(ends.client), 0);
    EXPECT_EQ(door.recv(ends.server, 1), 1);
    EXPECT_EQ(door.poll(ends.client), POLLOUT);
    EXPECT_EQ(fill(ends.client), 3000u);
}

TEST_F(SimulatedStreams, TheSendBufferOptionBoundsOneDirection) {
    const Ends ends = pair();
    EXPECT_EQ(door.get(ends.client, SO_SNDBUF), 64 * 1024);
    EXPECT_EQ(door.set(ends.client, SO_SNDBUF, 10), 0);
    EXPECT_EQ(fill(ends.client), 10u);
    EXPECT_EQ(fill(ends.server), 64u * 1024);
}

TEST_F(SimulatedStreams, AnAcceptedSocketHasItsListenersOptions) {
    const Handle listening = listener();
    door.set(listening, SO_SNDBUF, 20);
    connected_to(listening);
    const auto server = static_cast<Handle>(door.accept(listening));
    EXPECT_EQ(door.get(server, SO_SNDBUF), 20);
    EXPECT_EQ(fill(server), 20u);
}

TEST_F(SimulatedStreams, AMegabyteGoesThroughUnchanged) {
    const Ends ends = pair();
    std::mt19937 random(1);
    std::string sent(1 << 20, '\0'), got;
    for (char& each : sent) each = static_cast<char>(random());
    for (std::size_t at = 0; got.size() < sent.size();) {
        const std::intptr_t taken =
            door.send(ends.client, std::string_view(sent).substr(at, random() % 30000));
        if (taken > 0) at += static_cast<std::size_t>(taken);
        if (door.recv(ends.server, random() % 30000) > 0) got += door.received;
    }
    EXPECT_EQ(sent, got);
    EXPECT_EQ(kernel.bytes.received, sent.size());
}

TEST_F(SimulatedStreams, AfterShutdownTheRestIsReadAndThenTheEnd) {
    const Ends ends = pair();
    door.send(ends.client, "last");
    EXPECT_EQ(door.shutdown(ends.client, SHUT_WR), 0);
    EXPECT_EQ(door.shutdown(ends.client, SHUT_WR), 0);
    EXPECT_EQ(door.send(ends.client, "more"), -EPIPE);
    EXPECT_EQ(door.poll(ends.server), POLLIN | POLLOUT | POLLRDHUP);
    EXPECT_EQ(door.recv(ends.server), 4);
    EXPECT_EQ(door.recv(ends.server), 0);
    EXPECT_EQ(door.recv(ends.server), 0);
    // The other direction goes on.
    EXPECT_EQ(door.send(ends.server, "answer"), 6);
    EXPECT_EQ(door.recv(ends.client), 6);
    EXPECT_EQ(door.shutdown(ends.server, SHUT_WR), 0);
    EXPECT_EQ(door.recv(ends.client), 0);
    EXPECT_EQ(door.poll(ends.client) & POLLHUP, POLLHUP);
    EXPECT_EQ(door.shutdown(ends.client, SHUT_RDWR), -ENOTCONN);
}

TEST_F(SimulatedStreams, ACloseWithNothingUnreadIsAnEndAndTheNextSendBreaks) {
    const Ends ends = pair();
    door.close(ends.server);
    EXPECT_EQ(door.recv(ends.client), 0);
    EXPECT_EQ(door.send(ends.client, "x"), 1);  // nobody knows better yet
    EXPECT_EQ(door.send(ends.client, "x"), -EPIPE);
    EXPECT_EQ(door.recv(ends.client), 0);
    EXPECT_EQ(kernel.bytes.discarded, 1u);
}

TEST_F(SimulatedStreams, ACloseWithUnreadBytesIsAReset) {
    for (const char* host : {"127.0.0.1", "unix:/run/test"}) {
        const Ends ends = pair(host);
        door.send(ends.server, "before");
        door.send(ends.client, "unread");
        door.close(ends.server);
        EXPECT_EQ(door.recv(ends.client), 6) << host;  // what has arrived can still be read
        EXPECT_EQ(door.recv(ends.client), -ECONNRESET) << host;
        EXPECT_EQ(door.recv(ends.client), 0) << host;
        EXPECT_EQ(door.send(ends.client, "x"), -EPIPE) << host;
        door.close(ends.client);
    }
}

TEST_F(SimulatedStreams, LingerZeroIsAReset) {
    const Ends ends = pair();
    EXPECT_EQ(door.linger_zero(ends.server), 0);
    door.close(ends.server);
    EXPECT_EQ(door.poll(ends.client), POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
    EXPECT_EQ(door.send(ends.client, "x"), -ECONNRESET);
    EXPECT_EQ(door.send(ends.client, "x"), -EPIPE);
}

TEST_F(SimulatedStreams, AUnixSendToAClosedEndIsEpipeAtOnce) {
    const Ends ends = pair("unix:/run/test");
    door.close(ends.server);
    EXPECT_EQ(door.send(ends.client, "x"), -EPIPE);
    EXPECT_EQ(door.poll(ends.client), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
}

TEST_F(SimulatedStreams, WithoutAConnectionThereIsNothingToSendOrReceive) {
    const Handle tcp = door.open(), local = door.open(AF_UNIX);
    EXPECT_EQ(door.recv(tcp), -ENOTCONN);
    EXPECT_EQ(door.send(tcp, "x"), -EPIPE);  // as Linux says; POSIX would have ENOTCONN
    EXPECT_EQ(door.send(local, "x"), -ENOTCONN);
    EXPECT_EQ(door.recv(local), -EINVAL);
    EXPECT_EQ(door.shutdown(tcp, SHUT_WR), -ENOTCONN);
    EXPECT_EQ(door.poll(tcp), POLLOUT | POLLHUP);
    const Ends ends = pair();
    EXPECT_EQ(kernel.recv(kernel, ends.client, nullptr, 1, 0), -EFAULT);
    EXPECT_EQ(kernel.send(kernel, ends.client, nullptr, 1, 0), -EFAULT);
    EXPECT_EQ(door.send(ends.client, ""), 0);
    EXPECT_EQ(door.shutdown(ends.client, 3), -EINVAL);
}

TEST_F(SimulatedStreams, NoByteIsEverLostCountOf) {
    std::mt19937 random(5);
    kernel.latency_ns = 300;
    kernel.buffer_size = 3000;
    kernel.faults = {.short_read = 300, .short_write = 300, .reset = 20};
    for (int round = 0; round < 300; ++round) {
        const Ends ends = pair(round % 2 == 0 ? "127.0.0.1" : "unix:/run/test");
        for (int step = 0; step < 30; ++step) {
            const Handle handle = random() % 2 == 0 ? ends.client : ends.server;
            if (random() % 2 == 0)
                door.send(handle, std::string(random() % 2000, 'x'));
            else
                door.recv(handle, random() % 2000);
            if (random() % 4 == 0) kernel.poll(kernel, nullptr, 0, 1);
            if (random() % 20 == 0) door.shutdown(handle, static_cast<int>(random() % 3));
            const auto& bytes = kernel.bytes;
            ASSERT_EQ(bytes.sent, bytes.received + bytes.in_flight + bytes.discarded);
        }
        door.close(ends.client);
        if (random() % 2 == 0) kernel.poll(kernel, nullptr, 0, 1);
        door.close(ends.server);
        ASSERT_EQ(kernel.bytes.in_flight, 0u);
    }
    EXPECT_EQ(kernel.open_descriptors, 0u);
    EXPECT_EQ(kernel.blocks.blocks_in_use(), 0u);
    EXPECT_GT(kernel.bytes.received, 100000u);
    EXPECT_GT(kernel.bytes.discarded, 100000u);
}

// --- the clock ---

TEST_F(SimulatedClock, OnlyWaitsMoveIt) {
    const Ends ends = pair();
    EXPECT_EQ(kernel.clock(kernel), SimulatedKernel::start_ns);
    for (int count = 0; count < 100; ++count) door.send(ends.client, "x");
    EXPECT_EQ(door.poll(ends.server), POLLIN | POLLOUT);
    EXPECT_EQ(kernel.clock(kernel), SimulatedKernel::start_ns);
    EXPECT_EQ(kernel.poll(kernel, nullptr, 0, 250), 0);
    EXPECT_EQ(kernel.clock(kernel), SimulatedKernel::start_ns + 250 * millisecond_ns);
}

TEST_F(SimulatedClock, BytesAndTheEndTakeTheLatency) {
    kernel.latency_ns = 5 * millisecond_ns;
    const Ends ends = pair();
    const std::int64_t began_ns = kernel.now_ns;
    door.send(ends.client, "late");
    door.shutdown(ends.client, SHUT_WR);
    EXPECT_EQ(door.recv(ends.server), -EAGAIN);
    pollfd descriptor = poll_entry(ends.server, POLLIN);
    EXPECT_EQ(kernel.poll(kernel, &descriptor, 1, 4), 0);
    EXPECT_EQ(door.recv(ends.server), -EAGAIN);
    EXPECT_EQ(kernel.poll(kernel, &descriptor, 1, 100), 1);
    EXPECT_EQ(kernel.now_ns, began_ns + 5 * millisecond_ns);
    EXPECT_EQ(door.recv(ends.server), 4);
    kernel.poll(kernel, nullptr, 0, 0);
    EXPECT_EQ(kernel.poll(kernel, &descriptor, 1, 100), 1);
    EXPECT_EQ(door.recv(ends.server), 0);
    EXPECT_EQ(kernel.now_ns, began_ns + 5 * millisecond_ns);
}

TEST_F(SimulatedClock, NothingOvertakesWhenTheLatencyShrinks) {
    kernel.latency_ns = 5 * millisecond_ns;
    const Ends ends = pair();
    door.send(ends.client, "first");
    kernel.latency_ns = 0;
    door.send(ends.client, "second");
    door.close(ends.client);
    EXPECT_EQ(door.recv(ends.server), -EAGAIN);
    kernel.poll(kernel, nullptr, 0, 5);
    EXPECT_EQ(door.recv(ends.server), 11);
    EXPECT_EQ(door.received, "firstsecond");
    EXPECT_EQ(door.recv(ends.server), 0);
}

TEST_F(SimulatedClock, BytesForAClosedEndComeBackAsAReset) {
    kernel.latency_ns = 5 * millisecond_ns;
    const Ends ends = pair();
    door.send(ends.client, "too late");
    door.close(ends.server);
    kernel.poll(kernel, nullptr, 0, 5);
    EXPECT_EQ(door.recv(ends.client), 0);
    EXPECT_EQ(door.send(ends.client, "x"), 1);
    kernel.poll(kernel, nullptr, 0, 5);
    EXPECT_EQ(door.send(ends.client, "x"), -EPIPE);
}

TEST_F(SimulatedClock, APollThatCouldNeverEndIsEdeadlk) {
    const Ends ends = pair();
    pollfd descriptor = poll_entry(ends.server, POLLIN);
    EXPECT_EQ(kernel.poll(kernel, &descriptor, 1, -1), -EDEADLK);
    EXPECT_EQ(kernel.poll(kernel, nullptr, 1, 0), -EFAULT);
    descriptor = poll_entry(-1, POLLIN);
    EXPECT_EQ(kernel.poll(kernel, &descriptor, 1, 0), 0);
}

// --- the poller ---

class SimulatedPollerTest : public Simulated {
protected:
    void SetUp() override { poller = *open_simulated_poller(kernel, kernel); }
    void TearDown() override {
        if (poller != nullptr) poller->close();
        Simulated::TearDown();
    }
    std::vector<PollerEvent> wait(std::int64_t timeout_ns = 0, std::size_t capacity = 64) {
        std::vector<PollerEvent> events(capacity);
        last = poller->wait(events, timeout_ns);
        events.resize(last ? *last : 0);
        return events;
    }
    Token added(Handle handle, std::uint32_t generation = 1) {
        EXPECT_TRUE(poller->add({handle, generation}));
        return {handle, generation};
    }

    Poller* poller = nullptr;
    Result<std::size_t> last;
};

TEST_F(SimulatedPollerTest, WhatIsReadyWhenAddedIsAnEvent) {
    const Ends ends = pair();
    door.send(ends.client, "x");
    const Token token = added(ends.server, 9);
    const auto events = wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].token, token);
    EXPECT_EQ(events[0].what, EventBits::readable | EventBits::writable);
    EXPECT_TRUE(wait().empty());
}

TEST_F(SimulatedPollerTest, AnEventTellsOfAnArrivalAndNotOfWhatIsThere) {
    const Ends ends = pair();
    added(ends.server);
    wait();
    door.send(ends.client, "x");
    EXPECT_EQ(wait().size(), 1u);
    EXPECT_EQ(wait().size(), 0u);
    door.send(ends.client, "x");
    door.send(ends.client, "x");
    EXPECT_EQ(wait().size(), 1u);
}

TEST_F(SimulatedPollerTest, ArmingWhatIsReadyGivesAnEvent) {
    const Ends ends = pair();
    const Token token = added(ends.server);
    door.send(ends.client, "x");
    wait();
    ASSERT_TRUE(poller->arm(token, Direction::read));
    EXPECT_EQ(wait().size(), 1u);
    ASSERT_TRUE(poller->arm(token, Direction::write));
    EXPECT_EQ(wait().size(), 1u);
    door.recv(ends.server);
    ASSERT_TRUE(poller->arm(token, Direction::read));
    EXPECT_EQ(wait().size(), 0u);
}

TEST_F(SimulatedPollerTest, RoomForAFullSenderIsAnEvent) {
    const Ends ends = pair();
    added(ends.client);
    fill(ends.client);
    wait();
    door.recv(ends.server, 64 * 1024);
    const auto events = wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].what, EventBits::writable);
}

TEST_F(SimulatedPollerTest, TheEndAndAResetAreHangUps) {
    const Ends ends = pair();
    added(ends.server);
    wait();
    door.shutdown(ends.client, SHUT_WR);
    auto events = wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].what, EventBits::readable | EventBits::writable | EventBits::hang_up);
    const Ends others = pair();
    added(others.server);
    wait();
    door.linger_zero(others.client);
    door.close(others.client);
    events = wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_TRUE(any(events[0].what, EventBits::hang_up) && any(events[0].what, EventBits::error));
}

TEST_F(SimulatedPollerTest, ConnectionsMakeAListenerReadableAndAClientWritable) {
    kernel.latency_ns = millisecond_ns;
    const Handle listening = listener();
    const Token server = added(listening);
    const Handle client = connected_to(listening);
    const Token connecting = added(client);
    EXPECT_TRUE(wait().empty());
    auto events = wait(-1);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].token, server);
    events = wait(-1);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events[0].token, connecting);
    EXPECT_EQ(events[0].what, EventBits::writable);
    EXPECT_EQ(kernel.now_ns, SimulatedKernel::start_ns + 2 * millisecond_ns);
}

TEST_F(SimulatedPollerTest, RegistrationsAreCheckedByGeneration) {
    const Handle handle = door.open();
    const Token token = added(handle);
    EXPECT_EQ(poller->add({handle, 2}).error().kind, ErrorKind::invalid_argument);
    EXPECT_EQ(poller->add({99, 1}).error().kind, ErrorKind::bad_handle);
    EXPECT_EQ(poller->remove({handle, 2}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(poller->arm({handle, 2}, Direction::read).error().kind, ErrorKind::not_found);
    EXPECT_TRUE(poller->remove(token));
    EXPECT_EQ(poller->remove(token).error().kind, ErrorKind::not_found);
    EXPECT_TRUE(wait().empty());
}

TEST_F(SimulatedPollerTest, AClosedHandleIsForgotten) {
    const Handle handle = door.open();
    const Token token = added(handle);
    door.close(handle);
    EXPECT_EQ(poller->remove(token).error().kind, ErrorKind::not_found);
    EXPECT_EQ(door.open(), handle);
    EXPECT_TRUE(wait().empty());
}

TEST_F(SimulatedPollerTest, TwoPollersMayWatchOneHandle) {
    Poller* second = *open_simulated_poller(kernel, kernel);
    const Ends ends = pair();
    added(ends.server);
    wait();
    ASSERT_TRUE(second->add({ends.server, 5}));
    door.send(ends.client, "x");
    EXPECT_EQ(wait().size(), 1u);
    PollerEvent event;
    EXPECT_EQ(*second->wait({&event, 1}, 0), 1u);
    EXPECT_EQ(event.token.generation, 5u);
    second->close();
}

TEST_F(SimulatedPollerTest, WhatDoesNotFitInTheArrayComesNextTime) {
    std::vector<Handle> seen;
    for (int count = 0; count < 5; ++count) added(door.open());
    for (int round = 0; round < 3; ++round)
        for (const PollerEvent& event : wait(0, 2)) seen.push_back(event.token.handle);
    EXPECT_EQ(seen, (std::vector<Handle>{3, 4, 5, 6, 7}));
}

TEST_F(SimulatedPollerTest, AWaitJumpsToTheEndOfItsTimeOrToTheNextDelivery) {
    const Ends ends = pair();
    added(ends.server);
    wait();
    const std::int64_t began_ns = kernel.now_ns;
    EXPECT_TRUE(wait(123).empty());
    EXPECT_EQ(kernel.now_ns, began_ns + 123);
    kernel.latency_ns = 50;
    door.send(ends.client, "x");
    EXPECT_EQ(wait(1000).size(), 1u);
    EXPECT_EQ(kernel.now_ns, began_ns + 173);
}

TEST_F(SimulatedPollerTest, AWakeEndsTheNextWaitAndWakesAreOne) {
    added(pair().server);
    wait();
    poller->wake();
    poller->wake();
    EXPECT_TRUE(wait(-1).empty());
    EXPECT_TRUE(last);
    EXPECT_EQ(kernel.now_ns, SimulatedKernel::start_ns);
    wait(-1);
    EXPECT_EQ(last.error().kind, ErrorKind::deadlock);
    EXPECT_EQ(last.error().call, Call::wait);
}

TEST_F(SimulatedPollerTest, WhenAWakeMayComeFromOutsideTheThreadBlocksForIt) {
    kernel.external_wakes_expected = 1;
    std::thread other([this] { poller->wake(); });
    EXPECT_TRUE(wait(-1).empty());
    EXPECT_TRUE(last);
    other.join();
    kernel.external_wakes_expected = 0;
    wait(-1);
    EXPECT_EQ(last.error().kind, ErrorKind::deadlock);
}

Poller* poller_to_wake = nullptr;

TEST_F(SimulatedPollerTest, ASignalHandlerMayWake) {
    poller_to_wake = poller;
    test_system::SignalHandler signals([](int) { poller_to_wake->wake(); });
    signals.raise();
    EXPECT_TRUE(wait(-1).empty());
    EXPECT_TRUE(last);
}

TEST_F(SimulatedPollerTest, TheObserverHearsOfEachWaitAsAKernelCall) {
    struct Listening : Observer {
        std::vector<KernelCall> calls;
    } observer;
    observer.kernel_called = [](Observer& self, const KernelCall& call) {
        static_cast<Listening&>(self).calls.push_back(call);
    };
    current_observer = &observer;
    added(door.open());
    wait(77);
    wait(77);
    ASSERT_EQ(observer.calls.size(), 2u);
    EXPECT_EQ(observer.calls[0].call, Call::wait);
    EXPECT_EQ(observer.calls[0].result, 1);
    EXPECT_EQ(observer.calls[1].result, 0);
    EXPECT_EQ(observer.calls[1].argument[0], 77);
    EXPECT_EQ(observer.calls[1].ended_ns - observer.calls[1].began_ns, 77);
}

TEST_F(SimulatedPollerTest, TheKernelMayNotGoBeforeItsPollers) {
    EXPECT_DEATH(
        {
            auto* early = new SimulatedKernel;
            if (open_simulated_poller(*early, *early)) delete early;
        },
        "close the pollers and ports");
}

// --- the completion port ---

class SimulatedPort : public Simulated {
protected:
    void SetUp() override {
        finished.clear();
        port = *open_simulated_completion_port(kernel, kernel, nullptr, nullptr);
    }
    void TearDown() override {
        if (port != nullptr) port->destroy();
        Simulated::TearDown();
    }
    Ends opened_pair(std::string_view host = "127.0.0.1") {
        const Ends ends = pair(host);
        for (const Handle handle : {ends.client, ends.server})
            EXPECT_TRUE(port->open(handle, HandleKind::stream));
        return ends;
    }
    /// True: it will complete later.
    bool started(Operation& operation) {
        operation.completed = [](Operation* done) { finished.push_back(done); };
        return !port->start(operation);
    }
    /// One wait, and the turn of everything it brought.
    Result<void> turn(std::int64_t timeout_ns = -1) {
        WorkList ready;
        const Result<void> waited = port->wait(timeout_ns, ready);
        while (!ready.empty()) ready.pop_front().run();
        return waited;
    }
    bool is_finished(const Operation& operation) {
        return std::find(finished.begin(), finished.end(), &operation) != finished.end();
    }

    CompletionPort* port = nullptr;
    static std::vector<Operation*> finished;
};
std::vector<Operation*> SimulatedPort::finished;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST_F(SimulatedPort, ConnectAcceptSendAndReceive) {
    const Handle listening = listener();
    const Address address = door.name_of(listening);
    const Handle client = door.open();
    ASSERT_TRUE(port->open(listening, HandleKind::stream));
    ASSERT_TRUE(port->open(client, HandleKind::stream));
    AcceptOperation accepting(listening);
    ConnectOperation connecting(client, address);
    ASSERT_TRUE(started(accepting));
    ASSERT_TRUE(started(connecting));
    EXPECT_EQ(accepting.state, OperationState::armed);
    while (finished.size() < 2) ASSERT_TRUE(turn());
    EXPECT_EQ(connecting.state, OperationState::answered);
    EXPECT_TRUE(connecting.result());
    const Result<Handle> server = accepting.result();
    ASSERT_TRUE(server);

    std::array<std::byte, 16> buffer;
    RecvOperation receiving(*server, buffer);
    SendOperation sending(client, bytes_of("hello"));
    ASSERT_TRUE(started(receiving));
    ASSERT_TRUE(turn(0));
    EXPECT_FALSE(is_finished(receiving));
    ASSERT_TRUE(started(sending));
    while (!is_finished(receiving)) ASSERT_TRUE(turn());
    EXPECT_EQ(*sending.result(), 5u);
    EXPECT_EQ(*receiving.result(), 5u);
    EXPECT_EQ(std::memcmp(buffer.data(), "hello", 5), 0);
}

TEST_F(SimulatedPort, WhereNobodyListensTheConnectFails) {
    kernel.latency_ns = millisecond_ns;
    const Handle client = door.open();
    ASSERT_TRUE(port->open(client, HandleKind::stream));
    const Address address = at("127.0.0.1", 80);
    ConnectOperation connecting(client, address);
    ASSERT_TRUE(started(connecting));
    while (finished.empty()) ASSERT_TRUE(turn());
    EXPECT_EQ(connecting.result().error().kind, ErrorKind::connection_refused);
    EXPECT_EQ(kernel.now_ns, SimulatedKernel::start_ns + 2 * millisecond_ns);
}

TEST_F(SimulatedPort, AnOperationIsCompletedInItsTurnAndNotInWait) {
    const Ends ends = opened_pair();
    door.send(ends.client, "x");
    std::array<std::byte, 4> buffer;
    RecvOperation receiving(ends.server, buffer);
    ASSERT_TRUE(started(receiving));
    WorkList ready;
    ASSERT_TRUE(port->wait(-1, ready));
    EXPECT_EQ(receiving.state, OperationState::due);
    EXPECT_TRUE(finished.empty());
    RecvOperation second(ends.server, buffer);
    EXPECT_FALSE(started(second));  // the direction is free after the turn
    EXPECT_EQ(second.answer, -EBUSY);
    port->cancel(receiving);  // too late
    ready.pop_front().run();
    EXPECT_TRUE(ready.empty());
    EXPECT_EQ(*receiving.result(), 1u);
}

TEST_F(SimulatedPort, ASecondOperationOfOneDirectionIsBusy) {
    const Ends ends = opened_pair();
    std::array<std::byte, 4> buffer;
    RecvOperation receiving(ends.server, buffer);
    ReadableOperation readable(ends.server);
    BorrowedRecvOperation borrowing(ends.server);
    WritableOperation writable(ends.server);
    ASSERT_TRUE(started(receiving));
    EXPECT_FALSE(started(readable));
    EXPECT_EQ(readable.result().error().kind, ErrorKind::busy);
    EXPECT_FALSE(started(borrowing));
    EXPECT_EQ(borrowing.state, OperationState::answered);
    EXPECT_EQ(borrowing.result().error().kind, ErrorKind::busy);
    EXPECT_TRUE(started(writable));
    ASSERT_TRUE(turn());
    EXPECT_TRUE(writable.result());
    port->cancel(receiving);
    ASSERT_TRUE(turn());
    EXPECT_EQ(receiving.result().error().kind, ErrorKind::cancelled);
}

TEST_F(SimulatedPort, AHandleThatIsNotOpenedIsABadHandle) {
    const Handle handle = door.open();
    ReadableOperation readable(handle);
    EXPECT_FALSE(started(readable));
    EXPECT_EQ(readable.answer, -EBADF);
    EXPECT_TRUE(port->open(handle, HandleKind::stream));
    EXPECT_EQ(port->open(handle, HandleKind::stream).error().kind, ErrorKind::busy);
    EXPECT_EQ(port->open(99, HandleKind::stream).error().kind, ErrorKind::bad_handle);
}

TEST_F(SimulatedPort, SendAllSendsAllThoughTheBufferIsSmall) {
    kernel.buffer_size = 1000;
    const Ends ends = opened_pair();
    const std::string text(10000, 'x');
    SendAllOperation sending(ends.client, bytes_of(text));
    ASSERT_TRUE(started(sending));
    std::size_t got = 0;
    while (!is_finished(sending)) {
        ASSERT_TRUE(turn(0));
        if (door.recv(ends.server, 700) > 0) got += door.received.size();
    }
    EXPECT_TRUE(sending.result());
    while (door.recv(ends.server, 700) > 0) got += door.received.size();
    EXPECT_EQ(got, text.size());
}

TEST_F(SimulatedPort, ABorrowedBufferIsTakenOnlyWhenDataIsThere) {
    const Ends ends = opened_pair();
    BorrowedRecvOperation receiving(ends.server);
    ASSERT_TRUE(started(receiving));
    ASSERT_TRUE(turn(0));
    EXPECT_EQ(port->buffers.lent(), 0u);
    door.send(ends.client, "abc");
    ASSERT_TRUE(turn());
    EXPECT_EQ(port->buffers.lent(), 1u);
    {
        Result<Lease> lease = receiving.result();
        ASSERT_TRUE(lease);
        EXPECT_EQ(lease->size(), 3u);
    }
    EXPECT_EQ(port->buffers.lent(), 0u);
    door.shutdown(ends.client, SHUT_WR);
    BorrowedRecvOperation ending(ends.server);
    ASSERT_TRUE(started(ending));
    ASSERT_TRUE(turn());
    EXPECT_TRUE(ending.result()->empty());
    EXPECT_EQ(port->buffers.lent(), 0u);
}

TEST_F(SimulatedPort, AtTheLimitAReceiveWaitsForALease) {
    port->buffers.limit = 1;
    const Ends first = opened_pair(), second = opened_pair(), third = opened_pair();
    for (const Ends& ends : {first, second, third}) door.send(ends.client, "x");
    BorrowedRecvOperation one(first.server), two(second.server), three(third.server);
    for (Operation* operation :
         {static_cast<Operation*>(&one), static_cast<Operation*>(&two), static_cast<Operation*>(&three)})
        ASSERT_TRUE(started(*operation));
    ASSERT_TRUE(turn());
    ASSERT_EQ(finished.size(), 1u);
    EXPECT_EQ(turn().error().kind, ErrorKind::deadlock);  // whoever holds the lease is not coming back
    EXPECT_TRUE(one.result());                            // a temporary lease ends here
    port->cancel(two);                                    // leaves the line
    ASSERT_TRUE(turn());
    EXPECT_EQ(two.answer, -ECANCELED);
    while (!is_finished(three)) ASSERT_TRUE(turn());
    EXPECT_EQ(three.answer, 1);
    EXPECT_TRUE(three.result());
    EXPECT_EQ(port->buffers.lent(), 0u);
}

TEST_F(SimulatedPort, CancelEndsAnOperationAtTheNextWait) {
    const Ends ends = opened_pair();
    std::array<std::byte, 4> buffer;
    RecvOperation receiving(ends.server, buffer);
    ASSERT_TRUE(started(receiving));
    ASSERT_TRUE(turn(0));
    port->cancel(receiving);
    EXPECT_TRUE(finished.empty());
    ASSERT_TRUE(turn());
    EXPECT_TRUE(receiving.cancel_requested);
    EXPECT_EQ(receiving.answer, -ECANCELED);
    port->cancel(receiving);
    EXPECT_EQ(turn().error().kind, ErrorKind::deadlock);
    EXPECT_EQ(finished.size(), 1u);
}

TEST_F(SimulatedPort, CloseCompletesWhatIsArmedAndThenItself) {
    const Ends ends = opened_pair();
    std::array<std::byte, 4> buffer;
    fill(ends.server);
    RecvOperation receiving(ends.server, buffer);
    SendOperation sending(ends.server, bytes_of("x"));
    CloseOperation closing(ends.server), again(ends.server);
    ASSERT_TRUE(started(receiving));
    ASSERT_TRUE(started(sending));
    ASSERT_TRUE(turn(0));
    ASSERT_TRUE(started(closing));
    EXPECT_FALSE(started(again));
    EXPECT_EQ(again.result().error().kind, ErrorKind::bad_handle);
    RecvOperation late(ends.server, buffer);
    EXPECT_FALSE(started(late));
    EXPECT_EQ(late.answer, -EBADF);
    while (finished.size() < 3) ASSERT_TRUE(turn());
    EXPECT_EQ(finished, (std::vector<Operation*>{&receiving, &sending, &closing}));
    EXPECT_EQ(receiving.answer, -ECANCELED);
    EXPECT_EQ(sending.answer, -ECANCELED);
    EXPECT_TRUE(closing.result());
    EXPECT_EQ(door.recv(ends.server), -EBADF);
}

TEST_F(SimulatedPort, DiscardClosesWithNobodyListening) {
    const Ends ends = opened_pair(), others = opened_pair();
    port->discard(ends.server);
    EXPECT_EQ(door.recv(ends.client), 0);
    std::array<std::byte, 4> buffer;
    RecvOperation receiving(others.server, buffer);
    ASSERT_TRUE(started(receiving));
    port->discard(others.server);
    EXPECT_EQ(door.recv(others.client), -EAGAIN);
    ASSERT_TRUE(turn());
    EXPECT_EQ(receiving.answer, -ECANCELED);
    ASSERT_TRUE(turn(0));
    EXPECT_EQ(door.recv(others.client), 0);
    EXPECT_EQ(kernel.open_descriptors, 2u);
}

TEST_F(SimulatedPort, DestroyingItClosesWhatWasDiscarded) {
    const Ends ends = opened_pair();
    std::array<std::byte, 4> buffer;
    RecvOperation receiving(ends.server, buffer);
    ASSERT_TRUE(started(receiving));
    port->discard(ends.server);
    ASSERT_TRUE(turn());
    port->destroy();
    port = nullptr;
    EXPECT_EQ(kernel.open_descriptors, 1u);
}

TEST_F(SimulatedPort, DestroyingItWithAnArmedOperationIsAMistake) {
    const Ends ends = opened_pair();
    std::array<std::byte, 4> buffer;
    RecvOperation receiving(ends.server, buffer);
    ASSERT_TRUE(started(receiving));
    EXPECT_DEATH(port->destroy(), "cancel them and wait first");
    EXPECT_DEATH(door.close(ends.server), "close it through its port");
    port->cancel(receiving);
    ASSERT_TRUE(turn());
}

TEST_F(SimulatedPort, AnAcceptedConnectionIsOpenOnThePort) {
    const Handle listening = listener();
    ASSERT_TRUE(port->open(listening, HandleKind::stream));
    connected_to(listening);
    AcceptOperation accepting(listening);
    ASSERT_TRUE(started(accepting));
    ASSERT_TRUE(turn());
    const Handle server = *accepting.result();
    ReadableOperation readable(server);
    EXPECT_TRUE(started(readable));
    port->cancel(readable);
    ASSERT_TRUE(turn());
}

TEST_F(SimulatedPort, TheObserverHearsOfEachStepOfAnOperation) {
    static std::string heard;
    heard.clear();
    Observer observer;
    observer.operation_started = [](Observer&, Operation&) { heard += 's'; };
    observer.operation_parked = [](Observer&, Operation&) { heard += 'p'; };
    observer.operation_completed = [](Observer&, Operation& operation) {
        heard += operation.failed() ? 'f' : 'c';
    };
    current_observer = &observer;
    const Ends ends = opened_pair();
    ReadableOperation readable(ends.server), busy(ends.server);
    started(readable);
    EXPECT_EQ(heard, "s");
    started(busy);
    EXPECT_EQ(heard, "ssf");
    ASSERT_TRUE(turn(0));
    EXPECT_EQ(heard, "ssfp");
    door.send(ends.client, "x");
    ASSERT_TRUE(turn());
    EXPECT_EQ(heard, "ssfpc");
}

TEST_F(SimulatedPort, AWakeEndsTheWait) {
    port->wake();
    EXPECT_TRUE(turn(-1));
    EXPECT_EQ(turn(-1).error().kind, ErrorKind::deadlock);
    kernel.external_wakes_expected = 1;
    std::thread other([this] { port->wake(); });
    EXPECT_TRUE(turn(-1));
    other.join();
}

// --- faults ---

/// How often `times` calls gave `expected`.
template <class Function>
int count_of(std::intptr_t expected, int times, Function call) {
    int count = 0;
    for (int round = 0; round < times; ++round) count += call() == expected;
    return count;
}

TEST_F(SimulatedFaults, NoneHappensByDefaultAndNoChanceIsDrawn) {
    const std::uint64_t state = kernel.random.state;
    const Ends ends = pair();
    for (int count = 0; count < 1000; ++count) {
        ASSERT_EQ(door.send(ends.client, "abc"), 3);
        ASSERT_EQ(door.recv(ends.server), 3);
    }
    EXPECT_EQ(kernel.random.state, state);
}

TEST_F(SimulatedFaults, InterruptedIsEintrFromEveryCallThatMayWait) {
    const Handle listening = listener();
    const Ends ends = pair();
    kernel.faults.interrupted = Faults::always;
    char byte = 0;
    EXPECT_EQ(door.recv(ends.client), -EINTR);
    EXPECT_EQ(door.send(ends.client, "x"), -EINTR);
    EXPECT_EQ(kernel.read(kernel, ends.client, &byte, 1), -EINTR);
    EXPECT_EQ(kernel.write(kernel, ends.client, &byte, 1), -EINTR);
    EXPECT_EQ(door.accept(listening), -EINTR);
    EXPECT_EQ(door.poll(ends.client), -EINTR);
    const Handle client = door.open();
    EXPECT_EQ(door.connect(client, door.name_of(listening)), -EINTR);
    kernel.faults.interrupted = 0;
    EXPECT_GT(door.accept(listening), 0);  // it went on nevertheless
    EXPECT_EQ(door.poll(client), POLLOUT);
    EXPECT_EQ(door.close(client), 0);
}

TEST_F(SimulatedFaults, WouldBlockAfterReadyIsEagainThoughDataIsThere) {
    const Ends ends = pair();
    door.send(ends.client, "x");
    kernel.faults.would_block_after_ready = 500;
    const int blocked = count_of(-EAGAIN, 200, [&] { return door.recv(ends.server, 1, MSG_PEEK); });
    EXPECT_GT(blocked, 50);
    EXPECT_LT(blocked, 150);
}

TEST_F(SimulatedFaults, ShortReadsAndWritesMoveSomeOfTheBytes) {
    const Ends ends = pair();
    kernel.faults = {.short_read = Faults::always, .short_write = Faults::always};
    for (int count = 0; count < 100; ++count) {
        const std::intptr_t sent = door.send(ends.client, "0123456789");
        ASSERT_GE(sent, 1);
        ASSERT_LE(sent, 9);
    }
    std::intptr_t got;
    while ((got = door.recv(ends.server, 10)) > 1) ASSERT_LE(got, 9);
    EXPECT_EQ(got, 1);
}

TEST_F(SimulatedFaults, AResetReachesBothEnds) {
    const Ends ends = pair();
    kernel.faults.reset = Faults::always;
    EXPECT_EQ(door.send(ends.client, "x"), -ECONNRESET);
    kernel.faults.reset = 0;
    EXPECT_EQ(door.send(ends.client, "x"), -EPIPE);
    EXPECT_EQ(door.recv(ends.server), -ECONNRESET);
}

TEST_F(SimulatedFaults, RefusedThoughSomebodyListens) {
    kernel.faults.refused = Faults::always;
    const Handle listening = listener(), local = listener(at("unix:/run/test"));
    EXPECT_EQ(door.get(connected_to(listening), SO_ERROR), ECONNREFUSED);
    EXPECT_EQ(door.connect(door.open(AF_UNIX), door.name_of(local)), -ECONNREFUSED);
}

TEST_F(SimulatedFaults, DescriptorsExhaustedLosesNoConnection) {
    const Handle listening = listener();
    connected_to(listening);
    kernel.faults.descriptors_exhausted = Faults::always;
    EXPECT_EQ(door.open(), -EMFILE);
    EXPECT_EQ(door.accept(listening), -EMFILE);
    kernel.faults.descriptors_exhausted = 0;
    EXPECT_GT(door.accept(listening), 0);
}

TEST_F(SimulatedFaults, AnAbortedAcceptLosesTheConnection) {
    const Handle listening = listener();
    const Handle client = connected_to(listening);
    kernel.faults.accept_aborted = Faults::always;
    EXPECT_EQ(door.accept(listening), -ECONNABORTED);
    EXPECT_EQ(door.accept(listening), -EAGAIN);
    EXPECT_EQ(door.recv(client), -ECONNRESET);
}

TEST_F(SimulatedPollerTest, SpuriousReadinessFollowsAnArm) {
    const Ends ends = pair();
    const Token token = added(ends.server);
    wait();
    kernel.faults.spurious_readiness = Faults::always;
    ASSERT_TRUE(poller->arm(token, Direction::read));
    const auto events = wait();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_TRUE(any(events[0].what, EventBits::readable));
    EXPECT_EQ(door.recv(ends.server), -EAGAIN);
    EXPECT_TRUE(wait().empty());
}

TEST_F(SimulatedPollerTest, InterruptedEndsAWaitWithoutEvents) {
    added(door.open());
    kernel.faults.interrupted = Faults::always;
    EXPECT_TRUE(wait(1000).empty());
    EXPECT_TRUE(last);
    EXPECT_EQ(kernel.now_ns, SimulatedKernel::start_ns);
    kernel.faults.interrupted = 0;
    EXPECT_EQ(wait().size(), 1u);
}

TEST_F(SimulatedPollerTest, OutOfOrderEventsAreShuffled) {
    std::vector<Handle> in_order, seen;
    kernel.faults.out_of_order_events = Faults::always;
    for (int count = 0; count < 20; ++count) in_order.push_back(added(door.open()).handle);
    for (const PollerEvent& event : wait()) seen.push_back(event.token.handle);
    EXPECT_NE(seen, in_order);
    EXPECT_TRUE(std::is_permutation(seen.begin(), seen.end(), in_order.begin(), in_order.end()));
}

TEST_F(SimulatedPort, FinishInlineAnswersInsideStart) {
    const Ends ends = opened_pair();
    kernel.faults.finish_inline = Faults::always;
    std::array<std::byte, 4> buffer;
    RecvOperation empty(ends.server, buffer);
    ASSERT_TRUE(started(empty));
    SendAllOperation sending(ends.client, bytes_of("abcd"));
    EXPECT_FALSE(started(sending));
    EXPECT_EQ(sending.state, OperationState::answered);
    ASSERT_TRUE(turn());
    EXPECT_EQ(*empty.result(), 4u);
}

TEST_F(SimulatedPort, AnAbortedConnectionIsPassedOverByAccept) {
    const Handle listening = listener();
    ASSERT_TRUE(port->open(listening, HandleKind::stream));
    AcceptOperation accepting(listening);
    ASSERT_TRUE(started(accepting));
    kernel.faults.accept_aborted = Faults::always;
    connected_to(listening);
    ASSERT_TRUE(turn(0));
    EXPECT_TRUE(finished.empty());
    kernel.faults.accept_aborted = 0;
    connected_to(listening);
    ASSERT_TRUE(turn());
    EXPECT_TRUE(accepting.result());
}

TEST_F(SimulatedPort, ALateCancelLosesAndTheTrueAnswerIsDelivered) {
    kernel.faults.late_cancel = Faults::always;
    const Ends ends = opened_pair();
    std::array<std::byte, 4> buffer;
    RecvOperation receiving(ends.server, buffer);
    ASSERT_TRUE(started(receiving));
    ASSERT_TRUE(turn(0));
    door.send(ends.client, "abc");
    port->cancel(receiving);
    ASSERT_TRUE(turn());
    EXPECT_EQ(*receiving.result(), 3u);
    RecvOperation nothing(ends.server, buffer);
    ASSERT_TRUE(started(nothing));
    port->cancel(nothing);
    ASSERT_TRUE(turn());
    EXPECT_EQ(nothing.answer, -ECANCELED);
}

TEST_F(SimulatedPort, OutOfOrderCompletionsStillCloseLast) {
    kernel.faults.out_of_order_events = Faults::always;
    std::vector<Ends> pairs;
    for (int count = 0; count < 12; ++count) pairs.push_back(opened_pair());
    std::array<std::byte, 4> buffer;
    std::vector<std::unique_ptr<RecvOperation>> receives;
    std::vector<Operation*> in_order;
    for (const Ends& ends : pairs) {
        receives.push_back(std::make_unique<RecvOperation>(ends.server, buffer));
        in_order.push_back(receives.back().get());
        ASSERT_TRUE(started(*receives.back()));
    }
    CloseOperation closing(pairs[0].server);
    ASSERT_TRUE(started(closing));
    for (const Ends& ends : pairs) door.send(ends.client, "x");
    while (finished.size() < 13) ASSERT_TRUE(turn());
    EXPECT_EQ(finished.back(), &closing);
    finished.pop_back();
    EXPECT_NE(finished, in_order);
    EXPECT_TRUE(std::is_permutation(finished.begin(), finished.end(), in_order.begin()));
}

// --- the same seed ---

/// A busy little world with every fault, driven by the poller.
std::uint64_t poller_run(std::uint64_t seed) {
    SimulatedKernel kernel(seed);
    Door door{kernel};
    kernel.latency_ns = 100;
    kernel.buffer_size = 500;
    const std::uint32_t some = 100;
    kernel.faults = {some, some, some, some, some, 5, some, some, some, some};
    Poller* poller = *open_simulated_poller(kernel, kernel);
    std::vector<Handle> handles;
    const auto keep = [&](std::intptr_t handle) {
        if (handle < 0) return;
        handles.push_back(static_cast<Handle>(handle));
        EXPECT_TRUE(poller->add({handles.back(), 1}));
    };
    Handle listening = -EMFILE;
    while (listening < 0) listening = door.open();
    door.bind(listening, at("127.0.0.1", 80));
    door.listen(listening);
    EXPECT_TRUE(poller->add({listening, 0}));
    for (int turn = 0; turn < 300; ++turn) {
        if (const Handle client = door.open(); client >= 0) {
            door.connect(client, at("127.0.0.1", 80));
            keep(client);
        }
        std::array<PollerEvent, 8> events;
        const auto count = poller->wait(events, 1000);
        for (std::size_t index = 0; count && index < *count; ++index) {
            const Handle handle = events[index].token.handle;
            if (handle == listening) {
                keep(door.accept(listening));
                EXPECT_TRUE(poller->arm(events[index].token, Direction::read));
                continue;
            }
            door.send(handle, std::string(static_cast<std::size_t>(turn), 'x'));
            door.recv(handle, 200);
            EXPECT_TRUE(poller->arm(events[index].token, Direction::read));
        }
        if (turn % 3 == 0 && !handles.empty()) {
            door.close(handles.front());
            handles.erase(handles.begin());
        }
    }
    poller->close();
    return kernel.digest.value;
}

/// The same for the completion port: pairs that send to each other, cancel and close.
std::uint64_t port_run(std::uint64_t seed) {
    SimulatedKernel kernel(seed);
    Door door{kernel};
    kernel.latency_ns = 100;
    kernel.faults = {.short_read = 200,
                     .short_write = 200,
                     .interrupted = 100,
                     .reset = 20,
                     .out_of_order_events = 500,
                     .finish_inline = 200,
                     .late_cancel = 500};
    CompletionPort* port = *open_simulated_completion_port(kernel, kernel, nullptr, nullptr);
    const Handle listening = door.open();
    door.bind(listening, at("127.0.0.1", 80));
    door.listen(listening);
    EXPECT_TRUE(port->open(listening, HandleKind::stream));
    const Address address = at("127.0.0.1", 80);
    static std::size_t pending;
    const auto start = [&](Operation& operation) {
        operation.completed = [](Operation*) { --pending; };
        if (!port->start(operation)) ++pending;
    };
    const auto finish = [&] {
        WorkList ready;
        while (pending > 0) {
            EXPECT_TRUE(port->wait(-1, ready));
            while (!ready.empty()) ready.pop_front().run();
        }
    };
    for (int round = 0; round < 60; ++round) {
        pending = 0;
        const Handle client = door.open();
        EXPECT_TRUE(port->open(client, HandleKind::stream));
        AcceptOperation accepting(listening);
        ConnectOperation connecting(client, address);
        start(accepting);
        start(connecting);
        finish();
        const Handle server = *accepting.result();
        std::string text(5000, static_cast<char>('a' + round % 20));
        std::array<std::byte, 3000> buffer;
        SendAllOperation sending(client, bytes_of(text));
        RecvOperation receiving(server, buffer);
        start(sending);
        start(receiving);
        if (round % 4 == 0) port->cancel(receiving);
        finish();
        CloseOperation closing_client(client), closing_server(server);
        start(closing_client);
        start(closing_server);
        finish();
    }
    EXPECT_EQ(kernel.open_descriptors, 1u);
    port->destroy();
    return kernel.digest.value;
}

TEST(SimulatedRun, TheSameSeedGivesTheSameRunToTheByte) {
    for (const std::uint64_t seed : {1u, 2u, 3u}) {
        EXPECT_EQ(poller_run(seed), poller_run(seed));
        EXPECT_EQ(port_run(seed), port_run(seed));
    }
}

TEST(SimulatedRun, AnotherSeedGivesAnotherRun) {
    EXPECT_NE(poller_run(1), poller_run(2));
    EXPECT_NE(port_run(1), port_run(2));
}

TEST(SimulatedRun, OneOtherByteGivesAnotherDigest) {
    const auto digest_of = [](std::string_view text) {
        SimulatedKernel kernel;
        Door door{kernel};
        const Handle listening = door.open(), client = door.open();
        door.bind(listening, at("127.0.0.1", 80));
        door.listen(listening);
        door.connect(client, at("127.0.0.1", 80));
        door.send(client, text);
        return kernel.digest.value;
    };
    EXPECT_EQ(digest_of("same"), digest_of("same"));
    EXPECT_NE(digest_of("same"), digest_of("sane"));
}

TEST(SimulatedRun, LookingAtTheClockLeavesTheDigestAlone) {
    SimulatedKernel kernel;
    const std::uint64_t before = kernel.digest.value;
    kernel.clock(kernel);
    EXPECT_EQ(kernel.digest.value, before);
}

TEST(SimulatedRun, ManySeedsOfEveryFaultKeepTheInvariants) {
    for (std::uint64_t seed = 100; seed < 130; ++seed) {
        poller_run(seed);
        port_run(seed);
    }
}

// --- memory ---

TEST(SimulatedMemory, EverythingIsFreed) {
    const MemoryCounters before = memory_counters();
    poller_run(9);
    port_run(9);
    const MemoryCounters after = memory_counters();
    EXPECT_GT(after.allocations, before.allocations);
    EXPECT_EQ(after.allocations - before.allocations, after.releases - before.releases);
}

TEST_F(SimulatedStreams, TheSteadyStateAllocatesNothing) {
    const auto round = [&] {
        const Ends ends = pair();
        fill(ends.client);
        while (door.recv(ends.server, 5000) > 0) {
        }
        door.close(ends.client);
        door.close(ends.server);
    };
    round();
    const std::uint64_t before = memory_counters().allocations;
    for (int count = 0; count < 100; ++count) round();
    // The port's numbers move on, the memory does not.
    EXPECT_EQ(memory_counters().allocations, before);
}

/// Touches everything that allocates; any step may fail, and later ones must cope.
void short_scenario() {
    SimulatedKernel kernel;
    Door door{kernel};
    const Result<Poller*> poller = open_simulated_poller(kernel, kernel);
    const Result<CompletionPort*> port = open_simulated_completion_port(kernel, kernel, nullptr, nullptr);
    std::vector<Handle> handles;
    const Handle listening = door.open();
    door.bind(listening, at("127.0.0.1", 80));
    door.listen(listening, 100);
    if (poller) (void)(*poller)->add({listening, 1});
    for (int count = 0; count < 70; ++count) {
        const Handle client = door.open();
        door.connect(client, at("127.0.0.1", 80));
        if (poller) (void)(*poller)->add({client, 1});
        if (port) (void)(*port)->open(client, HandleKind::stream);
        const std::intptr_t sent = door.send(client, std::string(3000, 'x'));
        const auto server = static_cast<Handle>(door.accept(listening));
        EXPECT_TRUE(sent > 0 || sent == -ENOMEM || sent == -EPIPE || sent == -EBADF || sent == -ECONNREFUSED)
            << sent;
        EXPECT_TRUE(server < 0 || door.recv(server, 5000) != 0);
        std::array<PollerEvent, 4> events;
        if (poller) (void)(*poller)->wait(events, 0);
    }
    if (port) {
        BorrowedRecvOperation receiving(listening);
        (void)(*port)->open(listening, HandleKind::stream);
        receiving.completed = [](Operation*) {};
        WorkList ready;
        const bool inside_start = (*port)->start(receiving);
        EXPECT_TRUE(inside_start || (*port)->wait(0, ready));
        while (!ready.empty()) ready.pop_front().run();
        EXPECT_EQ(receiving.state, OperationState::answered);
        EXPECT_TRUE(receiving.failed());
        (*port)->destroy();
    }
    if (poller) (*poller)->close();
}

TEST(SimulatedMemory, AnyAllocationMayFail) {
    const MemoryCounters start = memory_counters();
    short_scenario();
    const std::uint64_t needed = memory_counters().allocations - start.allocations;
    ASSERT_GT(needed, 5u);
    for (std::uint64_t count = 0; count < needed; ++count) {
        for (const std::uint64_t failures : {1, 1000000}) {
            const MemoryCounters before = memory_counters();
            fail_allocations_after(count, failures);
            short_scenario();
            fail_allocations_after(0, 0);
            const MemoryCounters after = memory_counters();
            ASSERT_EQ(after.allocations - before.allocations, after.releases - before.releases)
                << count << " " << failures;
        }
    }
}

}  // namespace
}  // namespace pollard
