// Buffers that the kernel holds ahead, and fills when data comes.
//
// A receive that waits must not hold a buffer (ten thousand of them wait), and a kernel that receives by itself
// needs one at the moment when data comes. So the kernel is given a row of buffers for all connections together
// (a provided buffer ring): whichever receive has data takes the next one, and its answer tells the number.
//
//      pool's free list --fill()--> [ with the kernel ] --answer--> [ filled: kept, by its number ] --take()--> Lease
//             ^                                                          | recycle(): back to the kernel
//             +----------------------- the lease ends <------------------+-----------------------------------+
//
// They are the port's own buffers (platform/buffer_pool.h); none counts as lent until a lease is made of it. How
// many the kernel holds grows with need: when a receive finds none (ENOBUFS), the number is doubled.
//
// Read next: platform/buffer_pool.h.
#pragma once

#include <linux/io_uring.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "platform/handle.h"
#include "platform/result.h"

namespace pollard {

class BufferPool;
struct Kernel;

namespace io_uring {

class ReceiveBuffers {
public:
    static constexpr unsigned capacity = 1024;
    static constexpr std::uint16_t group = 0;

    /// After an error, and in the end, close() it.
    Result<void> open(Kernel& kernel, Handle ring);
    /// The ring must be closed, or nothing under way on it.
    void close(Kernel& kernel);
    bool usable() const { return ring_ != nullptr; }

    /// Sees that the kernel has enough. False: it has none, because memory is out or all are filled.
    bool fill(BufferPool& pool);
    /// True after the first `fill`, when some have gone.
    bool low() const { return with_kernel_ < wanted_; }
    bool all_filled() const;
    /// There were too few. (Many receives say so at once: what counts is how many there were when it began.)
    void grow() { wanted_ = filled_to_ * 2 < capacity ? filled_to_ * 2 : capacity; }

    // --- filled ones, by number ---

    void filled(std::uint16_t number, std::size_t size) {
        --with_kernel_;
        slots_[number].first = 0;
        slots_[number].end = static_cast<std::uint32_t>(size);
    }
    std::span<std::byte> bytes(std::uint16_t number) const {
        const Slot& slot = slots_[number];
        return {slot.data + slot.first, slot.end - slot.first};
    }
    /// The first bytes have been read.
    void drop_front(std::uint16_t number, std::size_t count);
    /// The caller's from now on; the number is free.
    std::byte* take(std::uint16_t number) {
        Slot& slot = slots_[number];
        if (slot.first != 0) [[unlikely]]
            move_to_front(slot);
        slot.next = free_;
        free_ = number;
        return std::exchange(slot.data, nullptr);
    }
    /// Empty again, for the kernel.
    void recycle(std::uint16_t number);
    /// For the owner's lists of filled ones.
    std::uint32_t& next_of(std::uint16_t number) { return slots_[number].next; }

private:
    struct Slot {
        std::byte* data;  // null: the number is free
        std::uint32_t first;
        std::uint32_t end;
        std::uint32_t next;  // of the free numbers, or the owner's
    };
    static void move_to_front(Slot& slot);
    void provide(std::uint16_t number);
    void publish();

    io_uring_buf* ring_ = nullptr;
    Slot* slots_ = nullptr;
    std::uint32_t free_ = 0;
    std::uint16_t tail_ = 0;
    unsigned with_kernel_ = 0;
    unsigned wanted_ = 0;
    unsigned filled_to_ = 0;  // what was wanted at the last `fill`
};

}  // namespace io_uring
}  // namespace pollard
