// An eventfd or a pipe, and at most one wake in it. What for: wake_descriptor.h.
#include "platform/posix/wake_descriptor.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdint>

#include "platform/kernel.h"

namespace pollard {

Result<void> WakeDescriptor::open(Kernel& kernel) {
    // The flags of eventfd(2) have names of their own and these values.
    const std::intptr_t event = kernel.eventfd(kernel, 0, O_NONBLOCK | O_CLOEXEC);
    if (event >= 0) {
        ends_[0] = ends_[1] = static_cast<Handle>(event);
        return {};
    }
    if (event != -ENOSYS) return error_of(Call::eventfd, event);
    const std::intptr_t made = kernel.pipe(kernel, ends_, O_NONBLOCK | O_CLOEXEC);
    if (made < 0) return error_of(Call::pipe, made);
    return {};
}

void WakeDescriptor::close(Kernel& kernel) {
    if (ends_[0] != no_handle) kernel.close(kernel, ends_[0]);
    if (ends_[1] != ends_[0]) kernel.close(kernel, ends_[1]);
}

void WakeDescriptor::give(Kernel& kernel) {
    if (pending_.exchange(true)) return;
    const std::uint64_t one = 1;
    std::intptr_t written;
    do written = kernel.write(kernel, ends_[1], &one, sizeof one);
    while (written == -EINTR);
    // EAGAIN: it is full, so there is something to take already.
    if (written < 0 && written != -EAGAIN) pending_.exchange(false);
}

Result<void> WakeDescriptor::take(Kernel& kernel) {
    std::uint64_t taken;
    std::intptr_t result;
    do result = kernel.read(kernel, ends_[0], &taken, sizeof taken);
    while (result == -EINTR);
    if (result < 0) return error_of(Call::read, result).on_descriptor(ends_[0]);
    // After the read, not before: a wake given in between would be read away, and `pending` stay set for ever. And an
    // exchange, not a store: what a waker did before it found `pending` set is visible after this.
    pending_.exchange(false);
    return {};
}

}  // namespace pollard
