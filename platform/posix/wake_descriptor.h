// WakeDescriptor: a descriptor that becomes readable when another thread, or a signal handler, says so.
//
// An eventfd(2) where the kernel has one (a counter: one descriptor); else a pipe(2) to oneself (two). For pollers whose
// kernel has no wake of its own: they watch `readable_end()`, level-triggered.
//
//      other thread   give: write  -->  [ eventfd or pipe ]  -->  readable: the wait ends, take: read   owner
//
// At most one wake is in it: who finds `pending` set has nothing to do, since the wait that will take it comes after.
#pragma once

#include <atomic>

#include "platform/handle.h"
#include "platform/result.h"

namespace pollard {

class WakeDescriptor {
public:
    /// Errors: descriptors_exhausted. After one there is nothing to close.
    Result<void> open(Kernel& kernel);
    void close(Kernel& kernel);

    Handle readable_end() const { return ends_[0]; }
    /// Any thread, also a signal handler.
    void give(Kernel& kernel);
    /// The owner's answer when the readable end is readable. After an error it still is, and the wake is not lost.
    Result<void> take(Kernel& kernel);

private:
    /// The same descriptor twice for an eventfd.
    Handle ends_[2] = {no_handle, no_handle};
    /// A wake was given and is not taken yet.
    std::atomic<bool> pending_{false};
};

}  // namespace pollard
