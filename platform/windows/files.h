// Opening files.
#pragma once

#include <cstdint>

#include "platform/kernel.h"

namespace pollard::windows {

/// The door's function of this name.
std::intptr_t open_file(Kernel&, const char* path, int flags);

}  // namespace pollard::windows
