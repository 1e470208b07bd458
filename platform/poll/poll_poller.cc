// poll(2): the readiness that every Unix has.
//
// The kernel remembers nothing: each wait hands over the whole list of what is watched, and gets it back with what is
// true of each entry *now*. So it is level-triggered: an event comes as long as something is there, and there is no
// edge that could be missed. The price is that a wait costs as much as the list is long, idle connections included.
//
//      add     poll({fd}, 1, 0): does the descriptor exist?  Then it stands in the list, with no bit set
//      arm     sets the direction's bits: no call
//      wait    poll(list, n, timeout); what is told is disarmed, or the next wait would tell it again at once
//      remove  the newest entry moves into the hole: the list has no gaps, and nothing is searched
//
//      by_handle     0    1    2    3    4    5    6    7      one place a descriptor number: its entry, if it has one
//                                        |         |
//      list             free ..  [ 2: fd 4  IN|.. ] [ 1: ~6 ] [ 0: wake ]   negative: nothing is armed, it is skipped
//
// The list grows from its end to its front, because the kernel looks at it from front to end: as long as it has found
// no news, it enters the thread into the wait queue of each descriptor that it passes, to take it out again when the
// wait ends. So those who seldom have news stand at the end: the wake, and before it the oldest, the listeners. In a
// list of three that is 1 % of an echo's time. (That poll stays 3 % behind epoll there is the kernel's own, and the
// same for a loop written by hand: each silent descriptor costs half of that.)
//
// What one would not guess:
//  - A hang-up and an error are told even if no bit asks for them. An entry with nothing armed would end each wait at
//    once with news for nobody, so its number is made negative (~fd), which poll(2) skips.
//  - Linux tells the peer's half close by a bit of its own (POLLRDHUP). Where there is none, it is POLLIN alone, and
//    whoever reads finds the end: level-triggered, nothing hangs.
//  - A number that somebody has closed meanwhile is POLLNVAL in the list and no error of the call. It is told as an
//    error, and whoever tries again gets EBADF.
//  - A regular file is always ready; it is not refused as by epoll.
//  - A list longer than the limit of open descriptors is EINVAL: lowering that limit below what is open ends waiting.
//  - The wake is level-triggered as well: it must be read away.
//
// Manual page: poll(2). Read next: platform/posix/wake_descriptor.h; platform/epoll/epoll_poller.cc.
#include "platform/poll/poll_poller.h"

#include <cerrno>
#include <cstring>
#include <new>

#include "platform/attempt/attempt_port.h"
#include "platform/backend.h"
#include "platform/clock.h"
#include "platform/interposed_kernel.h"
#include "platform/kernel.h"
#include "platform/memory.h"
#include "platform/posix/wake_descriptor.h"
#include "platform/system_sockets.h"

namespace pollard {

namespace {

/// What is known of one descriptor number.
struct Registration {
    unsigned entry;  // its place in the list; 0, the wake's: it is not registered
    std::uint32_t generation;
    short reading;  // the bits that a reader waits for
};

struct PollPoller : Poller {
    /// Indexed by handle.
    Registration* by_handle = nullptr;
    std::size_t capacity = 0;
    /// Without gaps, with room for `capacity` handles and the wake; the last `count` are in use.
    pollfd* list = nullptr;
    unsigned count = 0;
    /// Where the next wait begins to look, so that who stands behind is served as often as who stands in front.
    unsigned next_look = 1;
    WakeDescriptor wake;
};

PollPoller& self_of(Poller& poller) { return static_cast<PollPoller&>(poller); }

constexpr short reading = POLLIN | POLLPRI | POLLRDHUP;
constexpr short writing = POLLOUT;

constexpr short same_bits = POLLIN | POLLPRI | POLLOUT | POLLERR | POLLHUP;
static_assert(POLLIN == 0x01 && POLLPRI == 0x02 && POLLOUT == 0x04 && POLLERR == 0x08 && POLLHUP == 0x10);

EventBits translate(short raw) {
    auto what = static_cast<EventBits>(raw & same_bits);
    if ((raw & POLLRDHUP) != 0) what = what | EventBits::hang_up;
    if ((raw & POLLNVAL) != 0) what = what | EventBits::error;
    return what;
}

// --- the list ---

/// Numbered from the end.
pollfd& entry_of(const PollPoller& poller, unsigned number) { return poller.list[poller.capacity - number]; }

Handle number_in(const pollfd& entry) { return entry.fd < 0 ? ~entry.fd : entry.fd; }

void set_interest(pollfd& entry, int events) {
    const Handle handle = number_in(entry);
    entry.events = static_cast<short>(events);
    entry.fd = events != 0 ? handle : ~handle;
}

bool make_room(PollPoller& poller, std::size_t handle) {
    if (handle < poller.capacity) return true;
    std::size_t capacity = poller.capacity == 0 ? 64 : poller.capacity;
    while (capacity <= handle) capacity *= 2;
    auto* by_handle = static_cast<Registration*>(allocate_zeroed(capacity * sizeof(Registration)));
    auto* list = static_cast<pollfd*>(allocate((capacity + 1) * sizeof(pollfd)));
    if (by_handle == nullptr || list == nullptr) {
        release(by_handle);
        release(list);
        return false;  // and everything is as it was
    }
    if (poller.capacity != 0) {
        std::memcpy(by_handle, poller.by_handle, poller.capacity * sizeof(Registration));
        std::memcpy(list + capacity + 1 - poller.count, poller.list + poller.capacity + 1 - poller.count,
                    poller.count * sizeof(pollfd));
    }
    release(poller.by_handle);
    release(poller.list);
    poller.by_handle = by_handle;
    poller.list = list;
    poller.capacity = capacity;
    return true;
}

/// Null when this very registration does not exist (any more).
pollfd* find(PollPoller& poller, Token token) {
    if (token.handle < 0 || static_cast<std::size_t>(token.handle) >= poller.capacity) return nullptr;
    const Registration& registration = poller.by_handle[token.handle];
    if (registration.entry == 0 || registration.generation != token.generation) return nullptr;
    return &entry_of(poller, registration.entry);
}

Error error_on(Call call, std::intptr_t result, Handle handle) {
    return error_of(call, result).on_descriptor(handle);
}

Result<void> add(Poller& base, Token token) {
    PollPoller& poller = self_of(base);
    if (token.handle < 0) return error_on(Call::open, -EBADF, token.handle);
    pollfd asked = {.fd = token.handle, .events = 0, .revents = 0};
    std::intptr_t result;
    do result = poller.kernel->poll(*poller.kernel, &asked, 1, 0);
    while (result == -EINTR);
    if (result >= 0 && (asked.revents & POLLNVAL) != 0) result = -EBADF;
    if (result < 0) return error_on(Call::poll, result, token.handle);
    if (!make_room(poller, static_cast<std::size_t>(token.handle)))
        return error_on(Call::open, -ENOMEM, token.handle);
    Registration& registration = poller.by_handle[token.handle];
    if (registration.entry != 0) return error_on(Call::open, -EEXIST, token.handle);
    registration = {.entry = poller.count, .generation = token.generation, .reading = reading};
    entry_of(poller, poller.count++) = {.fd = ~token.handle, .events = 0, .revents = 0};
    return {};
}

Result<void> arm(Poller& base, Token token, Direction direction) {
    pollfd* entry = find(self_of(base), token);
    if (entry == nullptr) return error_on(Call::start, -ENOENT, token.handle);
    const short wanted =
        direction == Direction::read ? self_of(base).by_handle[token.handle].reading : writing;
    set_interest(*entry, entry->events | wanted);
    return {};
}

Result<void> remove(Poller& base, Token token) {
    PollPoller& poller = self_of(base);
    pollfd* hole = find(poller, token);
    if (hole == nullptr) return error_on(Call::close, -ENOENT, token.handle);
    *hole = entry_of(poller, --poller.count);
    poller.by_handle[number_in(*hole)].entry = poller.by_handle[token.handle].entry;
    poller.by_handle[token.handle].entry = 0;
    return {};
}

// --- waiting ---

/// Takes the news of one entry, and disarms what it tells of.
PollerEvent take_event(PollPoller& poller, pollfd& entry) {
    using enum EventBits;
    Registration& registration = poller.by_handle[entry.fd];
    const Token token = {entry.fd, registration.generation};
    const EventBits what = translate(entry.revents);
    // The urgent mark stands until it is read. Told alone, it is not asked for again before other data comes.
    registration.reading = what == urgent ? reading & ~POLLPRI : reading;
    int interest = entry.events;
    if (any(what, readable | urgent | hang_up | error)) interest &= ~reading;
    if (any(what, writable | hang_up | error)) interest &= ~writing;
    set_interest(entry, interest);
    return {token, what};
}

Result<std::size_t> wait(Poller& base, std::span<PollerEvent> events, std::int64_t timeout_ns) {
    PollPoller& poller = self_of(base);
    std::intptr_t left = poller.kernel->poll(*poller.kernel, &entry_of(poller, poller.count - 1),
                                             poller.count, round_up_to_ms(timeout_ns));
    // A signal came: to the caller that is a wait without events; it looks at its clock again and comes back.
    if (left == -EINTR) return std::size_t{0};
    if (left < 0) return error_of(Call::poll, left);
    if (left > 0 && entry_of(poller, 0).revents != 0) {
        if (const Result<void> taken = poller.wake.take(*poller.kernel); !taken) return taken.error();
        --left;
    }
    std::size_t stored = 0;
    // Once around. What does not fit stays armed, and the next wait tells it.
    for (unsigned looks = 1; looks < poller.count && left > 0 && stored < events.size(); ++looks) {
        if (poller.next_look >= poller.count) poller.next_look = 1;
        pollfd& entry = entry_of(poller, poller.next_look++);
        if (entry.revents == 0) continue;
        events[stored++] = take_event(poller, entry);
        --left;
    }
    return stored;
}

void wake(Poller& base) { self_of(base).wake.give(*base.kernel); }

void close(Poller& base) {
    PollPoller& poller = self_of(base);
    poller.wake.close(*poller.kernel);
    release(poller.by_handle);
    release(poller.list);
    poller.~PollPoller();
    release(&poller);
}

constexpr PollerType poll_poller_type = {
    .name = "poll", .add = add, .arm = arm, .remove = remove, .wait = wait, .wake = wake, .close = close};

}  // namespace

Result<Poller*> open_poll_poller(Kernel& kernel) {
    const Error no_memory = Error(ErrorKind::out_of_memory, Call::open).on("poll");
    void* memory = allocate(sizeof(PollPoller));
    if (memory == nullptr) return no_memory;
    auto* poller = ::new (memory) PollPoller;
    poller->type = &poll_poller_type;
    poller->kernel = &kernel;
    const Result<void> opened = make_room(*poller, 0) ? poller->wake.open(kernel) : no_memory;
    if (!opened) {
        poller->close();
        return opened.error();
    }
    // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): make_room has made the list.
    poller->list[poller->capacity] = {.fd = poller->wake.readable_end(), .events = POLLIN, .revents = 0};
    poller->count = 1;
    return poller;
}

extern const Backend poll_backend;
const Backend poll_backend = {
    .name = "poll",
    .native_contract = "readiness",
    .why_unavailable = []() -> const char* { return nullptr; },
    .open =
        [](const PortOptions& options) {
            return open_attempt_port(open_poll_poller(put_in_front(options.in_front, system_kernel())));
        },
};

}  // namespace pollard
