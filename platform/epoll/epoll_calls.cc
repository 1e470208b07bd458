// epoll(7) and eventfd(2) of the C library, and their words. Why apart: epoll_calls.h.
#include "platform/epoll/epoll_calls.h"

#include <cerrno>

#ifdef __linux__

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cstring>

#include "platform/flag_names.h"

namespace pollard {

namespace {

std::intptr_t or_minus_errno(std::intptr_t result) { return result >= 0 ? result : -errno; }

constexpr FlagName creation_flags[] = {{EPOLL_CLOEXEC, "CLOEXEC"}};
constexpr FlagName eventfd_flags[] = {{EFD_NONBLOCK, "NONBLOCK"}, {EFD_CLOEXEC, "CLOEXEC"}};
constexpr FlagName events[] = {
    {EPOLLIN, "IN"},   {EPOLLOUT, "OUT"}, {EPOLLRDHUP, "RDHUP"},     {EPOLLPRI, "PRI"},
    {EPOLLHUP, "HUP"}, {EPOLLERR, "ERR"}, {EPOLLONESHOT, "ONESHOT"}, {std::int64_t{1} << 31, "ET"}};
constexpr FlagName changes[] = {{EPOLL_CTL_ADD, "ADD"}, {EPOLL_CTL_MOD, "MOD"}, {EPOLL_CTL_DEL, "DEL"}};

/// (It may stand at any address: on x86-64 the structure is packed.)
epoll_event event_at(const void* place) {
    epoll_event event;
    std::memcpy(&event, place, sizeof event);
    return event;
}

void add_change(Text& text, const KernelCall& call) {
    text.add(", ");
    add_name(text, call.argument[0], changes);
    text.add(", %lld", static_cast<long long>(call.argument[1]));
    if (call.argument[0] == EPOLL_CTL_DEL || call.bytes == nullptr) return;
    text.add(", ");
    add_flags(text, event_at(call.bytes).events, events);
}

}  // namespace

// STOP: kernel
std::intptr_t real_epoll_wait(Kernel&, Handle set, epoll_event* raw, int capacity, int timeout_ms) {
    return or_minus_errno(::epoll_wait(set, raw, capacity, timeout_ms));
}

std::intptr_t real_epoll_create(Kernel&, int flags) { return or_minus_errno(::epoll_create1(flags)); }

std::intptr_t real_epoll_ctl(Kernel&, Handle set, int change, Handle handle, epoll_event* event) {
    return or_minus_errno(::epoll_ctl(set, change, handle, event));
}

std::intptr_t real_eventfd(Kernel&, unsigned initial, int flags) {
    return or_minus_errno(::eventfd(initial, flags));
}

void add_epoll_arguments(Text& text, const KernelCall& call) {
    const auto argument = [&call](int i) { return static_cast<long long>(call.argument[i]); };
    switch (call.call) {
        case Call::epoll_create:
            return add_flags(text, argument(0), creation_flags);
        case Call::epoll_ctl:
            return add_change(text, call);
        case Call::epoll_wait:
            text.add(", .., %lld, %lld", argument(0), argument(1));
            return;
        case Call::eventfd:
            text.add("%lld, ", argument(0));
            return add_flags(text, argument(1), eventfd_flags);
        default:
            return;
    }
}

/// The backend puts the descriptor into the low half of the 64 bits that come back with each event.
Text describe_epoll_events(const KernelCall& call) {
    const auto* raw = static_cast<const epoll_event*>(call.bytes);
    Text text;
    for (std::intptr_t i = 0; i < call.result && i < shown_events; ++i)
        add_event(text, static_cast<std::int32_t>(raw[i].data.u64), raw[i].events, events);
    return text.add(call.result > shown_events ? ", ..." : "");
}

}  // namespace pollard

#else

namespace pollard {

std::intptr_t real_epoll_create(Kernel&, int) { return -ENOSYS; }
std::intptr_t real_epoll_ctl(Kernel&, Handle, int, Handle, epoll_event*) { return -ENOSYS; }
std::intptr_t real_epoll_wait(Kernel&, Handle, epoll_event*, int, int) { return -ENOSYS; }
std::intptr_t real_eventfd(Kernel&, unsigned, int) { return -ENOSYS; }
void add_epoll_arguments(Text&, const KernelCall&) {}
Text describe_epoll_events(const KernelCall&) { return {}; }

}  // namespace pollard

#endif
