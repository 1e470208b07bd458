// Borrowed buffers: held only with data in them, given in order when there are too few, and never lost.
#include <algorithm>
#include <memory>
#include <string>

#include "platform/memory.h"
#include "platform/system_sockets.h"
#include "tests/conformance/completion_port_conformance.h"

namespace pollard::conformance {

class PortBuffers : public PortTest {
protected:
    std::size_t lent() { return port().buffers.lent(); }
    static std::string text_of(const Lease& lease) {
        return {reinterpret_cast<const char*>(lease.bytes().data()), lease.size()};
    }
    /// A borrowed receive that is over at once, with the text it gave.
    std::string borrow(Handle handle) {
        Borrowing borrowing(driver, handle);
        EXPECT_TRUE(borrowing.finish());
        if (borrowing.failed()) {
            ADD_FAILURE() << describe(borrowing.error()).c_str();
            return {};
        }
        return text_of(*borrowing.result());
    }
    /// Connections with a borrowed receive each, started in their order; the pool is at its limit.
    struct Line {
        std::vector<Ends> ends;
        std::vector<std::unique_ptr<Borrowing>> waiting;
    };
    Line stand_in_line(std::size_t length) {
        Line line;
        for (std::size_t number = 0; number < length; ++number) {
            line.ends.push_back(pair());
            world.send(line.ends.back().peer, "data " + std::to_string(number));
            EXPECT_TRUE(world.await(line.ends.back().ours, POLLIN));
            line.waiting.push_back(std::make_unique<Borrowing>(driver, line.ends.back().ours));
            line.waiting.back()->start();
            // One after another, so that there is an order even where the kernel may change it.
            expect_armed(*line.waiting.back());
        }
        return line;
    }
    /// The only buffer there is, lent.
    Lease take_the_only_buffer() {
        port().buffers.limit = 1;
        const Ends ends = pair();
        world.send(ends.peer, "first");
        Borrowing borrowing(driver, ends.ours);
        EXPECT_TRUE(borrowing.finish());
        return *borrowing.result();
    }
};

TEST_P(PortBuffers, AnIdleReceiveHoldsNone) {
    std::vector<Ends> all;
    std::vector<std::unique_ptr<Borrowing>> waiting;
    for (int number = 0; number < 10; ++number) {
        all.push_back(pair());
        waiting.push_back(std::make_unique<Borrowing>(driver, all.back().ours));
        waiting.back()->start();
    }
    driver.settle();
    EXPECT_EQ(lent(), 0u);
    world.send(all[3].peer, "data");
    ASSERT_TRUE(waiting[3]->finish());
    EXPECT_EQ(lent(), 1u);
    {
        const Lease lease = *waiting[3]->result();
        EXPECT_EQ(text_of(lease), "data");
        EXPECT_EQ(lent(), 1u);
    }
    EXPECT_EQ(lent(), 0u);
}

TEST_P(PortBuffers, TheEndIsAnEmptyLeaseAndItsBufferGoesBack) {
    const Ends ends = pair();
    world.send(ends.peer, "last words");
    world.half_close(ends.peer);
    ASSERT_TRUE(world.await(ends.ours, POLLRDHUP));
    EXPECT_EQ(borrow(ends.ours), "last words");
    for (int times = 0; times < 3; ++times) EXPECT_EQ(borrow(ends.ours), "");
    EXPECT_EQ(lent(), 0u);
}

TEST_P(PortBuffers, AFailedReceiveHoldsNone) {
    const Ends ends = pair();
    Borrowing borrowing(driver, ends.ours);
    borrowing.start();
    world.reset(ends.peer);
    ASSERT_TRUE(borrowing.finish());
    expect_reset(kind_of(borrowing.result()));
    EXPECT_EQ(lent(), 0u);
}

TEST_P(PortBuffers, ACancelledReceiveHoldsNone) {
    const Ends ends = pair();
    Borrowing borrowing(driver, ends.ours);
    borrowing.start();
    borrowing.cancel();
    ASSERT_TRUE(borrowing.finish());
    EXPECT_EQ(kind_of(borrowing.result()), ErrorKind::cancelled);
    EXPECT_EQ(lent(), 0u);
}

TEST_P(PortBuffers, AResultThatNobodyWantsGoesBack) {
    const Ends ends = pair();
    world.send(ends.peer, "data");
    Borrowing borrowing(driver, ends.ours);
    ASSERT_TRUE(borrowing.finish());
    EXPECT_EQ(lent(), 1u);
    borrowing.drop_result();
    EXPECT_EQ(lent(), 0u);
}

TEST_P(PortBuffers, MoreThanABufferHoldsComesInPieces) {
    const Ends ends = pair_on_port();
    const std::string bytes = numbered_bytes(5 * BufferPool::buffer_size + 7);
    SendingAll sending(driver, ends.peer, readable_bytes(bytes));
    sending.start();
    std::string received;
    while (received.size() < bytes.size()) {
        const std::string part = borrow(ends.ours);
        ASSERT_FALSE(part.empty());
        EXPECT_LE(part.size(), BufferPool::buffer_size);
        received += part;
    }
    EXPECT_TRUE(received == bytes);
    ASSERT_TRUE(sending.finish());
}

TEST_P(PortBuffers, TheSteadyStateAllocatesNothing) {
    const Ends ends = pair();
    const auto round = [&] {
        world.send(ends.peer, "data");
        ASSERT_EQ(borrow(ends.ours), "data");
    };
    for (int warm = 0; warm < 5; ++warm) round();
    const std::uint64_t allocations = memory_counters().allocations;
    for (int times = 0; times < 100; ++times) round();
    EXPECT_EQ(memory_counters().allocations, allocations);
}

// --- the limit ---

TEST_P(PortBuffers, AtTheLimitAReceiveWaitsForALease) {
    Lease lease = take_the_only_buffer();
    const Ends ends = pair();
    world.send(ends.peer, "second");
    Borrowing borrowing(driver, ends.ours);
    borrowing.start();
    expect_armed(borrowing);
    lease.give_back();
    ASSERT_TRUE(borrowing.finish());
    EXPECT_EQ(text_of(*borrowing.result()), "second");
}

TEST_P(PortBuffers, AtTheLimitAReceiveThatWaitedForDataWaitsForALease) {
    const Ends ends = pair();
    Borrowing borrowing(driver, ends.ours);
    borrowing.start();
    Lease lease = take_the_only_buffer();
    world.send(ends.peer, "second");
    expect_armed(borrowing);
    lease.give_back();
    ASSERT_TRUE(borrowing.finish());
    EXPECT_EQ(text_of(*borrowing.result()), "second");
}

TEST_P(PortBuffers, TheLineIsServedInItsOrder) {
    Lease lease = take_the_only_buffer();
    const Line line = stand_in_line(5);
    for (std::size_t number = 0; number < line.waiting.size(); ++number) {
        lease.give_back();
        ASSERT_TRUE(line.waiting[number]->finish()) << number;
        for (std::size_t later = number + 1; later < line.waiting.size(); ++later)
            EXPECT_FALSE(line.waiting[later]->done()) << later << " before its turn";
        lease = *line.waiting[number]->result();
        EXPECT_EQ(text_of(lease), "data " + std::to_string(number));
    }
}

TEST_P(PortBuffers, SeveralLeasesThatEndTogetherServeSeveral) {
    port().buffers.limit = 3;
    std::vector<Lease> leases;
    for (int number = 0; number < 3; ++number) {
        const Ends ends = pair();
        world.send(ends.peer, "first");
        Borrowing borrowing(driver, ends.ours);
        ASSERT_TRUE(borrowing.finish());
        leases.push_back(*borrowing.result());
    }
    const Line line = stand_in_line(3);
    leases.clear();
    for (const auto& waiting : line.waiting) {
        ASSERT_TRUE(waiting->finish());
        leases.push_back(*waiting->result());
    }
}

// Else one that comes late could be served again and again before one that has waited for long.
TEST_P(PortBuffers, WhoComesLaterDoesNotOvertakeTheLine) {
    if (GetParam().world.faults.finish_inline > 0) GTEST_SKIP() << "here a kernel may do so";
    Lease lease = take_the_only_buffer();
    const Line line = stand_in_line(1);
    const Ends ends = pair();
    world.send(ends.peer, "late");
    ASSERT_TRUE(world.await(ends.ours, POLLIN));
    lease.give_back();
    Borrowing late(driver, ends.ours);
    late.start();
    EXPECT_FALSE(late.done());
    ASSERT_TRUE(line.waiting[0]->finish());
    EXPECT_FALSE(late.done());
    line.waiting[0]->drop_result();
    ASSERT_TRUE(late.finish());
    late.drop_result();
}

TEST_P(PortBuffers, WhoeverOvertakesTheLineLetsItGoOnAfterwards) {
    Lease lease = take_the_only_buffer();
    const Line line = stand_in_line(2);
    const Ends ends = pair();
    world.send(ends.peer, "late");
    ASSERT_TRUE(world.await(ends.ours, POLLIN));
    lease.give_back();
    Borrowing late(driver, ends.ours);
    late.start();
    std::vector<Borrowing*> all = {line.waiting[0].get(), line.waiting[1].get(), &late};
    while (!all.empty()) {
        ASSERT_TRUE(driver.run_until([&] {
            return std::ranges::any_of(all, [](const Borrowing* each) { return each->done(); });
        })) << all.size()
            << " are left";
        std::erase_if(all, [](Borrowing* each) {
            if (!each->done()) return false;
            each->drop_result();
            return true;
        });
    }
}

TEST_P(PortBuffers, TheFirstInLineIsCancelledAndTheNextIsServed) {
    Lease lease = take_the_only_buffer();
    const Line line = stand_in_line(3);
    line.waiting[0]->cancel();
    ASSERT_TRUE(line.waiting[0]->finish());
    EXPECT_EQ(kind_of(line.waiting[0]->result()), ErrorKind::cancelled);
    lease.give_back();
    ASSERT_TRUE(line.waiting[1]->finish());
    EXPECT_FALSE(line.waiting[2]->done());
    line.waiting[1]->drop_result();
    ASSERT_TRUE(line.waiting[2]->finish());
    line.waiting[2]->drop_result();
    // The data of the cancelled one is still there.
    EXPECT_EQ(borrow(line.ends[0].ours), "data 0");
}

// The lease has ended and the buffer is meant for the first; only then is that one cancelled.
TEST_P(PortBuffers, TheOneWhoseTurnItIsIsCancelledAndTheNextIsServed) {
    Lease lease = take_the_only_buffer();
    const Line line = stand_in_line(2);
    lease.give_back();
    line.waiting[0]->cancel();
    ASSERT_TRUE(line.waiting[0]->finish());
    // Some kernels had given it the buffer already.
    if (!line.waiting[0]->failed()) line.waiting[0]->drop_result();
    ASSERT_TRUE(line.waiting[1]->finish());
    line.waiting[1]->drop_result();
}

TEST_P(PortBuffers, TheOneThatStandsInTheReadyListIsCancelledAndTheNextIsServed) {
    Lease lease = take_the_only_buffer();
    const Line line = stand_in_line(2);
    lease.give_back();
    ASSERT_TRUE(driver.wait(0));
    line.waiting[0]->cancel();
    ASSERT_TRUE(line.waiting[0]->finish());
    if (!line.waiting[0]->failed()) line.waiting[0]->drop_result();
    ASSERT_TRUE(line.waiting[1]->finish());
    line.waiting[1]->drop_result();
}

TEST_P(PortBuffers, ClosingAHandleInTheLineLetsTheNextGoOn) {
    Lease lease = take_the_only_buffer();
    const Line line = stand_in_line(2);
    close(line.ends[0].ours);
    ASSERT_TRUE(line.waiting[0]->done());
    EXPECT_EQ(kind_of(line.waiting[0]->result()), ErrorKind::cancelled);
    lease.give_back();
    ASSERT_TRUE(line.waiting[1]->finish());
    line.waiting[1]->drop_result();
}

TEST_P(PortBuffers, DiscardingAHandleWhoseTurnItIsLetsTheNextGoOn) {
    Lease lease = take_the_only_buffer();
    const Line line = stand_in_line(2);
    lease.give_back();
    driver.discard(line.ends[0].ours);
    world.closed(line.ends[0].ours);
    ASSERT_TRUE(line.waiting[0]->finish());
    if (!line.waiting[0]->failed()) line.waiting[0]->drop_result();
    ASSERT_TRUE(line.waiting[1]->finish());
    line.waiting[1]->drop_result();
}

TEST_P(PortBuffers, APeerThatResetsWhileOneStandsInLineIsFoundInItsTurn) {
    Lease lease = take_the_only_buffer();
    const Line line = stand_in_line(2);
    world.reset(line.ends[0].peer);
    driver.settle();
    lease.give_back();
    // The bytes that had arrived may still be delivered.
    ASSERT_TRUE(line.waiting[0]->finish());
    if (!line.waiting[0]->failed()) line.waiting[0]->drop_result();
    ASSERT_TRUE(line.waiting[1]->finish());
    line.waiting[1]->drop_result();
}

TEST_P(PortBuffers, AReceiveInTheLineKeepsItsDirectionBusy) {
    Lease lease = take_the_only_buffer();
    const Line line = stand_in_line(1);
    Receiving receiving(driver, line.ends[0].ours);
    ASSERT_TRUE(receiving.start().was_inline());
    EXPECT_EQ(kind_of(receiving.result()), ErrorKind::busy);
}

// --- no memory ---

TEST_P(PortBuffers, WithoutMemoryForABufferItIsAnErrorAndWorksAfterwards) {
    const Ends ends = pair();
    world.send(ends.peer, "data");
    ASSERT_TRUE(world.await(ends.ours, POLLIN));
    Borrowing borrowing(driver, ends.ours);
    fail_allocations_after(0);
    const bool finished = borrowing.finish();
    fail_allocations_after(0, 0);
    ASSERT_TRUE(finished);
    EXPECT_EQ(kind_of(borrowing.result()), ErrorKind::out_of_memory);
    EXPECT_EQ(lent(), 0u);
    EXPECT_EQ(borrow(ends.ours), "data");
}

INSTANTIATE_TEST_SUITE_P(Every, PortBuffers, testing::ValuesIn(tested_ports()), port_subject_name);

}  // namespace pollard::conformance
