// Blocks for the compiler's coroutines.
#include "core/co_await.h"

#include <new>

namespace pollard::bridge {

namespace {
struct alignas(16) Note {
    TaskPool* pool;  // null: the block came from `allocate`, no scheduler was running
};
}  // namespace

void* take_block(std::size_t size) {
    TaskPool* pool = current_scheduler != nullptr ? current_scheduler->pool : nullptr;
    void* memory = pool != nullptr ? pool->blocks.take(sizeof(Note) + size) : allocate(sizeof(Note) + size);
    if (memory == nullptr) return nullptr;
    return ::new (memory) Note{pool} + 1;
}

void give_back_block(void* block, std::size_t size) {
    Note* note = static_cast<Note*>(block) - 1;
    if (note->pool != nullptr)
        note->pool->give_back(note, sizeof(Note) + size);
    else
        release(note);
}

}  // namespace pollard::bridge
