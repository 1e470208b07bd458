// The simulated kernel as two backends: under each of the two contracts.
#include "platform/backend.h"

#include <new>

#include "platform/attempt/attempt_port.h"
#include "platform/interposed_kernel.h"
#include "platform/memory.h"
#include "platform/simulated/simulated_completion_port.h"
#include "platform/simulated/simulated_kernel.h"
#include "platform/simulated/simulated_poller.h"

namespace pollard {

namespace {

void free_kernel(void* context) {
    auto* kernel = static_cast<SimulatedKernel*>(context);
    kernel->~SimulatedKernel();
    release(kernel);
}

using OpenPort = Result<CompletionPort*> (*)(SimulatedKernel&, Kernel& door, void (*cleanup)(void*), void*);

/// Opens a port on the kernel that the options name, or on one of its own that goes with it.
Result<CompletionPort*> open_on_kernel(const PortOptions& options, OpenPort open) {
    if (options.simulated != nullptr) {
        Kernel& door = put_in_front(options.in_front, *options.simulated);
        return open(*options.simulated, door, nullptr, nullptr);
    }
    void* block = allocate(sizeof(SimulatedKernel));
    if (block == nullptr) return Error(ErrorKind::out_of_memory, Call::open);
    auto* kernel = new (block) SimulatedKernel(options.seed);
    const Result<CompletionPort*> port =
        open(*kernel, put_in_front(options.in_front, *kernel), free_kernel, kernel);
    if (!port) free_kernel(kernel);
    return port;
}

Result<CompletionPort*> open_readiness(SimulatedKernel& kernel, Kernel& door, void (*cleanup)(void*),
                                       void* context) {
    return open_attempt_port(open_simulated_poller(kernel, door), cleanup, context);
}

const char* always_available() { return nullptr; }

}  // namespace

extern const Backend simulated_backend;
const Backend simulated_backend = {
    .name = "simulated",
    .native_contract = "readiness",
    .why_unavailable = always_available,
    .open = [](const PortOptions& options) { return open_on_kernel(options, open_readiness); },
};

extern const Backend simulated_completion_backend;
const Backend simulated_completion_backend = {
    .name = "simulated_completion",
    .native_contract = "completion",
    .why_unavailable = always_available,
    .open =
        [](const PortOptions& options) { return open_on_kernel(options, open_simulated_completion_port); },
};

}  // namespace pollard
