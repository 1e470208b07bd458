// poll(2) as a Poller. What it is and how it behaves: poll_poller.cc.
#pragma once

#include "platform/poller.h"

namespace pollard {

/// Errors: descriptors_exhausted, out_of_memory. The caller ends it with close().
Result<Poller*> open_poll_poller(Kernel& kernel);

}  // namespace pollard
