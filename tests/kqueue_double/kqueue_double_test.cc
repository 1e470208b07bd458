// The double behaves as kqueue(2) was measured to behave on FreeBSD 13 and NetBSD 7.99.
//
// What is told is written as there: r5 is a READ with 5 bytes, w a WRITE, e the end (with its error), nothing is "".
//
// Each test runs for every profile. Where the two systems differ, `as` picks what is right for the profile.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/event.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tests/conformance/harness.h"
#include "tests/kqueue_double/kqueue_double.h"

namespace pollard::conformance {

namespace {

using RawEvent = struct kevent;
using Filter = decltype(RawEvent::filter);
using Flags = decltype(RawEvent::flags);

constexpr timespec at_once = {};
constexpr timespec patience = {.tv_sec = patience_ns / second_ns, .tv_nsec = 0};

struct Subject {
    const char* name;
    kqueue_double::Profile profile;
    bool is_freebsd;
};
constexpr Subject subjects[] = {
#ifdef EVFILT_USER
    {"freebsd", kqueue_double::freebsd, true},
#endif
    {"netbsd", kqueue_double::netbsd, false},
};

RawEvent entry(std::intptr_t ident, Filter filter, unsigned flags, unsigned notes = 0, std::int64_t data = 0,
               std::uintptr_t user = 0) {
    RawEvent made = {};
    made.ident = static_cast<std::uintptr_t>(ident);
    made.filter = filter;
    made.flags = static_cast<Flags>(flags);
    made.fflags = notes;
    made.data = data;
    made.udata = (decltype(made.udata))user;
    return made;
}

std::string words(const RawEvent& event) {
    const bool writes = event.filter == EVFILT_WRITE;
    std::string said = event.filter == EVFILT_READ ? "r" : writes ? "w" : "?";
    if (!writes) said += std::to_string(event.data);
    if ((event.flags & EV_EOF) != 0) said += "e";
    if (event.fflags != 0) said += "(" + std::string(name_of_code(static_cast<int>(event.fflags))) + ")";
    return said;
}

class KqueueDouble : public testing::TestWithParam<Subject> {
protected:
    void SetUp() override {
        kqueue_double::reset();
        kqueue_double::profile = GetParam().profile;
        queue = world.keep(kqueue());
        ASSERT_GE(queue, 0);
    }
    void TearDown() override { world.expect_nothing_left(); }

    /// What is right for this profile.
    std::string as(const char* on_freebsd, const char* on_netbsd) {
        return GetParam().is_freebsd ? on_freebsd : on_netbsd;
    }
    /// One change, without room for an answer; gives the errno, or 0.
    int change(std::intptr_t ident, Filter filter, unsigned flags, unsigned notes = 0, std::int64_t data = 0,
               std::uintptr_t user = 0) {
        const RawEvent one = entry(ident, filter, flags, notes, data, user);
        return kevent(queue, &one, 1, nullptr, 0, nullptr) == 0 ? 0 : errno;
    }
    std::vector<RawEvent> events(const timespec& timeout = at_once, unsigned room = 16) {
        std::vector<RawEvent> taken(room);
        const int count = kevent(queue, nullptr, 0, taken.data(), static_cast<int>(room), &timeout);
        EXPECT_GE(count, 0) << errno;
        taken.resize(count > 0 ? static_cast<unsigned>(count) : 0);
        return taken;
    }
    std::string look(unsigned room = 16) { return words_of(events(at_once, room)); }
    std::string await_event() { return words_of(events(patience)); }
    static std::string words_of(const std::vector<RawEvent>& taken) {
        std::string all;
        for (const RawEvent& event : taken) all += (all.empty() ? "" : " ") + words(event);
        return all;
    }
    /// Sends to `ours`, and waits until so many bytes stand there.
    void arrive(Ends ends, std::string_view bytes, int unread) {
        world.send(ends.peer, bytes);
        int there = 0;
        for (int looks = 0; there < unread && looks < 10'000; ++looks) {
            ASSERT_TRUE(world.await(ends.ours, POLLIN));
            ASSERT_EQ(::ioctl(ends.ours, FIONREAD, &there), 0);
        }
        ASSERT_EQ(there, unread);
    }
    void await_end(Handle handle) { ASSERT_TRUE(world.await(handle, POLLRDHUP)); }
    Ends watched_pair(unsigned mode) {
        const Ends ends = world.pair();
        EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_ADD | mode), 0);
        return ends;
    }

    World world{{}};
    int queue = -1;
};

// --- modes ---

TEST_P(KqueueDouble, LevelTellsTheSameBytesUntilTheyAreRead) {
    const Ends ends = watched_pair(0);
    arrive(ends, "12345", 5);
    EXPECT_EQ(look(), "r5");
    EXPECT_EQ(look(), "r5");
    world.recv(ends.ours, 3);
    EXPECT_EQ(look(), "r2");
    world.recv(ends.ours, 2);
    EXPECT_EQ(look(), "");
}

TEST_P(KqueueDouble, ClearTellsOfAnArrivalOnceAndThenOfAllThatIsThere) {
    const Ends ends = watched_pair(EV_CLEAR);
    arrive(ends, "12345", 5);
    EXPECT_EQ(look(), "r5");
    EXPECT_EQ(look(), "");
    arrive(ends, "678", 8);
    EXPECT_EQ(look(), "r8");
    EXPECT_EQ(look(), "");
}

TEST_P(KqueueDouble, ClearTellsNothingAfterAPartialRead) {
    const Ends ends = watched_pair(EV_CLEAR);
    arrive(ends, "12345", 5);
    EXPECT_EQ(look(), "r5");
    world.recv(ends.ours, 2);
    EXPECT_EQ(look(), "");
}

TEST_P(KqueueDouble, WhatWasReadBeforeTheRetrievalIsNotTold) {
    for (const unsigned mode : {0u, EV_CLEAR}) {
        const Ends ends = watched_pair(mode);
        arrive(ends, "12345", 5);
        world.recv(ends.ours, 5);
        EXPECT_EQ(look(), "");
    }
}

TEST_P(KqueueDouble, AddingAgainTellsAgainOfUnreadBytes) {
    const Ends ends = watched_pair(EV_CLEAR);
    arrive(ends, "12345", 5);
    EXPECT_EQ(look(), "r5");
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    EXPECT_EQ(look(), "r5");
}

TEST_P(KqueueDouble, WhatWasThereBeforeTheAddIsTold) {
    const Ends ends = world.pair();
    arrive(ends, "12345", 5);
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_ADD | EV_CLEAR), 0);
    EXPECT_EQ(look(), "r5");
}

TEST_P(KqueueDouble, OneshotIsGoneAfterItsEvent) {
    const Ends ends = watched_pair(EV_ONESHOT);
    arrive(ends, "12345", 5);
    EXPECT_EQ(look(), "r5");
    EXPECT_EQ(look(), "");
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_DELETE), ENOENT);
}

TEST_P(KqueueDouble, DispatchDisablesAndEnablingTellsAgainOrDoesNot) {
    const Ends ends = watched_pair(EV_DISPATCH);
    arrive(ends, "12345", 5);
    EXPECT_EQ(look(), "r5");
    EXPECT_EQ(look(), "");
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_ENABLE), 0);
    EXPECT_EQ(look(), as("r5", ""));
}

TEST_P(KqueueDouble, AddingDoesNotEnable) {
    const Ends ends = watched_pair(EV_DISPATCH);
    arrive(ends, "12345", 5);
    EXPECT_EQ(look(), "r5");
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_ADD | EV_DISPATCH), 0);
    EXPECT_EQ(look(), "");
}

TEST_P(KqueueDouble, AddingAndEnablingTellsAgain) {
    const Ends ends = watched_pair(EV_DISPATCH);
    arrive(ends, "12345", 5);
    EXPECT_EQ(look(), "r5");
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_ADD | EV_ENABLE | EV_DISPATCH), 0);
    EXPECT_EQ(look(), "r5");
}

TEST_P(KqueueDouble, WhatArrivesWhileDisabledIsToldWhenEnabled) {
    const Ends ends = watched_pair(EV_DISABLE);
    arrive(ends, "12345", 5);
    EXPECT_EQ(look(), "");
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_ENABLE), 0);
    EXPECT_EQ(look(), "r5");
}

TEST_P(KqueueDouble, ClearWithDispatchDisablesOrDoesNot) {
    const Ends ends = watched_pair(EV_CLEAR | EV_DISPATCH);
    arrive(ends, "12345", 5);
    EXPECT_EQ(look(), "r5");
    arrive(ends, "678", 8);
    EXPECT_EQ(look(), as("", "r8"));
}

TEST_P(KqueueDouble, TheFirstAddFixesTheMode) {
    for (const unsigned second : {EV_CLEAR, EV_ONESHOT}) {
        const Ends ends = watched_pair(0);
        EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_ADD | second), 0);
        arrive(ends, "12345", 5);
        EXPECT_EQ(look(), "r5");
        EXPECT_EQ(look(), "r5");
        EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_DELETE), 0);
    }
}

TEST_P(KqueueDouble, AddingAgainReplacesTheUserData) {
    const Ends ends = watched_pair(0);
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_ADD, 0, 0, 2), 0);
    arrive(ends, "12345", 5);
    EXPECT_EQ((std::uintptr_t)events().at(0).udata, 2u);
}

TEST_P(KqueueDouble, EnablingReplacesTheUserDataOrKeepsIt) {
    const Ends ends = world.pair();
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_ADD, 0, 0, 1), 0);
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_ENABLE, 0, 0, 2), 0);
    arrive(ends, "12345", 5);
    EXPECT_EQ((std::uintptr_t)events().at(0).udata, GetParam().is_freebsd ? 2u : 1u);
}

TEST_P(KqueueDouble, TheFlagsOfAnEventMayHoldTheAdd) {
    const Ends ends = watched_pair(EV_CLEAR);
    arrive(ends, "12345", 5);
    EXPECT_EQ(events().at(0).flags, GetParam().is_freebsd ? 0x20u : 0x21u);
}

TEST_P(KqueueDouble, ALowWatermarkDelaysUntilSoManyBytes) {
    const Ends ends = world.pair();
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_ADD, NOTE_LOWAT, 5), 0);
    arrive(ends, "123", 3);
    EXPECT_EQ(look(), "");
    arrive(ends, "45", 5);
    EXPECT_EQ(look(), "r5");
}

TEST_P(KqueueDouble, ReadAndWriteAreTwoKnotesWithUserDataOfTheirOwn) {
    const Ends ends = world.pair();
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_ADD, 0, 0, 1), 0);
    EXPECT_EQ(change(ends.ours, EVFILT_WRITE, EV_ADD, 0, 0, 2), 0);
    arrive(ends, "12345", 5);
    const std::vector<RawEvent> taken = events();
    ASSERT_EQ(taken.size(), 2u);
    for (const RawEvent& event : taken)
        EXPECT_EQ((std::uintptr_t)event.udata, event.filter == EVFILT_READ ? 1u : 2u);
    EXPECT_EQ(change(ends.ours, EVFILT_WRITE, EV_DELETE), 0);
    EXPECT_EQ(look(), "r5");
}

TEST_P(KqueueDouble, ArrivingBytesAreNoNewsOfRoom) {
    const Ends ends = world.pair();
    EXPECT_EQ(change(ends.ours, EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
    EXPECT_EQ(look(), "w");
    arrive(ends, "12345", 5);
    EXPECT_EQ(look(), "");
}

// --- the two lists of a call ---

TEST_P(KqueueDouble, LevelKnotesTakeTurns) {
    const Ends first = watched_pair(0);
    const Ends second = watched_pair(0);
    arrive(first, "1", 1);
    arrive(second, "22", 2);
    EXPECT_EQ(look(1), "r1");
    EXPECT_EQ(look(1), "r2");
    EXPECT_EQ(look(1), "r1");
    EXPECT_EQ(look(2), "r2 r1");
}

TEST_P(KqueueDouble, WithoutRoomForEventsItDoesNotWait) {
    EXPECT_EQ(kevent(queue, nullptr, 0, nullptr, 0, nullptr), 0);
    EXPECT_EQ(kevent(queue, nullptr, 0, nullptr, 0, &patience), 0);
}

TEST_P(KqueueDouble, ReceiptsComeAloneAndAtOnce) {
    const Ends ends = watched_pair(0);
    arrive(ends, "12345", 5);
    const RawEvent asked = entry(ends.ours, EVFILT_READ, EV_ADD | EV_RECEIPT);
    RawEvent answers[4];
    ASSERT_EQ(kevent(queue, &asked, 1, answers, 4, nullptr), 1);
    EXPECT_NE(answers[0].flags & EV_ERROR, 0u);
    EXPECT_EQ(answers[0].data, 0);
    EXPECT_EQ(look(), "r5");
}

TEST_P(KqueueDouble, OneArrayMayHoldChangesAndReceipts) {
    const Ends ends = world.pair();
    RawEvent both[] = {entry(ends.ours, EVFILT_READ, EV_DELETE | EV_RECEIPT),
                       entry(ends.ours, EVFILT_READ, EV_ADD | EV_RECEIPT),
                       entry(ends.ours, EVFILT_WRITE, EV_DELETE | EV_RECEIPT)};
    ASSERT_EQ(kevent(queue, both, 3, both, 3, nullptr), 3);
    EXPECT_EQ(both[0].data, ENOENT);
    EXPECT_EQ(both[1].data, 0);
    EXPECT_EQ(both[2].data, ENOENT);
    arrive(ends, "12345", 5);
    EXPECT_EQ(look(), "r5");
}

TEST_P(KqueueDouble, ReceiptsWithoutRoomDropTheRestAndSaySuccess) {
    const Ends ends = world.pair();
    const RawEvent asked[] = {entry(ends.ours, EVFILT_READ, EV_ADD | EV_RECEIPT),
                              entry(ends.ours, EVFILT_WRITE, EV_ADD | EV_RECEIPT),
                              entry(ends.peer, EVFILT_WRITE, EV_ADD | EV_RECEIPT)};
    RawEvent answer;
    EXPECT_GE(kevent(queue, asked, 3, &answer, 1, nullptr), 0);
    EXPECT_EQ(change(ends.peer, EVFILT_WRITE, EV_DELETE), ENOENT);
}

TEST_P(KqueueDouble, AnErrorWithRoomIsAnEntryAndEndsTheWait) {
    const Ends ends = world.pair();
    const RawEvent asked[] = {entry(ends.ours, EVFILT_WRITE, EV_DELETE),
                              entry(ends.ours, EVFILT_READ, EV_ADD)};
    RawEvent answers[4];
    ASSERT_EQ(kevent(queue, asked, 2, answers, 4, &patience), 1);
    EXPECT_NE(answers[0].flags & EV_ERROR, 0u);
    EXPECT_EQ(answers[0].data, ENOENT);
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_DELETE), 0) << "what stands behind the error was applied";
}

TEST_P(KqueueDouble, AnErrorWithoutRoomFailsTheCallAndDropsTheRest) {
    const Ends ends = world.pair();
    const RawEvent asked[] = {entry(ends.ours, EVFILT_READ, EV_ADD),
                              entry(ends.ours, EVFILT_WRITE, EV_DELETE),
                              entry(ends.peer, EVFILT_READ, EV_ADD)};
    EXPECT_EQ(kevent(queue, asked, 3, nullptr, 0, nullptr), -1);
    EXPECT_EQ(errno, ENOENT);
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_DELETE), 0);
    EXPECT_EQ(change(ends.peer, EVFILT_READ, EV_DELETE), ENOENT);
}

TEST_P(KqueueDouble, WhatCannotBeIsAnError) {
    EXPECT_EQ(change(-1, EVFILT_READ, EV_ADD), EBADF);
    EXPECT_EQ(change(1 << 20, EVFILT_READ, EV_ADD), EBADF);
    EXPECT_EQ(change(world.pair().ours, EVFILT_READ, EV_ENABLE), ENOENT);
    EXPECT_EQ(change(SIGUSR1, EVFILT_SIGNAL, EV_ADD), EINVAL) << "not modelled";
    RawEvent event;
    const timespec overfull = {.tv_sec = 0, .tv_nsec = 2'000'000'000};
    EXPECT_EQ(kevent(queue, nullptr, 0, &event, 1, &overfull), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(kevent(world.pair().ours, nullptr, 0, &event, 1, &at_once), -1);
    EXPECT_EQ(errno, EBADF);
}

TEST_P(KqueueDouble, MemoryMayRunOut) {
    const Ends ends = world.pair();
    kqueue_double::misfortune.failing_creations = 1;
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_ADD), ENOMEM);
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_DELETE), ENOENT);
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_ADD), 0);
}

TEST_P(KqueueDouble, AChangeOfAnotherThreadEndsTheWait) {
    const Ends ends = world.pair();
    arrive(ends, "12345", 5);
    std::thread other([&] { EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_ADD), 0); });
    EXPECT_EQ(await_event(), "r5");
    other.join();
}

// --- what sockets tell ---

TEST_P(KqueueDouble, AListenerTellsHowManyConnectionsWait) {
    const Handle listening = world.listener();
    EXPECT_EQ(change(listening, EVFILT_READ, EV_ADD), 0);
    for (int count = 0; count < 3; ++count)
        ASSERT_TRUE(world.await(world.connecting_to(world.address_of(listening)), POLLOUT));
    EXPECT_EQ(look(), "r3");
    world.accepted_from(listening);
    EXPECT_EQ(look(), "r2");
}

TEST_P(KqueueDouble, AnIdleSocketTellsItsRoom) {
    const Ends ends = world.pair();
    EXPECT_EQ(change(ends.ours, EVFILT_WRITE, EV_ADD), 0);
    const std::vector<RawEvent> taken = events();
    ASSERT_EQ(words_of(taken), "w");
    EXPECT_GT(taken[0].data, 0);
}

TEST_P(KqueueDouble, RoomThatIsMadeIsAnEdge) {
    const Ends ends = world.narrow_pair();
    EXPECT_EQ(change(ends.ours, EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
    EXPECT_EQ(look(), "w");
    const std::size_t filled = world.fill(ends.ours);
    EXPECT_EQ(look(), "");
    EXPECT_EQ(world.recv(ends.peer, filled).size(), filled);
    EXPECT_EQ(await_event(), "w");
}

TEST_P(KqueueDouble, ASocketThatWasNeverConnectedTellsNothing) {
    const Handle handle = world.socket();
    EXPECT_EQ(change(handle, EVFILT_READ, EV_ADD), 0);
    EXPECT_EQ(change(handle, EVFILT_WRITE, EV_ADD), 0);
    EXPECT_EQ(look(), "");
}

TEST_P(KqueueDouble, ARefusedConnectIsTheEndOfBothAndLeavesItsError) {
    const Handle listening = world.listener();
    const Address nobody = world.address_of(listening);
    world.close(listening);
    const Handle handle = world.socket();
    world.connect(handle, nobody);
    ASSERT_TRUE(world.await(handle, POLLOUT));
    EXPECT_EQ(change(handle, EVFILT_READ, EV_ADD), 0);
    EXPECT_EQ(change(handle, EVFILT_WRITE, EV_ADD), 0);
    EXPECT_EQ(look(), "r0e(ECONNREFUSED) we(ECONNREFUSED)");
    EXPECT_EQ(world.pending_error(handle), ECONNREFUSED);
    EXPECT_EQ(world.pending_error(handle), 0);
}

TEST_P(KqueueDouble, AResetIsTheEndOfBothAndTheNextCallFindsIt) {
    const Ends ends = watched_pair(EV_CLEAR);
    EXPECT_EQ(change(ends.ours, EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
    EXPECT_EQ(look(), "w");
    world.reset(ends.peer);
    ASSERT_TRUE(world.await(ends.ours, POLLRDHUP));
    const std::string told = look();
    EXPECT_TRUE(told == "r0e(ECONNRESET) we(ECONNRESET)" || told == "we(ECONNRESET) r0e(ECONNRESET)") << told;
    char byte;
    EXPECT_EQ(::recv(ends.ours, &byte, 1, 0), -1);
    EXPECT_EQ(errno, ECONNRESET);
    EXPECT_EQ(::recv(ends.ours, &byte, 1, 0), 0);
}

TEST_P(KqueueDouble, ASendFindsTheResetToo) {
    const Ends ends = watched_pair(0);
    world.reset(ends.peer);
    await_end(ends.ours);
    EXPECT_EQ(look(), "r0e(ECONNRESET)");
    EXPECT_EQ(::send(ends.ours, "x", 1, MSG_NOSIGNAL), -1);
    EXPECT_EQ(errno, ECONNRESET);
    EXPECT_EQ(::send(ends.ours, "x", 1, MSG_NOSIGNAL), -1);
    EXPECT_EQ(errno, EPIPE);
}

TEST_P(KqueueDouble, OnesOwnHalfCloseIsTheEndOfWriting) {
    const Ends ends = world.pair();
    EXPECT_EQ(change(ends.ours, EVFILT_WRITE, EV_ADD | EV_CLEAR), 0);
    EXPECT_EQ(look(), "w");
    world.half_close(ends.ours);
    EXPECT_EQ(await_event(), "we");
}

TEST_P(KqueueDouble, OnesOwnEndOfReadingIsTheEndOfReading) {
    const Ends ends = watched_pair(0);
    ASSERT_EQ(::shutdown(ends.ours, SHUT_RD), 0);
    EXPECT_EQ(look(), "r0e");
}

TEST_P(KqueueDouble, ThePeersHalfCloseIsTheEndOfReadingAndNotOfWriting) {
    const Ends ends = watched_pair(0);
    EXPECT_EQ(change(ends.ours, EVFILT_WRITE, EV_ADD), 0);
    world.half_close(ends.peer);
    await_end(ends.ours);
    const std::string told = look();
    EXPECT_TRUE(told == "r0e w" || told == "w r0e") << told;
}

TEST_P(KqueueDouble, TheEndComesWithTheBytesBeforeItAndStays) {
    const Ends ends = watched_pair(0);
    arrive(ends, "12345", 5);
    world.close(ends.peer);
    await_end(ends.ours);
    EXPECT_EQ(look(), "r5e");
    world.recv(ends.ours, 5);
    EXPECT_EQ(look(), "r0e");
    EXPECT_EQ(look(), "r0e");
}

TEST_P(KqueueDouble, TheEndComesOnceWithClear) {
    const Ends ends = watched_pair(EV_CLEAR);
    arrive(ends, "12345", 5);
    world.close(ends.peer);
    await_end(ends.ours);
    EXPECT_EQ(look(), "r5e");
    world.recv(ends.ours, 5);
    EXPECT_EQ(look(), "");
}

TEST_P(KqueueDouble, APipeTellsTheEndOfTheOther) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    EXPECT_EQ(change(ends[0], EVFILT_READ, EV_ADD), 0);
    ASSERT_EQ(::write(ends[1], "12345", 5), 5);
    EXPECT_EQ(look(), "r5");
    world.keep(ends[1]);
    world.close(ends[1]);
    EXPECT_EQ(look(), "r5e");
    char bytes[8];
    EXPECT_EQ(::read(ends[0], bytes, sizeof bytes), 5);
    EXPECT_EQ(look(), "r0e");
    ::close(ends[0]);

    ASSERT_EQ(::pipe(ends), 0);
    EXPECT_EQ(change(ends[1], EVFILT_WRITE, EV_ADD), 0);
    EXPECT_EQ(look(), "w");
    ::close(ends[0]);
    EXPECT_EQ(look(), "we");
    ::close(ends[1]);
}

TEST_P(KqueueDouble, AUnixSocketTellsEndsByDirection) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    EXPECT_EQ(change(ends[0], EVFILT_READ, EV_ADD), 0);
    EXPECT_EQ(change(ends[0], EVFILT_WRITE, EV_ADD), 0);
    EXPECT_EQ(look(), "w");
    ::shutdown(ends[0], SHUT_WR);
    EXPECT_EQ(look(), "we");
    ASSERT_EQ(::send(ends[1], "12345", 5, 0), 5);
    ::shutdown(ends[1], SHUT_WR);
    const std::string told = look();
    EXPECT_TRUE(told == "we r5e" || told == "r5e we") << told;
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_P(KqueueDouble, AFileIsReadableUntilItsEnd) {
    char path[] = "/tmp/kqueue_double_XXXXXX";
    const int file = ::mkstemp(path);
    ::unlink(path);
    EXPECT_EQ(change(file, EVFILT_READ, EV_ADD), 0);
    EXPECT_EQ(look(), "");
    ASSERT_EQ(::pwrite(file, "12345", 5, 0), 5);
    EXPECT_EQ(look(), "r5");
    ::lseek(file, 3, SEEK_SET);
    EXPECT_EQ(look(), "r2");
    ::close(file);
}

// --- closing, duplicating, forking ---

TEST_P(KqueueDouble, ClosingTakesTheKnoteAndTheNextOwnerOfTheNumberHasNone) {
    const Ends ends = watched_pair(0);
    arrive(ends, "12345", 5);
    world.close(ends.ours);
    EXPECT_EQ(look(), "");
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_DELETE), EBADF);
    const Ends next = world.pair();
    const Ends reused = next.ours == ends.ours ? next : Ends{next.peer, next.ours};
    ASSERT_EQ(reused.ours, ends.ours);
    arrive(reused, "123", 3);
    EXPECT_EQ(look(), "");
    EXPECT_EQ(change(reused.ours, EVFILT_READ, EV_DELETE), ENOENT);
    EXPECT_EQ(change(reused.ours, EVFILT_READ, EV_ADD), 0);
    EXPECT_EQ(look(), "r3");
}

TEST_P(KqueueDouble, ADuplicateKeepsNoKnoteAlive) {
    const Ends ends = watched_pair(0);
    const Handle twin = world.keep(::dup(ends.ours));
    world.close(ends.ours);
    world.send(ends.peer, "12345");
    ASSERT_TRUE(world.await(twin, POLLIN));
    EXPECT_EQ(look(), "");
}

TEST_P(KqueueDouble, ANumberThatIsDuplicatedOntoLosesItsKnotes) {
    const Ends ends = watched_pair(0);
    const Ends other = world.pair();
    arrive(other, "12345", 5);
    ASSERT_EQ(::dup2(other.ours, ends.ours), ends.ours);
    EXPECT_EQ(look(), "");
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_DELETE), ENOENT);
}

TEST_P(KqueueDouble, BothNumbersOfOneFileCanBeWatched) {
    const Ends ends = watched_pair(0);
    const Handle twin = world.keep(::dup(ends.ours));
    EXPECT_EQ(change(twin, EVFILT_READ, EV_ADD), 0);
    arrive(ends, "12345", 5);
    EXPECT_EQ(look(), "r5 r5");
}

TEST_P(KqueueDouble, AQueueCanBePolledAndWatchedByAnother) {
    const Ends ends = watched_pair(0);
    const int outer = world.keep(kqueue());
    const RawEvent asked = entry(queue, EVFILT_READ, EV_ADD);
    EXPECT_EQ(kevent(outer, &asked, 1, nullptr, 0, nullptr), 0);
    EXPECT_FALSE(world.await(queue, POLLIN, 0));
    arrive(ends, "12345", 5);
    EXPECT_TRUE(world.await(queue, POLLIN, 0));
    RawEvent event;
    ASSERT_EQ(kevent(outer, nullptr, 0, &event, 1, &patience), 1);
    EXPECT_EQ(words(event), "r1");
    EXPECT_TRUE(world.await(queue, POLLIN, 0)) << "it is there until it is taken";
    EXPECT_EQ(look(), "r5");
    world.recv(ends.ours, 5);
    EXPECT_EQ(look(), "");
    EXPECT_FALSE(world.await(queue, POLLIN, 0));
}

TEST_P(KqueueDouble, AQueueIsInheritedByAnotherProgramUnlessToldOtherwise) {
    EXPECT_EQ(::fcntl(queue, F_GETFD) & FD_CLOEXEC, 0);
}

TEST_P(KqueueDouble, AForkedChildHasNoQueue) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(::fcntl(queue, F_GETFD) < 0 && errno == EBADF ? 0 : 1);
    int status;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    const Ends ends = watched_pair(0);
    arrive(ends, "12345", 5);
    EXPECT_EQ(look(), "r5");
}

// --- signals, processes, files, timers ---

TEST_P(KqueueDouble, ASignalEndsTheWaitAfterTheChangesWereMade) {
    const Ends ends = world.pair();
    struct sigaction action = {};
    struct sigaction before = {};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, &before);
    sigset_t only, old;
    sigemptyset(&only);
    sigaddset(&only, SIGUSR1);
    const pthread_t waiting = pthread_self();
    pthread_sigmask(SIG_UNBLOCK, &only, &old);
    std::atomic<bool> stop = false;
    std::thread other([&] {
        while (!stop) {
            pthread_kill(waiting, SIGUSR1);
            std::this_thread::yield();
        }
    });
    const RawEvent asked = entry(ends.ours, EVFILT_READ, EV_ADD);
    RawEvent event;
    EXPECT_EQ(kevent(queue, &asked, 1, &event, 1, &patience), -1);
    EXPECT_EQ(errno, EINTR);
    stop = true;
    other.join();
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
    sigaction(SIGUSR1, &before, nullptr);
    EXPECT_EQ(change(ends.ours, EVFILT_READ, EV_DELETE), 0);
}

TEST_P(KqueueDouble, AProcessThatExitsIsToldOnceAndNotReaped) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        char byte;
        ::close(ends[1]);
        static_cast<void>(!::read(ends[0], &byte, 1));  // until the parent lets go
        ::_exit(7);
    }
    EXPECT_EQ(change(child, EVFILT_PROC, EV_ADD, NOTE_EXIT), 0);
    EXPECT_TRUE(events().empty());
    ::close(ends[0]);
    ::close(ends[1]);
    const std::vector<RawEvent> taken = events(patience);
    ASSERT_EQ(taken.size(), 1u);
    EXPECT_EQ(taken[0].ident, static_cast<std::uintptr_t>(child));
    EXPECT_EQ(taken[0].fflags, NOTE_EXIT);
    EXPECT_NE(taken[0].flags & EV_EOF, 0u);
    EXPECT_TRUE(events().empty());
    int status;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 7);
    EXPECT_EQ(taken[0].data, status);
}

TEST_P(KqueueDouble, AProcessThatHasExitedBeforeIsAnEventOrNoProcess) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(0);
    siginfo_t info;
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
    EXPECT_EQ(change(child, EVFILT_PROC, EV_ADD, NOTE_EXIT), GetParam().is_freebsd ? 0 : ESRCH);
    EXPECT_EQ(events().size(), GetParam().is_freebsd ? 1u : 0u);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    EXPECT_EQ(change(child, EVFILT_PROC, EV_ADD, NOTE_EXIT), ESRCH);
}

TEST_P(KqueueDouble, AFileTellsWhatIsDoneToIt) {
    char path[] = "/tmp/kqueue_double_XXXXXX";
    const int file = ::mkstemp(path);
    constexpr unsigned all = NOTE_DELETE | NOTE_WRITE | NOTE_EXTEND | NOTE_ATTRIB | NOTE_LINK | NOTE_RENAME;
    EXPECT_EQ(change(file, EVFILT_VNODE, EV_ADD | EV_CLEAR, all), 0);
    const auto notes = [this] {
        const std::vector<RawEvent> taken = events();
        return taken.size() == 1 ? taken[0].fflags : 0;
    };
    EXPECT_EQ(notes(), 0u);
    ASSERT_EQ(::pwrite(file, "12345", 5, 0), 5);
    EXPECT_EQ(notes(), NOTE_WRITE | NOTE_EXTEND);
    ASSERT_EQ(::pwrite(file, "x", 1, 0), 1);
    EXPECT_EQ(notes(), NOTE_WRITE);
    ASSERT_EQ(::fchmod(file, 0400), 0);
    EXPECT_EQ(notes(), NOTE_ATTRIB);
    const std::string renamed = std::string(path) + "_renamed";
    ASSERT_EQ(::rename(path, renamed.c_str()), 0);
    EXPECT_EQ(notes(), NOTE_RENAME);
    ASSERT_EQ(::unlink(renamed.c_str()), 0);
    EXPECT_EQ(notes(), NOTE_DELETE);
    ::close(file);
}

TEST_P(KqueueDouble, ATimerFiresOnceOrCounts) {
    EXPECT_EQ(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 1), 0);
    std::vector<RawEvent> taken = events(patience);
    ASSERT_EQ(taken.size(), 1u);
    EXPECT_EQ(taken[0].data, 1);
    EXPECT_EQ(change(1, EVFILT_TIMER, EV_DELETE), ENOENT);
    EXPECT_EQ(change(2, EVFILT_TIMER, EV_ADD, 0, 1), 0);
    std::int64_t fired = 0;
    while (fired < 5) {
        taken = events(patience);
        ASSERT_EQ(taken.size(), 1u);
        EXPECT_GE(taken[0].data, 1);
        fired += taken[0].data;
    }
    EXPECT_EQ(change(2, EVFILT_TIMER, EV_DELETE), 0);
    EXPECT_TRUE(events().empty());
}

TEST_P(KqueueDouble, AddingATimerAgainRestartsItOrDoesNot) {
    EXPECT_EQ(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 3'600'000), 0);
    EXPECT_EQ(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 1), 0);
    if (GetParam().is_freebsd) {
        EXPECT_EQ(events(patience).size(), 1u);
    } else {
        EXPECT_TRUE(events({.tv_sec = 0, .tv_nsec = 5 * millisecond_ns}).empty());
    }
}

TEST_P(KqueueDouble, ATimerOfNothingOrLessFiresOrIsAMistake) {
    EXPECT_EQ(change(1, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, 0), GetParam().is_freebsd ? 0 : EINVAL);
    EXPECT_EQ(events(GetParam().is_freebsd ? patience : at_once).size(), GetParam().is_freebsd ? 1u : 0u);
    EXPECT_EQ(change(2, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0, -5), GetParam().is_freebsd ? EINVAL : 0);
    EXPECT_TRUE(events().empty());
}

#ifdef EVFILT_USER

// --- user events ---

TEST_P(KqueueDouble, AUserEventWhereThereIsNone) {
    if (GetParam().profile.has_user_events) GTEST_SKIP() << "this system has it";
    EXPECT_EQ(change(1, EVFILT_USER, EV_ADD), EINVAL);
}

TEST_P(KqueueDouble, ATriggerInTheChangeThatCreatesIsIgnored) {
    if (!GetParam().profile.has_user_events) GTEST_SKIP() << "this system has no EVFILT_USER";
    EXPECT_EQ(change(1, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_TRIGGER), 0);
    EXPECT_TRUE(events().empty());
}

TEST_P(KqueueDouble, ATriggerBehindItInOneListIsNot) {
    if (!GetParam().profile.has_user_events) GTEST_SKIP() << "this system has no EVFILT_USER";
    const RawEvent asked[] = {entry(1, EVFILT_USER, EV_ADD | EV_CLEAR),
                              entry(1, EVFILT_USER, 0, NOTE_TRIGGER)};
    EXPECT_EQ(kevent(queue, asked, 2, nullptr, 0, nullptr), 0);
    EXPECT_EQ(events().size(), 1u);
    EXPECT_TRUE(events().empty());
}

TEST_P(KqueueDouble, TriggersCoalesceAndWithoutClearTheyStay) {
    if (!GetParam().profile.has_user_events) GTEST_SKIP() << "this system has no EVFILT_USER";
    EXPECT_EQ(change(1, EVFILT_USER, EV_ADD), 0);
    for (int count = 0; count < 3; ++count) EXPECT_EQ(change(1, EVFILT_USER, 0, NOTE_TRIGGER), 0);
    EXPECT_EQ(events().size(), 1u);
    EXPECT_EQ(events().size(), 1u);
}

TEST_P(KqueueDouble, ATriggerWhileDisabledWaitsForTheEnabling) {
    if (!GetParam().profile.has_user_events) GTEST_SKIP() << "this system has no EVFILT_USER";
    EXPECT_EQ(change(1, EVFILT_USER, EV_ADD | EV_CLEAR | EV_DISABLE), 0);
    EXPECT_EQ(change(1, EVFILT_USER, 0, NOTE_TRIGGER), 0);
    EXPECT_TRUE(events().empty());
    EXPECT_EQ(change(1, EVFILT_USER, EV_ENABLE), 0);
    EXPECT_EQ(events().size(), 1u);
}

TEST_P(KqueueDouble, ATriggerOfAnotherThreadEndsTheWait) {
    if (!GetParam().profile.has_user_events) GTEST_SKIP() << "this system has no EVFILT_USER";
    EXPECT_EQ(change(1, EVFILT_USER, EV_ADD | EV_CLEAR), 0);
    std::thread other([&] { EXPECT_EQ(change(1, EVFILT_USER, 0, NOTE_TRIGGER), 0); });
    EXPECT_EQ(events(patience).size(), 1u);
    other.join();
}

#endif

std::string profile_name(const testing::TestParamInfo<Subject>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(As, KqueueDouble, testing::ValuesIn(subjects), profile_name);

}  // namespace

}  // namespace pollard::conformance
