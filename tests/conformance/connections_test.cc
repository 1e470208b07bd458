// Connections: how they come (accept), how they are made (connect), and what can go wrong on both sides.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "platform/memory.h"
#include "platform/system_sockets.h"
#include "tests/conformance/completion_port_conformance.h"

namespace pollard::conformance {

class PortConnections : public PortTest {
protected:
    /// The next accepted connection, kept.
    Handle accept(Handle listening) {
        Accepting accepting(driver, listening);
        EXPECT_TRUE(accepting.finish()) << "nobody is accepted";
        const Result<Handle> accepted = accepting.result();
        EXPECT_TRUE(accepted) << describe(accepted.error()).c_str();
        return accepted ? world.keep(*accepted) : no_handle;
    }
    /// Whether these two are the ends of one connection.
    void expect_connected(Handle ours, Handle peer) {
        world.send(peer, "hello");
        EXPECT_EQ(recv_all(ours, 5), "hello");
    }
};

// --- accept ---

TEST_P(PortConnections, ConnectionsAreAcceptedInTheirOrder) {
    const Handle listening = listener();
    const Address address = world.address_of(listening);
    std::vector<Handle> clients;
    for (int number = 0; number < 5; ++number) {
        clients.push_back(world.connecting_to(address));
        ASSERT_TRUE(world.await(clients.back(), POLLOUT));
    }
    for (const Handle client : clients) expect_connected(accept(listening), client);
    Accepting accepting(driver, listening);
    accepting.start();
    expect_armed(accepting);
}

TEST_P(PortConnections, AnAcceptWaitsForAConnection) {
    const Handle listening = listener();
    for (int round = 0; round < 3; ++round) {
        Accepting accepting(driver, listening);
        accepting.start();
        expect_armed(accepting);
        const Handle client = world.connecting_to(world.address_of(listening));
        ASSERT_TRUE(accepting.finish());
        ASSERT_TRUE(accepting.result());
        expect_connected(world.keep(*accepting.result()), client);
    }
}

TEST_P(PortConnections, AnAcceptedConnectionIsOpenOnThePort) {
    const Handle listening = listener();
    world.connecting_to(world.address_of(listening));
    const Handle server = accept(listening);
    EXPECT_EQ(kind_of(port().open(server, HandleKind::stream)), ErrorKind::busy);
    close(server);
}

TEST_P(PortConnections, AResultThatNobodyWantsIsClosed) {
    const Handle listening = listener();
    const Handle client = world.connecting_to(world.address_of(listening));
    Accepting accepting(driver, listening);
    ASSERT_TRUE(accepting.finish());
    accepting.drop_result();
    EXPECT_EQ(world.recv_to_end(client), "");
}

TEST_P(PortConnections, AHundredComeAtOnce) {
    const Handle listening = listener(200);
    const Address address = world.address_of(listening);
    std::vector<Handle> clients;
    for (int number = 0; number < 100; ++number) clients.push_back(world.connecting_to(address));
    for (const Handle client : clients) expect_connected(accept(listening), client);
}

TEST_P(PortConnections, WithoutDescriptorsAcceptIsAnErrorAndWorksAfterwards) {
    if (!DescriptorShortage::is_possible(world)) GTEST_SKIP() << "this system has no limit of descriptors";
    const Handle listening = listener();
    const Handle client = world.connecting_to(world.address_of(listening));
    ASSERT_TRUE(world.await(listening, POLLIN));
    {
        const DescriptorShortage shortage(world, 0);
        for (int times = 0; times < 3; ++times) {
            Accepting accepting(driver, listening);
            ASSERT_TRUE(accepting.finish());
            EXPECT_EQ(kind_of(accepting.result()), ErrorKind::descriptors_exhausted);
            EXPECT_EQ(accepting.result().error().call, Call::accept);
        }
    }
    expect_connected(accept(listening), client);
}

TEST_P(PortConnections, WithoutDescriptorsAnAcceptThatWaitsIsAnErrorToo) {
    if (!DescriptorShortage::is_possible(world)) GTEST_SKIP() << "this system has no limit of descriptors";
    const Handle listening = listener();
    const Address address = world.address_of(listening);
    const Handle first = world.socket();
    Accepting accepting(driver, listening);
    accepting.start();
    ASSERT_FALSE(accepting.done());
    world.connect(first, address);
    {
        const DescriptorShortage shortage(world, 0);
        ASSERT_TRUE(accepting.finish());
        EXPECT_EQ(kind_of(accepting.result()), ErrorKind::descriptors_exhausted);
    }
    expect_connected(accept(listening), first);
}

TEST_P(PortConnections, WithoutMemoryAcceptIsAnErrorAndWorksAfterwards) {
    const Handle listening = listener();
    // Beyond any table that has been made so far, so that each port needs memory for the new one.
    std::vector<Handle> gap;
    for (int number = 0; number < 100; ++number) gap.push_back(world.socket());
    for (std::uint64_t passes = 0;; ++passes) {
        ASSERT_LT(passes, 100u);
        const Handle client = world.connecting_to(world.address_of(listening));
        ASSERT_TRUE(world.await(listening, POLLIN));
        fail_allocations_after(passes, 1000);
        Accepting accepting(driver, listening);
        const bool finished = accepting.finish();
        fail_allocations_after(0, 0);
        ASSERT_TRUE(finished);
        if (accepting.result()) {
            world.keep(*accepting.result());
            break;
        }
        EXPECT_EQ(kind_of(accepting.result()), ErrorKind::out_of_memory);
        // Whether that connection is lost is left open; a further one is accepted.
        world.close(client);
        while (world.await(listening, POLLIN, 0)) {
            Accepting next(driver, listening);
            ASSERT_TRUE(next.finish());
            ASSERT_TRUE(next.result());
            next.drop_result();
            driver.settle();
        }
    }
}

TEST_P(PortConnections, ConnectionsThatWereResetInTheQueueDoNotStopAccept) {
    const Handle listening = listener();
    const Address address = world.address_of(listening);
    for (int number = 0; number < 3; ++number) {
        const Handle client = world.connecting_to(address);
        ASSERT_TRUE(world.await(client, POLLOUT));
        world.reset(client);
    }
    const Handle last = world.connecting_to(address);
    world.send(last, "hello");
    // Kernels differ in whether the dead ones are accepted first.
    for (int tries = 0; tries < 4; ++tries) {
        const Handle server = accept(listening);
        Receiving receiving(driver, server);
        ASSERT_TRUE(receiving.finish());
        if (receiving.text() == "hello") return;
        expect_reset(kind_of(receiving.result()));
    }
    ADD_FAILURE() << "the living one was never accepted";
}

TEST_P(PortConnections, AnAbortedConnectionIsPassedOver) {
    if (!GetParam().passes_the_door && world.simulated() == nullptr)
        GTEST_SKIP() << "nothing can make this kernel say so";
    const Handle listening = listener();
    const Address address = world.address_of(listening);
    Accepting accepting(driver, listening);
    if (GetParam().passes_the_door) {
        world.failing.fail(Call::accept, ECONNABORTED, 0, 3);
        accepting.start();
    } else {
        world.simulated()->faults.accept_aborted = Faults::always;
        accepting.start();
        world.connecting_to(address);
        expect_armed(accepting);
        world.simulated()->faults.accept_aborted = 0;
    }
    const Handle client = world.connecting_to(address);
    ASSERT_TRUE(accepting.finish());
    ASSERT_TRUE(accepting.result()) << describe(accepting.result().error()).c_str();
    expect_connected(world.keep(*accepting.result()), client);
}

TEST_P(PortConnections, AcceptOnWhatDoesNotListenIsAnInvalidArgument) {
    const Handle handle = socket();
    Accepting accepting(driver, handle);
    ASSERT_TRUE(accepting.finish());
    EXPECT_EQ(kind_of(accepting.result()), ErrorKind::invalid_argument);
}

// --- connect ---

TEST_P(PortConnections, AConnectSucceeds) {
    const Handle listening = world.listener();
    const Address address = world.address_of(listening);
    const Handle client = socket();
    Connecting connecting(driver, client, address);
    ASSERT_TRUE(connecting.finish());
    ASSERT_TRUE(connecting.result()) << describe(connecting.result().error()).c_str();
    expect_connected(client, world.accepted_from(listening));
}

TEST_P(PortConnections, WhereNobodyListensItIsRefusedAndTheErrorNamesTheAddress) {
    const Handle listening = world.listener();
    const Address nobody = world.address_of(listening);
    world.close(listening);
    const Handle client = socket();
    Connecting connecting(driver, client, nobody);
    ASSERT_TRUE(connecting.finish());
    const Error error = connecting.result().error();
    EXPECT_EQ(error.kind, ErrorKind::connection_refused);
    EXPECT_EQ(error.call, Call::connect);
    EXPECT_EQ(error.object, Error::Object::ipv4);
    EXPECT_EQ(error.address.port, nobody.port());
}

// Whichever of the two asks the kernel first takes the error away from the other.
TEST_P(PortConnections, ARefusalEndsTheConnectAndAlsoTheReceiveThatWaits) {
    const Handle listening = world.listener();
    const Address nobody = world.address_of(listening);
    world.close(listening);
    const Handle client = socket();
    Connecting connecting(driver, client, nobody);
    connecting.start();
    Receiving receiving(driver, client);
    receiving.start();
    ASSERT_TRUE(all_done(driver, connecting, receiving));
    EXPECT_FALSE(connecting.result());
    EXPECT_EQ(receiving.result().value_or(0), 0u) << "an error, or an end";
}

TEST_P(PortConnections, ARefusedSocketCanBeClosed) {
    const Handle listening = world.listener();
    const Address nobody = world.address_of(listening);
    world.close(listening);
    for (int round = 0; round < 3; ++round) {
        const Handle client = socket();
        Connecting connecting(driver, client, nobody);
        ASSERT_TRUE(connecting.finish());
        EXPECT_EQ(kind_of(connecting.result()), ErrorKind::connection_refused);
        close(client);
    }
}

// Linux answers 0 to the first connect(2) after one that was in progress, if nobody has asked for its outcome
// in that way; a port that asks otherwise (SO_ERROR) meets that 0 here.
TEST_P(PortConnections, ConnectingAgainEndsInAlreadyConnected) {
    const Handle listening = world.listener();
    const Address address = world.address_of(listening);
    const Handle client = socket();
    ErrorKind last = ErrorKind::none;
    for (int times = 0; times < 3; ++times) {
        Connecting connecting(driver, client, address);
        ASSERT_TRUE(connecting.finish());
        last = kind_of(connecting.result());
        ASSERT_TRUE(times > 0 || last == ErrorKind::none);
    }
    EXPECT_EQ(last, ErrorKind::already_connected);
    expect_connected(client, world.accepted_from(listening));
}

TEST_P(PortConnections, AReceiveMayWaitWhileTheConnectDoes) {
    const Handle listening = world.listener();
    const Address address = world.address_of(listening);
    const Handle client = socket();
    Connecting connecting(driver, client, address);
    connecting.start();
    Receiving receiving(driver, client);
    receiving.start();
    expect_armed(receiving);
    world.send(world.accepted_from(listening), "hello");
    ASSERT_TRUE(all_done(driver, connecting, receiving));
    EXPECT_TRUE(connecting.result());
    EXPECT_EQ(receiving.text(), "hello");
}

// connect(2): an interrupted one goes on by itself, and calling again would say EALREADY.
TEST_P(PortConnections, AnInterruptedConnectGoesOn) {
    if (world.simulated() != nullptr) {
        world.simulated()->faults.interrupted = Faults::always / 2;
    } else {
        world.failing.before = [](InterposedKernel& self,
                                  const KernelCall& call) -> std::optional<std::intptr_t> {
            if (call.call != Call::connect) return std::nullopt;
            const auto* address = static_cast<const sockaddr*>(call.bytes);
            self.inner->connect(*self.inner, call.handle, address, static_cast<unsigned>(call.argument[0]));
            return -EINTR;
        };
    }
    for (int round = 0; round < 8; ++round) {
        const Handle listening = world.listener();
        const Address address = world.address_of(listening);
        const Handle client = socket();
        Connecting connecting(driver, client, address);
        ASSERT_TRUE(connecting.finish());
        EXPECT_TRUE(connecting.result()) << describe(connecting.result().error()).c_str();
        expect_connected(client, world.accepted_from(listening));
    }
    if (world.simulated() != nullptr) world.simulated()->faults.interrupted = 0;
}

// A listener whose queue is full lets the request hang; then it is the caller's time-out that ends it.
TEST_P(PortConnections, AConnectThatHangsCanBeCancelled) {
    const Handle listening = world.listener(0);
    world.connect_that_hangs(listening);
    const Address address = world.address_of(listening);
    const Handle client = socket();
    Connecting connecting(driver, client, address);
    connecting.start();
    expect_armed(connecting);
    connecting.cancel();
    ASSERT_TRUE(connecting.finish());
    EXPECT_EQ(kind_of(connecting.result()), ErrorKind::cancelled);
    close(client);
}

TEST_P(PortConnections, AConnectThatHangsEndsWhenItsHandleIsClosed) {
    const Handle listening = world.listener(0);
    world.connect_that_hangs(listening);
    const Address address = world.address_of(listening);
    const Handle client = socket();
    Connecting connecting(driver, client, address);
    connecting.start();
    ASSERT_FALSE(connecting.done());
    close(client);
    ASSERT_TRUE(connecting.done());
    EXPECT_EQ(kind_of(connecting.result()), ErrorKind::cancelled);
}

TEST_P(PortConnections, CancellingAConnectAtOnceGivesOneOfTwoTrueAnswers) {
    const Handle listening = world.listener();
    const Address address = world.address_of(listening);
    const Handle client = socket();
    Connecting connecting(driver, client, address);
    connecting.start();
    connecting.cancel();
    ASSERT_TRUE(connecting.finish());
    if (connecting.result())
        expect_connected(client, world.accepted_from(listening));
    else
        EXPECT_EQ(kind_of(connecting.result()), ErrorKind::cancelled);
}

INSTANTIATE_TEST_SUITE_P(Every, PortConnections, testing::ValuesIn(tested_ports()), port_subject_name);

}  // namespace pollard::conformance
