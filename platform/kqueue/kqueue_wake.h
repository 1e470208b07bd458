// KqueueWake: ends the wait on a kqueue from another thread or from a signal handler.
//
// A user event (EVFILT_USER) where the kernel has one: the queue itself is told, by one kevent(2). Else a descriptor
// that the queue watches. The header may be newer than the kernel, so which of the two it is, is tried.
//
//      other thread   give: kevent(queue, {0: USER TRIGGER}, 1, null, 0)  -->  the wait brings (0, USER)   owner: take
//                     give: write  -->  [ pipe ]                          -->  the wait brings (fd, READ)
//
// Wakes coalesce, and none is lost.
#pragma once

#include <atomic>

#include "platform/kqueue/kevents.h"
#include "platform/posix/wake_descriptor.h"

namespace pollard {

class KqueueWake {
public:
    /// Errors: descriptors_exhausted, out_of_memory. `close` follows, also after one.
    Result<void> open(Kernel& kernel, Handle queue);
    void close(Kernel& kernel);
    /// Any thread, also a signal handler.
    void give(Kernel& kernel, Handle queue);
    bool is_behind(const RawEvent& raw) const;
    /// The owner's answer to the event. After an error it comes again.
    Result<void> take(Kernel& kernel);

private:
    WakeDescriptor descriptor_;
    bool by_descriptor_ = false;
    /// A wake was given and is not taken yet: further ones have nothing to do.
    std::atomic<bool> pending_{false};
};

}  // namespace pollard
