// The simulated kernel's streams: bytes, ends and resets between two sockets, and the clock by which they arrive.
//
// Read next: tests/simulated/poller_test.cc.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "platform/clock.h"
#include "platform/memory.h"
#include "platform/simulated/simulated_kernel.h"
#include "platform/system_sockets.h"
#include "tests/simulated/door.h"

namespace pollard {
namespace {

using SimulatedStreams = Simulated;
using SimulatedClock = Simulated;

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

}  // namespace
}  // namespace pollard
