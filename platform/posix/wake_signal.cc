// A wake as a POSIX semaphore: sem_post(3) may be called from a signal handler.
#include "platform/wake_signal.h"

#include <semaphore.h>

#include <new>

namespace pollard {

namespace {
sem_t* semaphore_in(std::byte* bytes) { return reinterpret_cast<sem_t*>(bytes); }
}  // namespace

WakeSignal::WakeSignal() {
    static_assert(sizeof(sem_t) <= sizeof semaphore_);
    sem_init(::new (semaphore_) sem_t, 0, 0);
}
WakeSignal::~WakeSignal() { sem_destroy(semaphore_in(semaphore_)); }

// When the count is at its limit (2^31 - 1) this fails, and the wake is pending anyhow.
void WakeSignal::give() { sem_post(semaphore_in(semaphore_)); }

bool WakeSignal::take() {
    bool taken = false;
    while (sem_trywait(semaphore_in(semaphore_)) == 0) taken = true;
    return taken;
}

void WakeSignal::block_and_take() {
    // A signal handler may interrupt sem_wait(3) without having woken anybody.
    while (sem_wait(semaphore_in(semaphore_)) != 0) {
    }
    take();
}

}  // namespace pollard
