// A test double of kqueue(2) for Linux, made of epoll, eventfd, timerfd, pidfd and inotify.
//
// The machine that tests Pollard has no BSD kernel, so the backend for BSD kernels runs here on a double: kqueue() and
// kevent() with a <sys/event.h> of their own (include/sys/event.h), found first by what is compiled against it. What the
// double does is what FreeBSD 13 and NetBSD 7.99 were measured to do; the table of that is kqueue_double_test.cc and
// filters_test.cc.
//
//      kqueue_double.cc     queues and knotes: changes, receipts, retrieval, waiting
//      filters.cc           what each filter looks at
//      wrapped_calls.cc     close, dup2, getsockopt ...: what a program does beside kevent that the kernel would notice
//
// A program runs on it by being linked with it: meson.build here says how. Then the door of the system leads here, and
// `--kernel kqueue` is the default.
//
// How it works. The queue's number is an epoll set, so it can be polled and put into another queue. What is watched for
// reading is in that set, what is watched for writing in a second one inside it: one set could not tell the arrival of
// bytes from the arrival of room. Both are edge-triggered, and only a hint that a knote must be looked at. Whether it
// has an event, its filter says, by asking the descriptor itself (poll, FIONREAD, TCP_INFO): at the hint, and again when
// the event is taken.
//
//      queue 3 = epoll set { 7 for reading, timerfd, pidfd, inotify,  { 7 for writing },  eventfd: a knote is ready }
//
// Modelled: READ and WRITE of TCP, UDP and Unix sockets, pipes, regular files, eventfds and other queues, with amounts,
// ends and errors; ADD, DELETE, ENABLE, DISABLE, ONESHOT, CLEAR, DISPATCH, RECEIPT; USER; TIMER; PROC with NOTE_EXIT;
// VNODE; closing, duplicating, forking; and by `Profile` what systems do differently.
//
// Not modelled, and answered by EINVAL: SIGNAL, AIO, notes of PROC other than NOTE_EXIT.
// Not as on a BSD:
//  - A regular file that grows ends no wait.
//  - A socket that changes its state (its peer has closed, say) tells an edge of WRITE once more.
//  - The amount of a datagram socket is the size of its next datagram, and a queue takes three descriptors.
//  - A socket's error that the double had to fetch comes back by getsockopt, recv, send, read and write; not by recvmsg.
//  - Ticks: a timer is as precise as Linux makes it, and never early.
//  - Calls from inside the C library are not seen: a fclose(3) leaves its number's knotes.
//
// Thread rule: as of the calls it stands for; kevent may also be called from signal handlers. `profile` and `misfortune`
// are set while nobody else is inside.
#pragma once

#include <cstdint>

namespace kqueue_double {

/// What differs between systems.
struct Profile {
    bool has_user_events = true;
    /// EV_ENABLE looks at the source again. If not, an event may be lost unless EV_ADD stands beside it.
    bool enable_looks_again = true;
    /// If not, EV_ADD alone does.
    bool every_change_sets_udata = true;
    /// EV_CLEAR with EV_DISPATCH: the knote is not disabled.
    bool clear_beats_dispatch = false;
    /// The flags of an event still hold EV_ADD.
    bool returns_add = false;
    /// NOTE_TRIGGER in the change that creates the knote has no effect.
    bool creating_ignores_trigger = true;
    bool adding_a_timer_again_restarts_it = true;
    /// If not, EINVAL; and negative ones are accepted and never fire.
    bool timer_of_zero_fires = true;
    /// If not, ESRCH.
    bool watches_exited_processes = true;
};
inline constexpr Profile freebsd;
inline constexpr Profile netbsd = {.has_user_events = false,
                                   .enable_looks_again = false,
                                   .every_change_sets_udata = false,
                                   .clear_beats_dispatch = true,
                                   .returns_add = true,
                                   .creating_ignores_trigger = false,
                                   .adding_a_timer_again_restarts_it = false,
                                   .timer_of_zero_fires = false,
                                   .watches_exited_processes = false};
#ifdef KQUEUE_DOUBLE_NETBSD
inline constexpr Profile this_system = netbsd;
#else
inline constexpr Profile this_system = freebsd;
#endif
extern Profile profile;

/// What a kernel may do and seldom does. All from one seed.
struct Misfortune {
    std::uint32_t seed = 1;
    /// In a thousand retrievals, so many bring an event that nothing has brought.
    unsigned spurious_per_mille = 0;
    bool shuffles = false;
    /// Bits that no program should look at are set in the flags of events.
    bool litters_flags = false;
    /// After so many creations of knotes, so many fail with ENOMEM.
    unsigned passing_creations = 0;
    unsigned failing_creations = 0;
};
extern Misfortune misfortune;

/// As in the beginning.
void reset();

}  // namespace kqueue_double
