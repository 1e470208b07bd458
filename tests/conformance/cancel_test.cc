// Cancelling is a request that can lose. Whichever wins, the operation completes once, and nothing is lost:
// what was not delivered is still there for the next one.

#include <cerrno>
#include <functional>
#include <memory>

#include "platform/system_sockets.h"
#include "tests/conformance/completion_port_conformance.h"

namespace pollard::conformance {

class PortCancel : public PortTest {
protected:
    void expect_cancelled(auto& operation) {
        operation.cancel();
        ASSERT_TRUE(operation.finish());
        EXPECT_EQ(kind_of(operation.result()), ErrorKind::cancelled);
        driver.settle();
    }
    /// Waits until something stands in the ready list, and leaves it there.
    void wait_for_news() {
        for (int waits = 0; waits < 100 && driver.ready.empty(); ++waits) {
            ASSERT_TRUE(driver.wait(patience_ns));
        }
        ASSERT_FALSE(driver.ready.empty());
    }
};

// --- each kind ---

TEST_P(PortCancel, AReceive) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    expect_armed(receiving);
    expect_cancelled(receiving);
    world.send(ends.peer, "data");
    EXPECT_EQ(recv(ends.ours), "data");
}

TEST_P(PortCancel, ABorrowedReceive) {
    const Ends ends = pair();
    Borrowing borrowing(driver, ends.ours);
    borrowing.start();
    expect_armed(borrowing);
    expect_cancelled(borrowing);
    world.send(ends.peer, "data");
    EXPECT_EQ(recv(ends.ours), "data");
}

TEST_P(PortCancel, ASend) {
    const Ends ends = narrow_pair();
    std::size_t filled = world.fill(ends.ours);
    BecomingWritable room(driver, ends.ours);
    room.start();
    expect_armed(room);
    expect_cancelled(room);
    // The kernel may still move some of its bytes on, and make room; then the send is done.
    filled += world.fill(ends.ours);
    const std::string bytes(1 << 20, 's');
    Sending sending(driver, ends.ours, readable_bytes(bytes));
    sending.start();
    sending.cancel();
    ASSERT_TRUE(sending.finish());
    const std::size_t sent = sending.result().value_or(0);
    if (!sending.result()) {
        EXPECT_EQ(kind_of(sending.result()), ErrorKind::cancelled);
    }
    world.half_close(ends.ours);
    EXPECT_EQ(world.recv_to_end(ends.peer).size(), filled + sent) << "a cancelled send has sent nothing";
}

TEST_P(PortCancel, ASendAllThatIsUnderWay) {
    const Ends ends = narrow_pair();
    const std::string bytes = numbered_bytes(5'000'000);
    SendingAll sending(driver, ends.ours, readable_bytes(bytes));
    sending.start();
    expect_armed(sending);
    expect_cancelled(sending);
    // A part has gone, nobody knows how much; it is the beginning.
    world.half_close(ends.ours);
    const std::string received = world.recv_to_end(ends.peer);
    EXPECT_TRUE(received == bytes.substr(0, received.size()));
    EXPECT_LT(received.size(), bytes.size());
}

TEST_P(PortCancel, AnAccept) {
    const Handle listening = listener();
    Accepting accepting(driver, listening);
    accepting.start();
    expect_armed(accepting);
    expect_cancelled(accepting);
    world.connecting_to(world.address_of(listening));
    Accepting next(driver, listening);
    ASSERT_TRUE(next.finish());
    ASSERT_TRUE(next.result());
    world.keep(*next.result());
}

TEST_P(PortCancel, ReadableAndWritable) {
    const Ends ends = narrow_pair();
    world.fill(ends.ours);
    BecomingReadable becoming_readable(driver, ends.ours);
    BecomingWritable becoming_writable(driver, ends.ours);
    becoming_readable.start();
    becoming_writable.start();
    expect_armed(becoming_readable);
    expect_cancelled(becoming_readable);
    becoming_writable.cancel();
    ASSERT_TRUE(becoming_writable.finish());
}

// --- when, and how often ---

TEST_P(PortCancel, ACancelBeforeTheStartCancelsNothing) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.cancel();
    receiving.start();
    world.send(ends.peer, "data");
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.text(), "data");
}

TEST_P(PortCancel, ACancelAfterTheCompletionChangesNothing) {
    const Ends ends = pair();
    world.send(ends.peer, "data");
    Receiving receiving(driver, ends.ours);
    ASSERT_TRUE(receiving.finish());
    receiving.cancel();
    receiving.cancel();
    driver.settle();
    EXPECT_EQ(receiving.text(), "data");
}

TEST_P(PortCancel, CancellingAnAnsweredOneLeavesItsSuccessorAlone) {
    const Ends ends = pair();
    world.send(ends.peer, "one");
    Receiving first(driver, ends.ours);
    ASSERT_TRUE(first.finish());
    Receiving second(driver, ends.ours);
    second.start();
    first.cancel();
    expect_armed(second);
    world.send(ends.peer, "two");
    ASSERT_TRUE(second.finish());
    EXPECT_EQ(second.text(), "two");
}

TEST_P(PortCancel, TwiceIsOnce) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    receiving.cancel();
    receiving.cancel();
    ASSERT_TRUE(receiving.finish());
    receiving.cancel();
    driver.settle();
    EXPECT_EQ(kind_of(receiving.result()), ErrorKind::cancelled);
}

TEST_P(PortCancel, TheCompletionComesLaterAndNotFromInside) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    receiving.cancel();
    EXPECT_FALSE(receiving.done());
    ASSERT_TRUE(receiving.finish());
}

// Whether the direction is free at once or only when the cancelled one has been told differs; both are right.
TEST_P(PortCancel, UntilTheCompletionTheDirectionMayBeBusy) {
    const Ends ends = pair();
    Receiving first(driver, ends.ours);
    first.start();
    first.cancel();
    Receiving second(driver, ends.ours);
    const bool refused = second.start().was_inline();
    ASSERT_TRUE(driver.run_until([&] { return first.done(); }));
    EXPECT_EQ(kind_of(first.result()), ErrorKind::cancelled);
    world.send(ends.peer, "data");
    if (refused) {
        EXPECT_EQ(kind_of(second.result()), ErrorKind::busy);
        EXPECT_EQ(recv(ends.ours), "data");
        return;
    }
    ASSERT_TRUE(second.finish());
    EXPECT_EQ(second.text(), "data");
}

TEST_P(PortCancel, TheOtherDirectionGoesOn) {
    const Ends ends = narrow_pair();
    const std::string bytes = numbered_bytes(300'000);
    SendingAll sending(driver, ends.ours, readable_bytes(bytes));
    Receiving receiving(driver, ends.ours);
    sending.start();
    receiving.start();
    expect_cancelled(receiving);
    EXPECT_FALSE(sending.done());
    EXPECT_TRUE(read_slowly(ends.peer, bytes.size(), 50'000) == bytes);
    ASSERT_TRUE(sending.finish());
    EXPECT_TRUE(sending.result());
}

TEST_P(PortCancel, AHundredTimesInARow) {
    const Ends ends = pair();
    for (int times = 0; times < 100; ++times) {
        Receiving receiving(driver, ends.ours);
        receiving.start();
        receiving.cancel();
        ASSERT_TRUE(receiving.finish());
        EXPECT_EQ(kind_of(receiving.result()), ErrorKind::cancelled);
    }
    world.send(ends.peer, "data");
    EXPECT_EQ(recv(ends.ours), "data");
}

TEST_P(PortCancel, CancellingACloseIsHarmless) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    Closing closing(driver, ends.ours);
    closing.start();
    closing.cancel();
    ASSERT_TRUE(closing.finish());
    EXPECT_TRUE(closing.result());
    EXPECT_TRUE(receiving.done());
    world.closed(ends.ours);
}

// --- the race ---

TEST_P(PortCancel, NoByteIsLostWhenTheDataWasThereFirst) {
    const Ends ends = pair();
    for (int round = 0; round < 20; ++round) {
        Receiving receiving(driver, ends.ours);
        receiving.start();
        world.send(ends.peer, "data");
        ASSERT_TRUE(receiving.done() || has_come(ends.ours));
        receiving.cancel();
        ASSERT_TRUE(receiving.finish());
        std::string got;
        if (receiving.result())
            got = receiving.text();
        else
            EXPECT_EQ(kind_of(receiving.result()), ErrorKind::cancelled);
        got += recv_all(ends.ours, 4 - got.size());
        EXPECT_EQ(got, "data") << "round " << round;
    }
}

// The news has come already, and the operation stands in the ready list.
TEST_P(PortCancel, NoByteIsLostWhenItsTurnWasNext) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    world.send(ends.peer, "data");
    wait_for_news();
    receiving.cancel();
    ASSERT_TRUE(receiving.finish());
    std::string got = receiving.text();
    if (!receiving.result()) {
        EXPECT_EQ(kind_of(receiving.result()), ErrorKind::cancelled);
    }
    got += recv_all(ends.ours, 4 - got.size());
    EXPECT_EQ(got, "data");
}

TEST_P(PortCancel, NoBorrowedByteIsLostWhenItsTurnWasNext) {
    const Ends ends = pair();
    Borrowing borrowing(driver, ends.ours);
    borrowing.start();
    world.send(ends.peer, "data");
    wait_for_news();
    borrowing.cancel();
    ASSERT_TRUE(borrowing.finish());
    std::size_t got = 0;
    if (!borrowing.failed()) got = (*borrowing.result()).size();
    EXPECT_EQ(got + recv_all(ends.ours, 4 - got).size(), 4u);
}

TEST_P(PortCancel, NoConnectionIsLostWhenItsTurnWasNext) {
    const Handle listening = listener();
    Accepting accepting(driver, listening);
    accepting.start();
    const Handle client = world.connecting_to(world.address_of(listening));
    wait_for_news();
    accepting.cancel();
    ASSERT_TRUE(accepting.finish());
    Accepting next(driver, listening);
    const bool delivered = accepting.result().has_value();
    if (!delivered) {
        EXPECT_EQ(kind_of(accepting.result()), ErrorKind::cancelled);
        ASSERT_TRUE(next.finish());
    }
    const Result<Handle> server = delivered ? accepting.result() : next.result();
    ASSERT_TRUE(server);
    world.keep(*server);
    world.send(client, "hello");
    EXPECT_EQ(recv_all(*server, 5), "hello");
}

TEST_P(PortCancel, ARefusalThatWasThereFirstIsNotHidden) {
    const Handle listening = world.listener();
    const Address nobody = world.address_of(listening);
    world.close(listening);
    const Handle client = socket();
    Connecting connecting(driver, client, nobody);
    connecting.start();
    connecting.cancel();
    ASSERT_TRUE(connecting.finish());
    const ErrorKind kind = kind_of(connecting.result());
    EXPECT_TRUE(kind == ErrorKind::cancelled || kind == ErrorKind::connection_refused) << describe(kind);
}

// A network error is never folded into "cancelled": once a reset is delivered it is a reset.
TEST_P(PortCancel, AResetStaysAReset) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    world.reset(ends.peer);
    ASSERT_TRUE(receiving.finish());
    receiving.cancel();
    expect_reset(kind_of(receiving.result()));
}

// --- from inside a completion ---

TEST_P(PortCancel, ACompletionMayCancelAnotherOfTheSameBatch) {
    const Ends first = pair();
    const Ends second = pair();
    Receiving one(driver, first.ours);
    Receiving other(driver, second.ours);
    one.then = [&] { other.cancel(); };
    other.then = [&] { one.cancel(); };
    one.start();
    other.start();
    world.send(first.peer, "data");
    world.send(second.peer, "data");
    ASSERT_TRUE(has_come(first.ours) && has_come(second.ours));
    ASSERT_TRUE(all_done(driver, one, other));
    driver.settle();
    for (Receiving* each : {&one, &other}) {
        std::string got = each->text();
        got += recv_all(each->handle, 4 - got.size());
        EXPECT_EQ(got, "data");
    }
}

TEST_P(PortCancel, ACompletionMayCancelTheOtherDirectionOfItsHandle) {
    const Ends ends = narrow_pair();
    const std::string bytes = numbered_bytes(5'000'000);
    SendingAll sending(driver, ends.ours, readable_bytes(bytes));
    Receiving receiving(driver, ends.ours);
    receiving.then = [&] { sending.cancel(); };
    sending.start();
    receiving.start();
    expect_armed(sending);
    world.send(ends.peer, "stop");
    ASSERT_TRUE(all_done(driver, receiving, sending));
    EXPECT_EQ(receiving.text(), "stop");
    EXPECT_EQ(kind_of(sending.result()), ErrorKind::cancelled);
}

TEST_P(PortCancel, ACompletionOfACancelMayStartTheNext) {
    const Ends ends = pair();
    Receiving first(driver, ends.ours);
    Receiving second(driver, ends.ours);
    first.then = [&] { second.start(); };
    first.start();
    first.cancel();
    ASSERT_TRUE(first.finish());
    world.send(ends.peer, "data");
    ASSERT_TRUE(driver.run_until([&] { return second.done(); }));
    EXPECT_EQ(second.text(), "data");
}

INSTANTIATE_TEST_SUITE_P(Every, PortCancel, testing::ValuesIn(tested_ports()), port_subject_name);

}  // namespace pollard::conformance
