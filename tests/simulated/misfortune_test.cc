// What goes wrong on the simulated kernel: each fault of a call, whole runs with every fault, which repeat to the byte, and
// memory that runs out at any point. All of it comes from a seed.
//
// Read next: platform/simulated/simulated_kernel.h, at Faults.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "platform/address.h"
#include "platform/memory.h"
#include "platform/simulated/simulated_completion_port.h"
#include "platform/simulated/simulated_kernel.h"
#include "platform/simulated/simulated_poller.h"
#include "platform/system_sockets.h"
#include "tests/simulated/door.h"

namespace pollard {
namespace {

using SimulatedFaults = Simulated;

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
