// The one place where memory comes from.
//
// Pollard calls malloc(3) here and nowhere else, so that a test can count what is allocated (nothing, in the
// steady state), and can make the n-th request fail to see that running out is an error like others.
//
// Thread rule: `allocate` and `release` from any thread; a BlockPool belongs to one thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pollard {

/// Null when there is none. Aligned for any ordinary type.
void* allocate(std::size_t size);
/// The same, all zero; of a large block only the pages that are touched exist. calloc(3).
void* allocate_zeroed(std::size_t size);
void release(void* block);

struct MemoryCounters {
    std::uint64_t allocations;
    std::uint64_t releases;
};
MemoryCounters memory_counters();

/// For tests: lets `count` more requests succeed, then `failures` requests fail, then all succeed again.
void fail_allocations_after(std::uint64_t count, std::uint64_t failures = 1);

/// Blocks of a few sizes, reused last freed first (the block that is still in the cache). Memory is taken in
/// slabs and returned when the pool goes, never before: a loop's working set is its high-water mark.
class BlockPool {
public:
    static constexpr std::size_t granule = 16;
    static constexpr std::size_t largest_pooled = 1024;
    static constexpr std::size_t slab_size = 16 * 1024;

    BlockPool() = default;
    BlockPool(const BlockPool&) = delete;
    ~BlockPool();

    /// Null when memory is out. A block larger than `largest_pooled` comes from `allocate` directly.
    void* take(std::size_t size);
    /// `size` as in take.
    void give_back(void* block, std::size_t size);

    std::size_t blocks_in_use() const { return in_use_; }

private:
    struct FreeBlock {
        FreeBlock* next;
    };
    struct Slab {
        Slab* next;
    };
    void* carve(std::size_t rounded_size);

    FreeBlock* free_[largest_pooled / granule + 1] = {};
    Slab* slabs_ = nullptr;
    std::byte* fresh_ = nullptr;
    std::byte* fresh_end_ = nullptr;
    std::size_t in_use_ = 0;
};

}  // namespace pollard
