// Queues and knotes: changes, receipts, retrieval, waiting. How it works: kqueue_double.h.
#include "tests/kqueue_double/kqueue_double.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <optional>
#include <random>
#include <vector>

#include "tests/kqueue_double/knote.h"

namespace kqueue_double {

Profile profile = this_system;
Misfortune misfortune;

namespace {

std::mutex mutex;
std::map<int, std::unique_ptr<Queue>> queues;
std::uint64_t next_serial = 1;
std::mt19937 chance;

// --- a forked child has no queue ---

void drop_all_queues() {
    for (auto& [number, queue] : queues) {
        for (auto& [key, knote] : queue->knotes)
            if (knote->source >= 0) close_for_real(knote->source);
        for (const int descriptor : {queue->number, queue->writing, queue->has_ready})
            close_for_real(descriptor);
    }
    queues.clear();
}

void watch_forks() {
    static const int once = pthread_atfork([] { mutex.lock(); }, [] { mutex.unlock(); },
                                           [] {
                                               drop_all_queues();
                                               mutex.unlock();
                                           });
    static_cast<void>(once);
}

// --- the line ---

void enqueue(Knote& knote) {
    if (knote.queued || knote.disabled || !knote.active) return;
    knote.queued = true;
    knote.queue->line.push_back(&knote);
}

void dequeue(Knote& knote) {
    if (!knote.queued) return;
    knote.queued = false;
    knote.queue->line.remove(&knote);
}

/// So that poll(2) on the queue's number, and whoever else waits, sees whether somebody stands in the line.
void show_line(Queue& queue) {
    const bool full = !queue.line.empty();
    if (queue.has_ready_is_full == full) return;
    std::uint64_t one = 1;
    if (full)
        static_cast<void>(!write_for_real(queue.has_ready, &one, sizeof one));
    else
        static_cast<void>(!read_for_real(queue.has_ready, &one, sizeof one));
    queue.has_ready_is_full = full;
}

void look_and_enqueue(Knote& knote) {
    if (look(knote).active) knote.active = true;
    enqueue(knote);
}

void drain(Queue& queue, int set) {
    epoll_event hints[64];
    int count;
    do {
        count = ::epoll_wait(set, hints, std::size(hints), 0);
        for (int i = 0; i < count; ++i) {
            const auto found = queue.by_serial.find(hints[i].data.u64);
            if (found != queue.by_serial.end()) look_and_enqueue(*found->second);
        }
    } while (count == std::ssize(hints));
}

/// What epoll cannot watch (a regular file) gives no hints.
void look_at_unwatched(Queue& queue) {
    for (auto& [key, knote] : queue.knotes)
        if (knote->source == unwatched && !knote->queued) look_and_enqueue(*knote);
}

void take_hints(Queue& queue) {
    drain(queue, queue.number);
    drain(queue, queue.writing);
    look_at_unwatched(queue);
}

// --- changes ---

void drop(Knote& knote) {
    dequeue(knote);
    detach(knote);
    knote.queue->by_serial.erase(knote.serial);
    knote.queue->knotes.erase(Key{knote.asked.ident, knote.asked.filter});
}

bool is_of_descriptor(Filter filter) {
    return filter == EVFILT_READ || filter == EVFILT_WRITE || filter == EVFILT_VNODE;
}

bool is_modelled(Filter filter) {
#ifdef EVFILT_USER
    if (filter == EVFILT_USER) return profile.has_user_events;
#endif
    return is_of_descriptor(filter) || filter == EVFILT_TIMER || filter == EVFILT_PROC;
}

bool is_open(std::uintptr_t ident) {
    return ident <= INT32_MAX && ::fcntl(static_cast<int>(ident), F_GETFD) >= 0;
}

bool fails_now() {
    if (misfortune.failing_creations == 0) return false;
    if (misfortune.passing_creations > 0) {
        --misfortune.passing_creations;
        return false;
    }
    --misfortune.failing_creations;
    return true;
}

int create(Queue& queue, const RawEvent& change) {
    constexpr auto not_kept = EV_ADD | EV_DELETE | EV_ENABLE | EV_DISABLE;
    if (fails_now()) return ENOMEM;
    auto knote = std::make_unique<Knote>();
    knote->queue = &queue;
    knote->serial = next_serial++;
    knote->asked = change;
    knote->asked.flags = static_cast<decltype(change.flags)>(change.flags & ~not_kept);
    if (profile.returns_add) knote->asked.flags |= EV_ADD;
    if (const int error = attach(*knote); error != 0) return error;
    queue.by_serial[knote->serial] = knote.get();
    queue.knotes[Key{change.ident, change.filter}] = std::move(knote);
    return 0;
}

int change_existing(Knote& knote, const RawEvent& change) {
    if (const int error = touch(knote, change); error != 0) return error;
    if ((change.flags & EV_ADD) != 0 || profile.every_change_sets_udata) knote.asked.udata = change.udata;
    return 0;
}

int apply(Queue& queue, const RawEvent& change) {
    if (!is_modelled(change.filter)) return EINVAL;
    if (is_of_descriptor(change.filter) && !is_open(change.ident)) return EBADF;
    const Key key{change.ident, change.filter};
    auto found = queue.knotes.find(key);
    const bool adds = (change.flags & EV_ADD) != 0;
    if (found == queue.knotes.end() && !adds) return ENOENT;
    if ((change.flags & EV_DELETE) != 0) {
        if (found != queue.knotes.end()) drop(*found->second);
        return 0;
    }
    int error = 0;
    if (found == queue.knotes.end()) {
        error = create(queue, change);
        if (error == 0) found = queue.knotes.find(key);
    } else {
        error = change_existing(*found->second, change);
    }
    if (error != 0) return error;
    Knote& knote = *found->second;
    if ((change.flags & EV_DISABLE) != 0) {
        knote.disabled = true;
        dequeue(knote);
    }
    if ((change.flags & EV_ENABLE) != 0) knote.disabled = false;
    if (adds || (profile.enable_looks_again && !knote.disabled)) look_and_enqueue(knote);
    enqueue(knote);
    return 0;
}

/// Gives the number of answers, or minus an errno. With no room for an answer the rest of the list is dropped.
int apply_all(Queue& queue, const RawEvent* changes, kqueue_double_count change_count, RawEvent* answers,
              kqueue_double_count room) {
    kqueue_double_count answered = 0;
    for (kqueue_double_count i = 0; i < change_count; ++i) {
        RawEvent answer = changes[i];  // a copy: both may be one array
        const int error = apply(queue, answer);
        if (error == 0 && (answer.flags & EV_RECEIPT) == 0) continue;
        if (answered == room) return error != 0 ? -error : static_cast<int>(answered);
        answer.flags |= EV_ERROR;
        answer.data = error;
        answers[answered++] = answer;
    }
    return static_cast<int>(answered);
}

// --- retrieval ---

RawEvent event_of(const Knote& knote, const Found& found) {
    RawEvent event = knote.asked;
    event.data = found.data;
    event.fflags = found.notes;
    if (found.end) event.flags |= EV_EOF;
    if (misfortune.litters_flags) event.flags ^= EV_ADD | EV_RECEIPT;
    return event;
}

/// The event has been taken: what the knote's mode says of that.
void after_retrieval(Knote& knote) {
    const auto mode = knote.asked.flags;
    if ((mode & EV_ONESHOT) != 0) return drop(knote);
    if ((mode & (EV_CLEAR | EV_DISPATCH)) == 0) return enqueue(knote);
    knote.active = false;
    if ((mode & EV_CLEAR) != 0) forget_news(knote);
    const bool cleared_only = (mode & EV_CLEAR) != 0 && profile.clear_beats_dispatch;
    if ((mode & EV_DISPATCH) != 0 && !cleared_only) knote.disabled = true;
}

/// Once along the line, as long as there is room. Who still has something to tell stands behind the others again.
int take_events(Queue& queue, RawEvent* events, kqueue_double_count room) {
    if (misfortune.shuffles) {
        std::vector<Knote*> shuffled(queue.line.begin(), queue.line.end());
        std::shuffle(shuffled.begin(), shuffled.end(), chance);
        queue.line.assign(shuffled.begin(), shuffled.end());
    }
    kqueue_double_count taken = 0;
    for (std::size_t left = queue.line.size(); left > 0 && taken < room; --left) {
        Knote& knote = *queue.line.front();
        dequeue(knote);
        const Found found = look(knote);
        knote.active = found.active;
        if (!found.active) continue;
        events[taken++] = event_of(knote, found);
        after_retrieval(knote);
    }
    return static_cast<int>(taken);
}

bool strikes(unsigned per_mille) { return per_mille > 0 && chance() % 1000 < per_mille; }

/// An event that nothing has brought. It says what is true now, as every event does; and only EV_CLEAR has such: what is
/// told by level is looked at when it is taken.
int add_spurious(Queue& queue, RawEvent* events, int taken, kqueue_double_count room) {
    if (static_cast<kqueue_double_count>(taken) >= room || queue.knotes.empty()) return taken;
    if (!strikes(misfortune.spurious_per_mille)) return taken;
    auto which = queue.knotes.begin();
    std::advance(which, chance() % queue.knotes.size());
    Knote& knote = *which->second;
    const bool told_by_edge = (knote.asked.flags & EV_CLEAR) != 0 && is_of_descriptor(knote.asked.filter);
    if (knote.disabled || !told_by_edge) return taken;
    events[taken] = event_of(knote, look(knote));
    return taken + 1;
}

// --- waiting ---

std::int64_t now_ns() {
    timespec now;
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

/// Null: for ever.
std::optional<std::int64_t> deadline_of(const timespec* timeout) {
    if (timeout == nullptr) return std::nullopt;
    return now_ns() + timeout->tv_sec * 1'000'000'000 + timeout->tv_nsec;
}

/// Sleeps until the queue's number is readable. False: a signal came.
bool sleep(Lock& lock, int number, std::optional<std::int64_t> deadline_ns) {
    timespec left = {};
    if (deadline_ns) {
        const std::int64_t left_ns = std::max<std::int64_t>(*deadline_ns - now_ns(), 0);
        left = {.tv_sec = left_ns / 1'000'000'000, .tv_nsec = left_ns % 1'000'000'000};
    }
    pollfd descriptor = {.fd = number, .events = POLLIN, .revents = 0};
    // Signals come in while ppoll sleeps, and no sooner: one that came before would be handled and not end the sleep.
    mutex.unlock();
    const int result = ::ppoll(&descriptor, 1, deadline_ns ? &left : nullptr, &lock.signals_before());
    const bool interrupted = result < 0 && errno == EINTR;
    mutex.lock();
    return !interrupted;
}

/// Gives the number of events, or minus an errno.
int wait_for_events(Lock& lock, int number, RawEvent* events, kqueue_double_count room,
                    const timespec* timeout) {
    const std::optional<std::int64_t> deadline_ns = deadline_of(timeout);
    for (;;) {
        Queue* queue = find_queue(number);
        if (queue == nullptr) return -EBADF;  // another thread has closed it
        const bool last_look = deadline_ns && now_ns() >= *deadline_ns;
        take_hints(*queue);
        int taken = take_events(*queue, events, room);
        taken = add_spurious(*queue, events, taken, room);
        show_line(*queue);
        if (taken > 0 || last_look) return taken;
        if (!sleep(lock, number, deadline_ns)) return -EINTR;
    }
}

bool is_valid(const timespec* timeout) {
    return timeout == nullptr ||
           (timeout->tv_sec >= 0 && timeout->tv_nsec >= 0 && timeout->tv_nsec < 1'000'000'000);
}

// --- making queues ---

bool add_to_set(int set, int descriptor) {
    epoll_event event = {.events = EPOLLIN, .data = {.u64 = 0}};  // no knote's serial
    return ::epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

/// Gives the number, or minus an errno.
int open_queue() {
    const int number = ::epoll_create1(0);  // not FD_CLOEXEC: kqueue() does not say so
    const int writing = ::epoll_create1(EPOLL_CLOEXEC);
    const int has_ready = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (number >= 0 && writing >= 0 && has_ready >= 0 && add_to_set(number, writing) &&
        add_to_set(number, has_ready)) {
        auto queue = std::make_unique<Queue>();
        queue->number = number;
        queue->writing = writing;
        queue->has_ready = has_ready;
        queues[number] = std::move(queue);
        return number;
    }
    const int error = errno;
    for (const int descriptor : {number, writing, has_ready})
        if (descriptor >= 0) close_for_real(descriptor);
    return -error;
}

int answer(int result) {
    if (result >= 0) return result;
    errno = -result;
    return -1;
}

}  // namespace

Lock::Lock() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
    mutex.lock();
}
Lock::~Lock() {
    mutex.unlock();
    const int error = errno;
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    errno = error;
}

Queue* find_queue(int number) {
    const auto found = queues.find(number);
    return found != queues.end() ? found->second.get() : nullptr;
}

std::size_t count_ready(Queue& queue) {
    take_hints(queue);
    show_line(queue);
    return queue.line.size();
}

void forget_number(int number) {
    for (auto& [queue_number, queue] : queues) {
        std::vector<Knote*> going;
        for (auto& [key, knote] : queue->knotes)
            if (is_of_descriptor(key.second) && key.first == static_cast<std::uintptr_t>(number))
                going.push_back(knote.get());
        for (Knote* knote : going) drop(*knote);
        show_line(*queue);
    }
    forget_error(number);
    Queue* queue = find_queue(number);
    if (queue == nullptr) return;
    while (!queue->knotes.empty()) drop(*queue->knotes.begin()->second);
    close_for_real(queue->writing);
    close_for_real(queue->has_ready);
    queues.erase(number);
}

void reset() {
    const Lock lock;
    profile = this_system;
    misfortune = {};
    chance.seed(misfortune.seed);
}

}  // namespace kqueue_double

using namespace kqueue_double;

int kqueue() {
    Lock lock;
    watch_forks();
    return answer(open_queue());
}

int kevent(int number, const struct kevent* changes, kqueue_double_count change_count, struct kevent* events,
           kqueue_double_count capacity, const timespec* timeout) {
    Lock lock;
    Queue* queue = find_queue(number);
    if (queue == nullptr) return answer(-EBADF);
    const int answered = apply_all(*queue, changes, change_count, events, capacity);
    show_line(*queue);
    if (answered != 0 || capacity == 0) return answer(answered);
    if (!is_valid(timeout)) return answer(-EINVAL);
    return answer(wait_for_events(lock, number, events, capacity, timeout));
}
