// Setting the rings up, and the one call that turns them.
#include "platform/io_uring/ring.h"

#include <linux/time_types.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "platform/clock.h"
#include "platform/kernel.h"

namespace pollard::io_uring {

namespace {

/// A turn with more requests takes an enter more. Small, so that the queue stays in the cache.
constexpr unsigned request_capacity = 128;
/// Answers that fit; more are kept by the kernel, which costs a little.
constexpr unsigned answer_capacity = 1024;

/// What is asked of a kernel, the newest first; one that does not know a flag says EINVAL.
struct Setup {
    unsigned flags;
    Features features;
};
constexpr unsigned polite = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
constexpr Setup setups[] = {
    // 6.1
    {polite | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED,
     {.streams = true}},
    // 5.19. (Older ones answer an accept on a non-blocking listener at once, with EAGAIN.)
    {polite, {}},
};
constexpr unsigned needed =
    IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP;

std::intptr_t set_up(Kernel& kernel, const Setup& setup, io_uring_params& parameters) {
    parameters = {};
    parameters.flags = setup.flags | IORING_SETUP_CQSIZE;
    parameters.cq_entries = answer_capacity;
    return kernel.io_uring_setup(kernel, request_capacity, &parameters);
}

/// The best that this kernel can do. `setup` says which that was.
std::intptr_t set_up_best(Kernel& kernel, const Setup*& setup, io_uring_params& parameters) {
    std::intptr_t result = -EINVAL;
    for (const Setup& each : setups) {
        setup = &each;
        result = set_up(kernel, each, parameters);
        if (result != -EINVAL) break;
    }
    if (result < 0 || (parameters.features & needed) == needed) return result;
    kernel.close(kernel, static_cast<Handle>(result));
    return -EOPNOTSUPP;
}

template <class T>
T* at(void* mapping, unsigned offset) {
    return reinterpret_cast<T*>(static_cast<std::byte*>(mapping) + offset);
}

}  // namespace

const char* why_unavailable(Kernel& kernel) {
    const Setup* setup = nullptr;
    io_uring_params parameters;
    const std::intptr_t result = set_up_best(kernel, setup, parameters);
    if (result >= 0) kernel.close(kernel, static_cast<Handle>(result));
    switch (result) {
        case -ENOSYS:
            return "this kernel has no io_uring, or a seccomp filter hides it (Linux 5.19 is needed)";
        case -EPERM:
        case -EACCES:
            return "io_uring is switched off here: by /proc/sys/kernel/io_uring_disabled, or by a seccomp "
                   "filter";
        case -EINVAL:
        case -EOPNOTSUPP:
            return "the io_uring of this kernel is too old: Linux 5.19 is needed";
        default:
            return nullptr;  // it is there; whatever else is wrong is told by who opens it
    }
}

Result<void> Ring::open(Kernel& kernel) {
    kernel_ = &kernel;
    const Setup* setup = nullptr;
    io_uring_params parameters;
    const std::intptr_t ring = set_up_best(kernel, setup, parameters);
    if (ring < 0) return error_of(Call::io_uring_setup, ring).on("io_uring");
    ring_ = static_cast<Handle>(ring);
    features_ = setup->features;
    must_enable_ = (setup->flags & IORING_SETUP_R_DISABLED) != 0;
    return map(parameters);
}

Result<void> Ring::map(const io_uring_params& parameters) {
    const io_sqring_offsets& sq = parameters.sq_off;
    const io_cqring_offsets& cq = parameters.cq_off;
    const auto map_at = [this](std::size_t size, std::int64_t offset) {
        return kernel_->mmap(*kernel_, ring_, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                             offset);
    };
    const std::size_t size = std::max(sq.array + parameters.sq_entries * sizeof(unsigned),
                                      cq.cqes + parameters.cq_entries * sizeof(io_uring_cqe));
    const std::intptr_t queues = map_at(size, IORING_OFF_SQ_RING);
    if (queues < 0) return error_of(Call::mmap, queues).on_descriptor(ring_);
    queues_ = as_address(queues);
    queues_size_ = size;
    const std::intptr_t requests = map_at(parameters.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES);
    if (requests < 0) return error_of(Call::mmap, requests).on_descriptor(ring_);
    requests_ = static_cast<io_uring_sqe*>(as_address(requests));

    request_head_ = at<unsigned>(queues_, sq.head);
    request_tail_ = at<unsigned>(queues_, sq.tail);
    request_flags_ = at<unsigned>(queues_, sq.flags);
    request_mask_ = *at<unsigned>(queues_, sq.ring_mask);
    answer_head_ = at<unsigned>(queues_, cq.head);
    answer_tail_ = at<unsigned>(queues_, cq.tail);
    answer_mask_ = *at<unsigned>(queues_, cq.ring_mask);
    answers_ = at<io_uring_cqe>(queues_, cq.cqes);
    // The queue holds numbers of requests, so that they could be handed over in another order. They are not.
    for (unsigned i = 0; i < parameters.sq_entries; ++i) at<unsigned>(queues_, sq.array)[i] = i;
    return {};
}

void Ring::close() {
    if (requests_ != nullptr)
        kernel_->munmap(*kernel_, requests_, (request_mask_ + 1) * sizeof(io_uring_sqe));
    if (queues_ != nullptr) kernel_->munmap(*kernel_, queues_, queues_size_);
    if (ring_ != no_handle) kernel_->close(*kernel_, ring_);
}

std::intptr_t Ring::enable() {
    const std::intptr_t enabled =
        kernel_->io_uring_register(*kernel_, ring_, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    if (enabled >= 0) must_enable_ = false;
    return enabled;
}

std::intptr_t Ring::hand_over(unsigned min_complete, unsigned flags, const io_uring_getevents_arg* argument) {
    if (must_enable_) [[unlikely]]
        if (const std::intptr_t enabled = enable(); enabled < 0) return enabled;
    store_release(request_tail_, tail_);
    return kernel_->io_uring_enter(*kernel_, ring_, queued(), min_complete, flags, argument,
                                   argument != nullptr ? sizeof *argument : 0);
}

io_uring_sqe* Ring::next_request(unsigned in_a_row) {
    if (queued() + in_a_row > request_mask_ + 1) [[unlikely]] {
        hand_over(0, 0, nullptr);
        if (queued() + in_a_row > request_mask_ + 1) return nullptr;
    }
    io_uring_sqe* request = &requests_[tail_++ & request_mask_];
    std::memset(request, 0, sizeof *request);
    return request;
}

std::intptr_t Ring::enter(std::int64_t timeout_ns) {
    if (timeout_ns < 0) return hand_over(1, IORING_ENTER_GETEVENTS, nullptr);
    if (timeout_ns == 0) {
        constexpr unsigned news = IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN;
        if (queued() == 0 && (load_acquire(request_flags_) & news) == 0) return 0;
        return hand_over(0, IORING_ENTER_GETEVENTS, nullptr);
    }
    const __kernel_timespec limit = {.tv_sec = timeout_ns / second_ns, .tv_nsec = timeout_ns % second_ns};
    io_uring_getevents_arg argument = {};
    argument.ts = reinterpret_cast<std::uintptr_t>(&limit);
    return hand_over(1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument);
}

}  // namespace pollard::io_uring
