// io_uring as a CompletionPort. What it is and how it behaves: io_uring_port.cc.
#pragma once

#include "platform/completion_port.h"

namespace pollard {

/// The caller ends it with destroy(), on the thread that has waited on it. Errors: those of io_uring_setup(2),
/// descriptors_exhausted, out_of_memory.
Result<CompletionPort*> open_io_uring_port(Kernel& kernel);

}  // namespace pollard
