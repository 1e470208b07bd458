// The seldom half of the buffer pool: growing, and ending.
#include "platform/buffer_pool.h"

#include "platform/memory.h"

namespace pollard {

BufferPool::~BufferPool() {
    while (free_ != nullptr) {
        Header* next = free_->next;
        release(free_);
        free_ = next;
    }
}

std::byte* BufferPool::allocate_buffer() {
    auto* header = static_cast<Header*>(allocate(sizeof(Header) + buffer_size));
    if (header == nullptr) return nullptr;
    header->pool = this;
    return header->data();
}

std::byte* BufferPool::take_new() {
    if (exhausted()) return nullptr;
    std::byte* data = allocate_buffer();
    if (data != nullptr) ++lent_;
    return data;
}

std::byte* BufferPool::take_uncounted(bool may_grow) {
    if (free_ == nullptr) return may_grow ? allocate_buffer() : nullptr;
    Header* header = free_;
    free_ = header->next;
    return header->data();
}

void BufferPool::give_back_uncounted(std::byte* data) {
    Header* header = Header::of(data);
    header->next = header->pool->free_;
    header->pool->free_ = header;
}

}  // namespace pollard
