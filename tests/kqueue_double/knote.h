// What the parts of the double share: knotes, queues, and the lock around all of them.
#pragma once

#include <signal.h>
#include <sys/event.h>

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <utility>

#include "tests/kqueue_double/kqueue_double.h"

namespace kqueue_double {

using RawEvent = struct kevent;
using Filter = decltype(RawEvent::filter);
using Key = std::pair<std::uintptr_t, Filter>;  // there is one knote of each in a queue

struct Queue;

/// As a knote's source: epoll cannot watch it.
inline constexpr int unwatched = -2;

struct Knote {
    Queue* queue;
    std::uint64_t serial;  // its name in the epoll sets
    RawEvent asked;        // the changes that made it what it is; `flags`: the mode, set by the first
    int source = -1;       // a descriptor of the double's own: timerfd, pidfd, inotify
    bool disabled = false;
    bool active = false;  // has an event, as far as is known
    bool queued = false;  // stands in the queue's line
    // What has come up since the last retrieval, for filters that count it.
    std::uint64_t count = 0;
    std::uint32_t notes = 0;
    std::int64_t size = 0;    // of a file, when last looked at
    std::uint64_t links = 0;  // to a file, likewise
};

struct Queue {
    int number;     // what kqueue() gave: an epoll set
    int writing;    // the second epoll set
    int has_ready;  // an eventfd: full while the line is not empty
    bool has_ready_is_full = false;
    std::map<Key, std::unique_ptr<Knote>> knotes;
    std::map<std::uint64_t, Knote*> by_serial;
    std::list<Knote*> line;  // active and not disabled, in the order in which they are served
};

/// Held while the double is inside. No signal is handled meanwhile: a handler may call kevent itself, and on a real
/// kernel finds no half-made change either.
class Lock {
public:
    Lock();
    ~Lock();
    Lock(const Lock&) = delete;
    /// Of the program, to be put back while it waits.
    const sigset_t& signals_before() const { return before_; }

private:
    sigset_t before_;
};

/// Null: no queue has this number.
Queue* find_queue(int number);
/// Takes what the epoll sets know; gives how many knotes stand in the line.
std::size_t count_ready(Queue& queue);
/// This number is about to be closed: its knotes go, in every queue; if it is one, the queue goes.
void forget_number(int number);

// --- filters.cc ---

struct Found {
    bool active = false;
    std::int64_t data = 0;
    std::uint32_t notes = 0;
    bool end = false;
};
/// Begins to watch. Gives an errno, or 0.
int attach(Knote& knote);
/// A change of a knote that is there.
int touch(Knote& knote, const RawEvent& change);
void detach(Knote& knote);
Found look(Knote& knote);
/// Its event has been taken.
void forget_news(Knote& knote);

// --- wrapped_calls.cc ---

/// The error that stands at a socket, without consuming it for the program; 0 for none.
int pending_error(int number, bool may_have_one);
void forget_error(int number);
/// The C library's own, past the double: what the double calls itself.
int close_for_real(int number);
ssize_t read_for_real(int number, void* bytes, std::size_t size);
ssize_t write_for_real(int number, const void* bytes, std::size_t size);
ssize_t send_for_real(int number, const void* bytes, std::size_t size, int flags);

}  // namespace kqueue_double
