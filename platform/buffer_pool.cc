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

std::byte* BufferPool::take_new() {
    if (exhausted()) return nullptr;
    auto* header = static_cast<Header*>(allocate(sizeof(Header) + buffer_size));
    if (header == nullptr) return nullptr;
    header->pool = this;
    ++lent_;
    return header->data();
}

}  // namespace pollard
