// The readers of the observer: the narration, the timeline, and telling several.
//
// Small programs run on the simulated kernel (and the echo on every kernel of the build); what was printed is
// then compared with what must have been printed, and the timeline is read back by a strict parser.
#include <fcntl.h>
#include <gtest/gtest.h>
#ifdef __linux__
#include <sys/epoll.h>
#include <sys/eventfd.h>
#endif
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "core/async_generator.h"
#include "core/co_await.h"
#include "core/coroutine.h"
#include "core/event_loop.h"
#include "core/io/socket.h"
#include "core/sleep.h"
#include "core/trace/chrome_trace.h"
#include "core/trace/fan_out.h"
#include "core/trace/json_writer.h"
#include "core/trace/narration.h"
#include "core/trace/open_spans.h"
#include "platform/describe_call.h"
#include "platform/interposed_kernel.h"
#include "platform/memory.h"
#include "platform/system_sockets.h"
#include "tests/json.h"
#include "tests/system.h"

namespace pollard {
namespace {

// --- programs ---

struct Serve : Coroutine<Serve, void, Awaits<Accept, Recv, SendAll, Close>> {
    Listener listener;
    Socket peer;
    std::array<char, 1024> bytes;
    Result<Socket> accepted;
    Result<std::size_t> received;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(accepted, listener.accept());
        if (!accepted) CO_RETURN(accepted.error());
        peer = *std::move(accepted);
        for (;;) {
            CO_AWAIT(received, peer.recv(bytes));
            if (!received || *received == 0) break;
            CO_TRY(peer.send_all(std::span(bytes.data(), *received)));
        }
        CO_TRY(peer.close());
        CO_END;
    }
};

struct Talk : Coroutine<Talk, std::size_t, Awaits<SendAll, Recv>> {
    Socket* peer;
    std::array<char, 64> bytes;
    Result<std::size_t> received;

    Progress body() {
        CO_BEGIN;
        CO_TRY(peer->send_all(std::string_view("Hello Server!\n")));
        CO_AWAIT(received, peer->recv(bytes));
        CO_RETURN(received);
        CO_END;
    }
};

struct Client : Coroutine<Client, std::size_t, Awaits<Connect, Talk, Close>> {
    Address address;
    Socket peer;
    Result<Socket> connected;
    Result<std::size_t> answer;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(connected, connect(address));
        if (!connected) CO_RETURN(connected.error());
        peer = *std::move(connected);
        CO_AWAIT(answer, Talk{.peer = &peer});
        CO_TRY(peer.close());
        CO_RETURN(answer);
        CO_END;
    }
};

struct Echo : Coroutine<Echo, std::size_t, Awaits<TaskRef<void>&, TaskRef<std::size_t>&>> {
    Listener listener;
    TaskRef<void> server;
    TaskRef<std::size_t> client;
    Result<void> served;
    Result<std::size_t> answer;

    Progress body() {
        CO_BEGIN;
        client = *running_loop().create_task(Client{.address = *listener.local_address()});
        server = *running_loop().create_task(Serve{.listener = std::move(listener)});
        CO_AWAIT(answer, client);
        CO_AWAIT(served, server);
        CO_RETURN(answer);
        CO_END;
    }
};

constexpr int sleep_line = __LINE__ + 4;
struct Nap : Coroutine<Nap, void, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(250 * millisecond_ns));
        CO_END;
    }
};

struct YieldsItsTurn : Coroutine<YieldsItsTurn, void, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(0));
        CO_END;
    }
};

struct CannotConnect : Coroutine<CannotConnect, int, Awaits<Connect>> {
    Address address;

    Progress body() {
        CO_BEGIN;
        CO_TRY(connect(address));
        CO_RETURN(1);
        CO_END;
    }
};

struct AwaitsChild : Coroutine<AwaitsChild, int, Awaits<CannotConnect>> {
    Result<int> got;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(got, CannotConnect{.address = *parse_address("127.0.0.1", 1)});
        CO_RETURN(got);
        CO_END;
    }
};

/// Sends to itself through a connection until others must have their turn.
struct SendsALot : Coroutine<SendsALot, void, Awaits<Connect, SendAll>> {
    Address address;
    Result<Socket> connected;
    Socket peer;
    std::uint32_t i = 0;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(connected, connect(address));
        if (!connected) CO_RETURN(connected.error());
        peer = *std::move(connected);
        for (i = 0; i < inline_completions_in_a_row; ++i) CO_TRY(peer.send_all(std::string_view("x")));
        CO_END;
    }
};

struct SendsAndYields : Coroutine<SendsAndYields, void, Awaits<Connect, SendAll, Sleep>> {
    Address address;
    Result<Socket> connected;
    Socket peer;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(connected, connect(address));
        if (!connected) CO_RETURN(connected.error());
        peer = *std::move(connected);
        CO_TRY(peer.send_all(std::string_view("x")));
        CO_TRY(sleep_ns(0));
        CO_END;
    }
};

struct BorrowsABuffer : Coroutine<BorrowsABuffer, void, Awaits<Connect, BorrowedRecv>> {
    Address address;
    Result<Socket> connected;
    Result<Lease> lease;
    Socket peer;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(connected, connect(address));
        if (!connected) CO_RETURN(connected.error());
        peer = *std::move(connected);
        CO_AWAIT(lease, peer.recv());
        CO_END;
    }
};

Co<int> naps_by_co_await() {
    const Result<void> slept = co_await in_place([] { return Nap(); });
    if (!slept) co_return slept.error();
    const Result<void> slept_again = co_await sleep_ns(millisecond_ns);
    co_return slept_again ? 1 : 2;
}

// --- the stage ---

/// A stream into memory.
class Page {
public:
    Page() = default;
    Page(const Page&) = delete;
    std::FILE* stream() { return stream_.file(); }
    /// What has been flushed so far.
    std::string flushed() const { return stream_.flushed(); }
    std::string text() {
        std::fflush(stream());
        return flushed();
    }

private:
    test_system::MemoryStream stream_;
};

/// `observer` watches for a scope.
struct Watching {
    explicit Watching(Observer& observer) { current_observer = &observer; }
    ~Watching() { current_observer = nullptr; }
};

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

/// Lines of this file are called LINE.
std::string without_line_numbers(std::string text) {
    const std::string file = "trace_test.cc:";
    for (std::size_t at = text.find(file); at != std::string::npos; at = text.find(file, at)) {
        at += file.size();
        const std::size_t end = text.find_first_not_of("0123456789", at);
        if (end != at) text.replace(at, end - at, "LINE");
    }
    return text;
}

/// Each line of `pieces` stands in a line of the story behind that of the piece before.
::testing::AssertionResult in_order(const std::string& story, const std::string& pieces) {
    const std::vector<std::string> lines = lines_of(without_line_numbers(story));
    auto line = lines.begin();
    for (const std::string& piece : lines_of(pieces)) {
        if (piece.empty()) continue;
        line = std::find_if(line, lines.end(), [&piece](const std::string& candidate) {
            return candidate.find(piece) != std::string::npos;
        });
        if (line == lines.end())
            return ::testing::AssertionFailure() << '"' << piece << "\" is not where it should be in\n"
                                                 << story;
        ++line;
    }
    return ::testing::AssertionSuccess();
}

std::size_t count_of(const std::string& text, const std::string& piece) {
    std::size_t count = 0;
    for (std::size_t at = text.find(piece); at != std::string::npos; at = text.find(piece, at + 1)) ++count;
    return count;
}

void open(EventLoop& loop, ObservedKernel& door, const char* kernel) {
    const Result<void> opened = loop.open({.kernel = kernel, .port = {.in_front = &door}});
    ASSERT_TRUE(opened) << describe(opened.error()).c_str();
}

Listener listener_on(EventLoop& loop) { return *listen(loop, *parse_address("127.0.0.1", 0)); }

Result<std::size_t> run_echo(EventLoop& loop) {
    return loop.run_until_complete(Echo{.listener = listener_on(loop)});
}

/// What the narration tells of `program(loop)`, and of opening and closing the loop.
template <class Program>
std::string story_of(const char* kernel, Program program) {
    Page page;
    Narration narration(page.stream());
    const Watching watching(narration);
    ObservedKernel door;
    EventLoop loop;
    open(loop, door, kernel);
    program(loop);
    EXPECT_TRUE(loop.close());
    return page.text();
}

struct OnSimulatedKernel : ::testing::Test {
    void SetUp() override {
        if (find_backend("simulated") == nullptr) GTEST_SKIP() << "this build has no simulated kernel";
    }
};
struct Narrations : OnSimulatedKernel {};
struct Timelines : OnSimulatedKernel {};

struct EveryKernel : ::testing::TestWithParam<const Backend*> {
    void SetUp() override {
        if (GetParam()->why_unavailable() != nullptr) GTEST_SKIP() << GetParam()->why_unavailable();
    }
};
INSTANTIATE_TEST_SUITE_P(Traces, EveryKernel,
                         ::testing::ValuesIn(all_backends().begin(), all_backends().end()),
                         [](const auto& kernel) { return std::string(kernel.param->name); });

// --- the narration ---

TEST_F(Narrations, ASleepIsToldFromItsFrameDownToTheKernelAndBack) {
    const std::string story =
        story_of("simulated", [](EventLoop& loop) { EXPECT_TRUE(loop.run_until_complete(Nap())); });
    const std::string place = "trace_test.cc:" + std::to_string(sleep_line);
    const std::vector<std::string> expected = {
        "Nap#1            is a new task, and stands in the ready queue",
        "loop             something is ready: look into the kernel, do not wait",
        "      kernel           wait(0 us) = 0",
        "Nap#1            begins",
        "Nap#1            " + place + "  awaits sleep_ns(250 * millisecond_ns)",
        "  timer            0.250 s left",
        "loop             nothing is ready: sleep until the first timer, in 0.250 s, or until the kernel has "
        "news",
        "      kernel           wait(250000 us) = 0                    after 250 ms",
        "Nap#1            resumes at " + place + ": its time has come",
        "Nap#1            is done: success",
    };
    std::vector<std::string> told = lines_of(story);
    // The task that waits for a run to end is the run itself: its turn takes a look more.
    ASSERT_GE(told.size(), expected.size()) << story;
    told.resize(expected.size());
    EXPECT_EQ(told, expected);
}

TEST_P(EveryKernel, AnEchoIsToldInTheOrderInWhichItHappens) {
    const std::string story =
        story_of(GetParam()->name, [](EventLoop& loop) { EXPECT_EQ(*run_echo(loop), 14u); });
    EXPECT_TRUE(in_order(story, R"(
      kernel           socket(AF_INET, STREAM|NONBLOCK|CLOEXEC, 0) =
      kernel           bind(
Echo#1           begins
Client#2         is a new task
Echo#1           trace_test.cc:LINE  awaits client: Client#2 is not done yet
Client#2         begins
Client#2         trace_test.cc:LINE  awaits connect(address)
  operation        connect  fd
Serve#3          trace_test.cc:LINE  awaits listener.accept()
loop             nothing is ready, no timer is set: sleep until the kernel has news
  operation        connect  fd
Client#2         resumes at trace_test.cc:LINE
Client#2         trace_test.cc:LINE  awaits Talk{.peer = &peer}
Client#2 > Talk  trace_test.cc:LINE  awaits peer->send_all(std::string_view("Hello Server!\n"))
  operation        send_all  fd
completed: all bytes are sent
Client#2 > Talk  trace_test.cc:LINE  awaits peer->recv(bytes)
loop             nothing is ready, no timer is set: sleep until the kernel has news
completed: 14 bytes
Client#2 > Talk  resumes at trace_test.cc:LINE
Client#2         resumes at trace_test.cc:LINE: Talk has ended
Client#2         trace_test.cc:LINE  awaits peer.close()
Client#2         is done: success
Echo#1           resumes at trace_test.cc:LINE: Client#2 is done
Serve#3          is done: success
Echo#1           is done: success
)"));
    EXPECT_TRUE(in_order(story, R"(
Serve#3          trace_test.cc:LINE  awaits peer.recv(bytes)
  operation        recv  fd
completed: 14 bytes
awaits peer.send_all(std::span(bytes.data(), *received))
completed: 0 bytes, the peer sends no more
completed: closed
Serve#3          is done: success
)"));
}

/// The kernels on which an operation is tried, parked, and tried again.
TEST_P(EveryKernel, WhereReadinessIsNativeEachAttemptAndEachParkingIsTold) {
    if (std::string_view(GetParam()->native_contract) != "readiness") GTEST_SKIP() << "speaks completion";
    const std::string story =
        story_of(GetParam()->name, [](EventLoop& loop) { EXPECT_EQ(*run_echo(loop), 14u); });
    EXPECT_TRUE(in_order(story, R"(
Serve#3          trace_test.cc:LINE  awaits peer.recv(bytes)
  operation        recv  fd
    attempt          try it now
      kernel           recv(
    poller           park until fd
loop             nothing is ready
    attempt          fd
1024, 0) = 14
  operation        recv  fd
    poller           fd
)"));
    EXPECT_NE(story.find("1024, 0) = EAGAIN"), std::string::npos);
    EXPECT_NE(story.find("is known to be empty, no attempt: park until it is readable"), std::string::npos);
    EXPECT_NE(story.find("NOSIGNAL) = 14         \"Hello Server!\\n\""), std::string::npos);
    EXPECT_NE(story.find("may be readable: try again"), std::string::npos);
    // Nothing was tried that was not told of before: each line of an attempt leads to a call.
    const std::vector<std::string> lines = lines_of(story);
    for (std::size_t i = 0; i < lines.size(); ++i)
        if (lines[i].starts_with("    attempt")) {
            EXPECT_TRUE(lines[i + 1].starts_with("      kernel")) << lines[i] << "\n" << lines[i + 1];
        }
}

TEST(NarrationOnEpoll, TheWaitSaysHowLongItTookAndWhichDescriptorsHaveNews) {
    if (find_backend("epoll") == nullptr) GTEST_SKIP() << "this build has no epoll";
    const std::string story = story_of("epoll", [](EventLoop& loop) { EXPECT_EQ(*run_echo(loop), 14u); });
    EXPECT_NE(story.find(", IN|OUT|RDHUP|PRI|ET) = 0\n"), std::string::npos) << story;
    std::size_t sleeps = 0;
    for (const std::string& line : lines_of(story)) {
        if (line.find("kernel           epoll_wait(") == std::string::npos) continue;
        if (line.find(", .., 64, -1) = ") == std::string::npos) continue;
        ++sleeps;
        const bool says_how_long = line.find(" after ") < line.size() || line.find(" at once ") < line.size();
        EXPECT_TRUE(says_how_long) << line;
        EXPECT_NE(line.find(" fd "), std::string::npos) << line;
    }
    EXPECT_GE(sleeps, 2u) << story;
}

TEST_P(EveryKernel, NoLineOfAnEchoIsWiderThanATerminal) {
    const std::string story =
        story_of(GetParam()->name, [](EventLoop& loop) { EXPECT_EQ(*run_echo(loop), 14u); });
    for (const std::string& line : lines_of(story)) {
        EXPECT_LE(line.size(), 110u) << line;
        EXPECT_FALSE(line.ends_with(" ")) << '"' << line << '"';
    }
}

TEST_F(Narrations, AnErrorIsToldOnEachFloorThatItPasses) {
    const std::string story =
        story_of("simulated", [](EventLoop& loop) { EXPECT_FALSE(loop.run_until_complete(AwaitsChild())); });
    EXPECT_TRUE(in_order(story, R"(
awaits CannotConnect{.address = *parse_address("127.0.0.1", 1)}
      kernel           connect(3, 127.0.0.1:1) = EINPROGRESS
    poller           park until fd 3 is writable (connected, or refused)
    attempt          fd 3 may be writable: ask how connecting went
      kernel           getsockopt(3, SOL_SOCKET, SO_ERROR, [ECONNREFUSED]) = 0
  operation        connect  fd 3, failed: connection refused (ECONNREFUSED)
AwaitsChild#1 > CannotConnect resumes at trace_test.cc:LINE
AwaitsChild#1    resumes at trace_test.cc:LINE: CannotConnect ended: connect 127.0.0.1:1: connection refused (ECONNREFUSED)
AwaitsChild#1    is done: failed, connect 127.0.0.1:1: connection refused (ECONNREFUSED)
)"));
}

TEST_F(Narrations, ATurnGivenToTheOthersIsOneLine) {
    const std::string story =
        story_of("simulated", [](EventLoop& loop) { EXPECT_TRUE(loop.run_until_complete(YieldsItsTurn())); });
    EXPECT_TRUE(in_order(story, R"(
YieldsItsTurn#1  begins
YieldsItsTurn#1  trace_test.cc:LINE  awaits sleep_ns(0): the others first
YieldsItsTurn#1  resumes at trace_test.cc:LINE: its turn has come
YieldsItsTurn#1  is done: success
)"));
    EXPECT_EQ(count_of(story, "awaits"), 1u);
}

TEST_F(Narrations, ATaskCancelledInItsSleepSaysSo) {
    const std::string story = story_of("simulated", [](EventLoop& loop) {
        auto task = *loop.create_task(Nap());
        const auto cancel = loop.call_later([task] { EXPECT_TRUE(task.cancel()); }, millisecond_ns);
        ASSERT_TRUE(cancel);
        EXPECT_EQ(loop.run_until_complete(task).error().kind, ErrorKind::cancelled);
    });
    EXPECT_TRUE(in_order(story, R"(
Nap#1            is a new task
  timer            a callback, in 0.001 s
awaits sleep_ns(250 * millisecond_ns)
loop             a callback runs
Nap#1            is asked to end
  cancel           trace_test.cc:LINE  awaits sleep_ns(250 * millisecond_ns): this await ends
Nap#1            resumes at trace_test.cc:LINE: the sleep was cancelled
Nap#1            is done: cancelled
)"));
}

TEST_F(Narrations, ATaskCancelledBeforeItBeganNeverBegins) {
    const std::string story = story_of("simulated", [](EventLoop& loop) {
        auto task = *loop.create_task(Nap());
        EXPECT_TRUE(task.cancel());
        EXPECT_FALSE(loop.run_until_complete(task));
    });
    EXPECT_TRUE(in_order(story, R"(
is a new task
Nap#1            is asked to end: it has not begun, and will not
Nap#1            is done: cancelled
)"));
    EXPECT_EQ(count_of(story, "begins"), 0u);
}

struct FollowsNap : Coroutine<FollowsNap, void, Awaits<TaskRef<void>&>> {
    TaskRef<void> nap;
    Progress body() {
        CO_BEGIN;
        CO_TRY(nap);
        CO_END;
    }
};

TEST_F(Narrations, ARequestGoesDownFromTaskToTask) {
    const std::string story = story_of("simulated", [](EventLoop& loop) {
        auto nap = *loop.create_task(Nap());
        auto follower = *loop.create_task(FollowsNap{.nap = nap});
        loop.stop();
        EXPECT_TRUE(loop.run_forever());
        EXPECT_TRUE(follower.cancel());
        EXPECT_FALSE(loop.run_until_complete(follower));
    });
    EXPECT_TRUE(in_order(story, R"(
FollowsNap#2     trace_test.cc:LINE  awaits nap: Nap#1 is not done yet
FollowsNap#2     is asked to end
Nap#1            is asked to end
  cancel           trace_test.cc:LINE  awaits sleep_ns(250 * millisecond_ns): this await ends
Nap#1            is done: cancelled
FollowsNap#2     resumes at trace_test.cc:LINE: Nap#1 is done
FollowsNap#2     is done: cancelled
)"));
    EXPECT_EQ(count_of(story, "  cancel "), 1u);
}

struct CancelsItself : Coroutine<CancelsItself, void, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        current_scheduler->running_task()->cancel();
        CO_TRY(sleep_ns(second_ns));
        CO_END;
    }
};

TEST_F(Narrations, ARequestToATaskThatRunsKeepsUntilItsNextAwait) {
    const std::string story = story_of(
        "simulated", [](EventLoop& loop) { EXPECT_FALSE(loop.run_until_complete(CancelsItself{})); });
    EXPECT_TRUE(in_order(story, R"(
CancelsItself#1  begins
CancelsItself#1  is asked to end
  cancel           CancelsItself#1 runs: the request keeps until its next await
CancelsItself#1  trace_test.cc:LINE  awaits sleep_ns(second_ns)
  cancel           trace_test.cc:LINE  awaits sleep_ns(second_ns): this await ends
CancelsItself#1  is done: cancelled
)"));
}

struct Accepts : Coroutine<Accepts, void, Awaits<Accept>> {
    Listener listener;
    Progress body() {
        CO_BEGIN;
        CO_TRY(listener.accept());
        CO_END;
    }
};

TEST_P(EveryKernel, ARequestToAnOperationGoesToThePort) {
    const std::string story = story_of(GetParam()->name, [](EventLoop& loop) {
        auto task = *loop.create_task(Accepts{.listener = listener_on(loop)});
        loop.stop();
        EXPECT_TRUE(loop.run_forever());
        EXPECT_TRUE(task.cancel());
        EXPECT_FALSE(loop.run_until_complete(task));
    });
    EXPECT_TRUE(in_order(story, R"(
Accepts#1        is asked to end
  cancel           trace_test.cc:LINE  awaits listener.accept(): the port is asked to let go of it
  operation        accept  fd
Accepts#1        is done: cancelled
)"));
}

/// Waits for a task by a node of its own, as the combinators do.
struct Watches {
    struct Node : Work {
        Frame* waiter = nullptr;
        Node() : Work(&type_record) {}
        static const WorkType type_record;
    };
    TaskRef<void>* task;
    Node node = {};

    bool start(Frame& frame) {
        node.waiter = &frame;
        task->state().waiters.push_back(node);
        tell_await(frame);
        return false;
    }
    bool failed() const { return false; }
    Result<void> result() { return {}; }
    CancelOutcome cancel() { return CancelOutcome::refused; }
    void describe(Text& text) const { text.add("one task"); }
};
const WorkType Watches::Node::type_record = {
    [](Work* work) { current_scheduler->make_ready(*static_cast<Node*>(work)->waiter); }, "a node", false,
    [](const Work* work) -> Work* { return static_cast<const Node*>(work)->waiter; }};

struct WatchesNap : Coroutine<WatchesNap, void, Awaits<Watches>> {
    TaskRef<void> nap;
    Progress body() {
        CO_BEGIN;
        CO_TRY(Watches{&nap});
        CO_END;
    }
};

TEST_F(Narrations, WhatACombinatorOrALockWaitsForIsToldAndForWhomItsNodesRun) {
    const std::string story = story_of("simulated", [](EventLoop& loop) {
        auto nap = *loop.create_task(Nap());
        EXPECT_TRUE(loop.run_until_complete(WatchesNap{.nap = nap}));
    });
    EXPECT_TRUE(in_order(story, R"(
WatchesNap#2     trace_test.cc:LINE  awaits Watches{&nap}
  waits for        one task
Nap#1            is done: success
loop             a node, for WatchesNap#2
WatchesNap#2     resumes at trace_test.cc:LINE
)"));
}

TEST_F(Narrations, CallbacksAreToldWhenTheyAreSetAndWhenTheyRun) {
    const std::string story = story_of("simulated", [](EventLoop& loop) {
        Callback soon([](void*) {}, nullptr);
        TimedCallback later([](void* looped) { static_cast<EventLoop*>(looped)->stop(); }, &loop);
        loop.call_soon(soon);
        loop.call_later(later, second_ns);
        EXPECT_TRUE(loop.run_forever());
    });
    EXPECT_TRUE(in_order(story, R"(
  timer            a timed callback, in 1.000 s
loop             a callback runs
loop             nothing is ready: sleep until the first timer, in 1.000 s
loop             a timed callback runs
)"));
}

struct Ticks : AsyncGenerator<Ticks, int, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(second_ns));
        CO_YIELD(1);
        CO_END;
    }
};
struct Consumes : Coroutine<Consumes, void, Awaits<Next<Ticks>, Aclose>> {
    Ticks ticks;
    Progress body() {
        CO_BEGIN;
        CO_TRY(ticks.next());
        CO_TRY(ticks.aclose());
        CO_END;
    }
};

TEST_F(Narrations, AGeneratorIsToldThroughItsConsumersAwaits) {
    const std::string story =
        story_of("simulated", [](EventLoop& loop) { EXPECT_TRUE(loop.run_until_complete(Consumes{})); });
    EXPECT_TRUE(in_order(story, R"(
Consumes#1       trace_test.cc:LINE  awaits ticks.next()
Consumes#1 > Ticks trace_test.cc:LINE  awaits sleep_ns(second_ns)
Consumes#1 > Ticks resumes at trace_test.cc:LINE: its time has come
Consumes#1       resumes at trace_test.cc:LINE: Ticks gives a value
Consumes#1       trace_test.cc:LINE  awaits ticks.aclose()
Consumes#1       is done: success
)"));
}

TEST_F(Narrations, ACompilersCoroutineIsToldWithItsFunction) {
    const std::string story = story_of(
        "simulated", [](EventLoop& loop) { EXPECT_TRUE(loop.run_until_complete(naps_by_co_await())); });
    EXPECT_TRUE(in_order(story, R"(
Co<int>#1        begins
Co<int>#1        trace_test.cc:LINE  naps_by_co_await awaits Nap
Co<int>#1 > Nap  trace_test.cc:LINE  awaits sleep_ns(250 * millisecond_ns)
Co<int>#1 > Nap  resumes at trace_test.cc:LINE: its time has come
Co<int>#1        resumes at trace_test.cc:LINE: Nap has ended
Co<int>#1        trace_test.cc:LINE  naps_by_co_await awaits sleep_ns
  timer            0.001 s left
Co<int>#1        resumes at trace_test.cc:LINE: its time has come
Co<int>#1        is done: success
)"));
}

TEST_F(Narrations, NothingIsToldTwiceAndNothingIsLeftOut) {
    const std::string story = story_of("simulated", [](EventLoop& loop) {
        const Listener listener = listener_on(loop);
        EXPECT_TRUE(loop.run_until_complete(SendsAndYields{.address = *listener.local_address()}));
    });
    const std::string told = without_line_numbers(story);
    const std::string expected = R"(
SendsAndYields#1 begins
      kernel           socket(AF_INET, STREAM|NONBLOCK|CLOEXEC, 0) = 4
SendsAndYields#1 trace_test.cc:LINE  awaits connect(address)
  operation        connect  fd 4, to 127.0.0.1:32768
    attempt          try it now
      kernel           connect(4, 127.0.0.1:32768) = EINPROGRESS
    poller           park until fd 4 is writable (connected, or refused)
loop             nothing is ready, no timer is set: sleep until the kernel has news
      kernel           wait(for ever) = 1                     at once
    attempt          fd 4 may be writable: ask how connecting went
      kernel           getsockopt(4, SOL_SOCKET, SO_ERROR, [0]) = 0
      kernel           getpeername(4) = 0                     127.0.0.1:32768
  operation        connect  fd 4, completed: connected
SendsAndYields#1 resumes at trace_test.cc:LINE
SendsAndYields#1 trace_test.cc:LINE  awaits peer.send_all(std::string_view("x"))
  operation        send_all  fd 4, 1 bytes
    attempt          try it now
      kernel           send(4, .., 1, NOSIGNAL) = 1           "x"
  operation        send_all  fd 4, completed: all bytes are sent
SendsAndYields#1 trace_test.cc:LINE  awaits sleep_ns(0): the others first
SendsAndYields#1 resumes at trace_test.cc:LINE: its turn has come
SendsAndYields#1 is done: success
)";
    // The socket() comes before its await is told; where it stands is not this test's business.
    const auto without_socket = [](std::string text) {
        const std::string call = "      kernel           socket(AF_INET, STREAM|NONBLOCK|CLOEXEC, 0) = 4\n";
        if (const std::size_t at = text.find(call); at != std::string::npos) text.erase(at, call.size());
        return text;
    };
    EXPECT_NE(without_socket(told).find(without_socket(expected)), std::string::npos) << told;
}

TEST_F(Narrations, AfterManyAnswersInARowTheOthersComeFirst) {
    const std::string story = story_of("simulated", [](EventLoop& loop) {
        const Listener listener = listener_on(loop);
        EXPECT_TRUE(loop.run_until_complete(SendsALot{.address = *listener.local_address()}));
    });
    EXPECT_EQ(count_of(story, "were answered at once: the others first"), 1u);
}

TEST_F(Narrations, AReceiveWithoutABufferStandsInLine) {
    const std::string story = story_of("simulated", [](EventLoop& loop) {
        loop.port().buffers.limit = 0;
        const Listener listener = listener_on(loop);
        auto task = *loop.create_task(BorrowsABuffer{.address = *listener.local_address()});
        for (int i = 0; i < 3; ++i) {
            loop.stop();
            EXPECT_TRUE(loop.run_forever());
        }
        EXPECT_FALSE(task.done());
    });
    EXPECT_TRUE(in_order(story, R"(
  operation        recv  fd 4, into a buffer of the loop's
    port             all buffers are lent: stand in line for one
)"));
}

TEST_F(Narrations, WhatNobodyElseHearsIsTold) {
    Page page;
    Narration narration(page.stream());
    const Watching watching(narration);
    report_problem("closing a handle failed",
                   Error(ErrorKind::bad_handle, Call::close, EBADF).on_descriptor(7));
    EXPECT_EQ(page.flushed(),
              "problem          closing a handle failed: close fd 7: not an open handle (EBADF)\n");
}

TEST_F(Narrations, WithoutAnObserverNothingIsTold) {
    Page page;
    const Narration narration(page.stream());
    ObservedKernel door;
    EventLoop loop;
    open(loop, door, "simulated");
    EXPECT_EQ(*run_echo(loop), 14u);
    EXPECT_TRUE(loop.close());
    EXPECT_EQ(page.text(), "");
}

/// Looks at the page each time the loop begins to wait.
struct ReadsAlong : Observer {
    explicit ReadsAlong(const Page& read) : page(read) {
        wait_entered = [](Observer& self, std::int64_t) {
            auto& reader = static_cast<ReadsAlong&>(self);
            ++reader.waits;
            const std::vector<std::string> lines = lines_of(reader.page.flushed());
            if (!lines.empty() && lines.back().starts_with("loop ")) ++reader.up_to_date;
        };
    }
    const Page& page;
    int waits = 0;
    int up_to_date = 0;
};

TEST_F(Narrations, EverythingUpToAWaitCanBeReadWhileTheLoopWaits) {
    Page page;
    Narration narration(page.stream());
    ReadsAlong reader(page);
    FanOut both;
    both.add(narration);
    both.add(reader);
    const Watching watching(both);
    ObservedKernel door;
    EventLoop loop;
    open(loop, door, "simulated");
    EXPECT_EQ(*run_echo(loop), 14u);
    EXPECT_GT(reader.waits, 2);
    EXPECT_EQ(reader.up_to_date, reader.waits);
}

// --- telling several ---

TEST_F(Narrations, TwoNarrationsToldByOneFanOutTellTheSame) {
    Page pages[2];
    Narration first(pages[0].stream());
    Narration second(pages[1].stream());
    FanOut both;
    both.add(first);
    both.add(second);
    const Watching watching(both);
    ObservedKernel door;
    EventLoop loop;
    open(loop, door, "simulated");
    EXPECT_EQ(*run_echo(loop), 14u);
    auto nap = *loop.create_task(Nap());
    const auto cancel = loop.call_later([nap] { nap.cancel(); }, millisecond_ns);
    EXPECT_FALSE(loop.run_until_complete(nap));
    EXPECT_TRUE(loop.close());
    report_problem("a problem", Error(ErrorKind::other, Call::none));
    EXPECT_EQ(pages[0].text(), pages[1].text());
    EXPECT_TRUE(in_order(pages[0].text(), R"(
socket(
is a new task
begins
operation
poller
loop
completed
resumes
is done
  timer            a callback
a callback runs
is asked to end
  cancel
problem
)"));
}

/// Writes its letter at each thing that it is told of tasks.
struct Letter : Observer {
    Letter(char which, std::string& to) : letter(which), written(to) {
        wait_returned = [](Observer& self) {
            static_cast<Letter&>(self).written += static_cast<Letter&>(self).letter;
        };
    }
    char letter;
    std::string& written;
};

TEST(FanOuts, TellInTheOrderOfAdding) {
    std::string written;
    Letter a('a', written);
    Letter b('b', written);
    Letter c('c', written);
    FanOut fan_out;
    fan_out.wait_returned(fan_out);
    EXPECT_EQ(written, "");
    for (Letter* letter : {&b, &a, &c}) fan_out.add(*letter);
    fan_out.wait_returned(fan_out);
    EXPECT_EQ(written, "bac");
}

TEST(FanOuts, AFifthObserverIsAMistakeWithASentence) {
    Observer one;
    FanOut fan_out;
    for (int i = 0; i < 4; ++i) fan_out.add(one);
    EXPECT_DEATH(fan_out.add(one), "at most four observers");
}

// --- kernel calls in words ---

KernelCall call_of(Call call, Handle handle, std::intptr_t result, std::array<std::int64_t, 3> arguments = {},
                   const void* bytes = nullptr, std::size_t size = 0) {
    return {.call = call,
            .handle = handle,
            .bytes = bytes,
            .size = size,
            .argument = {arguments[0], arguments[1], arguments[2]},
            .result = result,
            .began_ns = 0,
            .ended_ns = 0};
}
std::string words(const KernelCall& call) { return describe_kernel_call(call).c_str(); }
std::string news(const KernelCall& call) { return describe_kernel_news(call).c_str(); }

TEST(KernelCalls, FlagsAreWrittenByTheirNamesAndTheRestAsANumber) {
    EXPECT_EQ(words(call_of(Call::accept, 5, 7, {SOCK_NONBLOCK | SOCK_CLOEXEC})),
              "accept4(5, null, null, NONBLOCK|CLOEXEC) = 7");
    EXPECT_EQ(words(call_of(Call::accept, 5, 7, {0})), "accept4(5, null, null, 0) = 7");
    EXPECT_EQ(words(call_of(Call::socket, no_handle, 5, {AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0})),
              "socket(AF_INET6, STREAM|CLOEXEC, 0) = 5");
    EXPECT_EQ(words(call_of(Call::socket, no_handle, -EINVAL, {99, SOCK_DGRAM, 17})),
              "socket(99, DGRAM, 17) = EINVAL");
    EXPECT_EQ(words(call_of(Call::send, 7, 3, {MSG_NOSIGNAL | MSG_OOB}, "abc", 3)),
              "send(7, .., 3, NOSIGNAL|OOB) = 3");
    EXPECT_EQ(words(call_of(Call::recv, 7, 0, {0x10000000}, "", 9)), "recv(7, .., 9, 0x10000000) = 0");
    EXPECT_EQ(words(call_of(Call::shutdown, 7, 0, {SHUT_WR})), "shutdown(7, WR) = 0");
#ifndef _WIN32
    EXPECT_EQ(words(call_of(Call::pipe, no_handle, 0, {O_NONBLOCK | O_CLOEXEC})),
              "pipe2(.., NONBLOCK|CLOEXEC) = 0");
#endif
    EXPECT_EQ(words(call_of(Call::io_uring_setup, no_handle, 3, {256})), "io_uring_setup(256, ..) = 3");
    EXPECT_EQ(words(call_of(Call::io_uring_enter, 3, 2, {2, 1, 9})),
              "io_uring_enter(3, 2, 1, GETEVENTS|EXT_ARG) = 2");
    EXPECT_EQ(words(call_of(Call::io_uring_register, 3, 0, {12, 0})),
              "io_uring_register(3, ENABLE_RINGS) = 0");
    EXPECT_EQ(words(call_of(Call::mmap, 3, -ENOMEM, {3, 1, 0}, nullptr, 4096)), "mmap(3, 4096) = ENOMEM");
    EXPECT_EQ(words(call_of(Call::munmap, no_handle, 0, {}, nullptr, 4096)), "munmap(.., 4096) = 0");
    EXPECT_EQ(words(call_of(Call::listen, 5, 0, {128})), "listen(5, 128) = 0");
    EXPECT_EQ(words(call_of(Call::close, 5, -EBADF)), "close(5) = EBADF");
    EXPECT_EQ(words(call_of(Call::close, 5, -9999)), "close(5) = -9999");
}

TEST(KernelCalls, AddressesAreWrittenInWords) {
    for (const char* host : {"127.0.0.1", "::1", "unix:/tmp/a"}) {
        const Address address = *parse_address(host, 6789);
        const std::string name = describe(address).c_str();
        EXPECT_EQ(words(call_of(Call::connect, 6, -EINPROGRESS, {address.length}, address.raw())),
                  "connect(6, " + name + ") = EINPROGRESS");
        EXPECT_EQ(words(call_of(Call::bind, 6, 0, {address.length}, address.raw())),
                  "bind(6, " + name + ") = 0");
    }
    const Address address = *parse_address("127.0.0.1", 6789);
    EXPECT_EQ(news(call_of(Call::getsockname, 6, 0, {}, address.raw())), "127.0.0.1:6789");
    EXPECT_EQ(news(call_of(Call::getsockname, 6, -EBADF, {}, address.raw())), "");
}

TEST(KernelCalls, SocketOptionsShowTheirValue) {
    const int on = 1;
    const int refused = ECONNREFUSED;
    const int none = 0;
    EXPECT_EQ(words(call_of(Call::setsockopt, 5, 0, {SOL_SOCKET, SO_REUSEADDR, sizeof on}, &on)),
              "setsockopt(5, SOL_SOCKET, SO_REUSEADDR, 1) = 0");
    EXPECT_EQ(words(call_of(Call::getsockopt, 5, 0, {SOL_SOCKET, SO_ERROR}, &refused)),
              "getsockopt(5, SOL_SOCKET, SO_ERROR, [ECONNREFUSED]) = 0");
    EXPECT_EQ(words(call_of(Call::getsockopt, 5, 0, {SOL_SOCKET, SO_ERROR}, &none)),
              "getsockopt(5, SOL_SOCKET, SO_ERROR, [0]) = 0");
    EXPECT_EQ(words(call_of(Call::setsockopt, 5, 0, {IPPROTO_TCP, 1, sizeof on}, &on)),
              "setsockopt(5, 6, 1, ..) = 0");
}

TEST(KernelCalls, EventsAreToldByDescriptor) {
    pollfd asked[2] = {poll_entry(7, POLLIN), poll_entry(8, POLLIN | POLLOUT)};
    asked[1].revents = POLLOUT | POLLHUP;
    EXPECT_EQ(words(call_of(Call::poll, no_handle, 1, {2, 0}, asked)), "poll({7: IN, 8: IN|OUT}, 2, 0) = 1");
    EXPECT_EQ(news(call_of(Call::poll, no_handle, 1, {2, 0}, asked)), "fd 8: OUT|HUP");
    pollfd many[7];
    for (int i = 0; i < 7; ++i) {
        many[i] = poll_entry(i == 0 ? ~3 : i, POLLIN);
        many[i].revents = i == 0 ? short{0} : short{POLLIN};
    }
    EXPECT_EQ(words(call_of(Call::poll, no_handle, 6, {7, -1}, many)),
              "poll({1: IN, 2: IN, 3: IN, 4: IN, ...}, 7, -1) = 6");
    EXPECT_EQ(news(call_of(Call::poll, no_handle, 6, {7, -1}, many)),
              "fd 1: IN, fd 2: IN, fd 3: IN, fd 4: IN, ...");
}

TEST(KernelCalls, APipeIsToldByItsTwoEnds) {
    const Handle ends[2] = {5, 6};
    EXPECT_EQ(news(call_of(Call::pipe, no_handle, 0, {0}, ends)), "from fd 6 to fd 5");
    EXPECT_EQ(news(call_of(Call::pipe, no_handle, -EMFILE, {0}, ends)), "");
}

#ifdef __linux__
TEST(KernelCalls, TheCallsOfEpollAreWrittenInItsWords) {
    EXPECT_EQ(words(call_of(Call::eventfd, no_handle, 4, {0, EFD_NONBLOCK | EFD_CLOEXEC})),
              "eventfd(0, NONBLOCK|CLOEXEC) = 4");
    EXPECT_EQ(words(call_of(Call::epoll_create, no_handle, 3, {EPOLL_CLOEXEC})),
              "epoll_create1(CLOEXEC) = 3");

    epoll_event events[6] = {};
    for (unsigned i = 0; i < 6; ++i) {
        events[i].events = EPOLLIN;
        events[i].data.u64 = std::uint64_t{12345} << 32 | (7 + i);
    }
    events[1].events = EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    EXPECT_EQ(words(call_of(Call::epoll_wait, 3, 1, {64, -1}, events)), "epoll_wait(3, .., 64, -1) = 1");
    EXPECT_EQ(news(call_of(Call::epoll_wait, 3, 1, {64, -1}, events)), "fd 7: IN");
    EXPECT_EQ(news(call_of(Call::epoll_wait, 3, 2, {64, -1}, events)), "fd 7: IN, fd 8: OUT|RDHUP|HUP|ERR");
    EXPECT_TRUE(news(call_of(Call::epoll_wait, 3, 6, {64, -1}, events)).ends_with("fd 10: IN, ..."));
    EXPECT_EQ(news(call_of(Call::epoll_wait, 3, 0, {64, 5}, events)), "");

    epoll_event interest = {};
    interest.events = EPOLLIN | EPOLLET;
    EXPECT_EQ(words(call_of(Call::epoll_ctl, 3, -EEXIST, {EPOLL_CTL_ADD, 7}, &interest)),
              "epoll_ctl(3, ADD, 7, IN|ET) = EEXIST");
    EXPECT_EQ(words(call_of(Call::epoll_ctl, 3, 0, {EPOLL_CTL_DEL, 7}, &interest)),
              "epoll_ctl(3, DEL, 7) = 0");
}
#endif

TEST(KernelCalls, BytesAreShortenedAndEscaped) {
    const auto received = [](std::string_view bytes) {
        return news(
            call_of(Call::recv, 7, static_cast<std::intptr_t>(bytes.size()), {0}, bytes.data(), 1024));
    };
    EXPECT_EQ(received("Hello Server!\n"), R"("Hello Server!\n")");
    EXPECT_EQ(received(std::string_view("\"\\\t\r\0\x7f\xff"
                                        "1",
                                        8)),
              R"("\"\\\t\r\000\177\3771")");
    EXPECT_EQ(received(std::string(32, 'x')), '"' + std::string(32, 'x') + '"');
    EXPECT_EQ(received(std::string(33, 'x')), '"' + std::string(32, 'x') + "\"...");
    EXPECT_EQ(received(""), "");
    EXPECT_EQ(news(call_of(Call::recv, 7, -EAGAIN, {0}, "unwritten", 9)), "");
}

// --- reading JSON back ---

TEST(TheJsonParserOfTheseTests, RefusesWhatIsNoJson) {
    for (const char* good :
         {"{}", "[1,2.5,-3e2]", R"({"a":[{"b":"\u0041\n\u00fc"}],"c":true})", "\"\xc3\xbc\""}) {
        Json json;
        EXPECT_TRUE(JsonParser(good).parse(json)) << good;
    }
    for (const char* bad :
         {"", "{", "[1,]", "{\"a\":1,}", "{\"a\" 1}", "[01]", "\"\n\"", "\"\\x\"", "{} {}",
          "{\"a\":1,\"a\":2}", "\"\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "'a'", "[1 2]", "nul"}) {
        Json json;
        EXPECT_FALSE(JsonParser(bad).parse(json)) << bad;
    }
}

/// A path that is gone afterwards.
struct TemporaryFile {
    TemporaryFile() {
        const int descriptor = mkstemp(path.data());
        EXPECT_GE(descriptor, 0);
        ::close(descriptor);
    }
    TemporaryFile(const TemporaryFile&) = delete;
    ~TemporaryFile() { ::unlink(path.c_str()); }
    std::string content() const {
        std::ifstream stream(path);
        std::stringstream text;
        text << stream.rdbuf();
        return text.str();
    }
    std::string path = ::testing::TempDir() + "trace_test_XXXXXX";
};

Json parsed(const TemporaryFile& file) {
    const std::string text = file.content();
    JsonParser parser(text);
    Json json;
    if (!parser.parse(json))
        ADD_FAILURE() << "no JSON from here: " << text.substr(text.size() - parser.left(), 80) << "\nin\n"
                      << text;
    return json;
}

// --- the JSON writer ---

TEST(JsonWriters, WriteWhatAParserReadsBack) {
    const TemporaryFile file;
    JsonWriter writer;
    ASSERT_TRUE(writer.open(file.path.c_str()));
    writer.begin_object();
    writer.text("plain", "recv");
    writer.text("quoted \"key\"", "a\"b\\c/d");
    writer.text("control", std::string_view("\0\x01\n\r\t\x1f\x7f", 7));
    writer.text("utf8",
                "Gr\xc3\xbc\xc3\x9f"
                "e \xe2\x82\xac \xf0\x9f\x8c\xb3");
    writer.number("least", INT64_MIN);
    writer.microseconds("time", 1'234'056);
    writer.begin_array("list");
    writer.end();
    writer.begin_array("numbers");
    writer.number({}, 1);
    writer.next_line();
    writer.number({}, 2);
    writer.end();
    writer.begin_object("inner");
    writer.end();
    writer.end();
    ASSERT_TRUE(writer.close());
    const Json json = parsed(file);
    EXPECT_EQ(json["plain"].text, "recv");
    EXPECT_EQ(json["quoted \"key\""].text, "a\"b\\c/d");
    EXPECT_EQ(json["control"].text, std::string("\0\x01\n\r\t\x1f\x7f", 7));
    EXPECT_EQ(json["utf8"].text,
              "Gr\xc3\xbc\xc3\x9f"
              "e \xe2\x82\xac \xf0\x9f\x8c\xb3");
    EXPECT_EQ(json["least"].number, static_cast<double>(INT64_MIN));
    EXPECT_DOUBLE_EQ(json["time"].number, 1234.056);
    EXPECT_EQ(json["numbers"].elements.size(), 2u);
    EXPECT_TRUE(json.has("inner"));
}

TEST(JsonWriters, BytesThatAreNoUtf8BecomeTheReplacementCharacter) {
    const std::string_view bad[] = {
        "\xff",        "\x80", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xf0\x9f\x8c"};
    for (const std::string_view bytes : bad) {
        const TemporaryFile file;
        JsonWriter writer;
        ASSERT_TRUE(writer.open(file.path.c_str()));
        writer.begin_object();
        writer.text("text", std::string("a") + std::string(bytes) + "z");
        ASSERT_TRUE(writer.close());
        std::string replaced = "a";
        for (std::size_t i = 0; i < bytes.size(); ++i) replaced += "\xef\xbf\xbd";
        EXPECT_EQ(parsed(file)["text"].text, replaced + "z");
    }
}

TEST(JsonWriters, ClosingEndsWhatIsNotEnded) {
    const TemporaryFile file;
    JsonWriter writer;
    ASSERT_TRUE(writer.open(file.path.c_str()));
    writer.begin_object();
    writer.begin_array("a");
    writer.begin_object();
    ASSERT_TRUE(writer.close());
    EXPECT_EQ(parsed(file)["a"].elements.size(), 1u);
    EXPECT_FALSE(writer.is_open());
}

// --- the table of spans ---

TEST(OpenSpanTables, FindAndTakeWhatWasPutWhateverElseIsThere) {
    OpenSpans spans;
    std::map<std::uintptr_t, std::int64_t> expected;
    std::mt19937 random(1);
    std::int64_t next_id = 1;
    for (int i = 0; i < 20'000; ++i) {
        const std::uintptr_t address = 16 * (1 + random() % 500);
        const void* key = reinterpret_cast<const void*>(address);
        const auto known = expected.find(address);
        ASSERT_EQ(spans.find(key) != nullptr, known != expected.end());
        if (known == expected.end()) {
            ASSERT_TRUE(spans.put({.key = key, .id = next_id}));
            expected[address] = next_id++;
        } else {
            ASSERT_EQ(spans.take(key)->id, known->second);
            expected.erase(known);
        }
    }
    std::set<std::int64_t> left;
    while (const auto span = spans.take_any()) left.insert(span->id);
    EXPECT_EQ(left.size(), expected.size());
    for (const auto& [address, id] : expected) EXPECT_EQ(left.count(id), 1u);
}

TEST(OpenSpanTables, WithoutMemoryNothingIsPut) {
    OpenSpans spans;
    fail_allocations_after(0);
    EXPECT_FALSE(spans.put({.key = &spans}));
    EXPECT_EQ(spans.find(&spans), nullptr);
    EXPECT_TRUE(spans.put({.key = &spans}));
    EXPECT_NE(spans.find(&spans), nullptr);
}

// --- the timeline ---

std::vector<Json> events_of(const Json& trace, const std::string& phase) {
    std::vector<Json> events;
    for (const Json& event : trace["traceEvents"].elements)
        if (event["ph"].text == phase) events.push_back(event);
    return events;
}

/// What every timeline must be, whatever it shows.
void check_timeline(const Json& trace) {
    ASSERT_EQ(trace["traceEvents"].kind, Json::Kind::array);
    ASSERT_FALSE(trace["traceEvents"].elements.empty());
    std::set<std::pair<double, double>> named;
    for (const Json& event : events_of(trace, "M"))
        if (event["name"].text == "thread_name") named.insert({event["pid"].number, event["tid"].number});

    std::map<double, Json> open_spans;
    std::map<std::pair<double, double>, std::vector<std::pair<double, double>>> slices;
    for (const Json& event : trace["traceEvents"].elements) {
        const std::string phase = event["ph"].text;
        for (const char* field : {"pid", "tid", "ts"}) ASSERT_EQ(event[field].kind, Json::Kind::number);
        ASSERT_EQ(event["name"].kind, Json::Kind::text);
        ASSERT_GE(event["ts"].number, 0);
        EXPECT_EQ(named.count({event["pid"].number, event["tid"].number}), 1u) << "a track without a name";
        if (phase == "b") {
            EXPECT_TRUE(open_spans.emplace(event["id"].number, event).second) << "an id begins twice";
        } else if (phase == "e") {
            const auto begun = open_spans.find(event["id"].number);
            ASSERT_NE(begun, open_spans.end()) << "an end without a beginning: " << event["name"].text;
            for (const char* field : {"name", "cat"}) EXPECT_EQ(begun->second[field].text, event[field].text);
            for (const char* field : {"pid", "tid"})
                EXPECT_EQ(begun->second[field].number, event[field].number);
            EXPECT_LE(begun->second["ts"].number, event["ts"].number);
            open_spans.erase(begun);
        } else if (phase == "X") {
            ASSERT_GE(event["dur"].number, 0);
            slices[{event["pid"].number, event["tid"].number}].push_back(
                {event["ts"].number, event["ts"].number + event["dur"].number});
        } else {
            EXPECT_TRUE(phase == "M" || phase == "i") << phase;
        }
    }
    EXPECT_TRUE(open_spans.empty()) << "a beginning without an end: "
                                    << open_spans.begin()->second["name"].text;
    // On no track do two slices overlap: things happen one after another there.
    for (auto& [track, on_track] : slices) {
        std::sort(on_track.begin(), on_track.end());
        for (std::size_t i = 1; i < on_track.size(); ++i)
            EXPECT_LE(on_track[i - 1].second, on_track[i].first + 1e-6) << "on track " << track.second;
    }
}

/// The timeline of `program(loop)`.
template <class Program>
Json timeline_of(const char* kernel, Program program) {
    const TemporaryFile file;
    ChromeTrace trace;
    EXPECT_TRUE(trace.open(file.path.c_str()));
    {
        const Watching watching(trace);
        ObservedKernel door;
        EventLoop loop;
        open(loop, door, kernel);
        program(loop);
        EXPECT_TRUE(loop.close());
    }
    EXPECT_TRUE(trace.close());
    return parsed(file);
}

TEST_P(EveryKernel, TheTimelineOfAnEchoHasATrackForEachTaskAndAnEndForEachBeginning) {
    const Json trace =
        timeline_of(GetParam()->name, [](EventLoop& loop) { EXPECT_EQ(*run_echo(loop), 14u); });
    check_timeline(trace);
    std::map<std::string, double> tracks;
    for (const Json& event : events_of(trace, "M"))
        if (event["name"].text == "thread_name") tracks[event["args"]["name"].text] = event["tid"].number;
    for (const char* name : {"loop", "kernel", "Echo#1", "Client#2", "Serve#3"})
        EXPECT_EQ(tracks.count(name), 1u) << name;

    std::set<std::string> spans;
    for (const Json& event : events_of(trace, "b"))
        spans.insert(event["cat"].text + " " + event["name"].text + " on " +
                     std::to_string(static_cast<int>(event["tid"].number)));
    const auto on = [&tracks](const char* name) {
        return " on " + std::to_string(static_cast<int>(tracks[name]));
    };
    EXPECT_EQ(spans.count("task Client" + on("Client#2")), 1u);
    EXPECT_EQ(spans.count("await Talk{.peer = &peer}" + on("Client#2")), 1u);
    EXPECT_EQ(spans.count("await peer->recv(bytes)" + on("Client#2")), 1u);
    EXPECT_EQ(spans.count("operation recv" + on("Serve#3")), 1u);
    EXPECT_EQ(spans.count("operation connect" + on("Client#2")), 1u);
    EXPECT_EQ(spans.count("await client" + on("Echo#1")), 1u);

    std::set<std::string> slices;
    for (const Json& event : events_of(trace, "X"))
        if (event["tid"].number == tracks["Client#2"]) slices.insert(event["name"].text.substr(0, 13));
    EXPECT_EQ(slices, (std::set<std::string>{"begins", "trace_test.cc"}));
    for (const Json& event : events_of(trace, "e")) EXPECT_NE(event["args"]["end"].text, "not ended");
}

TEST_F(Timelines, AParkedOperationIsAMomentOnItsTasksTrack) {
    const Json trace = timeline_of("simulated", [](EventLoop& loop) { EXPECT_EQ(*run_echo(loop), 14u); });
    bool seen = false;
    for (const Json& event : events_of(trace, "i"))
        seen |= event["name"].text == "parked" && event["args"]["operation"].text == "recv" &&
                event["tid"].number == 2 + 3;
    EXPECT_TRUE(seen);
}

TEST_F(Timelines, ARequestToEndIsAMomentOnItsTasksTrack) {
    const Json trace = timeline_of("simulated", [](EventLoop& loop) {
        EXPECT_TRUE(loop.run_until_complete(YieldsItsTurn()));
        auto nap = *loop.create_task(Nap());
        EXPECT_TRUE(nap.cancel());
        EXPECT_FALSE(loop.run_until_complete(nap));
    });
    check_timeline(trace);
    std::vector<double> tracks;
    for (const Json& event : events_of(trace, "i"))
        if (event["name"].text == "cancel requested") tracks.push_back(event["tid"].number);
    EXPECT_EQ(tracks, std::vector<double>{2 + 2});
}

TEST_F(Timelines, KernelCallsShowTheirWordsAndNews) {
    const Json trace = timeline_of("simulated", [](EventLoop& loop) { EXPECT_EQ(*run_echo(loop), 14u); });
    bool seen = false;
    for (const Json& event : events_of(trace, "X"))
        seen |= event["name"].text == "send" && event["args"]["call"].text.ends_with("14, NOSIGNAL) = 14") &&
                event["args"]["news"].text == "\"Hello Server!\\n\"";
    EXPECT_TRUE(seen);
}

TEST_F(Timelines, ASleepTakesItsVirtualTime) {
    const Json trace =
        timeline_of("simulated", [](EventLoop& loop) { EXPECT_TRUE(loop.run_until_complete(Nap())); });
    check_timeline(trace);
    std::vector<double> waits;
    for (const Json& event : events_of(trace, "X"))
        if (event["name"].text == "wait" && event["tid"].number == 1 && event["dur"].number > 0) {
            EXPECT_EQ(event["args"]["what"].text, "at most 0.250000 s");
            waits.push_back(event["dur"].number);
        }
    EXPECT_EQ(waits, std::vector<double>{250'000});
}

TEST_F(Timelines, HowATaskEndedStandsAtTheEndOfItsSpan) {
    const Json trace = timeline_of(
        "simulated", [](EventLoop& loop) { EXPECT_FALSE(loop.run_until_complete(AwaitsChild())); });
    check_timeline(trace);
    for (const Json& event : events_of(trace, "e")) {
        if (event["cat"].text != "task") continue;
        EXPECT_EQ(event["args"]["end"].text, "connect 127.0.0.1:1: connection refused (ECONNREFUSED)");
    }
}

TEST_F(Timelines, ClosedInTheMiddleOfARunItIsCompleteAllTheSame) {
    const TemporaryFile file;
    ChromeTrace trace;
    ASSERT_TRUE(trace.open(file.path.c_str()));
    {
        const Watching watching(trace);
        ObservedKernel door;
        EventLoop loop;
        open(loop, door, "simulated");
        (void)*loop.create_task(Nap());
        (void)*loop.create_task(Serve{.listener = listener_on(loop)});
        loop.stop();
        EXPECT_TRUE(loop.run_forever());
        ASSERT_TRUE(trace.close());
    }
    const Json json = parsed(file);
    check_timeline(json);
    std::size_t not_ended = 0;
    for (const Json& event : events_of(json, "e")) not_ended += event["args"]["end"].text == "not ended";
    EXPECT_EQ(not_ended, 5u);  // two tasks, two awaits, an accept
}

TEST_F(Timelines, OpenedInTheMiddleOfARunItHasNoEndsWithoutBeginnings) {
    const TemporaryFile file;
    ChromeTrace trace;
    {
        const Watching watching(trace);
        ObservedKernel door;
        EventLoop loop;
        open(loop, door, "simulated");
        auto task = *loop.create_task(Echo{.listener = listener_on(loop)});
        loop.stop();
        EXPECT_TRUE(loop.run_forever());
        ASSERT_TRUE(trace.open(file.path.c_str()));
        EXPECT_EQ(*loop.run_until_complete(task), 14u);
        ASSERT_TRUE(trace.close());
    }
    const Json json = parsed(file);
    std::set<double> open_spans;
    for (const Json& event : json["traceEvents"].elements) {
        const double id = event["id"].number;
        if (event["ph"].text == "b") {
            EXPECT_TRUE(open_spans.insert(id).second);
        } else if (event["ph"].text == "e") {
            EXPECT_EQ(open_spans.erase(id), 1u);
        }
    }
    EXPECT_TRUE(open_spans.empty());
}

TEST_F(Timelines, TwoLoopsOneAfterAnotherAreTwoProcesses) {
    const TemporaryFile file;
    ChromeTrace trace;
    ASSERT_TRUE(trace.open(file.path.c_str()));
    {
        const Watching watching(trace);
        for (int i = 0; i < 2; ++i) {
            ObservedKernel door;
            EventLoop loop;
            open(loop, door, "simulated");
            EXPECT_TRUE(loop.run_until_complete(Nap()));
        }
    }
    ASSERT_TRUE(trace.close());
    const Json json = parsed(file);
    check_timeline(json);
    std::map<double, double> ends;
    for (const Json& event : events_of(json, "e"))
        ends[event["pid"].number] = std::max(ends[event["pid"].number], event["ts"].number);
    ASSERT_EQ(ends.size(), 2u);
    EXPECT_LT(ends[1], ends[2]);
}

TEST_F(Timelines, ASchedulerWithoutALoopHasATimelineOfItsOrder) {
    const TemporaryFile file;
    ChromeTrace trace;
    ASSERT_TRUE(trace.open(file.path.c_str()));
    {
        const Watching watching(trace);
        Scheduler scheduler;
        scheduler.pool = TaskPool::create(scheduler);
        {
            const SchedulerScope here(scheduler);
            auto task = *create_task_on(scheduler, YieldsItsTurn());
            scheduler.run_until_idle();
            EXPECT_TRUE(task.done());
        }
        scheduler.pool->orphan();
    }
    ASSERT_TRUE(trace.close());
    const Json json = parsed(file);
    check_timeline(json);
    double last = -1;
    for (const Json& event : events_of(json, "X")) {
        EXPECT_GT(event["ts"].number, last);
        EXPECT_DOUBLE_EQ(event["dur"].number, 1) << "it runs until it suspends and no longer";
        last = event["ts"].number;
    }
    EXPECT_GT(last, 0);
}

TEST_F(Timelines, WithoutMemoryForASpanBothItsEndsAreMissing) {
    const TemporaryFile file;
    ChromeTrace trace;
    ASSERT_TRUE(trace.open(file.path.c_str()));
    ObservedKernel door;
    EventLoop loop;
    open(loop, door, "simulated");
    EXPECT_TRUE(loop.run_until_complete(YieldsItsTurn()));  // afterwards the loop itself needs no memory
    {
        const Watching watching(trace);
        fail_allocations_after(0, 1'000'000);
        EXPECT_TRUE(loop.run_until_complete(YieldsItsTurn()));
        fail_allocations_after(0, 0);
    }
    ASSERT_TRUE(trace.close());
    const Json json = parsed(file);
    check_timeline(json);
    EXPECT_TRUE(events_of(json, "b").empty());
    EXPECT_FALSE(events_of(json, "X").empty());
}

TEST(ProblemsOnATimeline, AreValidJsonWhateverTheyHoldAndGoToStderrToo) {
    const TemporaryFile file;
    ChromeTrace trace;
    ASSERT_TRUE(trace.open(file.path.c_str()));
    const Watching watching(trace);
    ::testing::internal::CaptureStderr();
    report_problem("a \"quoted\"\n\xff problem", Error(ErrorKind::other, Call::close).on("a\\b"));
    const std::string told = ::testing::internal::GetCapturedStderr();
    EXPECT_NE(told.find("problem: close a\\b: failed"), std::string::npos) << told;
    ASSERT_TRUE(trace.close());
    const std::vector<Json> moments = events_of(parsed(file), "i");
    ASSERT_EQ(moments.size(), 1u);
    EXPECT_EQ(moments[0]["name"].text, "a \"quoted\"\n\xef\xbf\xbd problem");
    EXPECT_EQ(moments[0]["args"]["error"].text, "close a\\b: failed");
}

TEST(TimelineFiles, ThatCannotBeOpenedAreAnError) {
    ChromeTrace trace;
    const Result<void> opened = trace.open("/nowhere/at/all.json");
    ASSERT_FALSE(opened);
    EXPECT_STREQ(describe(opened.error()).c_str(), "open /nowhere/at/all.json: not found (ENOENT)");
    EXPECT_TRUE(trace.close());
}

TEST(TimelineFiles, AreOpenedOnceAndClosedAnyNumberOfTimes) {
    const TemporaryFile file;
    ChromeTrace trace;
    EXPECT_TRUE(trace.close());
    ASSERT_TRUE(trace.open(file.path.c_str()));
    EXPECT_EQ(trace.open(file.path.c_str()).error().kind, ErrorKind::invalid_state);
    EXPECT_TRUE(trace.close());
    EXPECT_TRUE(trace.close());
    ASSERT_TRUE(trace.open(file.path.c_str()));
    EXPECT_TRUE(trace.close());
    check_timeline(parsed(file));
}

TEST(TimelineFiles, OnAFullDiskAreAnErrorWhenClosed) {
    if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "this machine has no /dev/full";
    ChromeTrace trace;
    ASSERT_TRUE(trace.open("/dev/full"));
    const Result<void> closed = trace.close();
    ASSERT_FALSE(closed);
    EXPECT_STREQ(describe(closed.error()).c_str(), "write /dev/full: failed (ENOSPC)");
    EXPECT_TRUE(trace.close());
}

TEST(TimelineFiles, LeftOpenOnAFullDiskAreReported) {
    if (::access("/dev/full", W_OK) != 0) GTEST_SKIP() << "this machine has no /dev/full";
    Page page;
    Narration narration(page.stream());
    const Watching watching(narration);
    {
        ChromeTrace trace;
        ASSERT_TRUE(trace.open("/dev/full"));
    }
    EXPECT_EQ(page.text(),
              "problem          the timeline is not complete: write /dev/full: failed (ENOSPC)\n");
}

}  // namespace
}  // namespace pollard
