// A Poller on the simulated kernel: edge-triggered, as epoll with EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET.
//
// From `add` on both directions are watched. Whatever happens to a socket puts its registration in a list;
// wait looks at each that stands there, reports all that is true of it now, and takes it out. `arm` puts it
// in when its direction is ready already, which a real epoll does not do: so it is no matter whether the
// caller's "it would block" was true, as it is not when the fault `would_block_after_ready` made it up.
//
//      socket changes --+                                  +--> event, if anything is ready now
//      add, ready ------+--> [ list of what has news ] --wait
//      arm, ready ------+                                  +--> nothing, if it was taken away meanwhile
//
// Waiting moves the virtual clock: see virtual_wait.h. Where nothing can ever happen, wait is
// Error{deadlock}.
//
// Read next: simulated_completion_port.h, the same kernel with the other contract.
#pragma once

#include "platform/poller.h"
#include "platform/simulated/simulated_kernel.h"

namespace pollard {

/// `door` is the kernel itself, or what stands in front of it; the poller's owner makes its calls there. The
/// kernel must outlive the poller. Error: out_of_memory.
Result<Poller*> open_simulated_poller(SimulatedKernel& kernel, Kernel& door);

}  // namespace pollard
