// A wake as a flag under a lock: neither needs a handle, so making one cannot fail.
#include "platform/wake_signal.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <new>

namespace pollard {

namespace {
struct Flag {
    SRWLOCK lock = SRWLOCK_INIT;
    CONDITION_VARIABLE given = CONDITION_VARIABLE_INIT;
    bool up = false;
};
Flag& flag_in(std::byte* bytes) { return *reinterpret_cast<Flag*>(bytes); }
}  // namespace

WakeSignal::WakeSignal() {
    static_assert(sizeof(Flag) <= sizeof semaphore_);
    ::new (semaphore_) Flag;
}
WakeSignal::~WakeSignal() = default;

void WakeSignal::give() {
    Flag& flag = flag_in(semaphore_);
    ::AcquireSRWLockExclusive(&flag.lock);
    flag.up = true;
    ::ReleaseSRWLockExclusive(&flag.lock);
    ::WakeConditionVariable(&flag.given);
}

bool WakeSignal::take() {
    Flag& flag = flag_in(semaphore_);
    ::AcquireSRWLockExclusive(&flag.lock);
    const bool taken = flag.up;
    flag.up = false;
    ::ReleaseSRWLockExclusive(&flag.lock);
    return taken;
}

void WakeSignal::block_and_take() {
    Flag& flag = flag_in(semaphore_);
    ::AcquireSRWLockExclusive(&flag.lock);
    while (!flag.up) ::SleepConditionVariableSRW(&flag.given, &flag.lock, INFINITE, 0);
    flag.up = false;
    ::ReleaseSRWLockExclusive(&flag.lock);
}

}  // namespace pollard
