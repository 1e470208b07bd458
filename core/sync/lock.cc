// What a lock says of mistakes.
#include "core/sync/lock.h"

namespace pollard {

void Lock::explain_wrong_release() const {
    const bool guarded = state_ == State::held_by_guard;
    programming_error(__FILE__, __LINE__,
                      guarded ? "release() of a lock that a guard holds: release the guard instead"
                              : "release() of a lock that nobody holds: acquire it first, release it once");
}

}  // namespace pollard
