// The two rings of io_uring: how a request gets into the kernel and an answer comes back.
//
// io_uring(7) is memory that a process and the kernel share, and one system call. A request is written into the
// submission queue, an answer is read from the completion queue; each is an array whose head and tail go round
// and round.
//
//      process                shared memory                    kernel
//      next_request() --> [ ][ ][r][r][r][ ]  tail ->  head    takes them in io_uring_enter(2)
//      each_answer()  <-- [ ][a][a][ ][ ][ ]  head <-  tail    writes them when they are done
//
// Each side writes its own index only, and publishes with it what it has written before: a release store, read
// with acquire on the other side. No lock, no copy.
//
//      enter(timeout)   hands over all that was queued *and* waits for an answer: one call a turn, however many
//                       requests; and none where there is nothing to hand over and nothing to wait for
//
// What one would not guess:
//  - An answer is not always there when its event is. DEFER_TASKRUN lets the kernel only note the event, and do the
//    work (the receive itself) when the process comes to wait: then it does so for all connections at once, and
//    interrupts nobody. TASKRUN in the flags of the submission queue says that there is something noted.
//  - SINGLE_ISSUER belongs to one thread, the one that enables the ring: so this happens in the first enter, and
//    a loop may be made on one thread and run on another.
//  - When the completion queue is full, the kernel keeps what is too much (since 5.5, NODROP) and says OVERFLOW;
//    the next enter fetches it.
//  - How many requests were taken stands in the head of the submission queue. What enter returns may be that, or an
//    error of the waiting: it is not needed.
//
// Manual pages: io_uring(7), io_uring_setup(2), io_uring_enter(2), io_uring_register(2).
// Read next: platform/io_uring/io_uring_port.cc.
#pragma once

#include <linux/io_uring.h>

#include <cstddef>
#include <cstdint>

#include "platform/handle.h"
#include "platform/result.h"

namespace pollard {

struct Kernel;

namespace io_uring {

/// Indices that the kernel reads or writes at the same time. (std::atomic_ref is missing in some C++ libraries.)
template <class T>
T load_acquire(const T* shared) {
    return __atomic_load_n(shared, __ATOMIC_ACQUIRE);
}
template <class T>
void store_release(T* shared, T value) {
    __atomic_store_n(shared, value, __ATOMIC_RELEASE);
}

/// The answer of mmap(2), which the door gives as a number.
inline void* as_address(std::intptr_t answer) {
    return reinterpret_cast<void*>(answer);  // NOLINT(performance-no-int-to-ptr): it was a pointer before
}

/// What the kernel can do beyond the least that is needed (Linux 5.19).
struct Features {
    /// 6.1: one request, an answer for each message or connection, when we come to fetch it.
    bool streams = false;
};

/// Null: this kernel has an io_uring that is new enough, and lets us use it. Else a sentence.
const char* why_unavailable(Kernel& kernel);

class Ring {
public:
    Ring() = default;
    Ring(const Ring&) = delete;

    /// After an error, and in the end, close() it.
    Result<void> open(Kernel& kernel);
    /// The kernel cancels what is under way, but at its leisure: see that nothing is.
    void close();
    Handle handle() const { return ring_; }
    const Features& features() const { return features_; }

    /// A request to fill in, all zero; it is handed over by the next enter. Null: the queue is full, and the
    /// kernel takes nothing now. `in_a_row`: so many will be asked for, and must be handed over together.
    io_uring_sqe* next_request(unsigned in_a_row = 1);
    /// Hands over what was queued and waits for an answer: `timeout_ns` at most, 0 not at all, negative for ever.
    /// Errors are the call's, -ETIME and -EINTR among them.
    std::intptr_t enter(std::int64_t timeout_ns);
    bool has_answers() const { return *answer_head_ != load_acquire(answer_tail_); }
    /// Gives each answer that is there to `take`, and its place back to the kernel.
    template <class Take>
    void each_answer(Take take) {
        unsigned head = *answer_head_;
        const unsigned tail = load_acquire(answer_tail_);
        for (; head != tail; ++head) take(answers_[head & answer_mask_]);
        store_release(answer_head_, head);
    }

private:
    Result<void> map(const io_uring_params& parameters);
    unsigned queued() const { return tail_ - load_acquire(request_head_); }
    std::intptr_t enable();
    std::intptr_t hand_over(unsigned min_complete, unsigned flags, const io_uring_getevents_arg* argument);

    Kernel* kernel_ = nullptr;
    Handle ring_ = no_handle;
    Features features_;
    bool must_enable_ = false;
    unsigned tail_ = 0;  // of the submission queue; published when it is handed over
    unsigned request_mask_ = 0;
    unsigned answer_mask_ = 0;
    io_uring_sqe* requests_ = nullptr;
    const io_uring_cqe* answers_ = nullptr;
    unsigned* request_head_ = nullptr;
    unsigned* request_tail_ = nullptr;
    const unsigned* request_flags_ = nullptr;
    unsigned* answer_head_ = nullptr;
    const unsigned* answer_tail_ = nullptr;
    void* queues_ = nullptr;  // both, in one mapping
    std::size_t queues_size_ = 0;
};

}  // namespace io_uring
}  // namespace pollard
