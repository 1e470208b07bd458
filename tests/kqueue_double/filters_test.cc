// What each filter of the double tells, as it was measured on FreeBSD 13 and NetBSD 7.99: sockets, pipes and files,
// processes, timers, and user events.
//
// Read next: tests/kqueue_double/filters.cc.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/event.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tests/conformance/harness.h"
#include "tests/kqueue_double/profiles.h"

namespace pollard::conformance {

namespace {

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

// --- processes, files, timers ---

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

}  // namespace

}  // namespace pollard::conformance
