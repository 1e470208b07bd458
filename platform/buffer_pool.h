// Buffers lent by the port: an idle connection holds none.
//
// Ten thousand connections that wait for a message need no ten thousand buffers: only when data is there does
// a borrowed receive take a buffer from the pool, fill it, and hand it over as a Lease. The lease gives it
// back when it goes out of scope, and because the next receive is tried in its own turn, one buffer usually
// serves them all and stays warm in the cache.
//
//      [pool: free list] --take--> recv fills it --> Lease --destroyed--> back to the head of the free list
//
// The pool grows buffer by buffer up to a limit. At the limit a receive waits in line for the next lease that
// ends (`waiting`; the port runs that line). A lease must not outlive its pool's port.
//
// Thread rule: the loop's thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "platform/work.h"

namespace pollard {

class BufferPool;

/// A filled buffer, move-only. Its bytes may be changed in place.
class Lease {
public:
    Lease() = default;
    Lease(std::byte* data, std::size_t size) : data_(data), size_(size) {}
    Lease(Lease&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    Lease& operator=(Lease&& other) noexcept {
        if (this != &other) {
            give_back();
            data_ = std::exchange(other.data_, nullptr);
            size_ = std::exchange(other.size_, 0);
        }
        return *this;
    }
    ~Lease() { give_back(); }

    std::span<std::byte> bytes() const { return {data_, size_}; }
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    /// Returns the buffer to the pool now.
    inline void give_back();

private:
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

class BufferPool {
public:
    static constexpr std::size_t buffer_size = 16 * 1024;
    static constexpr std::size_t default_limit = 1024;

    BufferPool() = default;
    BufferPool(const BufferPool&) = delete;
    ~BufferPool();

    /// `buffer_size` bytes, or null when memory is out or `limit` buffers are lent.
    std::byte* take() {
        Header* header = free_;
        if (header == nullptr || exhausted()) [[unlikely]]
            return take_new();
        free_ = header->next;
        ++lent_;
        return header->data();
    }
    /// `data` came from take() of some pool; it goes back to that one.
    static void give_back(std::byte* data) {
        Header* header = Header::of(data);
        BufferPool& pool = *header->pool;
        header->next = pool.free_;
        pool.free_ = header;
        pool.drop_promise();
    }
    /// For who was moved to `served`: the buffer that was promised.
    std::byte* take_promised() {
        --lent_;
        return take();
    }
    /// One buffer less is lent or promised: it is promised to the first who waits, if anybody does.
    void drop_promise() {
        if (waiting.empty()) [[likely]]
            --lent_;
        else
            served.push_back(waiting.pop_front());
    }

    // For a kernel that is given buffers ahead and fills them on its own. Such a buffer is in nobody's hands: it counts
    // as lent only from the moment when a lease is made of it.

    /// Null: none is free and a new one is not wanted (`may_grow`), or memory is out.
    std::byte* take_uncounted(bool may_grow);
    static void give_back_uncounted(std::byte* data);
    void count_as_lent() { ++lent_; }

    /// Lent and promised ones.
    std::size_t lent() const { return lent_; }
    bool exhausted() const { return lent_ >= limit; }

    std::size_t limit = default_limit;
    /// Receives that found the pool exhausted, in order. A buffer that comes back is promised to the first one, which
    /// moves to `served`; who comes later finds the pool exhausted still, and does not overtake the line.
    WorkList waiting;
    WorkList served;

private:
    /// Stands in front of each buffer.
    struct alignas(16) Header {
        BufferPool* pool;
        Header* next;

        std::byte* data() { return reinterpret_cast<std::byte*>(this + 1); }
        static Header* of(std::byte* data) { return reinterpret_cast<Header*>(data) - 1; }
    };
    std::byte* take_new();
    std::byte* allocate_buffer();

    Header* free_ = nullptr;
    std::size_t lent_ = 0;
};

inline void Lease::give_back() {
    if (data_ != nullptr) BufferPool::give_back(data_);
    data_ = nullptr;
    size_ = 0;
}

}  // namespace pollard
