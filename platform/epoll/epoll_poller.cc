// epoll: Linux's readiness.
//
// An epoll set is a descriptor that watches others. epoll_ctl(2) registers a descriptor once; epoll_wait(2)
// sleeps until something happens and tells only what has happened, however many are watched: ten thousand
// idle connections cost nothing.
//
// Every descriptor is registered once, for both directions, edge-triggered (EPOLLET): an event comes when
// something *arrives*, not as long as something is there. So `arm` costs no call: whoever was told "would
// block" will be told of the next arrival. The price is that one must not stop reading before would-block
// without knowing that nothing is left; platform/attempt/ takes care of that.
//
//      add     epoll_ctl(set, ADD, fd, IN|OUT|RDHUP|PRI|ET)      the only call besides wait; once a connection
//      arm     nothing
//      wait    epoll_wait(set, events, n, timeout)
//
// What one would not guess:
//  - The set keys on (number, open file), and the registration lives until the last duplicate of the open file
//    is closed: closing a number that was duplicated (by fork, say) leaves a registration that no number can
//    remove. Therefore remove comes before close; and tokens carry a generation, so that a stale event is seen.
//  - ADD looks at the descriptor at once: what is ready already is an event. Nothing is lost between a try that
//    would block and the registration.
//  - Regular files are refused with EPERM: for them a call always "would not block".
//  - An eventfd that is registered edge-triggered needs no reading: each write is a new edge. A wake is one
//    write(2), and waking twice before the loop looks is one wake.
//  - The time-out counts in milliseconds, so nanoseconds are rounded up.
//
// Manual pages: epoll(7), epoll_ctl(2), epoll_wait(2), eventfd(2).
// Read next: platform/attempt/attempt_port.h.
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <atomic>
#include <cerrno>
#include <new>

#include "platform/attempt/attempt_port.h"
#include "platform/backend.h"
#include "platform/clock.h"
#include "platform/epoll/epoll_poller.h"
#include "platform/interposed_kernel.h"
#include "platform/kernel.h"
#include "platform/memory.h"
#include "platform/poller.h"

namespace pollard {

namespace {

struct EpollPoller : Poller {
    Handle set = no_handle;
    Handle wake_event = no_handle;
    /// A wake was written and not yet seen by wait: further wakes have nothing to do.
    std::atomic<bool> wake_pending{false};
    epoll_event raw[64];
};

EpollPoller& self_of(Poller& poller) { return static_cast<EpollPoller&>(poller); }

// The token travels through the kernel in the 64 bits that epoll gives back with each event.
std::uint64_t pack(Token token) {
    return static_cast<std::uint64_t>(token.generation) << 32 | static_cast<std::uint32_t>(token.handle);
}
Token unpack(std::uint64_t bits) {
    return {static_cast<Handle>(bits & 0xffffffff), static_cast<std::uint32_t>(bits >> 32)};
}

Result<void> register_handle(EpollPoller& poller, Token token, std::uint32_t interest) {
    epoll_event event = {};
    event.events = interest;
    event.data.u64 = pack(token);
    const std::intptr_t result =
        poller.kernel->epoll_ctl(*poller.kernel, poller.set, EPOLL_CTL_ADD, token.handle, &event);
    if (result >= 0) return {};
    Error error = error_of(Call::epoll_ctl, result).on_descriptor(token.handle);
    if (result == -EPERM) error.kind = ErrorKind::not_supported;
    return error;
}

Result<void> add(Poller& base, Token token) {
    return register_handle(self_of(base), token, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET);
}

Result<void> remove(Poller& base, Token token) {
    EpollPoller& poller = self_of(base);
    // The event argument is not used, but kernels before 2.6.9 wanted one.
    epoll_event unused = {};
    const std::intptr_t result =
        poller.kernel->epoll_ctl(*poller.kernel, poller.set, EPOLL_CTL_DEL, token.handle, &unused);
    if (result >= 0) return {};
    return error_of(Call::epoll_ctl, result).on_descriptor(token.handle);
}

constexpr std::uint32_t same_bits = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLERR | EPOLLHUP;
static_assert(EPOLLIN == 0x01 && EPOLLPRI == 0x02 && EPOLLOUT == 0x04 && EPOLLERR == 0x08 &&
              EPOLLHUP == 0x10);
// The peer's half close has its own bit far up; here it is a hang-up.
constexpr int half_close_shift = 9;
static_assert(EPOLLRDHUP >> half_close_shift == EPOLLHUP);

EventBits translate(std::uint32_t raw) {
    return static_cast<EventBits>((raw & same_bits) | (raw & EPOLLRDHUP) >> half_close_shift);
}

// STOP: wait
Result<std::size_t> wait(Poller& base, std::span<PollerEvent> events, std::int64_t timeout_ns) {
    EpollPoller& poller = self_of(base);
    const std::size_t capacity =
        events.size() < std::size(poller.raw) ? events.size() : std::size(poller.raw);
    const std::intptr_t count = poller.kernel->epoll_wait(
        *poller.kernel, poller.set, poller.raw, static_cast<int>(capacity), round_up_to_ms(timeout_ns));
    // A signal came: to the caller that is a wait without events; it looks at its clock again and comes back.
    if (count == -EINTR) return std::size_t{0};
    if (count < 0) return error_of(Call::epoll_wait, count).on_descriptor(poller.set);
    std::size_t stored = 0;
    for (const epoll_event& raw : std::span(poller.raw, static_cast<std::size_t>(count))) {
        const Token token = unpack(raw.data.u64);
        if (token.handle != poller.wake_event) [[likely]] {
            events[stored++] = {token, translate(raw.events)};
            continue;
        }
        // An exchange and not a store: what a waker did before it found the flag set is visible after this.
        poller.wake_pending.exchange(false);
    }
    return stored;
}

void wake(Poller& base) {
    EpollPoller& poller = self_of(base);
    if (poller.wake_pending.exchange(true)) return;
    const std::uint64_t one = 1;
    std::intptr_t written;
    do written = poller.kernel->write(*poller.kernel, poller.wake_event, &one, sizeof one);
    while (written == -EINTR);
    // EAGAIN: the counter is full, so an edge is there already.
    if (written < 0 && written != -EAGAIN) poller.wake_pending.exchange(false);
}

void close(Poller& base) {
    EpollPoller& poller = self_of(base);
    Kernel& kernel = *poller.kernel;
    if (poller.wake_event != no_handle) kernel.close(kernel, poller.wake_event);
    if (poller.set != no_handle) kernel.close(kernel, poller.set);
    poller.~EpollPoller();
    release(&poller);
}

constexpr PollerType epoll_poller_type = {.name = "epoll",
                                          .add = add,
                                          .arm = nullptr,
                                          .remove = remove,
                                          .wait = wait,
                                          .wake = wake,
                                          .close = close};

}  // namespace

Result<Poller*> open_epoll_poller(Kernel& kernel) {
    void* memory = allocate(sizeof(EpollPoller));
    if (memory == nullptr) return Error(ErrorKind::out_of_memory, Call::open).on("epoll");
    auto* poller = ::new (memory) EpollPoller;
    poller->type = &epoll_poller_type;
    poller->kernel = &kernel;
    const auto give_up = [poller](const Error& error) {
        poller->close();
        return error;
    };

    const std::intptr_t set = kernel.epoll_create(kernel, EPOLL_CLOEXEC);
    if (set < 0) return give_up(error_of(Call::epoll_create, set));
    poller->set = static_cast<Handle>(set);
    const std::intptr_t event = kernel.eventfd(kernel, 0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (event < 0) return give_up(error_of(Call::eventfd, event));
    poller->wake_event = static_cast<Handle>(event);
    const Result<void> watched = register_handle(*poller, {poller->wake_event, 0}, EPOLLIN | EPOLLET);
    if (!watched) return give_up(watched.error());
    return poller;
}

extern const Backend epoll_backend;
const Backend epoll_backend = {
    .name = "epoll",
    .native_contract = "readiness",
    .why_unavailable = []() -> const char* { return nullptr; },
    .open =
        [](const PortOptions& options) {
            return open_attempt_port(open_epoll_poller(put_in_front(options.in_front, system_kernel())));
        },
};

}  // namespace pollard
