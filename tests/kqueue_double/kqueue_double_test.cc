// The double behaves as kqueue(2) was measured to behave on FreeBSD 13 and NetBSD 7.99: its knotes and their modes, the
// two lists of a call, its waits, and what closing, duplicating and forking do to it.
//
// Read next: tests/kqueue_double/profiles.h for how it is written, then tests/kqueue_double/filters_test.cc.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/event.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "tests/conformance/harness.h"
#include "tests/kqueue_double/kqueue_double.h"
#include "tests/kqueue_double/profiles.h"

namespace pollard::conformance {

namespace {

std::string profile_name(const testing::TestParamInfo<Subject>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(As, KqueueDouble, testing::ValuesIn(subjects), profile_name);

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

}  // namespace

}  // namespace pollard::conformance
