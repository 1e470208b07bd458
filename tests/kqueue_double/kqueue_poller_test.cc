// The kqueue backend alone, on the double: how many calls it makes and which, and what its two knotes mean together.
#include <fcntl.h>
#include <poll.h>
#include <sys/event.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "platform/backend.h"
#include "platform/kqueue/kqueue_calls.h"
#include "platform/kqueue/kqueue_poller.h"
#include "platform/observer.h"
#include "tests/conformance/completion_port_conformance.h"
#include "tests/kqueue_double/kqueue_double.h"

namespace pollard::conformance {

namespace {

using enum EventBits;

class KqueueTest : public testing::Test {
protected:
    void SetUp() override { kqueue_double::reset(); }
    void TearDown() override { world.expect_nothing_left(); }

    World world{{}};
    CountingKernel counting{world.failing};
};

class KqueuePollerTest : public KqueueTest {
protected:
    void SetUp() override {
        KqueueTest::SetUp();
        const Result<Poller*> opened = open_kqueue_poller(counting);
        ASSERT_TRUE(opened) << describe(opened.error()).c_str();
        poller = *opened;
        counting.reset();
    }
    void TearDown() override {
        poller->close();
        KqueueTest::TearDown();
    }

    /// All that one look tells of this handle.
    EventBits look(Handle handle) {
        PollerEvent events[16];
        const Result<std::size_t> count = poller->wait(events, 0);
        EXPECT_TRUE(count);
        EventBits all{};
        for (std::size_t index = 0; index < count.value_or(0); ++index)
            if (events[index].token.handle == handle) all = all | events[index].what;
        return all;
    }
    Token add(Handle handle) {
        EXPECT_TRUE(poller->add({handle, 1}));
        return {handle, 1};
    }

    Poller* poller = nullptr;
};

// --- calls ---

TEST_F(KqueuePollerTest, AddingAndRemovingAreOneCallEachAndArmingIsNone) {
    const Ends ends = world.pair();
    const Token token = add(ends.ours);
    EXPECT_EQ(counting.of(Call::kevent), 1u);
    EXPECT_EQ(poller->type->arm, nullptr);
    EXPECT_TRUE(poller->remove(token));
    EXPECT_EQ(counting.of(Call::kevent), 2u);
    EXPECT_EQ(counting.total(), 2u);
}

TEST_F(KqueuePollerTest, ManyWakesAreOneCall) {
    for (int count = 0; count < 100; ++count) poller->wake();
    EXPECT_EQ(counting.total(), 1u);
    EXPECT_EQ(look(no_handle), EventBits{});
    counting.reset();
    poller->wake();
    EXPECT_EQ(counting.total(), 1u);
}

TEST_F(KqueuePollerTest, AnObserverIsToldOfWaitsAndNotOfWakes) {
    static int told;
    told = 0;
    Observer observer;
    observer.kernel_called = [](Observer&, const KernelCall&) { ++told; };
    current_observer = &observer;
    ObservedKernel observed(system_kernel());
    const Result<Poller*> opened = open_kqueue_poller(observed);
    ASSERT_TRUE(opened);
    told = 0;
    (*opened)->wake();
    EXPECT_EQ(told, 0);
    PollerEvent event;
    EXPECT_TRUE((*opened)->wait({&event, 1}, 0));
    EXPECT_GE(told, 1);
    current_observer = nullptr;
    (*opened)->close();
}

TEST_F(KqueuePollerTest, NoTimeoutIsLongerThanADay) {
    static std::int64_t asked_ns;
    InterposedKernel asked(system_kernel());
    asked.before = [](InterposedKernel&, const KernelCall& call) -> std::optional<std::intptr_t> {
        if (call.call != Call::kevent || call.argument[1] <= 2) return std::nullopt;
        asked_ns = call.argument[2];
        return 0;
    };
    const Result<Poller*> opened = open_kqueue_poller(asked);
    ASSERT_TRUE(opened);
    PollerEvent events[16];
    constexpr std::int64_t day_ns = 24 * 3600 * second_ns;
    for (const auto& [given_ns, expected_ns] : {std::pair<std::int64_t, std::int64_t>{0, 0},
                                                {1, 1},
                                                {second_ns + 1, second_ns + 1},
                                                {day_ns, day_ns},
                                                {day_ns + 1, day_ns},
                                                {never_ns, day_ns},
                                                {-1, -1},
                                                {INT64_MIN, -1}}) {
        EXPECT_TRUE((*opened)->wait(events, given_ns));
        EXPECT_EQ(asked_ns, expected_ns) << given_ns;
    }
    (*opened)->close();
}

TEST_F(KqueuePollerTest, AQueueIsNotInheritedByAnotherProgram) {
    Kernel& kernel = system_kernel();
    const auto queue = static_cast<Handle>(kernel.kqueue(kernel));
    EXPECT_NE(::fcntl(queue, F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_EQ(kernel.close(kernel, queue), 0);
}

// --- what two knotes mean ---

TEST_F(KqueuePollerTest, OnesOwnHalfCloseIsNoHangUp) {
    const Ends ends = world.pair();
    add(ends.ours);
    EXPECT_EQ(look(ends.ours), writable);
    world.half_close(ends.ours);
    EXPECT_EQ(look(ends.ours), writable);
}

TEST_F(KqueuePollerTest, ThePeersHalfCloseIsOne) {
    const Ends ends = world.pair();
    add(ends.ours);
    look(ends.ours);
    world.half_close(ends.peer);
    ASSERT_TRUE(world.await(ends.ours, POLLIN));
    EXPECT_TRUE(any(look(ends.ours), hang_up));
}

TEST_F(KqueuePollerTest, ARefusalIsAnErrorOfBothAndSoErrorStillHasIt) {
    const Handle listening = world.listener();
    const Address nobody = world.address_of(listening);
    world.close(listening);
    const Handle handle = world.socket();
    world.connect(handle, nobody);
    ASSERT_TRUE(world.await(handle, POLLOUT));
    add(handle);
    EXPECT_EQ(look(handle), readable | writable | hang_up | error);
    EXPECT_EQ(world.pending_error(handle), ECONNREFUSED);
}

TEST_F(KqueuePollerTest, AFileIsReadableUntilItsEnd) {
    char path[] = "/tmp/kqueue_poller_XXXXXX";
    const Handle file = world.keep(::mkstemp(path));
    ::unlink(path);
    ASSERT_EQ(::pwrite(file, "12345", 5, 0), 5);
    const Token token = add(file);
    EXPECT_TRUE(any(look(file), readable));
    EXPECT_TRUE(poller->remove(token));
    ::lseek(file, 0, SEEK_END);
    add(file);
    EXPECT_FALSE(any(look(file), readable));
}

// --- what fails ---

TEST_F(KqueuePollerTest, WhatHasNoSuchFilterIsNotSupported) {
    const Handle null = world.keep(::open("/dev/null", O_RDWR | O_CLOEXEC));
    EXPECT_EQ(kind_of(poller->add({null, 1})), ErrorKind::not_supported);
}

TEST_F(KqueuePollerTest, IfOneKnoteCannotBeMadeNeitherStays) {
    const Ends ends = world.pair();
    for (const unsigned passes : {0u, 1u}) {
        kqueue_double::misfortune.passing_creations = passes;
        kqueue_double::misfortune.failing_creations = 1;
        EXPECT_EQ(kind_of(poller->add({ends.ours, 1})), ErrorKind::out_of_memory);
        EXPECT_EQ(kqueue_double::misfortune.failing_creations, 0u);
        EXPECT_EQ(look(ends.ours), EventBits{});
        EXPECT_EQ(kind_of(poller->remove({ends.ours, 1})), ErrorKind::not_found);
    }
    add(ends.ours);
    EXPECT_EQ(look(ends.ours), writable);
}

// --- idle connections ---

class KqueuePortTest : public KqueueTest {
protected:
    void SetUp() override {
        KqueueTest::SetUp();
        const Result<CompletionPort*> opened = find_backend("kqueue")->open({.in_front = &counting});
        ASSERT_TRUE(opened) << describe(opened.error()).c_str();
        driver.port = *opened;
    }
    void TearDown() override {
        driver.port->destroy();
        KqueueTest::TearDown();
    }

    /// The calls of so many requests and answers on one connection.
    std::vector<std::uint64_t> calls_of_round_trips(Ends busy, int count) {
        counting.reset();
        for (int round = 0; round < count; ++round) {
            Receiving receiving(driver, busy.ours);
            receiving.start();
            world.send(busy.peer, "ping");
            EXPECT_TRUE(receiving.finish());
            const std::string answer = receiving.text();
            Sending sending(driver, busy.ours, readable_bytes(answer));
            EXPECT_TRUE(sending.finish());
            EXPECT_EQ(world.recv(busy.peer, 4), "ping");
        }
        return {counting.of(Call::kevent), counting.of(Call::recv), counting.of(Call::send),
                counting.total()};
    }

    Driver driver;
};

TEST_F(KqueuePortTest, AnIdleConnectionCostsNoCall) {
    constexpr int round_trips = 50;
    constexpr int idle_connections = 200;
    const Ends busy = world.pair();
    ASSERT_TRUE(driver.port->open(busy.ours, HandleKind::stream));
    calls_of_round_trips(busy, 1);
    const std::vector<std::uint64_t> alone = calls_of_round_trips(busy, round_trips);
    EXPECT_EQ(alone[0], round_trips) << "one wait a round trip";
    std::vector<std::unique_ptr<Receiving>> idle;
    for (int count = 0; count < idle_connections; ++count) {
        const Ends ends = world.pair();
        ASSERT_TRUE(driver.port->open(ends.ours, HandleKind::stream));
        idle.push_back(std::make_unique<Receiving>(driver, ends.ours));
        counting.reset();
        idle.back()->start();
        EXPECT_EQ(counting.of(Call::kevent), 1u) << "registered once";
    }
    // Each of them is writable, and that is told once.
    for (int looks = 0; looks < idle_connections; ++looks) driver.turn(0);
    const std::vector<std::uint64_t> among_idle = calls_of_round_trips(busy, round_trips);
    EXPECT_EQ(among_idle, alone);
}

// --- words ---

TEST(KqueueWords, ACallIsToldWithItsChangesOrWithItsRoom) {
    struct kevent changes[2] = {};
    changes[0].ident = changes[1].ident = 7;
    changes[0].filter = EVFILT_READ;
    changes[1].filter = EVFILT_WRITE;
    changes[0].flags = EV_ADD | EV_CLEAR | EV_RECEIPT;
    changes[1].flags = EV_DELETE | EV_RECEIPT;
    KernelCall call = {};
    call.call = Call::kevent;
    call.bytes = changes;
    call.argument[0] = 2;
    call.argument[1] = 2;
    Text text;
    add_kevent_arguments(text, call);
    EXPECT_STREQ(text.c_str(), ", {7: READ ADD|CLEAR, 7: WRITE DELETE}, 2, .., 2, 0 ns");
    EXPECT_STREQ(describe_kevents(call).c_str(), "");

    call.argument[0] = 0;
    call.argument[1] = 64;
    call.argument[2] = -1;
    Text waiting;
    add_kevent_arguments(waiting, call);
    EXPECT_STREQ(waiting.c_str(), ", null, 0, .., 64, null");
}

TEST(KqueueWords, EventsAreToldWithTheirAmountAndTheirEnd) {
    struct kevent events[6] = {};
    for (struct kevent& event : events) event.ident = 9;
    events[0].filter = EVFILT_READ;
    events[0].data = 14;
    events[1].filter = EVFILT_WRITE;
    events[1].flags = EV_EOF;
    events[1].fflags = ECONNRESET;
    KernelCall call = {};
    call.call = Call::kevent;
    call.bytes = events;
    call.result = 2;
    EXPECT_STREQ(describe_kevents(call).c_str(), "fd 9: READ 14, fd 9: WRITE EOF ECONNRESET");
    call.result = 6;
    EXPECT_TRUE(describe_kevents(call).view().ends_with(", ..."));
}

}  // namespace

}  // namespace pollard::conformance
