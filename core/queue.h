// Queue: what some frames produce and others consume, with waiting on both sides.
//
//      Queue<Job> jobs(10);                 at most 10 items; Queue<Job> jobs: as many as memory holds;
//                                           Queue<Job, 10>: at most 10, and their memory is inside
//      CO_TRY(jobs.put_from(job));          waits while it is full
//      CO_AWAIT(job, jobs.get());           waits while it is empty; job: Result<Job>
//      CO_TRY(jobs.task_done());            that job is finished
//      CO_TRY(jobs.join());                 waits until every item that was put is finished
//
//      putters in line -> [ P ] [ Q ]                            [ G ] [ H ] <- getters in line
//                           |  wakes one for each free place       |  wakes one for each item
//                           +---- put -->  [ items ]  -- get ------+
//
// Queue gives the oldest item first, LifoQueue the newest, PriorityQueue the smallest (by `<`; equal ones as
// they came). What waits and who is woken is the same for all, and stands here.
//
// Being woken is no promise. Between the wake-up and the getter's turn somebody else may take the item; then
// the getter waits again, at the end of the line. Likewise for putters. One that is cancelled after it was
// woken wakes the next instead; one that is cancelled in line leaves it. In no case an item is lost:
//
//      put(item)         keeps the item in the frame that waits; after an error it goes with it
//      put_from(item)    refers to it; after an error (cancelled, shut down, out of memory) it is still yours
//      put_nowait(item)  moves from it only when it takes it
//
// `shutdown` ends the queue: every put fails with queue_shut_down; gets are served until it is empty, and then
// fail likewise. `shutdown(true)` also throws the items away, each counted as finished.
//
// No put and no get allocates once the memory for the items is there (core/queue_items.h). A queue may not be
// destroyed while somebody waits for it; items that are left in it are destroyed with it.
//
// Thread rule: the loop's thread only. Read next: core/queue_items.h, core/sync/waiter_line.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "core/queue_items.h"
#include "core/sync/waiter_line.h"
#include "core/task.h"

namespace pollard {

/// What a queue is apart from its items: who waits, and how much is unfinished.
class QueueState {
public:
    class Join;

    QueueState(const QueueState&) = delete;

    /// As it was given; 0 or less: no bound.
    std::int64_t maxsize() const { return maxsize_; }
    bool is_shut_down() const { return shut_down_; }
    /// Items that were put and for which task_done has not been called.
    std::uint64_t unfinished_tasks() const { return unfinished_; }

    /// One item that was taken is finished. Error: invalid_argument when all are.
    Result<void> task_done();
    /// Waits until every item that was put is finished: Result<void>. At once if none is unfinished.
    Join join();

protected:
    QueueState(std::int64_t maxsize, const char* name) : maxsize_(maxsize), name_(name) { room_ = limit(); }
    ~QueueState() = default;

    std::size_t limit() const { return maxsize_ > 0 ? static_cast<std::size_t>(maxsize_) : SIZE_MAX; }
    void item_was_put() {
        ++unfinished_;
        getters_.wake_first();
    }
    void item_is_finished() {
        if (unfinished_ != 0 && --unfinished_ == 0) joiners_.wake_all();
    }
    void mark_shut_down() {
        shut_down_ = true;
        room_ = 0;
    }
    /// How many items it takes: limit(), or none after shutdown.
    std::size_t room() const { return room_; }
    /// Those who wait look again.
    void tell_all();
    static Error error_of(const char* name, ErrorKind kind, Call call);
    /// "queue, 10 of 10 items, 2 wait to put"
    void describe_with(Text& text, std::size_t size) const;

    CountingLine getters_;
    CountingLine putters_;

private:
    WaiterLine joiners_;
    std::uint64_t unfinished_ = 0;
    std::int64_t maxsize_;
    std::size_t room_;
    const char* name_;
    bool shut_down_ = false;
};

class [[nodiscard]] QueueState::Join : public WaitsInLine<QueueState::Join> {
public:
    explicit Join(QueueState& queue) : queue_(&queue) {}

    bool start(Frame& waiter) {
        tell_await(waiter);
        return queue_->unfinished_ == 0 ? finish_at_once() : wait_in(queue_->joiners_, waiter);
    }
    bool failed() const { return cancelled; }
    Result<void> result() const;
    void describe(Text& text) const;

    bool take_turn(bool) { return true; }
    void give_up(bool) {}

private:
    QueueState* queue_;
};

template <class Queue, class Stored>
class PutInto;
template <class Queue>
class GetFrom;

/// A queue whose items come out as `Order` says.
template <class Order, std::size_t capacity>
class QueueOf : public QueueState {
public:
    using Item = typename Order::Item;
    static constexpr const char* name = Order::name;
    using Put = PutInto<QueueOf, Item>;
    using PutFrom = PutInto<QueueOf, Item&>;
    using Get = GetFrom<QueueOf>;

    /// `maxsize`: how many items at most; 0 or less: no bound.
    explicit QueueOf(std::int64_t maxsize = 0)
        requires(capacity == 0)
        : QueueState(maxsize, name) {}
    QueueOf()
        requires(capacity != 0)
        : QueueState(capacity, name) {}
    ~QueueOf() {
        while (!empty()) (void)items_.pop();
    }

    /// Waits for a free place: Result<void>. Errors: queue_shut_down, out_of_memory, cancelled.
    Put put(Item item) { return Put(*this, std::move(item)); }
    /// The same; `item`, which must live until then, is moved from only when it is in the queue.
    PutFrom put_from(Item& item) { return PutFrom(*this, item); }
    /// Waits for an item: Result<Item>. Errors: queue_shut_down, cancelled.
    Get get() { return Get(*this); }

    /// Errors: queue_full, queue_shut_down, out_of_memory; then `item` is as it was.
    Result<void> put_nowait(Item&& item) {
        const ErrorKind kind = try_put(item);
        if (kind == ErrorKind::none) [[likely]]
            return {};
        return error_of(kind, Call::put);
    }
    Result<void> put_nowait(const Item& item) {
        Item copy = item;
        return put_nowait(std::move(copy));
    }
    /// Errors: queue_empty; queue_shut_down when it is empty and nothing will come any more.
    Result<Item> get_nowait() {
        if (empty()) return error_of(why_nothing_comes(), Call::get);
        return take_item();
    }

    std::size_t qsize() const { return items_.size(); }
    bool empty() const { return items_.size() == 0; }
    bool full() const { return items_.size() >= limit(); }

    /// Nothing can be put any more, and those who wait are told. `immediate`: what is in the queue is thrown away,
    /// each item counted as finished. May be called again.
    void shutdown(bool immediate = false) {
        mark_shut_down();
        while (immediate && !empty()) {
            (void)items_.pop();
            item_is_finished();
        }
        tell_all();
    }

    void describe(Text& text) const { describe_with(text, qsize()); }

private:
    static Error error_of(ErrorKind kind, Call call) { return QueueState::error_of(name, kind, call); }
    template <class, class>
    friend class PutInto;
    template <class>
    friend class GetFrom;

    /// none: it is in. queue_full: that would have to wait.
    ErrorKind try_put(Item& item) {
        if (items_.size() >= room())
            return is_shut_down() ? ErrorKind::queue_shut_down : ErrorKind::queue_full;
        if (!items_.make_room(room())) [[unlikely]]
            return ErrorKind::out_of_memory;
        items_.push(std::move(item));
        item_was_put();
        return ErrorKind::none;
    }
    Item take_item() {
        putters_.wake_first();
        return items_.pop();
    }
    ErrorKind why_nothing_comes() const {
        return is_shut_down() ? ErrorKind::queue_shut_down : ErrorKind::queue_empty;
    }

    Order items_;
};

/// Waits until its item is in the queue. `Stored` is the item, or a reference to it.
template <class Queue, class Stored>
class [[nodiscard]] PutInto : public WaitsInLine<PutInto<Queue, Stored>> {
public:
    PutInto(Queue& queue, Stored&& item) : queue_(&queue), item_(std::forward<Stored>(item)) {}

    bool start(Frame& waiter) {
        tell_await(waiter);
        if (try_again()) return this->finish_at_once();
        return this->wait_in(queue_->putters_, waiter);
    }
    bool failed() const { return outcome_ != ErrorKind::none || this->cancelled; }
    Result<void> result() const {
        if (this->cancelled) return cancelled_error(Queue::name);
        if (outcome_ != ErrorKind::none) return Queue::error_of(outcome_, Call::put);
        return {};
    }
    void describe(Text& text) const { queue_->describe(text); }

    bool take_turn(bool woken) {
        if (this->cancelled) [[unlikely]] {
            give_up(woken);
            return true;
        }
        queue_->putters_.turn_came();
        if (!try_again()) return this->wait_in(queue_->putters_, *this->frame);
        return true;
    }
    void give_up(bool woken) {
        if (!woken) return;
        queue_->putters_.turn_came();
        if (!queue_->full()) queue_->putters_.wake_first();
    }

private:
    /// True: it is in, or there was an error.
    bool try_again() {
        outcome_ = queue_->try_put(item_);
        return outcome_ != ErrorKind::queue_full;
    }

    Queue* queue_;
    ErrorKind outcome_ = ErrorKind::none;
    Stored item_;
};

/// Waits for an item.
template <class Queue>
class [[nodiscard]] GetFrom : public WaitsInLine<GetFrom<Queue>> {
    using Item = typename Queue::Item;

public:
    explicit GetFrom(Queue& queue) : queue_(&queue) {}
    ~GetFrom() {
        if (outcome_ == ErrorKind::none) item_.~Item();
    }

    bool start(Frame& waiter) {
        tell_await(waiter);
        if (try_again()) return this->finish_at_once();
        return this->wait_in(queue_->getters_, waiter);
    }
    bool failed() const { return outcome_ != ErrorKind::none; }
    Item value() { return std::move(item_); }
    Result<Item> result() {
        if (!failed()) return value();
        if (this->cancelled) return cancelled_error(Queue::name);
        return Queue::error_of(outcome_, Call::get);
    }
    void describe(Text& text) const { queue_->describe(text); }

    bool take_turn(bool woken) {
        if (this->cancelled) [[unlikely]] {
            give_up(woken);
            return true;
        }
        queue_->getters_.turn_came();
        if (!try_again()) return this->wait_in(queue_->getters_, *this->frame);
        return true;
    }
    void give_up(bool woken) {
        if (!woken) return;
        queue_->getters_.turn_came();
        if (!queue_->empty()) queue_->getters_.wake_first();
    }

private:
    /// True: it has an item, or none will come.
    bool try_again() {
        if (queue_->empty()) {
            outcome_ = queue_->why_nothing_comes();
            return outcome_ != ErrorKind::queue_empty;
        }
        ::new (static_cast<void*>(&item_)) Item(queue_->take_item());
        outcome_ = ErrorKind::none;
        return true;
    }

    Queue* queue_;
    ErrorKind outcome_ = ErrorKind::queue_empty;  // none: there is an item
    union {
        Item item_;  // NOLINT(readability-identifier-naming): as private as the union
    };
};

inline QueueState::Join QueueState::join() { return Join(*this); }

template <class T, std::size_t capacity = 0>
using Queue = QueueOf<RingOf<T, capacity>, capacity>;
template <class T, std::size_t capacity = 0>
using LifoQueue = QueueOf<StackOf<T, capacity>, capacity>;
template <class T, std::size_t capacity = 0>
using PriorityQueue = QueueOf<HeapOf<T, capacity>, capacity>;

}  // namespace pollard
