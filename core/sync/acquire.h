// Acquire: waiting for something that few may hold at a time, and the guard that gives it back.
//
// A lock and a semaphore differ in how many may hold them; how one waits for them is the same, and is written
// here once. There are two forms:
//
//      CO_TRY(lock.acquire());                one calls lock.release() by oneself
//      CO_AWAIT(guard, lock.lock());          Result<Guard<Lock>>: whoever destroys the guard releases the lock
//
// In a co_await coroutine the guard is a local, and its scope is the critical section. In a hand-written frame
// it is a field, which lives as long as the frame: in a task's frame until the last TaskRef has gone. So there the
// section ends with `guard->release()`, and the guard is for the ways out before it: errors, cancellation.
//
// What a Resource must have, all private to it and its friends here:
//
//      bool take_now()                 takes it when it is free and nobody is in line
//      void take_in_turn()             the one who was woken takes it
//      void pass_on()                  the one who was woken leaves without it
//      void moved_to(Guard*)           that guard holds it from now on
//      void release_from(Guard*)       that guard gives it back
//      WaiterLine line_, describe(), noun
//
// Read next: core/sync/lock.h.
#pragma once

#include <utility>

#include "core/sync/waiter_line.h"
#include "core/task.h"

namespace pollard {

/// Holds a Resource, or nothing; gives it back when it is destroyed. The Resource must outlive it.
template <class Resource>
class [[nodiscard]] Guard {
public:
    Guard() = default;
    Guard(Guard&& other) noexcept { take_over(other); }
    Guard& operator=(Guard&& other) noexcept {
        if (this == &other) return *this;
        release();
        take_over(other);
        return *this;
    }
    ~Guard() { release(); }

    explicit operator bool() const { return held_ != nullptr; }
    /// Gives it back now; of a guard that holds nothing: no effect.
    void release() {
        if (Resource* resource = std::exchange(held_, nullptr); resource != nullptr)
            resource->release_from(this);
    }

private:
    template <class>
    friend class AcquireGuard;
    friend Resource;

    explicit Guard(Resource& resource) : held_(&resource) { resource.moved_to(this); }
    void take_over(Guard& other) {
        held_ = std::exchange(other.held_, nullptr);
        if (held_ != nullptr) held_->moved_to(this);
    }

    Resource* held_ = nullptr;
};

/// Waits for a Resource: Result<void>. (asyncio's acquire gives True; here a Result that holds no error says so.)
template <class Resource>
class [[nodiscard]] Acquire : public WaitsInLine<Acquire<Resource>> {
public:
    explicit Acquire(Resource& resource) : resource_(&resource) {}

    bool start(Frame& waiter) {
        tell_await(waiter);
        if (resource_->take_now()) return this->finish_at_once();
        return this->wait_in(resource_->line_, waiter);
    }
    bool failed() const { return this->cancelled; }
    Result<void> result() const {
        if (failed()) return cancelled_error(Resource::noun);
        return {};
    }
    void describe(Text& text) const { resource_->describe(text); }

    bool take_turn(bool woken) {
        if (this->cancelled) [[unlikely]]
            give_up(woken);
        else
            resource_->take_in_turn();
        return true;
    }
    void give_up(bool woken) {
        if (woken) resource_->pass_on();
    }

protected:
    Resource* resource_;
};

/// The same with a Guard: Result<Guard<Resource>>.
template <class Resource>
class [[nodiscard]] AcquireGuard : public Acquire<Resource> {
public:
    using Acquire<Resource>::Acquire;
    /// Nobody asked for the guard: it is made here, and releases at once.
    ~AcquireGuard() {
        if (this->place == LineWaiter::Place::over && !this->failed()) value().release();
    }

    Guard<Resource> value() {
        this->place = LineWaiter::Place::nowhere;  // the guard has it now
        return Guard<Resource>(*this->resource_);
    }
    Result<Guard<Resource>> result() {
        if (this->failed()) return cancelled_error(Resource::noun);
        return value();
    }
};

}  // namespace pollard
