// Operations: each completes exactly once, in its turn, one a direction. And the waits between them.

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>

#include "platform/system_sockets.h"
#include "tests/conformance/completion_port_conformance.h"
#include "tests/system.h"

namespace pollard::conformance {

class PortOperations : public PortTest {};

// --- exactly once ---

TEST_P(PortOperations, EachKindCompletesOnce) {
    const Handle listening = listener();
    const Handle client = socket();
    const Address address = world.address_of(listening);
    Accepting accepting(driver, listening);
    Connecting connecting(driver, client, address);
    accepting.start();
    connecting.start();
    ASSERT_TRUE(all_done(driver, accepting, connecting));
    ASSERT_TRUE(connecting.result());
    ASSERT_TRUE(accepting.result());
    const Handle server = world.keep(*accepting.result());

    const std::string_view text = "text";
    Sending sending(driver, client, readable_bytes(text));
    ASSERT_TRUE(sending.finish());
    EXPECT_EQ(sending.result().value_or(0), text.size());
    BecomingReadable becoming_readable(driver, server);
    ASSERT_TRUE(becoming_readable.finish());
    EXPECT_TRUE(becoming_readable.result());
    Receiving receiving(driver, server);
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.text(), text);

    BecomingWritable becoming_writable(driver, server);
    ASSERT_TRUE(becoming_writable.finish());
    EXPECT_TRUE(becoming_writable.result());
    SendingAll sending_all(driver, server, readable_bytes(text));
    ASSERT_TRUE(sending_all.finish());
    EXPECT_TRUE(sending_all.result());
    Borrowing borrowing(driver, client);
    ASSERT_TRUE(borrowing.finish());
    ASSERT_FALSE(borrowing.failed());
    EXPECT_EQ((*borrowing.result()).size(), text.size());

    Closing closing(driver, client);
    ASSERT_TRUE(closing.finish());
    EXPECT_TRUE(closing.result());
    world.closed(client);
    // A second completion of any of them would be noticed now.
    driver.settle();
}

TEST_P(PortOperations, WhatWaitedCompletesOnceToo) {
    const Ends ends = narrow_pair();
    const std::size_t filled = world.fill(ends.ours);
    Receiving receiving(driver, ends.ours);
    BecomingWritable becoming_writable(driver, ends.ours);
    receiving.start();
    becoming_writable.start();
    expect_armed(receiving);
    world.send(ends.peer, "text");
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(world.recv(ends.peer, filled).size(), filled);
    ASSERT_TRUE(becoming_writable.finish());
    driver.settle();
}

// Whoever calls `wait` decides when the work has its turn; until then nobody is called.
TEST_P(PortOperations, WaitOnlyPutsItIntoTheReadyList) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    ASSERT_FALSE(receiving.done());
    world.send(ends.peer, "text");
    for (int waits = 0; waits < 100 && driver.ready.empty(); ++waits) ASSERT_TRUE(driver.wait(patience_ns));
    ASSERT_FALSE(driver.ready.empty());
    EXPECT_FALSE(receiving.done());
    EXPECT_EQ(receiving.state, OperationState::due);
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.text(), "text");
}

TEST_P(PortOperations, ACompletionMayStartTheNextOperation) {
    const Ends ends = pair();
    Receiving first(driver, ends.ours, 1);
    Receiving second(driver, ends.ours, 1);
    first.then = [&] { second.start(); };
    first.start();
    ASSERT_FALSE(first.done());
    world.send(ends.peer, "ab");
    ASSERT_TRUE(all_done(driver, first, second));
    EXPECT_EQ(first.text() + second.text(), "ab");
}

// --- one a direction ---

TEST_P(PortOperations, ASecondOneOfTheSameDirectionIsBusy) {
    const Ends ends = narrow_pair();
    world.fill(ends.ours);
    Receiving receiving(driver, ends.ours);
    BecomingWritable becoming_writable(driver, ends.ours);
    receiving.start();
    becoming_writable.start();
    Receiving second_recv(driver, ends.ours);
    ASSERT_TRUE(second_recv.start().was_inline());
    EXPECT_EQ(kind_of(second_recv.result()), ErrorKind::busy);
    Borrowing borrowing(driver, ends.ours);
    ASSERT_TRUE(borrowing.start().was_inline());
    EXPECT_EQ(kind_of(borrowing.result()), ErrorKind::busy);
    BecomingReadable becoming_readable(driver, ends.ours);
    ASSERT_TRUE(becoming_readable.start().was_inline());
    EXPECT_EQ(kind_of(becoming_readable.result()), ErrorKind::busy);
    Sending sending(driver, ends.ours, readable_bytes(std::string_view("x")));
    ASSERT_TRUE(sending.start().was_inline());
    EXPECT_EQ(kind_of(sending.result()), ErrorKind::busy);
    // The first one is none the worse for it.
    world.send(ends.peer, "text");
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.text(), "text");
}

TEST_P(PortOperations, ASecondAcceptIsBusy) {
    const Handle listening = listener();
    Accepting first(driver, listening);
    Accepting second(driver, listening);
    first.start();
    ASSERT_TRUE(second.start().was_inline());
    EXPECT_EQ(kind_of(second.result()), ErrorKind::busy);
    world.connecting_to(world.address_of(listening));
    ASSERT_TRUE(first.finish());
    world.keep(first.result().value_or(no_handle));
}

TEST_P(PortOperations, TheOtherDirectionGoesOn) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    for (int round = 0; round < 5; ++round) {
        SendingAll sending(driver, ends.ours, readable_bytes(std::string_view("question ")));
        ASSERT_TRUE(sending.finish());
        EXPECT_TRUE(sending.result());
    }
    EXPECT_FALSE(receiving.done());
    EXPECT_EQ(world.recv(ends.peer, 45).size(), 45u);
    world.send(ends.peer, "answer");
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.text(), "answer");
}

TEST_P(PortOperations, AfterACompletionTheDirectionIsFree) {
    const Ends ends = pair();
    for (const std::string_view text : {"one", "two", "three"}) {
        Receiving receiving(driver, ends.ours);
        receiving.start();
        world.send(ends.peer, text);
        ASSERT_TRUE(receiving.finish());
        EXPECT_EQ(receiving.text(), text);
    }
}

// --- handles ---

TEST_P(PortOperations, AHandleThatWasNotOpenedIsABadHandle) {
    const Handle handle = world.socket();
    Receiving receiving(driver, handle);
    ASSERT_TRUE(receiving.start().was_inline());
    EXPECT_EQ(kind_of(receiving.result()), ErrorKind::bad_handle);
    Closing closing(driver, handle);
    ASSERT_TRUE(closing.start().was_inline());
    EXPECT_EQ(kind_of(closing.result()), ErrorKind::bad_handle);
    EXPECT_TRUE(world.is_open(handle));
}

TEST_P(PortOperations, NoHandleAndHugeNumbersAreBadHandles) {
    for (const Handle handle : {no_handle, Handle{0x7fffffff}, Handle{1'000'000}}) {
        Sending sending(driver, handle, readable_bytes(std::string_view("x")));
        ASSERT_TRUE(sending.start().was_inline());
        EXPECT_EQ(kind_of(sending.result()), ErrorKind::bad_handle);
        driver.cancel(sending);
        driver.discard(handle);
    }
    EXPECT_EQ(kind_of(port().open(no_handle, HandleKind::stream)), ErrorKind::bad_handle);
}

TEST_P(PortOperations, OpeningAHandleTwiceIsBusy) {
    const Ends ends = pair();
    EXPECT_EQ(kind_of(port().open(ends.ours, HandleKind::stream)), ErrorKind::busy);
    world.send(ends.peer, "text");
    EXPECT_EQ(recv(ends.ours), "text");
}

// A port that keeps a table of its own may take any number and leave it to the first operation to find out.
TEST_P(PortOperations, AClosedNumberIsABadHandleAtTheLatestWhenItIsUsed) {
    const Handle handle = world.socket();
    world.close(handle);
    if (const Result<void> opened = port().open(handle, HandleKind::stream); !opened) {
        EXPECT_EQ(kind_of(opened), ErrorKind::bad_handle);
        return;
    }
    Receiving receiving(driver, handle);
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(kind_of(receiving.result()), ErrorKind::bad_handle);
}

TEST_P(PortOperations, AnErrorNamesTheCallAndTheDescriptor) {
    const Handle handle = world.socket();
    Receiving receiving(driver, handle);
    ASSERT_TRUE(receiving.finish());
    const Error error = receiving.result().error();
    EXPECT_EQ(error.call, Call::recv);
    ASSERT_EQ(error.object, Error::Object::descriptor);
    EXPECT_EQ(error.descriptor, handle);
}

// --- readable and writable ---

TEST_P(PortOperations, ReadableConsumesNothing) {
    const Ends ends = pair();
    BecomingReadable first(driver, ends.ours);
    first.start();
    EXPECT_FALSE(first.done());
    world.send(ends.peer, "text");
    ASSERT_TRUE(first.finish());
    EXPECT_TRUE(first.result());
    BecomingReadable second(driver, ends.ours);
    ASSERT_TRUE(second.finish());
    EXPECT_TRUE(second.result());
    EXPECT_EQ(recv(ends.ours), "text");
    BecomingReadable third(driver, ends.ours);
    third.start();
    expect_armed(third);
}

TEST_P(PortOperations, AListenerIsReadableWhenSomebodyWaits) {
    const Handle listening = listener();
    BecomingReadable becoming_readable(driver, listening);
    becoming_readable.start();
    expect_armed(becoming_readable);
    world.connecting_to(world.address_of(listening));
    ASSERT_TRUE(becoming_readable.finish());
    EXPECT_TRUE(becoming_readable.result());
    Accepting accepting(driver, listening);
    ASSERT_TRUE(accepting.finish());
    world.keep(accepting.result().value_or(no_handle));
}

TEST_P(PortOperations, TheEndOfTheStreamIsReadable) {
    const Ends ends = pair();
    BecomingReadable becoming_readable(driver, ends.ours);
    becoming_readable.start();
    world.half_close(ends.peer);
    ASSERT_TRUE(becoming_readable.finish());
    EXPECT_TRUE(becoming_readable.result());
    EXPECT_EQ(recv(ends.ours), "");
}

TEST_P(PortOperations, WritableWaitsForRoom) {
    const Ends ends = narrow_pair();
    std::size_t filled = world.fill(ends.ours);
    BecomingWritable becoming_writable(driver, ends.ours);
    becoming_writable.start();
    EXPECT_EQ(world.recv(ends.peer, filled).size(), filled);
    ASSERT_TRUE(becoming_writable.finish());
    EXPECT_TRUE(becoming_writable.result());
    Sending sending(driver, ends.ours, readable_bytes(std::string_view("x")));
    ASSERT_TRUE(sending.finish());
    EXPECT_EQ(sending.result().value_or(0), 1u);
}

// The way of a caller with calls of its own: what it takes or sends is unknown to the port.
TEST_P(PortOperations, BetweenReadableAndWritableTheCallerMakesCallsOfItsOwn) {
    const Ends ends = narrow_pair();
    for (int round = 0; round < 5; ++round) {
        BecomingReadable becoming_readable(driver, ends.ours);
        becoming_readable.start();
        world.send(ends.peer, "words");
        ASSERT_TRUE(becoming_readable.finish());
        EXPECT_EQ(world.recv(ends.ours, 2), "wo");
        BecomingReadable again(driver, ends.ours);
        ASSERT_TRUE(again.finish()) << "some are left";
        EXPECT_EQ(world.recv(ends.ours, 3), "rds");

        const std::size_t filled = world.fill(ends.ours);
        BecomingWritable becoming_writable(driver, ends.ours);
        becoming_writable.start();
        EXPECT_EQ(world.recv(ends.peer, filled).size(), filled);
        ASSERT_TRUE(becoming_writable.finish());
    }
    world.send(ends.peer, "words");
    EXPECT_EQ(recv(ends.ours), "words");
}

// A call on it never blocks, and it is no socket: that is the same on a kernel that would refuse to watch it (epoll, which
// is not asked) and on one that takes it. Windows can watch sockets only.
TEST_P(PortOperations, ARegularFileIsReadyAndNoSocket) {
    if (world.simulated() != nullptr) GTEST_SKIP() << "this kernel has sockets only";
    const ErrorKind expected = test_system::files_are_ready ? ErrorKind::none : ErrorKind::bad_handle;
    const Handle file = test_system::open_regular_file();
    ASSERT_NE(file, no_handle);
    open_on_port(world.keep(file), HandleKind::file);
    for (int round = 0; round < 3; ++round) {
        BecomingReadable becoming_readable(driver, file);
        BecomingWritable becoming_writable(driver, file);
        becoming_readable.start();
        becoming_writable.start();
        ASSERT_TRUE(all_done(driver, becoming_readable, becoming_writable));
        EXPECT_EQ(kind_of(becoming_readable.result()), expected);
        EXPECT_EQ(kind_of(becoming_writable.result()), expected);
        Receiving receiving(driver, file);
        ASSERT_TRUE(receiving.finish());
        EXPECT_EQ(kind_of(receiving.result()), ErrorKind::bad_handle);
    }
}

// --- waiting ---

TEST_P(PortOperations, AWaitWithoutNewsIsNotShorterThanItsTimeout) {
    listener();
    for (const std::int64_t timeout_ns : {std::int64_t{1}, millisecond_ns, 3 * millisecond_ns + 1}) {
        const std::int64_t took_ns = world.duration_of(
            timeout_ns, [this](std::int64_t time_ns) { ASSERT_TRUE(driver.wait(time_ns)); });
        EXPECT_TRUE(driver.ready.empty());
        EXPECT_GE(took_ns, timeout_ns);
        if (world.simulated() != nullptr) {
            EXPECT_EQ(took_ns, timeout_ns);
        }
    }
}

TEST_P(PortOperations, AWakeBeforeTheWaitEndsItAndWakesCoalesce) {
    for (int count = 0; count < 100; ++count) port().wake();
    ASSERT_TRUE(driver.wait(-1));
    EXPECT_TRUE(driver.ready.empty());
    const std::int64_t took_ns = world.duration_of(
        2 * millisecond_ns, [this](std::int64_t time_ns) { ASSERT_TRUE(driver.wait(time_ns)); });
    EXPECT_GE(took_ns, 2 * millisecond_ns);
}

TEST_P(PortOperations, WakesFromOtherThreadsAreNeverLost) {
    if (world.simulated() != nullptr) world.simulated()->external_wakes_expected = 1;
    constexpr unsigned rounds = 2000;
    std::atomic<unsigned> asked = 0;
    std::atomic<unsigned> answered = 0;
    std::thread other([&] {
        for (unsigned round = 1; round <= rounds; ++round) {
            asked = round;
            port().wake();
            while (answered < round) std::this_thread::yield();
        }
    });
    for (unsigned round = 1; round <= rounds; ++round) {
        while (asked < round) driver.turn(-1);
        answered = round;
    }
    other.join();
}

namespace {
std::atomic<CompletionPort*> port_woken_by_signal = nullptr;
}  // namespace

TEST_P(PortOperations, ASignalHandlerMayWake) {
    port_woken_by_signal = &port();
    test_system::SignalHandler signals([](int) { port_woken_by_signal.load()->wake(); });
    for (int count = 0; count < 10; ++count) {
        signals.raise();
        EXPECT_TRUE(driver.wait(-1));
    }
}

TEST_P(PortOperations, AWaitWithNewsDoesNotSleep) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    receiving.cancel();
    const std::int64_t began_ns = world.now_ns();
    driver.turn(patience_ns);
    EXPECT_TRUE(receiving.done());
    EXPECT_LT(world.now_ns() - began_ns, patience_ns);
}

TEST_P(PortOperations, AWakeAndNewsAreBothSeen) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    port().wake();
    world.send(ends.peer, "text");
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.text(), "text");
}

TEST_P(PortOperations, AWaitThatNothingCanEndIsADeadlock) {
    if (world.simulated() == nullptr) GTEST_SKIP() << "a real kernel cannot know";
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    driver.settle();
    EXPECT_EQ(kind_of(driver.wait(-1)), ErrorKind::deadlock);
    // It goes on after that.
    world.send(ends.peer, "text");
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(receiving.text(), "text");
}

INSTANTIATE_TEST_SUITE_P(Every, PortOperations, testing::ValuesIn(tested_ports()), port_subject_name);

}  // namespace pollard::conformance
