// A free list of buffers, each with its pool's address in front.
#include "platform/buffer_pool.h"

#include "platform/memory.h"

namespace pollard {

struct alignas(16) BufferPool::Header {
    BufferPool* pool;
    Header* next;

    std::byte* data() { return reinterpret_cast<std::byte*>(this + 1); }
    static Header* of(std::byte* data) { return reinterpret_cast<Header*>(data) - 1; }
};

BufferPool::~BufferPool() {
    while (free_ != nullptr) {
        Header* next = free_->next;
        release(free_);
        free_ = next;
    }
}

std::byte* BufferPool::take() {
    Header* header = free_;
    if (header != nullptr) {
        free_ = header->next;
    } else {
        if (exhausted()) return nullptr;
        header = static_cast<Header*>(allocate(sizeof(Header) + buffer_size));
        if (header == nullptr) return nullptr;
        header->pool = this;
    }
    ++lent_;
    return header->data();
}

void BufferPool::give_back(std::byte* data) {
    Header* header = Header::of(data);
    BufferPool& pool = *header->pool;
    header->next = pool.free_;
    pool.free_ = header;
    --pool.lent_;
    pool.serve_next();
}

void BufferPool::serve_next() {
    if (!waiting.empty() && !exhausted()) served.push_back(waiting.pop_front());
}

void Lease::give_back() {
    if (data_ != nullptr) BufferPool::give_back(data_);
    data_ = nullptr;
    size_ = 0;
}

}  // namespace pollard
