// The narration: that all is told, on every floor, once, in the order in which it happens, and in these words.
//
// Small programs run on the simulated kernel, and an echo on every kernel of the build; what was printed is then
// compared with what must have been printed.
//
// Read next: tests/trace/programs.h for who speaks, tests/trace/story.h for how it is compared, then
// tests/trace/fan_out_test.cc.
#include "core/trace/narration.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/async_generator.h"
#include "core/co_await.h"
#include "core/coroutine.h"
#include "core/event_loop.h"
#include "core/io/socket.h"
#include "core/sleep.h"
#include "core/trace/fan_out.h"
#include "platform/interposed_kernel.h"
#include "tests/trace/programs.h"
#include "tests/trace/story.h"

namespace pollard::trace_test {
namespace {

INSTANTIATE_TEST_SUITE_P(Traces, EveryKernel,
                         ::testing::ValuesIn(all_backends().begin(), all_backends().end()),
                         [](const auto& kernel) { return std::string(kernel.param->name); });

// --- each floor, down and up ---

TEST_F(Narrations, ASleepIsToldFromItsFrameDownToTheKernelAndBack) {
    const std::string story =
        story_of("simulated", [](EventLoop& loop) { EXPECT_TRUE(loop.run_until_complete(Nap())); });
    const std::string place = "programs.h:" + std::to_string(sleep_line);
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
Echo#1           programs.h:LINE  awaits client: Client#2 is not done yet
Client#2         begins
Client#2         programs.h:LINE  awaits connect(address)
  operation        connect  fd
Serve#3          programs.h:LINE  awaits listener.accept()
loop             nothing is ready, no timer is set: sleep until the kernel has news
  operation        connect  fd
Client#2         resumes at programs.h:LINE
Client#2         programs.h:LINE  awaits Talk{.peer = &peer}
Client#2 > Talk  programs.h:LINE  awaits peer->send_all(std::string_view("Hello Server!\n"))
  operation        send_all  fd
completed: all bytes are sent
Client#2 > Talk  programs.h:LINE  awaits peer->recv(bytes)
loop             nothing is ready, no timer is set: sleep until the kernel has news
completed: 14 bytes
Client#2 > Talk  resumes at programs.h:LINE
Client#2         resumes at programs.h:LINE: Talk has ended
Client#2         programs.h:LINE  awaits peer.close()
Client#2         is done: success
Echo#1           resumes at programs.h:LINE: Client#2 is done
Serve#3          is done: success
Echo#1           is done: success
)"));
    EXPECT_TRUE(in_order(story, R"(
Serve#3          programs.h:LINE  awaits peer.recv(bytes)
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
Serve#3          programs.h:LINE  awaits peer.recv(bytes)
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
    EXPECT_NE(story.find("may be readable: try again"), std::string::npos);
    const std::vector<std::string> lines = lines_of(story);
    EXPECT_TRUE(std::ranges::any_of(lines, [](const std::string& line) {
        return line.find("NOSIGNAL) = 14 ") != std::string::npos && line.ends_with("\"Hello Server!\\n\"");
    })) << story;
    // Nothing was tried that was not told of before: each line of an attempt leads to a call.
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
AwaitsChild#1 > CannotConnect resumes at programs.h:LINE
AwaitsChild#1    resumes at programs.h:LINE: CannotConnect ended: connect 127.0.0.1:1: connection refused (ECONNREFUSED)
AwaitsChild#1    is done: failed, connect 127.0.0.1:1: connection refused (ECONNREFUSED)
)"));
}

TEST_F(Narrations, ATurnGivenToTheOthersIsOneLine) {
    const std::string story =
        story_of("simulated", [](EventLoop& loop) { EXPECT_TRUE(loop.run_until_complete(YieldsItsTurn())); });
    EXPECT_TRUE(in_order(story, R"(
YieldsItsTurn#1  begins
YieldsItsTurn#1  programs.h:LINE  awaits sleep_ns(0): the others first
YieldsItsTurn#1  resumes at programs.h:LINE: its turn has come
YieldsItsTurn#1  is done: success
)"));
    EXPECT_EQ(count_of(story, "awaits"), 1u);
}

// --- cancelling ---

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
  cancel           programs.h:LINE  awaits sleep_ns(250 * millisecond_ns): this await ends
Nap#1            resumes at programs.h:LINE: the sleep was cancelled
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
FollowsNap#2     narration_test.cc:LINE  awaits nap: Nap#1 is not done yet
FollowsNap#2     is asked to end
Nap#1            is asked to end
  cancel           programs.h:LINE  awaits sleep_ns(250 * millisecond_ns): this await ends
Nap#1            is done: cancelled
FollowsNap#2     resumes at narration_test.cc:LINE: Nap#1 is done
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
CancelsItself#1  narration_test.cc:LINE  awaits sleep_ns(second_ns)
  cancel           narration_test.cc:LINE  awaits sleep_ns(second_ns): this await ends
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
  cancel           narration_test.cc:LINE  awaits listener.accept(): the port is asked to let go of it
  operation        accept  fd
Accepts#1        is done: cancelled
)"));
}

// --- what else may wait or run ---

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
WatchesNap#2     narration_test.cc:LINE  awaits Watches{&nap}
  waits for        one task
Nap#1            is done: success
loop             a node, for WatchesNap#2
WatchesNap#2     resumes at narration_test.cc:LINE
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
Consumes#1       narration_test.cc:LINE  awaits ticks.next()
Consumes#1 > Ticks narration_test.cc:LINE  awaits sleep_ns(second_ns)
Consumes#1 > Ticks resumes at narration_test.cc:LINE: its time has come
Consumes#1       resumes at narration_test.cc:LINE: Ticks gives a value
Consumes#1       narration_test.cc:LINE  awaits ticks.aclose()
Consumes#1       is done: success
)"));
}

Co<int> naps_by_co_await() {
    const Result<void> slept = co_await in_place([] { return Nap(); });
    if (!slept) co_return slept.error();
    const Result<void> slept_again = co_await sleep_ns(millisecond_ns);
    co_return slept_again ? 1 : 2;
}

TEST_F(Narrations, ACompilersCoroutineIsToldWithItsFunction) {
    const std::string story = story_of(
        "simulated", [](EventLoop& loop) { EXPECT_TRUE(loop.run_until_complete(naps_by_co_await())); });
    EXPECT_TRUE(in_order(story, R"(
Co<int>#1        begins
Co<int>#1        narration_test.cc:LINE  naps_by_co_await awaits Nap
Co<int>#1 > Nap  programs.h:LINE  awaits sleep_ns(250 * millisecond_ns)
Co<int>#1 > Nap  resumes at programs.h:LINE: its time has come
Co<int>#1        resumes at narration_test.cc:LINE: Nap has ended
Co<int>#1        narration_test.cc:LINE  naps_by_co_await awaits sleep_ns
  timer            0.001 s left
Co<int>#1        resumes at narration_test.cc:LINE: its time has come
Co<int>#1        is done: success
)"));
}

// --- nothing twice, nothing left out ---

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

TEST_F(Narrations, NothingIsToldTwiceAndNothingIsLeftOut) {
    const std::string story = story_of("simulated", [](EventLoop& loop) {
        const Listener listener = listener_on(loop);
        EXPECT_TRUE(loop.run_until_complete(SendsAndYields{.address = *listener.local_address()}));
    });
    const std::string told = without_line_numbers(story);
    const std::string expected = R"(
SendsAndYields#1 begins
      kernel           socket(AF_INET, STREAM|NONBLOCK|CLOEXEC, 0) = 4
SendsAndYields#1 narration_test.cc:LINE  awaits connect(address)
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
SendsAndYields#1 resumes at narration_test.cc:LINE
SendsAndYields#1 narration_test.cc:LINE  awaits peer.send_all(std::string_view("x"))
  operation        send_all  fd 4, 1 bytes
    attempt          try it now
      kernel           send(4, .., 1, NOSIGNAL) = 1           "x"
  operation        send_all  fd 4, completed: all bytes are sent
SendsAndYields#1 narration_test.cc:LINE  awaits sleep_ns(0): the others first
SendsAndYields#1 resumes at narration_test.cc:LINE: its turn has come
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

}  // namespace
}  // namespace pollard::trace_test
