// Work: anything whose turn comes.
//
// A suspended frame, a kernel operation with news, a timer that is due, a callback: each is a Work, a list
// node with one function to call. They all stand in the same kind of list and run strictly first in, first
// out. That is why nothing is allocated to make something ready: the node is part of the thing itself.
//
//      list ->  [ frame ] <-> [ operation ] <-> [ timer ] <-> (back to the list)
//                  |run           |run             |run
//             go on at line 41   try recv again   wake the sleeper
//
// The list is circular and doubly linked, so that a thing which dies while it is queued takes itself out
// without anyone searching for it, and a whole list joins another in four assignments.
//
// Thread rule: a list belongs to one thread.
//
// Read next: platform/operation.h (the kernel's kind of work), core/frame.h (the coroutine's kind).
#pragma once

namespace pollard {

struct Work;

/// What all work of one kind has in common. One constexpr record a kind.
struct WorkType {
    void (*run)(Work* work);
    const char* name;
    bool is_frame = false;  // a Frame of core/frame.h; for who wants to look at it before it runs
    /// For work that runs on behalf of another: what it may make ready; null: nothing at this moment. For who wants to
    /// know what waits for what (core/await_graph.h).
    Work* (*wakes)(const Work* work) = nullptr;
};

/// For a node whose fields are written later, when it turns out to be needed.
struct Unset {};
inline constexpr Unset unset;

/// A place in a circular list. `next == nullptr` means: in no list.
struct Link {
    Link* next;
    Link* previous;

    constexpr Link() : next(nullptr), previous(nullptr) {}
    explicit Link(Unset) {}

    bool linked() const { return next != nullptr; }

    /// Stands in front of `place` from now on, in the same list; in front of a list's head, that is at its end. It must
    /// stand in no list.
    void insert_before(Link& place) {
        next = &place;
        previous = place.previous;
        place.previous->next = this;
        place.previous = this;
    }

    /// Leaves whichever list this stands in; harmless when it stands in none.
    void unlink() {
        if (next == nullptr) return;
        previous->next = next;
        next->previous = previous;
        next = nullptr;
    }
};

struct Work : Link {
    const WorkType* type;

    explicit constexpr Work(const WorkType* type_of_work) : type(type_of_work) {}
    explicit Work(Unset) : Link(unset) {}
    void run() { type->run(this); }
};

/// First in, first out. Does not own what stands in it.
class WorkList {
public:
    WorkList() { head_.next = head_.previous = &head_; }
    WorkList(const WorkList&) = delete;
    WorkList& operator=(const WorkList&) = delete;

    bool empty() const { return head_.next == &head_; }

    /// `work` must stand in no list.
    void push_back(Work& work) { work.insert_before(head_); }
    void push_front(Work& work) { work.insert_before(*head_.next); }

    /// The list must not be empty.
    Work& pop_front() {
        Link* first = head_.next;
        head_.next = first->next;
        first->next->previous = &head_;
        first->next = nullptr;
        return static_cast<Work&>(*first);
    }

    /// Moves all of `other` behind what stands here, in order; `other` is empty afterwards.
    void splice_back(WorkList& other) {
        if (other.empty()) return;
        Link* first = other.head_.next;
        Link* last = other.head_.previous;
        first->previous = head_.previous;
        head_.previous->next = first;
        last->next = &head_;
        head_.previous = last;
        other.head_.next = other.head_.previous = &other.head_;
    }

    /// For walking without taking: first(), then next(work) until null.
    Work* first() const { return as_work(head_.next); }
    Work* next(const Work& work) const { return as_work(work.next); }

private:
    Work* as_work(Link* link) const { return link == &head_ ? nullptr : static_cast<Work*>(link); }

    Link head_;
};

}  // namespace pollard
