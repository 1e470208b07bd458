// select(2): three sets of bits in, the same three out.
//
// A bit for each descriptor number: watched for reading, for writing, for urgent data. The call overwrites the sets with
// what is ready, so it is given copies, and what is armed is kept here.
//
//                 0  1  2  3  4  5  6  7  ..                  FD_SETSIZE - 1 (mostly 1023): the end of the world
//      reading  [ .  .  .  x  .  .  x  .                    ]      3: the wake       arm sets a bit,
//      writing  [ .  .  .  .  .  .  x  .                    ]      6: a connection   an event clears it
//      urgent   [ .  .  .  .  .  .  x  .                    ]
//
// What one would not guess:
//  - FD_SET does not look at its argument: a number from FD_SETSIZE on is written behind the end of the set. So `add`
//    refuses it, and `open` does if the wake gets such a number.
//  - One number that somebody has closed fails the whole call with EBADF, and the kernel does not say which. Then each is
//    asked alone; the closed one is told as an error and disarmed, and the others go on.
//  - The end of the stream and an error are "readable"; there is no bit for them. That is enough, because it is
//    level-triggered: who arms again after reading is told again, and finds the end.
//  - A wait costs as much as the highest number, whatever is armed below it.
//  - Microseconds, rounded up. macOS refuses more than 100,000,000 seconds.
//
// Manual page: select(2).
// Read next: platform/poll/poll_poller.cc, the same call without the sets.
#include "tests/porting/select_poller.h"

#include <algorithm>
#include <cerrno>
#include <new>

#include "platform/attempt/attempt_port.h"
#include "platform/clock.h"
#include "platform/interposed_kernel.h"
#include "platform/kernel.h"
#include "platform/memory.h"
#include "platform/posix/wake_descriptor.h"

namespace pollard {

namespace {

struct Sets {
    fd_set reading;
    fd_set writing;
    fd_set urgent;

    Sets() {
        FD_ZERO(&reading);
        FD_ZERO(&writing);
        FD_ZERO(&urgent);
    }
};

struct SelectPoller : Poller {
    SelectCall select = nullptr;
    Sets armed;
    /// By number.
    std::uint32_t generation[FD_SETSIZE] = {};
    bool registered[FD_SETSIZE] = {};
    /// One more than the highest number that is registered.
    Handle end = 0;
    /// Where the next wait begins to look, so that a high number is served as often as a low one.
    Handle next_look = 0;
    WakeDescriptor wake;

    int count() const { return std::max(end, wake.readable_end() + 1); }
};

SelectPoller& self_of(Poller& poller) { return static_cast<SelectPoller&>(poller); }

Error error_on(Call call, std::intptr_t result, Handle handle) {
    return error_of(call, result).on_descriptor(handle);
}

bool fits_into_a_set(Handle handle) { return handle < static_cast<Handle>(FD_SETSIZE); }

bool is_registered(const SelectPoller& poller, Token token) {
    return token.handle >= 0 && fits_into_a_set(token.handle) && poller.registered[token.handle] &&
           poller.generation[token.handle] == token.generation;
}

/// Minus an errno if it cannot be watched: EBADF, when it is not open.
std::intptr_t try_alone(SelectPoller& poller, Handle handle) {
    std::intptr_t result;
    do {
        Sets one;
        FD_SET(handle, &one.reading);
        timeval at_once = {};
        result = poller.select(*poller.kernel, handle + 1, &one.reading, nullptr, nullptr, &at_once);
    } while (result == -EINTR);
    return result;
}

Result<void> add(Poller& base, Token token) {
    SelectPoller& poller = self_of(base);
    if (token.handle < 0) return error_on(Call::open, -EBADF, token.handle);
    if (!fits_into_a_set(token.handle)) return error_on(Call::open, -EMFILE, token.handle);
    if (const std::intptr_t tried = try_alone(poller, token.handle); tried < 0)
        return error_on(Call::poll, tried, token.handle);
    if (poller.registered[token.handle]) return error_on(Call::open, -EEXIST, token.handle);
    poller.registered[token.handle] = true;
    poller.generation[token.handle] = token.generation;
    poller.end = std::max(poller.end, token.handle + 1);
    return {};
}

Result<void> arm(Poller& base, Token token, Direction direction) {
    SelectPoller& poller = self_of(base);
    if (!is_registered(poller, token)) return error_on(Call::start, -ENOENT, token.handle);
    if (direction == Direction::write) {
        FD_SET(token.handle, &poller.armed.writing);
    } else {
        FD_SET(token.handle, &poller.armed.reading);
        FD_SET(token.handle, &poller.armed.urgent);
    }
    return {};
}

void disarm(SelectPoller& poller, Handle handle, EventBits told) {
    using enum EventBits;
    if (any(told, readable | urgent | error)) {
        FD_CLR(handle, &poller.armed.reading);
        FD_CLR(handle, &poller.armed.urgent);
    }
    if (any(told, writable | error)) FD_CLR(handle, &poller.armed.writing);
}

Result<void> remove(Poller& base, Token token) {
    SelectPoller& poller = self_of(base);
    if (!is_registered(poller, token)) return error_on(Call::close, -ENOENT, token.handle);
    disarm(poller, token.handle, EventBits::error);
    poller.registered[token.handle] = false;
    while (poller.end > 0 && !poller.registered[poller.end - 1]) --poller.end;
    return {};
}

// --- waiting ---

/// Null for ever.
timeval* as_timeval(std::int64_t timeout_ns, timeval& room) {
    if (timeout_ns < 0) return nullptr;
    constexpr std::int64_t longest_s = 100'000'000;
    const std::int64_t us = timeout_ns / microsecond_ns + (timeout_ns % microsecond_ns != 0 ? 1 : 0);
    const std::int64_t seconds = us / 1'000'000;
    room.tv_sec = static_cast<decltype(room.tv_sec)>(std::min(seconds, longest_s));
    room.tv_usec = static_cast<decltype(room.tv_usec)>(seconds < longest_s ? us % 1'000'000 : 0);
    return &room;
}

/// Goes once around the registered numbers; `look(number)` says what is to be told of each. What does not fit into
/// `events` stays armed, and the next wait tells it.
std::size_t tell(SelectPoller& poller, std::span<PollerEvent> events, const auto& look) {
    std::size_t stored = 0;
    for (Handle looks = 0; looks < poller.end && stored < events.size(); ++looks) {
        if (poller.next_look >= poller.end) poller.next_look = 0;
        const Handle handle = poller.next_look++;
        if (!poller.registered[handle]) continue;
        const EventBits what = look(handle);
        if (what == EventBits{}) continue;
        disarm(poller, handle, what);
        events[stored++] = {{handle, poller.generation[handle]}, what};
    }
    return stored;
}

EventBits ready_bits(const Sets& ready, Handle handle) {
    EventBits what{};
    if (FD_ISSET(handle, &ready.reading)) what = what | EventBits::readable;
    if (FD_ISSET(handle, &ready.writing)) what = what | EventBits::writable;
    if (FD_ISSET(handle, &ready.urgent)) what = what | EventBits::urgent;
    return what;
}

/// The call has failed because a number in the sets is not open. Whoever waits for it is told, and tries, and finds out.
std::size_t tell_who_is_closed(SelectPoller& poller, std::span<PollerEvent> events) {
    return tell(poller, events, [&poller](Handle handle) {
        const bool closed =
            ready_bits(poller.armed, handle) != EventBits{} && try_alone(poller, handle) == -EBADF;
        return closed ? EventBits::error : EventBits{};
    });
}

Result<std::size_t> wait(Poller& base, std::span<PollerEvent> events, std::int64_t timeout_ns) {
    SelectPoller& poller = self_of(base);
    Sets ready = poller.armed;
    FD_SET(poller.wake.readable_end(), &ready.reading);
    timeval room = {};
    const std::intptr_t count = poller.select(*poller.kernel, poller.count(), &ready.reading, &ready.writing,
                                              &ready.urgent, as_timeval(timeout_ns, room));
    // A signal came: to the caller that is a wait without events; it looks at its clock again and comes back.
    if (count == -EINTR) return std::size_t{0};
    if (count == -EBADF) {
        const std::size_t told = tell_who_is_closed(poller, events);
        if (told > 0) return told;
    }
    if (count < 0) return error_of(Call::poll, count);
    if (count > 0 && FD_ISSET(poller.wake.readable_end(), &ready.reading))
        if (const Result<void> taken = poller.wake.take(*poller.kernel); !taken) return taken.error();
    if (count == 0) return std::size_t{0};
    return tell(poller, events, [&ready](Handle handle) { return ready_bits(ready, handle); });
}

void wake(Poller& base) { self_of(base).wake.give(*base.kernel); }

void close(Poller& base) {
    SelectPoller& poller = self_of(base);
    poller.wake.close(*poller.kernel);
    poller.~SelectPoller();
    release(&poller);
}

constexpr PollerType select_poller_type = {
    .name = "select", .add = add, .arm = arm, .remove = remove, .wait = wait, .wake = wake, .close = close};

}  // namespace

std::intptr_t real_select(Kernel&, int count, fd_set* reading, fd_set* writing, fd_set* urgent,
                          timeval* timeout) {
    const int result = ::select(count, reading, writing, urgent, timeout);
    return result >= 0 ? result : -errno;
}

Result<Poller*> open_select_poller(Kernel& kernel, SelectCall select) {
    void* memory = allocate(sizeof(SelectPoller));
    if (memory == nullptr) return Error(ErrorKind::out_of_memory, Call::open).on("select");
    auto* poller = ::new (memory) SelectPoller;
    poller->type = &select_poller_type;
    poller->kernel = &kernel;
    poller->select = select;
    Result<void> opened = poller->wake.open(kernel);
    if (opened && !fits_into_a_set(poller->wake.readable_end()))
        opened = error_on(Call::open, -EMFILE, poller->wake.readable_end());
    if (opened) return poller;
    poller->close();
    return opened.error();
}

const Backend select_backend = {
    .name = "select",
    .native_contract = "readiness",
    .why_unavailable = []() -> const char* { return nullptr; },
    .open =
        [](const PortOptions& options) {
            return open_attempt_port(open_select_poller(put_in_front(options.in_front, system_kernel())));
        },
};

}  // namespace pollard
