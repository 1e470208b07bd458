// A completion port on the simulated kernel that is native: no call is tried and tried again on its behalf,
// the kernel holds the operations and carries them out. So io_uring and IOCP look from above.
//
//      start    the kernel has it; nothing finishes here but mistakes (a busy direction, a closed handle)
//                 |
//      wait     every handle with news: what can finish goes to the ready list with its answer
//                 |        the others stay until the socket changes
//                 v
//      its turn  completed(operation)
//
// From the seed (see Faults): `finish_inline`, an operation that could finish does so inside start, as some
// kernels do; `late_cancel`, a cancel comes too late if the operation could finish, and the true answer is
// delivered; `out_of_order_events`, completions come in another order. An answer that stands in the ready
// list already is never taken back by a cancel.
//
// The operations do not pass through the door, as they would not with io_uring: an interposed kernel sees the
// calls that set up a socket, and not these. An observer is told of them as operations, and of each wait as a
// kernel call.
//
// Read next: operations.h, streams.cc.
#pragma once

#include "platform/completion_port.h"
#include "platform/simulated/simulated_kernel.h"

namespace pollard {

/// `door` is the kernel itself, or what stands in front of it. The kernel must outlive the port; `cleanup`,
/// if not null, is called last when the port is destroyed, for what goes with it. Error: out_of_memory; then
/// nothing has been called.
Result<CompletionPort*> open_simulated_completion_port(SimulatedKernel& kernel, Kernel& door,
                                                       void (*cleanup)(void* context), void* context);

}  // namespace pollard
