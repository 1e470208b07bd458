// io_uring alone: what its streams keep, what its queues do when they are full, and the kernel that has none.
//
// Each test runs on the newest setup and on those that older kernels would take (see unknown_setups).
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <thread>

#include "platform/clock.h"
#include "platform/io_uring/ring.h"
#include "platform/io_uring/time_limit.h"
#include "platform/observer.h"
#include "platform/socket.h"
#include "tests/conformance/completion_port_conformance.h"

namespace pollard::conformance {

namespace {
std::vector<PortSubject> io_uring_subjects() {
    std::vector<PortSubject> chosen;
    std::ranges::copy_if(port_subjects, std::back_inserter(chosen), [](const PortSubject& subject) {
        return std::string_view(subject.backend) == "io_uring";
    });
    return chosen;
}

std::string text_of(const Lease& lease) {
    return {reinterpret_cast<const char*>(lease.bytes().data()), lease.size()};
}
}  // namespace

class IoUring : public PortTest {
protected:
    std::string borrow(Handle handle) {
        Borrowing borrowing(driver, handle);
        EXPECT_TRUE(borrowing.finish()) << "nothing comes";
        if (borrowing.failed()) {
            ADD_FAILURE() << describe(borrowing.error()).c_str();
            return {};
        }
        return text_of(*borrowing.result());
    }
    /// The stream of this connection is under way, and nobody waits.
    Ends streaming_pair() {
        const Ends ends = pair();
        world.send(ends.peer, "first");
        EXPECT_EQ(borrow(ends.ours), "first");
        return ends;
    }
    /// The port is opened anew, with its calls counted.
    void count_calls() {
        driver.port->destroy();
        put_in_front(&world.failing, counting);
        put_in_front(&counting, world.kernel());
        driver.port = *find_backend("io_uring")->open({.in_front = &counting});
    }
    CountingKernel counting;
};

// --- what comes while nobody waits ---

TEST_P(IoUring, WhatComesWhileNobodyWaitsIsTheNextResult) {
    const Ends ends = streaming_pair();
    world.send(ends.peer, "second");
    driver.settle();
    EXPECT_EQ(borrow(ends.ours), "second");
    world.send(ends.peer, "third");
    driver.settle();
    EXPECT_EQ(recv(ends.ours), "third") << "into a buffer of one's own";
    world.send(ends.peer, "fourth");
    driver.settle();
    EXPECT_EQ(recv(ends.ours, 3), "fou");
    EXPECT_EQ(borrow(ends.ours), "rth");
    EXPECT_EQ(port().buffers.lent(), 0u);
}

TEST_P(IoUring, AStreamThatNobodyReadsFillsTwoBuffersAndNoMore) {
    const Ends ends = streaming_pair();
    std::string sent;
    for (int number = 0; number < 10; ++number) {
        const std::string text = "message " + std::to_string(number) + ". ";
        world.send(ends.peer, text);
        sent += text;
        driver.settle();
    }
    EXPECT_GE(world.kernel().recv(world.kernel(), ends.ours, std::string(999, '\0').data(), 999, MSG_PEEK),
              80)
        << "most of it is still the kernel's";
    std::string received;
    while (received.size() < sent.size()) received += borrow(ends.ours);
    EXPECT_EQ(received, sent);
}

TEST_P(IoUring, AResetThatComesWhileNobodyWaitsIsNotLost) {
    const Ends ends = streaming_pair();
    world.reset(ends.peer);
    driver.settle();
    BecomingReadable becoming_readable(driver, ends.ours);
    ASSERT_TRUE(becoming_readable.finish());
    EXPECT_TRUE(becoming_readable.result());
    Borrowing borrowing(driver, ends.ours);
    ASSERT_TRUE(borrowing.finish());
    EXPECT_EQ(kind_of(borrowing.result()), ErrorKind::connection_reset);
}

TEST_P(IoUring, AnEndThatComesWhileNobodyWaitsIsFoundBehindTheBytes) {
    const Ends ends = streaming_pair();
    world.send(ends.peer, "last words");
    world.half_close(ends.peer);
    driver.settle();
    EXPECT_EQ(borrow(ends.ours), "last words");
    EXPECT_EQ(borrow(ends.ours), "");
}

TEST_P(IoUring, WhoeverMakesCallsOfHisOwnStopsTheStreamFirst) {
    const Ends ends = streaming_pair();
    BecomingReadable becoming_readable(driver, ends.ours);
    becoming_readable.start();
    driver.settle();
    world.send(ends.peer, "words");
    ASSERT_TRUE(becoming_readable.finish());
    EXPECT_EQ(world.recv(ends.ours, 5), "words");
}

TEST_P(IoUring, ConnectionsThatNobodyTookAreClosedWithTheirListener) {
    const Handle listening = listener();
    const Address address = world.address_of(listening);
    const Handle first = world.connecting_to(address);
    Accepting accepting(driver, listening);
    ASSERT_TRUE(accepting.finish());
    world.keep(*accepting.result());
    const Handle second = world.connecting_to(address);
    driver.settle();
    close(listening);
    ASSERT_TRUE(world.await(second, POLLIN));
    EXPECT_TRUE(world.would_block(first));
}

TEST_P(IoUring, ConnectionsThatNobodyTookAreClosedWithThePort) {
    const Handle listening = listener();
    const Address address = world.address_of(listening);
    Accepting accepting(driver, listening);
    accepting.start();
    world.connecting_to(address);
    const Handle second = world.connecting_to(address);
    ASSERT_TRUE(accepting.finish());
    world.keep(*accepting.result());
    driver.settle();
    std::exchange(driver.port, nullptr)->destroy();
    world.close(listening);
    ASSERT_TRUE(world.await(second, POLLIN));
}

TEST_P(IoUring, WhenEveryBufferHoldsWhatNobodyTakesOthersStillReceive) {
    constexpr int hoarders = 600;
    if (raise_descriptor_limit() < 2 * hoarders + 50) GTEST_SKIP() << "too few descriptors are allowed";
    const Ends other = streaming_pair();
    std::vector<Ends> all;
    for (int number = 0; number < hoarders; ++number) all.push_back(streaming_pair());
    for (int times = 0; times < 2; ++times) {
        for (const Ends& ends : all) world.send(ends.peer, "hoarded");
        for (int turns = 0; turns < 100; ++turns) driver.turn(0);
    }
    for (int times = 0; times < 5; ++times) {
        world.send(other.peer, "data");
        ASSERT_EQ(borrow(other.ours), "data");
    }
    for (const Ends& ends : all) EXPECT_EQ(recv_all(ends.ours, 14), "hoardedhoarded");
}

// What is kept are buffers or connections: one must never be taken for the other.
TEST_P(IoUring, AnOperationOfTheWrongKindMeetsTheKernelsOpinionAndNotWhatWasKept) {
    const Ends ends = streaming_pair();
    world.send(ends.peer, "kept");
    driver.settle();
    Accepting accepting(driver, ends.ours);
    ASSERT_TRUE(accepting.finish());
    EXPECT_EQ(kind_of(accepting.result()), ErrorKind::invalid_argument);
    EXPECT_EQ(borrow(ends.ours), "kept");
    Accepting when_nothing_is_kept(driver, ends.ours);
    ASSERT_TRUE(when_nothing_is_kept.finish());
    EXPECT_EQ(kind_of(when_nothing_is_kept.result()), ErrorKind::invalid_argument);

    const Handle listening = listener();
    const Address address = world.address_of(listening);
    world.connecting_to(address);
    Accepting first(driver, listening);
    ASSERT_TRUE(first.finish());
    world.keep(*first.result());
    world.connecting_to(address);
    driver.settle();
    Receiving receiving(driver, listening);
    ASSERT_TRUE(receiving.finish());
    EXPECT_EQ(kind_of(receiving.result()), ErrorKind::not_connected);
    Accepting second(driver, listening);
    ASSERT_TRUE(second.finish());
    world.keep(*second.result());
}

// --- the queues ---

TEST_P(IoUring, MoreRequestsThanTheQueueHoldsAreAllMade) {
    constexpr int count = 400;
    std::vector<Ends> all;
    std::vector<std::unique_ptr<Receiving>> receiving;
    for (int number = 0; number < count; ++number) {
        all.push_back(pair());
        receiving.push_back(std::make_unique<Receiving>(driver, all.back().ours));
        receiving.back()->start();
    }
    for (const Ends& ends : all) world.send(ends.peer, "data");
    for (const auto& each : receiving) {
        ASSERT_TRUE(each->finish());
        EXPECT_EQ(each->text(), "data");
    }
}

TEST_P(IoUring, WhileTheKernelTakesNothingRequestsWaitAndCancellationsToo) {
    constexpr int count = 400;
    std::vector<Ends> all;
    std::vector<std::unique_ptr<Receiving>> receiving;
    world.failing.fail(Call::io_uring_enter, EAGAIN, 0, UINT64_MAX);
    for (int number = 0; number < count; ++number) {
        all.push_back(pair());
        receiving.push_back(std::make_unique<Receiving>(driver, all.back().ours));
        receiving.back()->start();
        EXPECT_FALSE(receiving.back()->done());
        if (number % 2 == 0) receiving.back()->cancel();
    }
    for (int turns = 0; turns < 5; ++turns) driver.turn(0);
    world.failing.fail(Call::io_uring_enter, 0, 0, 0);
    for (const Ends& ends : all) world.send(ends.peer, "data");
    for (std::size_t number = 0; number < count; ++number) {
        ASSERT_TRUE(receiving[number]->finish());
        if (receiving[number]->result())
            EXPECT_EQ(receiving[number]->text(), "data");
        else
            EXPECT_TRUE(number % 2 == 0 && kind_of(receiving[number]->result()) == ErrorKind::cancelled);
    }
}

TEST_P(IoUring, MoreAnswersThanTheQueueHoldsAreAllTold) {
    constexpr int count = 1500;
    if (raise_descriptor_limit() < 2 * count + 50) GTEST_SKIP() << "too few descriptors are allowed";
    std::vector<std::unique_ptr<BecomingWritable>> writable;
    for (int number = 0; number < count; ++number) {
        writable.push_back(std::make_unique<BecomingWritable>(driver, pair().ours));
        writable.back()->start();
    }
    for (const auto& each : writable) {
        ASSERT_TRUE(each->finish());
        EXPECT_TRUE(each->result());
    }
}

TEST_P(IoUring, WhatTheNextWaitMakesGoodIsNoNewsAndLosesNothing) {
    const Ends ends = pair();
    for (const std::int32_t code : {EINTR, EAGAIN, EBUSY, ETIME}) {
        Receiving receiving(driver, ends.ours);
        receiving.start();
        world.send(ends.peer, "data");
        world.failing.fail(Call::io_uring_enter, code, 0, 3);
        ASSERT_TRUE(receiving.finish());
        EXPECT_EQ(receiving.text(), "data");
    }
}

TEST_P(IoUring, AFailedWaitIsAnErrorAndLosesNothing) {
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    Receiving cancelled(driver, streaming_pair().ours);
    receiving.start();
    cancelled.start();
    cancelled.cancel();
    world.send(ends.peer, "data");
    world.failing.fail(Call::io_uring_enter, EIO);
    const Result<void> waited = driver.wait(0);
    EXPECT_EQ(kind_of(waited), ErrorKind::other);
    EXPECT_EQ(waited.error().call, Call::io_uring_enter);
    ASSERT_TRUE(all_done(driver, receiving, cancelled));
    EXPECT_EQ(receiving.text(), "data");
    EXPECT_EQ(kind_of(cancelled.result()), ErrorKind::cancelled);
}

TEST_P(IoUring, ALookWithNothingToHandOverAndNothingNotedIsNoCall) {
    count_calls();
    const Ends ends = pair();
    Receiving receiving(driver, ends.ours);
    receiving.start();
    driver.settle();
    counting.reset();
    for (int looks = 0; looks < 100; ++looks) driver.turn(0);
    EXPECT_EQ(counting.total(), 0u);
    world.send(ends.peer, "data");
    while (!receiving.done()) driver.turn(0);
    EXPECT_EQ(receiving.text(), "data");
}

TEST_P(IoUring, ManyOperationsShareOneCall) {
    count_calls();
    std::vector<Ends> all;
    for (int number = 0; number < 64; ++number) all.push_back(pair());
    driver.settle();
    std::vector<std::unique_ptr<SendingAll>> sending;
    for (const Ends& ends : all)
        sending.push_back(
            std::make_unique<SendingAll>(driver, ends.ours, readable_bytes(std::string_view("x"))));
    counting.reset();
    for (const auto& each : sending) each->start();
    for (const auto& each : sending) ASSERT_TRUE(each->finish());
    EXPECT_LE(counting.total(), 3u);
}

// --- time limits that the kernel keeps ---

/// An operation with a limit of so much, started.
template <class Kind>
struct Limited : Kind {
    template <class... Arguments>
    explicit Limited(Driver& driver, std::int64_t limit_ns, Arguments&&... arguments)
        : Kind(driver, std::forward<Arguments>(arguments)...) {
        Kind::start_by([&] { return start_with_limit(*driver.port, *this, limit, limit_ns); });
    }
    TimeLimit limit;
};

TEST_P(IoUring, AnOperationThatTakesLongerThanItsLimitTimesOut) {
    const Ends ends = pair();
    Limited<Receiving> receiving(driver, millisecond_ns, ends.ours);
    Limited<BecomingWritable> writable(driver, patience_ns, ends.ours);
    ASSERT_TRUE(all_done(driver, receiving, writable));
    EXPECT_EQ(kind_of(receiving.result()), ErrorKind::timed_out);
    EXPECT_TRUE(writable.result());
    world.send(ends.peer, "later");
    Receiving next(driver, ends.ours);
    ASSERT_TRUE(next.finish());
    EXPECT_EQ(next.text(), "later") << "what came after the limit is the next one's";
}

TEST_P(IoUring, AnOperationThatEndsWithinItsLimitIsNotTouchedByIt) {
    const Ends ends = pair();
    {
        Limited<Receiving> receiving(driver, patience_ns, ends.ours);
        driver.settle();
        world.send(ends.peer, "in time");
        ASSERT_TRUE(receiving.finish());
        EXPECT_EQ(receiving.text(), "in time");
    }
    Receiving without_limit(driver, ends.ours);
    without_limit.start();
    driver.settle();
    EXPECT_FALSE(without_limit.done()) << "the time-out of the one before ends this one";
    world.send(ends.peer, "x");
    EXPECT_TRUE(without_limit.finish());
}

TEST_P(IoUring, CancelledOrClosedWithinItsLimitAnOperationIsCancelled) {
    const Ends ends = pair();
    Limited<BecomingReadable> cancelled(driver, patience_ns, ends.ours);
    cancelled.cancel();
    ASSERT_TRUE(cancelled.finish());
    EXPECT_EQ(kind_of(cancelled.result()), ErrorKind::cancelled);
    Limited<Receiving> receiving(driver, patience_ns, ends.ours);
    Closing closing(driver, ends.ours);
    closing.start();
    ASSERT_TRUE(all_done(driver, receiving, closing));
    EXPECT_EQ(kind_of(receiving.result()), ErrorKind::cancelled);
    world.closed(ends.ours);
}

TEST_P(IoUring, APairThatFindsNoRoomInTheQueueWaitsWhole) {
    world.failing.fail(Call::io_uring_enter, EAGAIN, 0, UINT64_MAX);
    std::vector<Ends> others;
    for (int number = 0; number < 400; ++number) others.push_back(pair());
    std::vector<std::unique_ptr<Limited<Receiving>>> all;
    for (const Ends& each : others)
        all.push_back(std::make_unique<Limited<Receiving>>(driver, millisecond_ns, each.ours));
    for (int turns = 0; turns < 5; ++turns) driver.turn(0);
    world.failing.fail(Call::io_uring_enter, 0, 0, 0);
    for (const auto& each : all) {
        ASSERT_TRUE(each->finish());
        EXPECT_EQ(kind_of(each->result()), ErrorKind::timed_out);
    }
}

// --- threads ---

TEST_P(IoUring, APortMayBeMadeOnOneThreadAndRunOnAnother) {
    const Ends ends = pair();
    std::exchange(driver.port, nullptr)->destroy();
    const Result<CompletionPort*> opened = open_port();
    ASSERT_TRUE(opened);
    std::thread other([&] {
        driver.port = *opened;
        open_on_port(ends.ours);
        world.send(ends.peer, "data");
        EXPECT_EQ(borrow(ends.ours), "data");
        std::exchange(driver.port, nullptr)->destroy();
    });
    other.join();
}

// --- a kernel without it ---

TEST(IoUringKernel, WhatIsMissingIsSaidInASentence) {
    FailingKernel failing(system_kernel());
    const auto said = [&](std::int32_t code, std::uint64_t failures) -> std::string {
        failing.fail(Call::io_uring_setup, code, 0, failures);
        const char* why = io_uring::why_unavailable(failing);
        failing.fail(Call::io_uring_setup, 0, 0, 0);
        return why != nullptr ? why : "";
    };
    EXPECT_NE(said(ENOSYS, 1).find("no io_uring"), std::string::npos);
    EXPECT_NE(said(EPERM, 1).find("switched off"), std::string::npos);
    EXPECT_NE(said(EINVAL, 99).find("too old"), std::string::npos);
    EXPECT_EQ(said(EMFILE, 1), "") << "it is there, and whoever opens it is told";
}

TEST(IoUringKernel, EachCallThatFailsWhileAPortIsMadeIsItsErrorAndLeavesNothing) {
    if (find_backend("io_uring")->why_unavailable() != nullptr) GTEST_SKIP() << "no io_uring here";
    for (const Call call : {Call::io_uring_setup, Call::mmap, Call::io_uring_register, Call::eventfd}) {
        const std::size_t descriptors = open_descriptors();
        const std::uint64_t memory = memory_in_use();
        FailingKernel failing;
        for (std::uint64_t passes = 0;; ++passes) {
            failing.fail(call, ENOMEM, passes);
            const std::uint64_t failed = failing.failed;
            const Result<CompletionPort*> opened = find_backend("io_uring")->open({.in_front = &failing});
            if (failing.failed == failed) {
                ASSERT_TRUE(opened);
                (*opened)->destroy();
                EXPECT_GE(passes, 1u) << describe(call) << " was never made";
                break;
            }
            EXPECT_EQ(kind_of(opened), ErrorKind::out_of_memory);
            EXPECT_EQ(opened.error().call, call);
        }
        EXPECT_EQ(open_descriptors(), descriptors);
        EXPECT_EQ(memory_in_use(), memory);
    }
}

INSTANTIATE_TEST_SUITE_P(Every, IoUring, testing::ValuesIn(io_uring_subjects()), port_subject_name);

}  // namespace pollard::conformance
