// Sending: into buffers that are full, to readers that are slow, to peers that are gone. And many at once.
#include <algorithm>
#include <cerrno>
#include <memory>

#include "platform/socket.h"
#include "platform/system_sockets.h"
#include "tests/conformance/completion_port_conformance.h"

namespace pollard::conformance {

class PortSending : public PortTest {};

TEST_P(PortSending, ASendTellsHowMuchWasTaken) {
    const Ends ends = narrow_pair();
    const std::string bytes = numbered_bytes(1 << 20);
    Sending sending(driver, ends.ours, readable_bytes(bytes));
    ASSERT_TRUE(sending.finish());
    const std::size_t sent = sending.result().value_or(0);
    EXPECT_GE(sent, 1u);
    EXPECT_LT(sent, bytes.size()) << "the buffers are smaller than that";
    EXPECT_TRUE(world.recv(ends.peer, sent) == bytes.substr(0, sent));
    expect_nothing_more(ends);
}

TEST_P(PortSending, ASendWaitsForRoomAndThenTakesAtLeastOneByte) {
    const Ends ends = narrow_pair();
    const std::size_t filled = world.fill(ends.ours);
    const std::string bytes = numbered_bytes(1 << 20);
    Sending sending(driver, ends.ours, readable_bytes(bytes));
    sending.start();
    EXPECT_EQ(world.recv(ends.peer, filled).size(), filled);
    ASSERT_TRUE(sending.finish());
    const std::size_t sent = sending.result().value_or(0);
    ASSERT_GE(sent, 1u);
    EXPECT_TRUE(world.recv(ends.peer, sent) == bytes.substr(0, sent));
    expect_nothing_more(ends);
}

TEST_P(PortSending, SendingNothingSucceedsEvenWithoutRoom) {
    const Ends ends = narrow_pair();
    world.fill(ends.ours);
    Sending sending(driver, ends.ours, std::span<const std::byte>());
    ASSERT_TRUE(sending.finish());
    EXPECT_EQ(sending.result().value_or(1), 0u);
    SendingAll sending_all(driver, ends.ours, std::span<const std::byte>());
    ASSERT_TRUE(sending_all.finish());
    EXPECT_TRUE(sending_all.result());
}

TEST_P(PortSending, TenMegabytesReachASlowReader) {
    const Ends ends = narrow_pair();
    const std::string bytes = numbered_bytes(10'000'000);
    SendingAll sending(driver, ends.ours, readable_bytes(bytes));
    sending.start();
    EXPECT_TRUE(read_slowly(ends.peer, bytes.size(), 30'000) == bytes);
    ASSERT_TRUE(sending.finish());
    EXPECT_TRUE(sending.result());
    expect_nothing_more(ends);
}

TEST_P(PortSending, SendsFollowEachOtherInOrder) {
    const Ends ends = narrow_pair();
    const std::string bytes = numbered_bytes(200'000);
    const std::size_t part = 10'000;
    std::string received;
    for (std::size_t at = 0; at < bytes.size(); at += part) {
        SendingAll sending(driver, ends.ours, readable_bytes(std::string_view(bytes).substr(at, part)));
        sending.start();
        // The rest of each part is still on its way when the next one is started.
        received += read_slowly(ends.peer, at + part - received.size() - 1'000, 3'000);
        ASSERT_TRUE(sending.finish());
        EXPECT_TRUE(sending.result());
    }
    received += world.recv(ends.peer, bytes.size() - received.size());
    EXPECT_TRUE(received == bytes);
    expect_nothing_more(ends);
}

TEST_P(PortSending, BothDirectionsCanBeFullAtOnce) {
    const Ends ends = opened(world.narrow_pair());
    open_on_port(ends.peer);
    const std::string there = numbered_bytes(300'000, 1);
    const std::string back = numbered_bytes(300'000, 2);
    SendingAll sending_there(driver, ends.ours, readable_bytes(there));
    SendingAll sending_back(driver, ends.peer, readable_bytes(back));
    sending_there.start();
    sending_back.start();
    EXPECT_TRUE(recv_all(ends.peer, there.size()) == there);
    EXPECT_TRUE(recv_all(ends.ours, back.size()) == back);
    ASSERT_TRUE(all_done(driver, sending_there, sending_back));
}

// --- a peer that is gone ---

namespace {
// Which of the two it is depends on whether the reset or the end of the stream was there first.
bool is_lost_connection(ErrorKind kind) {
    return kind == ErrorKind::connection_reset || kind == ErrorKind::broken_pipe;
}
}  // namespace

TEST_P(PortSending, APeerThatNeverReadsAndThenResetsEndsTheSend) {
    const Ends ends = narrow_pair();
    const std::string bytes = numbered_bytes(5'000'000);
    SendingAll sending(driver, ends.ours, readable_bytes(bytes));
    sending.start();
    expect_armed(sending);
    world.reset(ends.peer);
    ASSERT_TRUE(sending.finish());
    EXPECT_EQ(kind_of(sending.result()), ErrorKind::connection_reset);
    EXPECT_EQ(sending.result().error().call, Call::send);
}

TEST_P(PortSending, APeerThatClosesWithUnreadBytesEndsTheSend) {
    const Ends ends = narrow_pair();
    const std::string bytes = numbered_bytes(5'000'000);
    SendingAll sending(driver, ends.ours, readable_bytes(bytes));
    sending.start();
    expect_armed(sending);
    world.close(ends.peer);
    ASSERT_TRUE(sending.finish());
    EXPECT_PRED1(is_lost_connection, kind_of(sending.result()));
}

TEST_P(PortSending, AClosedPeerAnswersTheFirstSendAndBreaksTheNext) {
    const Ends ends = pair();
    world.close(ends.peer);
    EXPECT_EQ(recv(ends.ours), "");
    // It goes out; the answer is a reset.
    Sending first(driver, ends.ours, readable_bytes(std::string_view("x")));
    ASSERT_TRUE(first.finish());
    EXPECT_TRUE(first.result());
    ASSERT_TRUE(world.await(ends.ours, 0)) << "the reset never comes";
    Sending second(driver, ends.ours, readable_bytes(std::string_view("x")));
    ASSERT_TRUE(second.finish());
    EXPECT_PRED1(is_lost_connection, kind_of(second.result()));
}

// And no SIGPIPE: it would end the test.
TEST_P(PortSending, AfterOnesOwnEndASendIsABrokenPipe) {
    const Ends ends = pair();
    world.half_close(ends.ours);
    Sending sending(driver, ends.ours, readable_bytes(std::string_view("x")));
    ASSERT_TRUE(sending.finish());
    EXPECT_EQ(kind_of(sending.result()), ErrorKind::broken_pipe);
    SendingAll sending_all(driver, ends.ours, readable_bytes(std::string_view("x")));
    ASSERT_TRUE(sending_all.finish());
    EXPECT_EQ(kind_of(sending_all.result()), ErrorKind::broken_pipe);
    world.send(ends.peer, "still open");
    EXPECT_EQ(recv(ends.ours), "still open");
}

// --- many ---

namespace {

/// One connection of a thousand: sends a message back and forth. Both ends are on the port.
struct PingPong {
    PingPong(Driver& on, Ends both, std::uint32_t number)
        : driver(on), ends(both), message("message " + std::to_string(number)) {
        serve();
        play();
    }
    void serve() {
        request = std::make_unique<Receiving>(driver, ends.peer, message.size());
        request->then = [this] { reply_to_request(); };
        if (request->start().done()) reply_to_request();
    }
    void reply_to_request() {
        served = request->text();
        if (served.empty()) return;
        reply = std::make_unique<SendingAll>(driver, ends.peer, readable_bytes(served));
        reply->then = [this] { served_again(); };
        if (reply->start().done()) served_again();
    }
    void served_again() { ++served_count; }
    void play() {
        question = std::make_unique<SendingAll>(driver, ends.ours, readable_bytes(message));
        question->start();
        answer = std::make_unique<Receiving>(driver, ends.ours, message.size());
        answer->start();
    }
    bool done() const { return question->done() && answer->done() && served_count == 1; }

    Driver& driver;
    Ends ends;
    std::string message;
    std::string served;
    int served_count = 0;
    std::unique_ptr<Receiving> request;
    std::unique_ptr<Receiving> answer;
    std::unique_ptr<SendingAll> reply;
    std::unique_ptr<SendingAll> question;
};

}  // namespace

TEST_P(PortSending, AThousandConnectionsPlayPingPongOnOnePort) {
    constexpr std::uint32_t connections = 1000;
    constexpr int rounds = 3;
    if (GetParam().most_handles < 2 * connections + 50) GTEST_SKIP() << "this kernel cannot watch so many";
    if (raise_descriptor_limit() < 2 * connections + 50) GTEST_SKIP() << "too few descriptors are allowed";
    std::vector<Ends> all;
    for (std::uint32_t number = 0; number < connections; ++number) all.push_back(pair_on_port());
    for (int round = 0; round < rounds; ++round) {
        std::vector<std::unique_ptr<PingPong>> games;
        for (std::uint32_t number = 0; number < connections; ++number)
            games.push_back(std::make_unique<PingPong>(driver, all[number], number + 1000));
        ASSERT_TRUE(driver.run_until([&] {
            return std::ranges::all_of(games, [](const auto& game) { return game->done(); });
        })) << "round "
            << round;
        for (const auto& game : games) ASSERT_EQ(game->answer->text(), game->message);
    }
}

INSTANTIATE_TEST_SUITE_P(Every, PortSending, testing::ValuesIn(tested_ports()), port_subject_name);

}  // namespace pollard::conformance
