// A wake that waits to be noticed, for a thread that waits for nothing else: the simulated kernel's.
//
// Several wakes are one.
//
// Thread rule: `give` may be called from any thread, and on POSIX systems from a signal handler.
#pragma once

#include <cstddef>

namespace pollard {

class WakeSignal {
public:
    WakeSignal();
    ~WakeSignal();
    WakeSignal(const WakeSignal&) = delete;
    WakeSignal& operator=(const WakeSignal&) = delete;

    void give();
    /// True when there was one; there is none afterwards.
    bool take();
    /// Blocks the real thread until there is one, and takes it.
    void block_and_take();

private:
    /// The system's own kind of semaphore.
    alignas(std::max_align_t) std::byte semaphore_[32];
};

}  // namespace pollard
