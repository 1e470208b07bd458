// A wake as a semaphore of Mach, for macOS: its POSIX ones without a name exist in the headers only, and fail.
//
// semaphore_signal is a trap into the kernel and nothing else, so a signal handler may call it.
#include <mach/mach_init.h>
#include <mach/semaphore.h>
#include <mach/task.h>

#include <new>

#include "platform/wake_signal.h"

namespace pollard {

namespace {
semaphore_t& semaphore_in(std::byte* bytes) { return *reinterpret_cast<semaphore_t*>(bytes); }
}  // namespace

WakeSignal::WakeSignal() {
    static_assert(sizeof(semaphore_t) <= sizeof semaphore_);
    ::semaphore_create(::mach_task_self(), ::new (semaphore_) semaphore_t, SYNC_POLICY_FIFO, 0);
}
WakeSignal::~WakeSignal() { ::semaphore_destroy(::mach_task_self(), semaphore_in(semaphore_)); }

void WakeSignal::give() { ::semaphore_signal(semaphore_in(semaphore_)); }

bool WakeSignal::take() {
    bool taken = false;
    const mach_timespec_t at_once = {.tv_sec = 0, .tv_nsec = 0};
    while (::semaphore_timedwait(semaphore_in(semaphore_), at_once) == KERN_SUCCESS) taken = true;
    return taken;
}

void WakeSignal::block_and_take() {
    // A signal may abort the wait without having woken anybody.
    while (::semaphore_wait(semaphore_in(semaphore_)) == KERN_ABORTED) {
    }
    take();
}

}  // namespace pollard
