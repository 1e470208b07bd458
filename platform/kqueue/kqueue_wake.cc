// Waking by a user event, or by a descriptor. What for: kqueue_wake.h.
#include "platform/kqueue/kqueue_wake.h"

#include <cerrno>

namespace pollard {

namespace {

#ifdef EVFILT_USER
RawEvent user_change(Flags flags) { return change_of({.handle = 0, .generation = 0}, EVFILT_USER, flags); }

std::int32_t watch_user_event(Kernel& kernel, Handle queue) {
    RawEvent change = user_change(EV_ADD | EV_CLEAR);
    return apply(kernel, queue, {&change, 1});
}

/// With no room for events the call does not wait, and leaves what there is to the owner.
std::intptr_t trigger_user_event(Kernel& kernel, Handle queue) {
    RawEvent change = user_change(0);
    change.fflags = NOTE_TRIGGER;
    return kernel.kevent(kernel, queue, &change, 1, nullptr, 0, nullptr);
}

bool is_user_event(const RawEvent& raw) { return raw.filter == EVFILT_USER; }
#else
std::int32_t watch_user_event(Kernel&, Handle) { return EINVAL; }
std::intptr_t trigger_user_event(Kernel&, Handle) { return 0; }
bool is_user_event(const RawEvent&) { return false; }
#endif

}  // namespace

Result<void> KqueueWake::open(Kernel& kernel, Handle queue) {
    const std::int32_t code = watch_user_event(kernel, queue);
    if (code == 0) return {};
    if (code != EINVAL) return error_of(Call::kevent, -code);
    by_descriptor_ = true;
    if (const Result<void> opened = descriptor_.open(kernel); !opened) return opened;
    // Level-triggered: it stays readable until it is taken.
    RawEvent change = change_of({descriptor_.readable_end(), 0}, EVFILT_READ, EV_ADD);
    const std::int32_t failed = apply(kernel, queue, {&change, 1});
    if (failed != 0) return error_of(Call::kevent, -failed);
    return {};
}

void KqueueWake::close(Kernel& kernel) { descriptor_.close(kernel); }

void KqueueWake::give(Kernel& kernel, Handle queue) {
    if (by_descriptor_) return descriptor_.give(kernel);
    if (pending_.exchange(true)) return;
    std::intptr_t triggered;
    do triggered = trigger_user_event(kernel, queue);
    while (triggered == -EINTR);
    if (triggered < 0) pending_.exchange(false);
}

bool KqueueWake::is_behind(const RawEvent& raw) const {
    if (!by_descriptor_) return is_user_event(raw);
    return static_cast<Handle>(raw.ident) == descriptor_.readable_end();
}

Result<void> KqueueWake::take(Kernel& kernel) {
    if (by_descriptor_) return descriptor_.take(kernel);
    // An exchange and not a store: what a waker did before it found the flag set is visible after this.
    pending_.exchange(false);
    return {};
}

}  // namespace pollard
