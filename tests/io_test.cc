// Sockets on the loop: what a server must stand, on every kernel of this build.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "core/co_await.h"
#include "core/coroutine.h"
#include "core/io/serve.h"
#include "core/io/socket.h"
#include "core/sleep.h"
#include "platform/interposed_kernel.h"
#include "platform/kernel.h"
#include "platform/system_sockets.h"
#include "tests/kernels.h"

namespace pollard {

namespace {

class Io : public testing::TestWithParam<const char*> {
protected:
    void SetUp() override {
        before = memory_counters();
        LoopOptions options = {.kernel = GetParam()};
        options.port.in_front = &failing;
        ASSERT_TRUE(loop.open(options));
        Result<Listener> opened = listen(loop, *parse_address("127.0.0.1", 0));
        ASSERT_TRUE(opened) << describe(opened.error()).c_str();
        server = *opened->local_address();
        listener = *std::move(opened);
    }
    void TearDown() override {
        listener = Listener();
        EXPECT_TRUE(loop.close());
        const MemoryCounters after = memory_counters();
        EXPECT_EQ(after.allocations - before.allocations, after.releases - before.releases)
            << "memory is left";
    }
    template <class Session>
    void serve() {
        ASSERT_TRUE(loop.create_task(Serve<Session>{.listener = std::move(listener)}));
    }

    CountingKernel counting;
    FailingKernel failing{static_cast<InterposedKernel&>(counting)};
    MemoryCounters before;
    EventLoop loop;
    Listener listener;
    Address server;
};

struct Echo : Coroutine<Echo, void, Awaits<BorrowedRecv, SendAll>> {
    Socket peer;
    Result<Lease> received;
    Progress body() {
        CO_BEGIN;
        for (;;) {
            CO_AWAIT(received, peer.recv());
            if (!received || received->empty()) CO_RETURN();
            CO_TRY(peer.send_all(received->bytes()));
            received->give_back();
        }
        CO_END;
    }
};

/// Sends `size` bytes while receiving them back, both at once, and compares.
struct Sends : Coroutine<Sends, void, Awaits<SendAll>> {
    const Socket* socket;
    const std::string* bytes;
    Progress body() {
        CO_BEGIN;
        CO_TRY(socket->send_all(*bytes));
        CO_END;
    }
};
struct RoundTrip : Coroutine<RoundTrip, std::string, Awaits<Connect, Recv, TaskRef<void>&>> {
    Address server;
    std::string bytes;
    std::string back;
    Result<Socket> socket;
    TaskRef<void> sending;
    std::array<char, 4096> buffer;
    Result<std::size_t> received;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(socket, connect(server));
        if (!socket) CO_RETURN(socket.error());
        sending = *running_loop().create_task(Sends{.socket = &*socket, .bytes = &bytes});
        while (back.size() < bytes.size()) {
            CO_AWAIT(received, socket->recv(buffer));
            if (!received) CO_RETURN(received.error());
            if (*received == 0) CO_RETURN(Error(ErrorKind::end_of_stream, Call::recv));
            back.append(buffer.data(), *received);
        }
        CO_TRY(sending);
        CO_RETURN(back);
        CO_END;
    }
};

std::string pattern(std::size_t size) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>('a' + i % 23);
    return bytes;
}

/// Connects and then does what `how` says.
struct BadGuest : Coroutine<BadGuest, void, Awaits<Connect, Send, Sleep>> {
    enum class How { leave_at_once, half_a_line_then_reset, silent };
    Address server;
    How how;
    Result<Socket> socket;
    Progress body() {
        CO_BEGIN;
        CO_AWAIT(socket, connect(server));
        if (!socket) CO_RETURN(socket.error());
        if (how == How::half_a_line_then_reset) {
            CO_TRY(socket->send(std::string_view("half a li")));
            set_linger_to_reset();
        }
        if (how == How::silent) CO_TRY(sleep_ns(50 * millisecond_ns));
        CO_END;
    }
    void set_linger_to_reset() {
        const linger now = {.l_onoff = 1, .l_linger = 0};
        Kernel& kernel = *running_loop().port().kernel;
        kernel.setsockopt(kernel, socket->handle(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
};

TEST_P(Io, AnEchoComesBackWhole) {
    serve<Echo>();
    EXPECT_EQ(*loop.run_until_complete(RoundTrip{.server = server, .bytes = "Hello Server!\n"}),
              "Hello Server!\n");
}

TEST_P(Io, ALineOfTenMegabytesComesBackWhole) {
    serve<Echo>();
    const std::string large = pattern(10 * 1000 * 1000);
    const Result<std::string> back = loop.run_until_complete(RoundTrip{.server = server, .bytes = large});
    ASSERT_TRUE(back) << describe(back.error()).c_str();
    EXPECT_TRUE(*back == large);
}

TEST_P(Io, ManyClientsAtOnceEachGetTheirOwn) {
    serve<Echo>();
    std::vector<TaskRef<std::string>> tasks;
    for (int i = 0; i < 100; ++i)
        tasks.push_back(*loop.create_task(
            RoundTrip{.server = server, .bytes = pattern(100 + static_cast<std::size_t>(i))}));
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        const Result<std::string> back = loop.run_until_complete(tasks[i]);
        ASSERT_TRUE(back) << describe(back.error()).c_str();
        EXPECT_EQ(*back, pattern(100 + i));
    }
}

TEST_P(Io, GuestsThatLeaveResetOrSayNothingHarmNobody) {
    serve<Echo>();
    using How = BadGuest::How;
    std::vector<TaskRef<void>> guests;
    for (int i = 0; i < 30; ++i)
        guests.push_back(*loop.create_task(BadGuest{.server = server, .how = static_cast<How>(i % 3)}));
    EXPECT_EQ(*loop.run_until_complete(RoundTrip{.server = server, .bytes = "polite"}), "polite");
    for (const auto& guest : guests) EXPECT_TRUE(loop.run_until_complete(guest));
}

TEST_P(Io, ConnectingWhereNobodyListensIsRefusedAndNamesTheAddress) {
    const Address nobody = server;
    listener = Listener();
    const Result<std::string> refused = loop.run_until_complete(RoundTrip{.server = nobody, .bytes = "x"});
    EXPECT_EQ(refused.error().kind, ErrorKind::connection_refused);
    EXPECT_NE(describe(refused.error()).view().find("127.0.0.1:"), std::string_view::npos);
}

TEST_P(Io, ListeningTwiceOnOnePortIsAddressInUseAndNamesIt) {
    const Result<Listener> second = listen(loop, server);
    EXPECT_EQ(second.error().kind, ErrorKind::address_in_use);
    EXPECT_NE(describe(second.error()).view().find(describe(server).view()), std::string_view::npos);
}

TEST_P(Io, OutOfDescriptorsAcceptingPausesAndResumesWithoutABusyLoop) {
    if (std::string_view(find_backend(GetParam())->native_contract) == "completion")
        GTEST_SKIP() << "this kernel accepts by itself: no call of ours can be made to fail";
    serve<Echo>();
    // The next ten accepts find no descriptor.
    failing.fail(Call::accept, EMFILE, 0, 10);
    testing::internal::CaptureStderr();
    const std::int64_t began_ns = loop.time_ns();
    EXPECT_EQ(*loop.run_until_complete(RoundTrip{.server = server, .bytes = "patience"}), "patience");
    const std::string printed = testing::internal::GetCapturedStderr();
    EXPECT_NE(printed.find("accepting pauses"), std::string::npos) << printed;
    EXPECT_NE(printed.find("EMFILE"), std::string::npos) << printed;
    EXPECT_EQ(failing.failed, 10u);
    if (std::string_view(GetParam()).starts_with("simulated")) {
        EXPECT_GE(loop.time_ns() - began_ns, 10 * accept_pause_ns);
    }
}

#ifdef __linux__
TEST_P(Io, WithoutAWatchLeftAcceptingPausesAndResumes) {
    if (std::string_view(GetParam()) != "epoll") GTEST_SKIP() << "this kernel has no limit on watches";
    // The listener's own: without it nobody would tell of a connection.
    failing.fail(Call::epoll_ctl, ENOSPC);
    testing::internal::CaptureStderr();
    serve<Echo>();
    EXPECT_EQ(*loop.run_until_complete(RoundTrip{.server = server, .bytes = "patience"}), "patience");
    const std::string printed = testing::internal::GetCapturedStderr();
    EXPECT_NE(printed.find("accepting pauses"), std::string::npos) << printed;
    EXPECT_NE(printed.find("ENOSPC"), std::string::npos) << printed;
    EXPECT_EQ(failing.failed, 1u);
}
#endif

struct CountsConnections : Coroutine<CountsConnections, int, Awaits<Accept>> {
    const Listener* from;
    int wanted = 0;
    int got = 0;
    Result<Socket> accepted;
    Progress body() {
        CO_BEGIN;
        while (got < wanted) {
            CO_AWAIT(accepted, from->accept());
            if (!accepted) CO_RETURN(accepted.error());
            ++got;
        }
        CO_RETURN(got);
        CO_END;
    }
};

TEST_P(Io, AnAcceptThatIsCancelledGivesItsTaskCancelledAndLeavesTheListenerUsable) {
    auto waiting = *loop.create_task(CountsConnections{.from = &listener, .wanted = 1});
    loop.stop();
    ASSERT_TRUE(loop.run_forever());
    EXPECT_TRUE(waiting.cancel());
    EXPECT_EQ(loop.run_until_complete(waiting).error().kind, ErrorKind::cancelled);
    auto guest = *loop.create_task(BadGuest{.server = server, .how = BadGuest::How::leave_at_once});
    EXPECT_EQ(*loop.run_until_complete(CountsConnections{.from = &listener, .wanted = 1}), 1);
    EXPECT_TRUE(loop.run_until_complete(guest));
}

TEST_P(Io, AnOperationThatIsCancelledSaysTheMessageOfTheRequest) {
    auto waiting = *loop.create_task(CountsConnections{.from = &listener, .wanted = 1});
    loop.stop();
    ASSERT_TRUE(loop.run_forever());
    EXPECT_TRUE(waiting.cancel("closing time"));
    EXPECT_STREQ(loop.run_until_complete(waiting).error().text, "closing time");
    EXPECT_EQ(loop.cancel_messages, 0u);
}

TEST_P(Io, AnErrorOfTheKernelsIsAsEverWhileAMessageIsOnItsWay) {
    struct Connects : Coroutine<Connects, void, Awaits<Connect>> {
        Address nobody;
        Result<Socket> socket;
        Progress body() {
            CO_BEGIN;
            current_task()->cancel("later");
            current_task()->clear_pending_cancel();  // as if another await had it: the message is on its way
            CO_AWAIT(socket, connect(nobody));
            CO_RETURN(Result<void>(socket.error()));
            CO_END;
        }
    };
    const Address nobody = server;
    listener = Listener();
    const Error refused = loop.run_until_complete(Connects{.nobody = nobody}).error();
    EXPECT_EQ(refused.kind, ErrorKind::connection_refused);
    EXPECT_NE(describe(refused).view().find("127.0.0.1:"), std::string_view::npos)
        << describe(refused).c_str();
}

TEST_P(Io, ASecondReceiveOnOneSocketIsBusy) {
    struct Both : Coroutine<Both, ErrorKind, Awaits<Connect, Sleep, Recv, TaskRef<void>&>> {
        Address server;
        Result<Socket> socket;
        std::array<char, 16> bytes;
        Result<std::size_t> received;
        TaskRef<void> first;
        struct First : Coroutine<First, void, Awaits<Recv>> {
            const Socket* socket;
            std::array<char, 16> bytes;
            Progress body() {
                CO_BEGIN;
                CO_TRY(socket->recv(bytes));
                CO_END;
            }
        };
        Result<void> ended;
        Progress body() {
            CO_BEGIN;
            CO_AWAIT(socket, connect(server));
            if (!socket) CO_RETURN(socket.error());
            first = *running_loop().create_task(First{.socket = &*socket});
            CO_TRY(sleep_ns(0));
            CO_TRY(sleep_ns(0));
            CO_AWAIT(received, socket->recv(bytes));
            first.cancel();
            CO_AWAIT(ended, first);
            CO_RETURN(received.error().kind);
            CO_END;
        }
    };
    EXPECT_EQ(*loop.run_until_complete(Both{.server = server}), ErrorKind::busy);
}

TEST_P(Io, ClosingCancelsWhatWaitsTellsItAndThenReports) {
    struct Closes : Coroutine<Closes, ErrorKind, Awaits<Connect, Sleep, Close, TaskRef<void>&>> {
        Address server;
        Result<Socket> socket;
        Handle number = no_handle;
        struct Waits : Coroutine<Waits, void, Awaits<BorrowedRecv>> {
            const Socket* socket;
            Result<Lease> received;
            Progress body() {
                CO_BEGIN;
                CO_AWAIT(received, socket->recv());
                CO_RETURN(received.error());
                CO_END;
            }
        };
        TaskRef<void> waiting;
        Result<void> ended;
        Progress body() {
            CO_BEGIN;
            CO_AWAIT(socket, connect(server));
            if (!socket) CO_RETURN(socket.error());
            waiting = *running_loop().create_task(Waits{.socket = &*socket});
            CO_TRY(sleep_ns(0));
            CO_TRY(sleep_ns(0));
            CO_TRY(socket->close());
            if (*socket) CO_RETURN(ErrorKind::invalid_state);
            CO_AWAIT(ended, waiting);
            CO_RETURN(ended.error().kind);
            CO_END;
        }
    };
    EXPECT_EQ(*loop.run_until_complete(Closes{.server = server}), ErrorKind::cancelled);
}

Co<std::string> co_round_trip(Address address, std::string bytes) {
    Result<Socket> socket = co_await connect(address);
    if (!socket) co_return socket.error();
    Result<void> sent = co_await socket->send_all(bytes);
    if (!sent) co_return sent.error();
    std::string back;
    while (back.size() < bytes.size()) {
        Result<Lease> part = co_await socket->recv();
        if (!part) co_return part.error();
        back.append(reinterpret_cast<const char*>(part->bytes().data()), part->size());
    }
    co_return back;
}

TEST_P(Io, CompilerMadeCoroutinesUseSocketsAlike) {
    serve<Echo>();
    EXPECT_EQ(*loop.run_until_complete(co_round_trip(server, "co_await")), "co_await");
}

TEST_P(Io, AnEchoRoundTripAllocatesNothingAndTakesThreeCallsAfterWarmUp) {
    struct PingPong : Coroutine<PingPong, void, Awaits<Connect, SendAll, Recv>> {
        Address server;
        CountingKernel* counting;
        int rounds = 0;
        Result<Socket> socket;
        std::array<char, 64> bytes = {};
        std::array<char, 128> back;  // larger than the answer: a short read tells that the socket is empty
        Result<std::size_t> received;
        MemoryCounters warm = {};
        int i = 0;
        Progress body() {
            CO_BEGIN;
            CO_AWAIT(socket, connect(server));
            if (!socket) CO_RETURN(socket.error());
            for (i = 0; i < rounds; ++i) {
                if (i == 10) {
                    warm = memory_counters();
                    counting->reset();
                }
                CO_TRY(socket->send_all(bytes));
                CO_AWAIT(received, socket->recv(back));
                if (!received) CO_RETURN(received.error());
            }
            EXPECT_EQ(memory_counters().allocations, warm.allocations);
            check_calls();
            CO_END;
        }
        /// Client and server share the loop, so a round trip is two sends, two receives, and the waits.
        void check_calls() {
            const std::string_view kernel = running_loop().kernel_name();
            if (kernel != "epoll" && kernel != "poll") return;
            EXPECT_EQ(counting->of(Call::epoll_ctl), 0u);
            EXPECT_EQ(counting->of(Call::send), 200u);
            EXPECT_LE(counting->of(Call::recv), 202u);
        }
    };
    serve<Echo>();
    ASSERT_TRUE(loop.run_until_complete(PingPong{.server = server, .counting = &counting, .rounds = 110}));
}

INSTANTIATE_TEST_SUITE_P(Kernels, Io, testing::ValuesIn(kernels_here()),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace pollard
