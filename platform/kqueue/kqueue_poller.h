// kqueue as a Poller. What it is and how it behaves: kqueue_poller.cc.
#pragma once

#include "platform/poller.h"

namespace pollard {

/// Errors: descriptors_exhausted, out_of_memory. The caller ends it with close().
Result<Poller*> open_kqueue_poller(Kernel& kernel);

}  // namespace pollard
