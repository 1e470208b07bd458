// Waiting at a completion port, for both that do: the IOCP port and the poller of AFD polls.
#include "platform/clock.h"
#include "platform/iocp/iocp.h"

namespace pollard::iocp {

std::intptr_t wait_for_packets(Kernel& kernel, Handle port, OVERLAPPED_ENTRY* packets, int capacity,
                               std::int64_t timeout_ns) {
    if (timeout_ns <= 0) return kernel.iocp_wait(kernel, port, packets, capacity, round_up_to_ms(timeout_ns));
    const std::int64_t began_ns = kernel.clock(kernel);
    std::int64_t left_ns = timeout_ns;
    for (;;) {
        const std::intptr_t count =
            kernel.iocp_wait(kernel, port, packets, capacity, round_up_to_ms(left_ns));
        if (count != 0) return count;
        left_ns = timeout_ns - (kernel.clock(kernel) - began_ns);
        if (left_ns <= 0) return 0;
    }
}

}  // namespace pollard::iocp
