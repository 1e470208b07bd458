// Waiting in virtual time: the clock jumps to whatever happens next.
#include "platform/simulated/virtual_wait.h"

#include "platform/observer.h"

namespace pollard::simulated {

WaitEnd wait_on_virtual_clock(SimulatedKernel& kernel, WakeSignal* wake, std::int64_t timeout_ns,
                              bool (*has_news)(void*), void* context) {
    const bool for_ever = timeout_ns < 0 || timeout_ns > never_ns - kernel.now_ns;
    const std::int64_t deadline_ns = for_ever ? never_ns : kernel.now_ns + timeout_ns;
    const bool woken = wake != nullptr && wake->take();
    if (kernel.chance(kernel.faults.interrupted)) return WaitEnd::interrupted;
    for (;;) {
        if (has_news(context)) return WaitEnd::news;
        if (woken) return WaitEnd::woken;
        const std::int64_t next_ns = next_delivery_ns(kernel);
        if (next_ns != never_ns && next_ns <= deadline_ns) {
            advance_to(kernel, next_ns);
        } else if (!for_ever) {
            advance_to(kernel, deadline_ns);
            return WaitEnd::timed_out;
        } else if (wake != nullptr && kernel.external_wakes_expected > 0) {
            wake->block_and_take();
            return WaitEnd::woken;
        } else {
            return WaitEnd::deadlock;
        }
    }
}

void note_wait(SimulatedKernel& kernel, std::int64_t began_ns, std::int64_t timeout_ns, std::size_t capacity,
               std::intptr_t result) {
    kernel.digest.add(static_cast<std::int64_t>(Call::wait));
    kernel.digest.add(timeout_ns);
    kernel.digest.add(result);
    kernel.digest.add(kernel.now_ns);
    if (current_observer == nullptr) return;
    const KernelCall call = {.call = Call::wait,
                             .handle = no_handle,
                             .bytes = nullptr,
                             .size = capacity,
                             .argument = {timeout_ns, 0, 0},
                             .result = result,
                             .began_ns = began_ns,
                             .ended_ns = kernel.now_ns};
    current_observer->kernel_called(*current_observer, call);
}

}  // namespace pollard::simulated
