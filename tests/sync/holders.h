// Who holds a lock or a semaphore's permit by a guard for a time: the tasks of both tests, by both authors.
#pragma once

#include <string>
#include <utility>

#include "core/sync/lock.h"
#include "core/sync/semaphore.h"
#include "tests/virtual_loop.h"

namespace pollard {

/// Holds something by a guard for a time.
template <class Resource>
struct HoldsFrame : Coroutine<HoldsFrame<Resource>, void, Awaits<AcquireGuard<Resource>, Sleep>> {
    std::string name;
    AcquireGuard<Resource> (*enter)(void*);
    void* resource;
    std::int64_t hold_ns;
    Result<Guard<Resource>> guard;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(guard, enter(resource));
        tell(name + " in", guard);
        if (!guard) CO_RETURN(guard.error());
        CO_TRY(sleep_ns(hold_ns));
        say(name + " out");
        guard->release();
        CO_END;
    }
};

struct HoldersByHand : ByHand {
    static auto holds(std::string name, Lock& lock, std::int64_t hold_ns) {
        return HoldsFrame<Lock>{.name = std::move(name),
                                .enter = [](void* it) { return static_cast<Lock*>(it)->lock(); },
                                .resource = &lock,
                                .hold_ns = hold_ns};
    }
    static auto holds(std::string name, Semaphore& semaphore, std::int64_t hold_ns) {
        return HoldsFrame<Semaphore>{.name = std::move(name),
                                     .enter = [](void* it) { return static_cast<Semaphore*>(it)->permit(); },
                                     .resource = &semaphore,
                                     .hold_ns = hold_ns};
    }
};

inline Lock::AcquireGuard enter(Lock& lock) { return lock.lock(); }
inline Semaphore::AcquireGuard enter(Semaphore& semaphore) { return semaphore.permit(); }

struct HoldersByCompiler : ByCompiler {
    template <class Resource>
    static Co<void> holds(std::string name, Resource& resource, std::int64_t hold_ns) {
        const auto guard = co_await enter(resource);
        tell(name + " in", guard);
        if (!guard) co_return guard.error();
        const Result<void> slept = co_await sleep_ns(hold_ns);
        if (!slept) co_return slept;
        say(name + " out");
        co_return Result<void>();
    }
};

using Holders = testing::Types<HoldersByHand, HoldersByCompiler>;

}  // namespace pollard
