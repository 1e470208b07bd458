// How many handles a process may have: Windows has no limit that a process could raise.
#include "platform/socket.h"

namespace pollard {

std::uint64_t raise_descriptor_limit() {
    // The handle table of a process holds 2^24 entries, less some for itself.
    return 16'711'680;
}

}  // namespace pollard
