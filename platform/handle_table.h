// What a port knows of each handle: an array indexed by handle.
//
// POSIX systems give out the lowest free number, so the numbers in use stand close together from 0 on, and an
// array finds an entry without searching. All zero means: not open.
#pragma once

#include <cstddef>
#include <cstring>

#include "platform/handle.h"
#include "platform/memory.h"

namespace pollard {

template <class Entry>
struct HandleTable {
    /// It moves when it grows: no reference into it lives across `make_room`.
    Entry* entries = nullptr;
    std::size_t capacity = 0;

    HandleTable() = default;
    HandleTable(const HandleTable&) = delete;
    ~HandleTable() { release(entries); }

    Entry& operator[](Handle handle) { return entries[handle]; }
    /// Null: it was never open.
    Entry* find(Handle handle) {
        const auto index = static_cast<std::size_t>(handle);
        return index < capacity ? &entries[index] : nullptr;
    }
    /// False: memory is out.
    bool make_room(Handle handle) {
        const auto index = static_cast<std::size_t>(handle);
        if (index < capacity) return true;
        std::size_t wanted = capacity == 0 ? 64 : capacity;
        while (wanted <= index) wanted *= 2;
        // A large block of zeros costs only the pages that are written to.
        auto* grown = static_cast<Entry*>(allocate_zeroed(wanted * sizeof(Entry)));
        if (grown == nullptr) return false;
        if (capacity != 0) std::memcpy(static_cast<void*>(grown), entries, capacity * sizeof(Entry));
        release(entries);
        entries = grown;
        capacity = wanted;
        return true;
    }
};

}  // namespace pollard
