// The items of a queue: memory for them, and the three orders in which they come out.
//
//      RingOf   first in, first out       [ . . c d e f . . ]     first ->        <- end, wrapping round
//      StackOf  newest first              [ a b c d . . . . ]                   <- end
//      HeapOf   smallest first            [ 1 3 2 7 4 . . . ]     a binary heap: the smallest at the front
//
// They know nothing of waiting: core/queue.h asks for room, pushes and pops.
//
// Memory is one block. With a capacity at compile time it is part of the queue itself. Otherwise it is taken
// when the first item comes: for a bounded queue all at once (a large one, above `taken_at_once` bytes, by
// doubling as well), for an unbounded one by doubling. Running out loses nothing: what is there stays where it
// is.
//
// Read next: core/queue.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "platform/memory.h"

namespace pollard {

/// Room for items, which it neither makes nor destroys. `fixed` != 0: so many, inside the object.
template <class Item, std::size_t fixed>
class ItemMemory {
public:
    ItemMemory() = default;
    ItemMemory(const ItemMemory&) = delete;

    std::size_t capacity() const { return fixed; }
    Item& at(std::size_t index) { return *std::launder(reinterpret_cast<Item*>(bytes_) + index); }
    void* place(std::size_t index) { return bytes_ + index * sizeof(Item); }
    /// Never asked: a queue with such memory is full before that.
    bool grow(std::size_t, std::size_t, std::size_t) { return false; }

private:
    alignas(Item) std::byte bytes_[fixed * sizeof(Item)];
};

template <class Item>
class ItemMemory<Item, 0> {
public:
    static constexpr std::size_t taken_at_once = std::size_t{64} * 1024;
    static constexpr std::size_t smallest_capacity = 16;
    static_assert(alignof(Item) <= alignof(std::max_align_t), "malloc's alignment is what there is");

    ItemMemory() = default;
    ItemMemory(const ItemMemory&) = delete;
    ~ItemMemory() { release(items_); }

    std::size_t capacity() const { return capacity_; }
    Item& at(std::size_t index) { return items_[index]; }
    void* place(std::size_t index) { return items_ + index; }

    /// Moves the `count` items, which begin at `first` and wrap round, to the front of a larger block. False: no
    /// memory, and nothing has changed.
    [[gnu::cold, gnu::noinline]] bool grow(std::size_t first, std::size_t count, std::size_t limit) {
        const std::size_t larger = next_capacity(limit);
        if (larger <= capacity_ || larger > SIZE_MAX / sizeof(Item)) return false;
        auto* block = static_cast<Item*>(allocate(larger * sizeof(Item)));
        if (block == nullptr) return false;
        for (std::size_t i = 0; i < count; ++i) {
            Item& item = items_[first < capacity_ - i ? first + i : first + i - capacity_];
            ::new (static_cast<void*>(block + i)) Item(std::move(item));
            item.~Item();
        }
        release(items_);
        items_ = block;
        capacity_ = larger;
        return true;
    }

private:
    /// `limit`: more than that the queue never holds.
    std::size_t next_capacity(std::size_t limit) const {
        if (limit <= taken_at_once / sizeof(Item)) return limit;
        return std::min(limit, std::max(smallest_capacity, 2 * capacity_));
    }

    Item* items_ = nullptr;
    std::size_t capacity_ = 0;
};

/// First in, first out.
template <class T, std::size_t fixed>
class RingOf {
public:
    /// What is said of the order, for people.
    static constexpr const char* name = "queue";
    using Item = T;

    std::size_t size() const { return size_; }
    /// False: no memory for one more. `limit` is what the queue holds at most.
    bool make_room(std::size_t limit) {
        if (size_ < memory_.capacity()) [[likely]]
            return true;
        if (!memory_.grow(first_, size_, limit)) return false;
        first_ = 0;
        end_ = size_;
        return true;
    }
    /// There must be room.
    void push(T&& item) {
        if (end_ == memory_.capacity()) end_ = 0;
        ::new (memory_.place(end_)) T(std::move(item));
        ++end_;
        ++size_;
    }
    /// It must not be empty.
    T pop() {
        T& item = memory_.at(first_);
        T taken = std::move(item);
        item.~T();
        if (++first_ == memory_.capacity()) first_ = 0;
        --size_;
        return taken;
    }

private:
    ItemMemory<T, fixed> memory_;
    std::size_t first_ = 0;
    std::size_t end_ = 0;  // behind the last; at the end of the memory it stands for its beginning
    std::size_t size_ = 0;
};

/// Newest first.
template <class T, std::size_t fixed>
class StackOf {
public:
    static constexpr const char* name = "LIFO queue";
    using Item = T;

    std::size_t size() const { return size_; }
    bool make_room(std::size_t limit) { return size_ < memory_.capacity() || memory_.grow(0, size_, limit); }
    void push(T&& item) { ::new (memory_.place(size_++)) T(std::move(item)); }
    T pop() {
        T& item = memory_.at(--size_);
        T taken = std::move(item);
        item.~T();
        return taken;
    }

private:
    ItemMemory<T, fixed> memory_;
    std::size_t size_ = 0;
};

/// Smallest first, by `<`; equal ones in the order in which they came.
template <class T, std::size_t fixed>
class HeapOf {
public:
    static constexpr const char* name = "priority queue";
    using Item = T;

    std::size_t size() const { return size_; }
    bool make_room(std::size_t limit) { return size_ < memory_.capacity() || memory_.grow(0, size_, limit); }
    void push(T&& item) {
        ::new (memory_.place(size_++)) Entry{std::move(item), next_number_++};
        std::push_heap(begin(), begin() + size_, comes_later);
    }
    T pop() {
        std::pop_heap(begin(), begin() + size_, comes_later);
        Entry& entry = memory_.at(--size_);
        T taken = std::move(entry.item);
        entry.~Entry();
        return taken;
    }

private:
    struct Entry {
        T item;
        std::uint64_t number;  // of its arrival
    };
    static bool comes_later(const Entry& one, const Entry& other) {
        if (other.item < one.item) return true;
        return !(one.item < other.item) && other.number < one.number;
    }
    Entry* begin() { return &memory_.at(0); }

    ItemMemory<Entry, fixed> memory_;
    std::size_t size_ = 0;
    std::uint64_t next_number_ = 0;
};

}  // namespace pollard
