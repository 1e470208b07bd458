// kqueue and kevent of the C library. It must be the library's: macOS promises no system call numbers, and NetBSD's
// kevent is a versioned symbol.
#include "platform/kqueue/kqueue_calls.h"

#include <cerrno>

#if __has_include(<sys/event.h>)

#include <fcntl.h>
#include <sys/types.h>
// After <sys/types.h>, which older systems want first.
#include <sys/event.h>

#include <span>

namespace pollard {

namespace {

struct Name {
    std::int64_t value;
    const char* name;
};

// A filter's number has one type on one system and another on the next; as 64 bits they all fit.
constexpr Name filters[] = {
    {EVFILT_READ, "READ"},   {EVFILT_WRITE, "WRITE"}, {EVFILT_VNODE, "VNODE"},   {EVFILT_PROC, "PROC"},
    {EVFILT_TIMER, "TIMER"}, {EVFILT_AIO, "AIO"},     {EVFILT_SIGNAL, "SIGNAL"},
#ifdef EVFILT_USER
    {EVFILT_USER, "USER"},
#endif
};
// EV_RECEIPT is left out: every change here asks for one.
constexpr Name actions[] = {{EV_ADD, "ADD"},         {EV_DELETE, "DELETE"},   {EV_ENABLE, "ENABLE"},
                            {EV_DISABLE, "DISABLE"}, {EV_ONESHOT, "ONESHOT"}, {EV_CLEAR, "CLEAR"}};

/// "7: READ"
void add_filter(Text& text, const struct kevent& entry) {
    text.add("%llu: ", static_cast<unsigned long long>(entry.ident));
    for (const Name& filter : filters)
        if (filter.value == static_cast<std::int64_t>(entry.filter)) {
            text.add("%s", filter.name);
            return;
        }
    text.add("filter %lld", static_cast<long long>(entry.filter));
}

void add_change(Text& text, const struct kevent& change) {
    add_filter(text, change);
    const char* before = " ";
    for (const Name& action : actions) {
        if ((static_cast<std::int64_t>(change.flags) & action.value) == 0) continue;
        text.add("%s%s", before, action.name);
        before = "|";
    }
#ifdef NOTE_TRIGGER
    if (change.filter == EVFILT_USER && (change.fflags & NOTE_TRIGGER) != 0) text.add("%sTRIGGER", before);
#endif
}

std::span<const struct kevent> entries_of(const KernelCall& call, std::int64_t count) {
    return {static_cast<const struct kevent*>(call.bytes), static_cast<std::size_t>(count)};
}

}  // namespace

std::intptr_t real_kqueue(Kernel&) {
    const int queue = ::kqueue();
    if (queue < 0) return -errno;
    // No child inherits a queue by fork(2), so nobody can slip in between these two calls.
    return ::fcntl(queue, F_SETFD, FD_CLOEXEC) < 0 ? -errno : queue;
}

std::intptr_t real_kevent(Kernel&, Handle queue, const struct kevent* changes, int change_count,
                          struct kevent* events, int capacity, const timespec* timeout) {
    // The counts are int on most systems, size_t on NetBSD.
    const int count = ::kevent(queue, changes, change_count, events, capacity, timeout);
    return count < 0 ? -errno : count;
}

void add_kevent_arguments(Text& text, const KernelCall& call) {
    const auto argument = [&call](int i) { return static_cast<long long>(call.argument[i]); };
    if (argument(0) == 0) {
        text.add(", null, 0");
    } else {
        const char* before = ", {";
        for (const struct kevent& change : entries_of(call, call.argument[0])) {
            text.add("%s", before);
            add_change(text, change);
            before = ", ";
        }
        text.add("}, %lld", argument(0));
    }
    text.add(argument(1) == 0 ? ", null, 0" : ", .., %lld", argument(1));
    text.add(argument(2) < 0 ? ", null" : ", %lld ns", argument(2));
}

Text describe_kevents(const KernelCall& call) {
    constexpr std::intptr_t shown_events = 4;
    Text text;
    // With changes these are receipts, and `bytes` are the changes.
    if (call.argument[0] != 0) return text;
    const std::intptr_t shown = call.result < shown_events ? call.result : shown_events;
    for (const struct kevent& event : entries_of(call, shown)) {
        if (text.size != 0) text.add(", ");
        const bool reads = event.filter == EVFILT_READ;
        if (reads || event.filter == EVFILT_WRITE) text.add("fd ");
        add_filter(text, event);
        // How much room there is to write, nobody asks.
        if (reads) text.add(" %lld", static_cast<long long>(event.data));
        if ((event.flags & EV_EOF) == 0) continue;
        text.add(" EOF");
        if (event.fflags != 0) text.add(" %s", name_of_code(static_cast<std::int32_t>(event.fflags)));
    }
    return text.add(call.result > shown_events ? ", ..." : "");
}

}  // namespace pollard

#else

namespace pollard {

std::intptr_t real_kqueue(Kernel&) { return -ENOSYS; }
std::intptr_t real_kevent(Kernel&, Handle, const struct kevent*, int, struct kevent*, int, const timespec*) {
    return -ENOSYS;
}
void add_kevent_arguments(Text&, const KernelCall&) {}
Text describe_kevents(const KernelCall&) { return {}; }

}  // namespace pollard

#endif
