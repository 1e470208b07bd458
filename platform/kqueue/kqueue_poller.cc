// kqueue: the readiness of macOS and the BSDs.
//
// A kqueue is a descriptor that holds knotes. A knote names what it watches by two things, an identifier (here a
// descriptor) and a filter (readable? writable?), and one call does everything: kevent(2) makes changes to the knotes
// and takes what they have to tell.
//
//                    queue   (7, READ)  (7, WRITE)  (9, READ)  (9, WRITE)  (0, USER)       knotes
//                              |                                             |
//                          data 14                                       triggered
//
//      add     kevent(queue, {7: READ ADD|CLEAR, 7: WRITE ADD|CLEAR}, 2, receipts, 2)     once a connection
//      arm     nothing
//      wait    kevent(queue, null, 0, events, n, timeout)       tells only what has happened, like epoll_wait
//      remove  kevent(queue, {7: READ DELETE, 7: WRITE DELETE}, 2, receipts, 2)
//      wake    kevent(queue, {0: USER TRIGGER}, 1, null, 0)     from any thread: no second descriptor is needed
//
// EV_CLEAR makes a knote edge-triggered: it tells of each arrival once. So `arm` costs no call, as with epoll.
//
// What one would not guess:
//  - Readable and writable are two knotes and come as two entries, each with an end of its own (EV_EOF). On the WRITE
//    knote it is the end of what *we* may send, by our own half close for example: no word of the peer's.
//  - An error of the socket is not EV_ERROR. It comes with EV_EOF, its number in `fflags`, and SO_ERROR still has it.
//    EV_ERROR marks the answer to a change (kevents.h).
//  - Adding a second time changes the knote that is there and is no error, so a table remembers what is registered.
//  - The knote belongs to the number: it goes when the number is closed, in silence, even if a duplicate lives on.
//  - A regular file is watched by its offset: readable while that is not at the end. Bytes behind TCP's urgent mark
//    are told by nothing but the next arrival: no filter for the mark exists on all systems.
//  - A time-out of more than a day is too long for some.
//
// Manual pages: kqueue(2), kevent(2).
// Read next: kevents.h, kqueue_wake.h; platform/epoll/epoll_poller.cc, the twin; platform/attempt/attempt_port.h.
#include "platform/kqueue/kqueue_poller.h"

#include <time.h>

#include <cerrno>
#include <new>
#include <span>

#include "platform/attempt/attempt_port.h"
#include "platform/backend.h"
#include "platform/clock.h"
#include "platform/handle_table.h"
#include "platform/interposed_kernel.h"
#include "platform/kernel.h"
#include "platform/kqueue/kevents.h"
#include "platform/kqueue/kqueue_wake.h"
#include "platform/memory.h"

namespace pollard {

namespace {

struct KqueuePoller : Poller {
    Handle queue = no_handle;
    /// By descriptor number.
    HandleTable<bool> registered;
    KqueueWake waker;
    RawEvent raw[64];
};

KqueuePoller& self_of(Poller& poller) { return static_cast<KqueuePoller&>(poller); }

// --- registering ---

std::int32_t apply_to_both(KqueuePoller& poller, Token token, Flags flags) {
    RawEvent changes[] = {change_of(token, EVFILT_READ, flags), change_of(token, EVFILT_WRITE, flags)};
    return apply(*poller.kernel, poller.queue, changes);
}

Error error_on(Token token, std::int32_t code) {
    return error_of(Call::kevent, -code).on_descriptor(token.handle);
}

Result<void> add(Poller& base, Token token) {
    KqueuePoller& poller = self_of(base);
    if (token.handle < 0) return error_on(token, EBADF);
    if (!poller.registered.make_room(token.handle)) return error_on(token, ENOMEM);
    if (poller.registered[token.handle]) return error_on(token, EEXIST);
    const std::int32_t code = apply_to_both(poller, token, EV_ADD | EV_CLEAR);
    if (code == 0) {
        poller.registered[token.handle] = true;
        return {};
    }
    apply_to_both(poller, token, EV_DELETE);  // one of the two may stand
    Error error = error_on(token, code);
    // The change is well formed: it is the descriptor that has no such filter.
    if (code == EINVAL || code == ENODEV) error.kind = ErrorKind::not_supported;
    return error;
}

Result<void> remove(Poller& base, Token token) {
    KqueuePoller& poller = self_of(base);
    if (bool* registered = poller.registered.find(token.handle); registered != nullptr) *registered = false;
    const std::int32_t code = apply_to_both(poller, token, EV_DELETE);
    if (code != 0) return error_on(token, code);
    return {};
}

void wake(Poller& base) {
    KqueuePoller& poller = self_of(base);
    poller.waker.give(*poller.kernel, poller.queue);
}

// --- waiting ---

PollerEvent translate(const RawEvent& raw) {
    using enum EventBits;
    EventBits what = raw.filter == EVFILT_READ ? readable : writable;
    if ((raw.flags & EV_EOF) != 0) {
        if (what == readable) what = what | hang_up;
        if (raw.fflags != 0) what = what | error;
    }
    return {token_of(raw), what};
}

std::intptr_t take_events(KqueuePoller& poller, std::size_t room, std::int64_t timeout_ns) {
    constexpr std::int64_t longest_ns = 24 * 3600 * second_ns;
    const std::int64_t limit_ns = timeout_ns < longest_ns ? timeout_ns : longest_ns;
    timespec limit = {};
    limit.tv_sec = static_cast<decltype(limit.tv_sec)>(limit_ns / second_ns);
    limit.tv_nsec = static_cast<decltype(limit.tv_nsec)>(limit_ns % second_ns);
    const std::size_t capacity = room < std::size(poller.raw) ? room : std::size(poller.raw);
    return poller.kernel->kevent(*poller.kernel, poller.queue, nullptr, 0, poller.raw,
                                 static_cast<int>(capacity), timeout_ns < 0 ? nullptr : &limit);
}

// STOP: wait
Result<std::size_t> wait(Poller& base, std::span<PollerEvent> events, std::int64_t timeout_ns) {
    KqueuePoller& poller = self_of(base);
    const std::intptr_t count = take_events(poller, events.size(), timeout_ns);
    // A signal came: to the caller that is a wait without events; it looks at its clock again and comes back.
    if (count == -EINTR) return std::size_t{0};
    if (count < 0) return error_of(Call::kevent, count).on_descriptor(poller.queue);
    std::size_t stored = 0;
    Result<void> woken;
    for (const RawEvent& raw : std::span(poller.raw, static_cast<std::size_t>(count))) {
        if (poller.waker.is_behind(raw)) [[unlikely]]
            woken = poller.waker.take(*poller.kernel);
        else
            events[stored++] = translate(raw);
    }
    // Events come first: the kernel will not tell them again, while a wake that was not taken it will.
    if (!woken && stored == 0) return woken.error();
    return stored;
}

void close(Poller& base) {
    KqueuePoller& poller = self_of(base);
    poller.waker.close(*poller.kernel);
    if (poller.queue != no_handle) poller.kernel->close(*poller.kernel, poller.queue);
    poller.~KqueuePoller();
    release(&poller);
}

constexpr PollerType kqueue_poller_type = {.name = "kqueue",
                                           .add = add,
                                           .arm = nullptr,
                                           .remove = remove,
                                           .wait = wait,
                                           .wake = wake,
                                           .close = close};

}  // namespace

Result<Poller*> open_kqueue_poller(Kernel& kernel) {
    void* memory = allocate(sizeof(KqueuePoller));
    if (memory == nullptr) return Error(ErrorKind::out_of_memory, Call::open).on("kqueue");
    auto* poller = ::new (memory) KqueuePoller;
    poller->type = &kqueue_poller_type;
    poller->kernel = &kernel;
    const auto give_up = [poller](const Error& error) {
        poller->close();
        return error;
    };
    const std::intptr_t queue = kernel.kqueue(kernel);
    if (queue < 0) return give_up(error_of(Call::kqueue, queue));
    poller->queue = static_cast<Handle>(queue);
    const Result<void> wakes = poller->waker.open(kernel, poller->queue);
    if (!wakes) return give_up(wakes.error());
    return poller;
}

extern const Backend kqueue_backend;
const Backend kqueue_backend = {
    .name = "kqueue",
    .native_contract = "readiness",
    .why_unavailable = []() -> const char* { return nullptr; },
    .open =
        [](const PortOptions& options) {
            return open_attempt_port(open_kqueue_poller(put_in_front(options.in_front, system_kernel())));
        },
};

}  // namespace pollard
