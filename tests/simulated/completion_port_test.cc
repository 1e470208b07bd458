// The second contract: a CompletionPort that is native to the simulated kernel, and the faults that only it can show.
//
// Read next: platform/simulated/simulated_completion_port.h, then tests/simulated/misfortune_test.cc.
#include "platform/simulated/simulated_completion_port.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "platform/clock.h"
#include "platform/observer.h"
#include "platform/simulated/simulated_kernel.h"
#include "platform/system_sockets.h"
#include "tests/simulated/door.h"

namespace pollard {
namespace {

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

}  // namespace
}  // namespace pollard
