// OpenSpans: what has begun on a timeline and has not ended yet.
//
// A span is found by the address of what it belongs to: an operation, a frame, a task. So every end that is
// written has its beginning, and when the timeline is closed every beginning gets its end.
//
// A hash table with open addressing: a colliding span stands in the next free place, and taking one out moves
// those behind it forward, so that there are no tombstones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "platform/memory.h"

namespace pollard {

struct OpenSpan {
    const void* key = nullptr;
    const char* category = nullptr;  // both live as long as the program
    const char* name = nullptr;
    std::int64_t id = 0;
    std::int64_t track = 0;
};

class OpenSpans {
public:
    OpenSpans() = default;
    OpenSpans(const OpenSpans&) = delete;
    ~OpenSpans() { release(places_); }

    /// The key must not be there yet. False: no memory.
    bool put(const OpenSpan& span) {
        if (count_ * 2 >= capacity_ && !grow()) return false;
        places_[place_of(span.key)] = span;
        ++count_;
        return true;
    }
    /// Null when there is none.
    const OpenSpan* find(const void* key) const {
        if (count_ == 0) return nullptr;
        const OpenSpan& place = places_[place_of(key)];
        return place.key != nullptr ? &place : nullptr;
    }
    std::optional<OpenSpan> take(const void* key) {
        const OpenSpan* found = find(key);
        if (found == nullptr) return std::nullopt;
        const OpenSpan taken = *found;
        close_gap(static_cast<std::size_t>(found - places_));
        --count_;
        return taken;
    }
    /// Whichever; none when it is empty.
    std::optional<OpenSpan> take_any() {
        for (std::size_t i = 0; count_ != 0 && i < capacity_; ++i)
            if (places_[i].key != nullptr) return take(places_[i].key);
        return std::nullopt;
    }

private:
    static constexpr std::size_t first_capacity = 64;

    std::size_t home_of(const void* key) const {
        // Addresses are multiples of 16 and near each other; Knuth's multiplication spreads them.
        const auto bits = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(key));
        return static_cast<std::size_t>((bits * 0x9e3779b97f4a7c15) >> 20) & (capacity_ - 1);
    }
    /// Where the key stands, or would stand.
    std::size_t place_of(const void* key) const {
        std::size_t place = home_of(key);
        while (places_[place].key != nullptr && places_[place].key != key)
            place = (place + 1) & (capacity_ - 1);
        return place;
    }
    void close_gap(std::size_t gap) {
        places_[gap].key = nullptr;
        for (std::size_t next = (gap + 1) & (capacity_ - 1); places_[next].key != nullptr;
             next = (next + 1) & (capacity_ - 1)) {
            const OpenSpan moved = places_[next];
            places_[next].key = nullptr;
            places_[place_of(moved.key)] = moved;
        }
    }
    bool grow() {
        const std::size_t old_capacity = capacity_;
        const std::size_t new_capacity = old_capacity == 0 ? first_capacity : old_capacity * 2;
        auto* grown = static_cast<OpenSpan*>(allocate_zeroed(new_capacity * sizeof(OpenSpan)));
        if (grown == nullptr) return false;
        OpenSpan* old = places_;
        places_ = grown;
        capacity_ = new_capacity;
        for (std::size_t i = 0; i < old_capacity; ++i)
            if (old[i].key != nullptr) places_[place_of(old[i].key)] = old[i];
        release(old);
        return true;
    }

    OpenSpan* places_ = nullptr;
    std::size_t capacity_ = 0;  // a power of two
    std::size_t count_ = 0;
};

}  // namespace pollard
