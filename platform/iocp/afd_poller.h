// AFD polls as a Poller: readiness on Windows. What it is and how it behaves: afd_poller.cc.
#pragma once

#include "platform/poller.h"

namespace pollard {

/// Errors: descriptors_exhausted, out_of_memory. The caller ends it with close().
Result<Poller*> open_afd_poller(Kernel& kernel);

}  // namespace pollard
