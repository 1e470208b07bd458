// The provided buffer ring: an array of (address, size, number) with a tail that only we write.
//
// The head is the kernel's own and not shown; the answers tell what it has taken. The tail stands where the first
// entry has unused bytes (see io_uring_register(2), IORING_REGISTER_PBUF_RING).
#include "platform/io_uring/receive_buffers.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "platform/buffer_pool.h"
#include "platform/io_uring/ring.h"
#include "platform/kernel.h"
#include "platform/memory.h"

namespace pollard::io_uring {

namespace {
constexpr std::size_t ring_size = ReceiveBuffers::capacity * sizeof(io_uring_buf);
constexpr std::uint32_t none = UINT32_MAX;
constexpr unsigned first_wanted = 8;
static_assert((ReceiveBuffers::capacity & (ReceiveBuffers::capacity - 1)) == 0, "a power of two");
}  // namespace

Result<void> ReceiveBuffers::open(Kernel& kernel, Handle ring) {
    slots_ = static_cast<Slot*>(allocate_zeroed(capacity * sizeof(Slot)));
    if (slots_ == nullptr) return Error(ErrorKind::out_of_memory, Call::open).on("io_uring");
    for (std::uint32_t number = 0; number < capacity; ++number) slots_[number].next = number + 1;
    slots_[capacity - 1].next = none;
    // Must begin on a page.
    const std::intptr_t memory =
        kernel.mmap(kernel, no_handle, ring_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, 0);
    if (memory < 0) return error_of(Call::mmap, memory);
    ring_ = static_cast<io_uring_buf*>(as_address(memory));
    io_uring_buf_reg description = {};
    description.ring_addr = static_cast<std::uint64_t>(memory);
    description.ring_entries = capacity;
    description.bgid = group;
    const std::intptr_t registered =
        kernel.io_uring_register(kernel, ring, IORING_REGISTER_PBUF_RING, &description, 1);
    if (registered < 0) return error_of(Call::io_uring_register, registered).on_descriptor(ring);
    return {};
}

void ReceiveBuffers::close(Kernel& kernel) {
    if (slots_ != nullptr)
        for (std::uint32_t number = 0; number < capacity; ++number)
            if (slots_[number].data != nullptr) BufferPool::give_back_uncounted(slots_[number].data);
    release(slots_);
    slots_ = nullptr;
    if (ring_ != nullptr) kernel.munmap(kernel, ring_, ring_size);
    ring_ = nullptr;
}

void ReceiveBuffers::provide(std::uint16_t number) {
    io_uring_buf& entry = ring_[tail_++ & (capacity - 1)];
    entry.addr = reinterpret_cast<std::uintptr_t>(slots_[number].data);
    entry.len = BufferPool::buffer_size;
    entry.bid = number;
    ++with_kernel_;
}

void ReceiveBuffers::publish() { store_release(&ring_[0].resv, tail_); }

bool ReceiveBuffers::fill(BufferPool& pool) {
    const unsigned before = with_kernel_;
    if (wanted_ == 0) wanted_ = first_wanted;
    filled_to_ = wanted_;
    while (with_kernel_ < wanted_ && free_ != none) {
        // What is lent comes back; more are made only while there are too few in all.
        std::byte* data = pool.take_uncounted(with_kernel_ == 0 || with_kernel_ + pool.lent() < wanted_);
        if (data == nullptr) break;
        const auto number = static_cast<std::uint16_t>(free_);
        free_ = slots_[number].next;
        slots_[number].data = data;
        provide(number);
    }
    if (with_kernel_ != before) publish();
    return with_kernel_ != 0;
}

bool ReceiveBuffers::all_filled() const { return free_ == none; }

void ReceiveBuffers::drop_front(std::uint16_t number, std::size_t count) {
    slots_[number].first += static_cast<std::uint32_t>(count);
}

/// A lease begins where its buffer does.
void ReceiveBuffers::move_to_front(Slot& slot) {
    std::memmove(slot.data, slot.data + slot.first, slot.end - slot.first);
}

void ReceiveBuffers::recycle(std::uint16_t number) {
    provide(number);
    publish();
}

}  // namespace pollard::io_uring
