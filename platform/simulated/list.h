// A circular list of things that carry their own links, as WorkList is one of work.
//
// A thing may stand in several lists at once: it derives from one node type a list, and `Node` says which of
// them is meant. Nothing is allocated and nothing is owned.
#pragma once

#include "platform/work.h"

namespace pollard::simulated {

template <class T, class Node = T>
class List {
public:
    List() { head_.next = head_.previous = &head_; }
    List(const List&) = delete;
    List& operator=(const List&) = delete;

    bool empty() const { return head_.next == &head_; }
    void push_back(T& item) { node(item).insert_before(head_); }
    void push_front(T& item) { node(item).insert_before(*head_.next); }
    void push_before(T& place, T& item) { node(item).insert_before(node(place)); }

    /// Null at the end.
    T* first() const { return item(head_.next); }
    T* last() const { return item(head_.previous); }
    T* next(T& of) const { return item(node(of).next); }
    T* previous(T& of) const { return item(node(of).previous); }

    /// Null when the list is empty.
    T* pop_front() {
        T* popped = first();
        if (popped != nullptr) node(*popped).unlink();
        return popped;
    }

private:
    static Node& node(T& item) { return item; }
    T* item(Link* link) const { return link == &head_ ? nullptr : static_cast<T*>(static_cast<Node*>(link)); }

    Link head_;
};

}  // namespace pollard::simulated
