// Calls that fail: each error comes out as what it is, with the call and the descriptor, and the port lives on.
//
// A FailingKernel stands in front of the kernel. Ports whose operations make no calls on the door
// (completion-native ones) are left out; what can fail inside their kernels is in misfortune_test.cc.

#include <algorithm>
#include <cerrno>
#include <memory>

#include "platform/memory.h"
#include "platform/system_sockets.h"
#include "tests/conformance/completion_port_conformance.h"

namespace pollard::conformance {

namespace {
std::vector<PortSubject> subjects_that_pass_the_door() {
    std::vector<PortSubject> chosen;
    std::ranges::copy_if(tested_ports(), std::back_inserter(chosen), &PortSubject::passes_the_door);
    return chosen;
}
}  // namespace

class PortFaults : public PortTest {
protected:
    void SetUp() override {
        ASSERT_TRUE(GetParam().passes_the_door);
        PortTest::SetUp();
    }
    template <class Kind>
    void expect_error(Kind& operation, Call call, std::int32_t code) {
        ASSERT_TRUE(operation.finish());
        const Error error = operation.result().error();
        EXPECT_EQ(error.kind, kind_of_code(code));
        EXPECT_EQ(error.code, code);
        EXPECT_EQ(error.call, call);
        ASSERT_EQ(error.object, Error::Object::descriptor);
        EXPECT_EQ(error.descriptor, operation.handle);
    }
};

// --- each errno is told as it is ---

constexpr std::int32_t recv_codes[] = {ECONNRESET,   ETIMEDOUT, ENOTCONN, EHOSTUNREACH,
                                       ENETUNREACH,  ENETDOWN,  ENOMEM,   ENOBUFS,
                                       ECONNREFUSED, EIO,       EBADF,    EINVAL};
constexpr std::int32_t send_codes[] = {EPIPE,        ECONNRESET, ETIMEDOUT, EHOSTUNREACH,
                                       ENETUNREACH,  EACCES,     ENOBUFS,   ENOMEM,
                                       EDESTADDRREQ, EMSGSIZE,   EIO,       ENOTCONN};
constexpr std::int32_t accept_codes[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, EINVAL, EOPNOTSUPP, EIO};
constexpr std::int32_t connect_codes[] = {ECONNREFUSED, ETIMEDOUT, ENETUNREACH,   EHOSTUNREACH, EADDRINUSE,
                                          EACCES,       EPERM,     EADDRNOTAVAIL, EAFNOSUPPORT, EIO};

TEST_P(PortFaults, EveryErrorOfAReceiveIsToldAtOnce) {
    const Ends ends = pair();
    for (const std::int32_t code : recv_codes) {
        world.failing.fail(Call::recv, code);
        Receiving receiving(driver, ends.ours);
        expect_error(receiving, Call::recv, code);
        world.failing.fail(Call::recv, code);
        Borrowing borrowing(driver, ends.ours);
        expect_error(borrowing, Call::recv, code);
        EXPECT_EQ(port().buffers.lent(), 0u);
    }
    world.send(ends.peer, "still open");
    EXPECT_EQ(recv(ends.ours), "still open");
}

TEST_P(PortFaults, EveryErrorOfAReceiveIsToldAfterAWait) {
    const Ends ends = pair();
    for (const std::int32_t code : recv_codes) {
        Receiving receiving(driver, ends.ours);
        receiving.start();
        ASSERT_FALSE(receiving.done());
        world.failing.fail(Call::recv, code);
        world.send(ends.peer, "data");
        expect_error(receiving, Call::recv, code);
        EXPECT_EQ(recv_all(ends.ours, 4), "data");
    }
}

TEST_P(PortFaults, EveryErrorOfASendIsToldAtOnce) {
    const Ends ends = pair();
    const std::string_view text = "text";
    for (const std::int32_t code : send_codes) {
        world.failing.fail(Call::send, code);
        Sending sending(driver, ends.ours, readable_bytes(text));
        expect_error(sending, Call::send, code);
        world.failing.fail(Call::send, code);
        SendingAll sending_all(driver, ends.ours, readable_bytes(text));
        expect_error(sending_all, Call::send, code);
    }
    SendingAll sending(driver, ends.ours, readable_bytes(text));
    ASSERT_TRUE(sending.finish());
    EXPECT_EQ(world.recv(ends.peer, 4), text) << "and nothing was sent before";
}

TEST_P(PortFaults, AnErrorInTheMiddleOfASendAllEndsIt) {
    const std::string bytes = numbered_bytes(3'000'000);
    for (const std::int32_t code : send_codes) {
        const Ends ends = narrow_pair();
        SendingAll sending(driver, ends.ours, readable_bytes(bytes));
        sending.start();
        ASSERT_FALSE(sending.done());
        world.failing.fail(Call::send, code);
        ASSERT_TRUE(world.await(ends.peer, POLLIN));
        while (!world.recv_now(ends.peer, 10'000).empty()) {
        }
        expect_error(sending, Call::send, code);
    }
}

TEST_P(PortFaults, EveryErrorOfAnAcceptIsToldAndTheListenerWorksAfterwards) {
    const Handle listening = listener();
    for (const std::int32_t code : accept_codes) {
        world.failing.fail(Call::accept, code);
        Accepting accepting(driver, listening);
        expect_error(accepting, Call::accept, code);
    }
    world.connecting_to(world.address_of(listening));
    Accepting accepting(driver, listening);
    ASSERT_TRUE(accepting.finish());
    ASSERT_TRUE(accepting.result());
    world.keep(*accepting.result());
}

TEST_P(PortFaults, EveryErrorOfAConnectIsToldWithTheAddress) {
    const Handle listening = world.listener();
    const Address address = world.address_of(listening);
    for (const std::int32_t code : connect_codes) {
        const Handle client = socket();
        world.failing.fail(Call::connect, code);
        Connecting connecting(driver, client, address);
        ASSERT_TRUE(connecting.finish());
        const Error error = connecting.result().error();
        EXPECT_EQ(error.kind, kind_of_code(code));
        EXPECT_EQ(error.code, code);
        EXPECT_EQ(error.call, Call::connect);
        EXPECT_EQ(error.object, Error::Object::ipv4);
    }
}

// --- interruptions ---

// Some calls in a row are interrupted, each time. (A connect that is interrupted goes on by itself, which a
// FailingKernel cannot do: connections_test.cc. A close that is interrupted has closed, on Linux.)
TEST_P(PortFaults, InterruptionsOfEveryCallAreNoNews) {
    const std::string bytes = numbered_bytes(200'000);
    for (const Call call : {Call::recv, Call::send, Call::accept, Call::poll, Call::epoll_wait, Call::read}) {
        SCOPED_TRACE(describe(call));
        world.failing.fail(call, EINTR, 0, 3);
        const Handle listening = listener();
        const Address address = world.address_of(listening);
        const Handle client = socket();
        Accepting accepting(driver, listening);
        Connecting connecting(driver, client, address);
        accepting.start();
        connecting.start();
        ASSERT_TRUE(all_done(driver, accepting, connecting));
        ASSERT_TRUE(connecting.result());
        ASSERT_TRUE(accepting.result());
        const Handle server = world.keep(*accepting.result());
        world.failing.fail(call, EINTR, 2, 3);
        BecomingReadable becoming_readable(driver, server);
        SendingAll sending(driver, client, readable_bytes(bytes));
        becoming_readable.start();
        sending.start();
        ASSERT_TRUE(becoming_readable.finish());
        EXPECT_TRUE(becoming_readable.result());
        world.failing.fail(call, EINTR, 1, 3);
        EXPECT_TRUE(recv_all(server, bytes.size()) == bytes);
        ASSERT_TRUE(sending.finish());
        EXPECT_TRUE(sending.result());
        close(server);
        close(client);
        close(listening);
        world.failing.fail(call, 0, 0, 0);
    }
}

// --- the poller's own calls ---

TEST_P(PortFaults, WhatCannotBeWatchedIsAnErrorOfTheOperationAndWorksAfterwards) {
    if (GetParam().watches_by == Call::none) GTEST_SKIP() << "its poller registers by no call";
    for (const std::int32_t code : {ENOMEM, ENOSPC}) {
        const Ends ends = pair();
        Receiving receiving(driver, ends.ours);
        world.failing.fail(GetParam().watches_by, code);
        ASSERT_TRUE(receiving.start().was_inline()) << "nobody would ever tell it";
        EXPECT_EQ(kind_of(receiving.result()), kind_of_code(code));
        world.send(ends.peer, "data");
        EXPECT_EQ(recv(ends.ours), "data");
        Receiving next(driver, ends.ours);
        next.start();
        expect_armed(next);
        world.send(ends.peer, "more");
        ASSERT_TRUE(next.finish());
        EXPECT_EQ(next.text(), "more");
    }
}

TEST_P(PortFaults, WhatCannotBeWatchedCanStillBeClosed) {
    if (GetParam().watches_by == Call::none) GTEST_SKIP() << "its poller registers by no call";
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    world.failing.fail(GetParam().watches_by, ENOMEM);
    receiving.start();
    close(ends.ours);
}

TEST_P(PortFaults, AFailedWaitIsAnErrorAndLosesNothing) {
    if (GetParam().waits_by == Call::none) GTEST_SKIP() << "its poller waits by no call";
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    Receiving cancelled(driver, world.pair().ours);
    receiving.start();
    world.send(ends.peer, "data");
    world.failing.fail(GetParam().waits_by, EIO);
    EXPECT_EQ(kind_of(driver.wait(0)), ErrorKind::other);
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.text(), "data");
}

TEST_P(PortFaults, AFailedWaitStillBringsWhatWasCancelled) {
    if (GetParam().waits_by == Call::none) GTEST_SKIP() << "its poller waits by no call";
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    receiving.cancel();
    world.failing.fail(GetParam().waits_by, EIO);
    EXPECT_EQ(kind_of(driver.wait(-1)), ErrorKind::other);
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(kind_of(receiving.result()), ErrorKind::cancelled);
}

// --- running out, for every kind of port ---

class PortResources : public PortTest {};

TEST_P(PortResources, OpeningAPortWithoutMemoryIsAnErrorAndLeavesNothing) {
    for (std::uint64_t passes = 0;; ++passes) {
        ASSERT_LT(passes, 100u);
        const std::uint64_t memory = memory_in_use();
        const std::size_t descriptors = open_descriptors();
        fail_allocations_after(passes);
        const Result<CompletionPort*> opened = open_port();
        fail_allocations_after(0, 0);
        if (opened) {
            (*opened)->destroy();
            EXPECT_GE(passes, 1u) << "opening takes no memory, or not from platform/memory.h";
            EXPECT_EQ(memory_in_use(), memory);
            break;
        }
        EXPECT_EQ(kind_of(opened), ErrorKind::out_of_memory);
        EXPECT_EQ(memory_in_use(), memory);
        EXPECT_EQ(open_descriptors(), descriptors);
    }
}

// A simulated port may bring a kernel of its own, which takes memory too.
TEST_P(PortResources, OpeningAPortWithItsOwnKernelWithoutMemoryLeavesNothing) {
    if (!GetParam().world.simulated) GTEST_SKIP() << "the system's kernel is there already";
    for (std::uint64_t passes = 0;; ++passes) {
        ASSERT_LT(passes, 100u);
        const std::uint64_t memory = memory_in_use();
        fail_allocations_after(passes);
        const Result<CompletionPort*> opened = GetParam().find()->open({});
        fail_allocations_after(0, 0);
        if (opened) (*opened)->destroy();
        EXPECT_EQ(memory_in_use(), memory);
        if (opened) break;
        EXPECT_EQ(kind_of(opened), ErrorKind::out_of_memory);
    }
}

TEST_P(PortResources, OpeningAPortWithoutDescriptorsIsAnErrorAndLeavesNothing) {
    if (!DescriptorShortage::is_possible(world)) GTEST_SKIP() << "this system has no limit of descriptors";
    if (GetParam().world.simulated) GTEST_SKIP() << "its port takes no descriptor";
    for (unsigned spare = 0;; ++spare) {
        ASSERT_LT(spare, 100u);
        const std::uint64_t memory = memory_in_use();
        const std::size_t descriptors = open_descriptors();
        const Result<CompletionPort*> opened = [&] {
            const DescriptorShortage shortage(world, spare);
            return open_port();
        }();
        if (opened) {
            (*opened)->destroy();
            EXPECT_GE(spare, 1u) << "there was no shortage";
            break;
        }
        EXPECT_EQ(kind_of(opened), ErrorKind::descriptors_exhausted);
        EXPECT_EQ(memory_in_use(), memory);
        EXPECT_EQ(open_descriptors(), descriptors);
    }
}

TEST_P(PortResources, OpeningAHandleWithoutMemoryIsAnErrorAndWorksAfterwards) {
    std::vector<Handle> handles;
    for (int number = 0; number < 300; ++number) handles.push_back(world.socket());
    int failures = 0;
    for (const Handle handle : handles) {
        fail_allocations_after(0);
        const Result<void> opened = port().open(handle, HandleKind::stream);
        fail_allocations_after(0, 0);
        if (opened) continue;
        ++failures;
        EXPECT_EQ(kind_of(opened), ErrorKind::out_of_memory);
        EXPECT_TRUE(port().open(handle, HandleKind::stream));
    }
    EXPECT_GE(failures, 1) << "300 handles take no memory, or not from platform/memory.h";
    for (const Handle handle : handles) close(handle);
}

TEST_P(PortResources, AHandleOfALaterTableStillKnowsItsOperations) {
    // A table that grows while something is armed must not leave it behind.
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    std::vector<Handle> handles;
    for (int number = 0; number < 300; ++number) handles.push_back(socket());
    world.send(ends.peer, "data");
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.text(), "data");
}

TEST_P(PortResources, ACompletionMayMakeTheTableGrow) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    std::vector<Handle> handles;
    receiving.then = [&] {
        for (int number = 0; number < 300; ++number) handles.push_back(socket());
    };
    receiving.start();
    world.send(ends.peer, "data");
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.text(), "data");
    SendingAll sending(driver, ends.ours, readable_bytes(std::string_view("more")));
    ASSERT_TRUE(sending.finish());
    EXPECT_EQ(world.recv(ends.peer, 4), "more");
}

TEST_P(PortResources, TheSteadyStateAllocatesNothing) {
    const Ends ends = pair_on_port();
    const auto round = [&] {
        Receiving request(driver, ends.peer);
        Receiving reply(driver, ends.ours);
        request.start();
        reply.start();
        SendingAll ask(driver, ends.ours, readable_bytes(std::string_view("ping")));
        ASSERT_TRUE(ask.finish() && request.finish());
        SendingAll answer(driver, ends.peer, readable_bytes(std::string_view("pong")));
        ASSERT_TRUE(answer.finish() && reply.finish());
        Receiving cancelled(driver, ends.ours);
        cancelled.start();
        cancelled.cancel();
        ASSERT_TRUE(cancelled.finish());
    };
    for (int warm = 0; warm < 5; ++warm) round();
    const std::uint64_t allocations = memory_counters().allocations;
    for (int times = 0; times < 200; ++times) round();
    EXPECT_EQ(memory_counters().allocations, allocations);
}

INSTANTIATE_TEST_SUITE_P(Every, PortFaults, testing::ValuesIn(subjects_that_pass_the_door()),
                         port_subject_name);
INSTANTIATE_TEST_SUITE_P(Every, PortResources, testing::ValuesIn(tested_ports()), port_subject_name);

}  // namespace pollard::conformance
