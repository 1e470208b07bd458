// The only file that calls malloc.
#include "platform/memory.h"

#include <atomic>
#include <cstdlib>

namespace pollard {

namespace {
constinit std::atomic<std::uint64_t> allocations{0};
constinit std::atomic<std::uint64_t> releases{0};
// Counts down with every request; failing lasts while the value is in [-failures, 0).
constinit std::atomic<std::int64_t> until_failure{INT64_MAX};
constinit std::atomic<std::int64_t> failures_planned{0};
}  // namespace

namespace {
/// Counts the request; true: it shall fail.
bool planned_failure() {
    if (failures_planned.load(std::memory_order_relaxed) == 0) return false;
    const std::int64_t left = until_failure.fetch_sub(1, std::memory_order_relaxed) - 1;
    if (left >= 0) return false;
    if (-left >= failures_planned.load(std::memory_order_relaxed)) fail_allocations_after(0, 0);
    return true;
}

void* counted(void* block) {
    if (block != nullptr) allocations.fetch_add(1, std::memory_order_relaxed);
    return block;
}
}  // namespace

void* allocate(std::size_t size) { return planned_failure() ? nullptr : counted(std::malloc(size)); }

void* allocate_zeroed(std::size_t size) {
    return planned_failure() ? nullptr : counted(std::calloc(1, size));
}

void release(void* block) {
    if (block == nullptr) return;
    releases.fetch_add(1, std::memory_order_relaxed);
    std::free(block);
}

MemoryCounters memory_counters() {
    return {allocations.load(std::memory_order_relaxed), releases.load(std::memory_order_relaxed)};
}

void fail_allocations_after(std::uint64_t count, std::uint64_t failures) {
    until_failure.store(static_cast<std::int64_t>(count), std::memory_order_relaxed);
    failures_planned.store(static_cast<std::int64_t>(failures), std::memory_order_relaxed);
}

BlockPool::~BlockPool() {
    while (slabs_ != nullptr) {
        Slab* next = slabs_->next;
        release(slabs_);
        slabs_ = next;
    }
}

void* BlockPool::take(std::size_t size) {
    const std::size_t index = (size + granule - 1) / granule;
    void* block;
    if (size > largest_pooled) {
        block = allocate(size);
    } else if (FreeBlock* reused = free_[index]; reused != nullptr) {
        free_[index] = reused->next;
        block = reused;
    } else {
        block = carve(index * granule);
    }
    if (block != nullptr) ++in_use_;
    return block;
}

void BlockPool::give_back(void* block, std::size_t size) {
    --in_use_;
    if (size > largest_pooled) {
        release(block);
        return;
    }
    auto* freed = static_cast<FreeBlock*>(block);
    FreeBlock*& head = free_[(size + granule - 1) / granule];
    freed->next = head;
    head = freed;
}

void* BlockPool::carve(std::size_t rounded_size) {
    if (static_cast<std::size_t>(fresh_end_ - fresh_) < rounded_size) {
        void* memory = allocate(slab_size);
        if (memory == nullptr) return nullptr;
        auto* slab = static_cast<Slab*>(memory);
        slab->next = slabs_;
        slabs_ = slab;
        // The first granule holds the link, so blocks keep malloc's alignment.
        fresh_ = static_cast<std::byte*>(memory) + granule;
        fresh_end_ = static_cast<std::byte*>(memory) + slab_size;
    }
    void* block = fresh_;
    fresh_ += rounded_size;
    return block;
}

}  // namespace pollard
