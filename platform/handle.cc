// Closing what nobody else closes.
#include "platform/handle.h"

#include "platform/kernel.h"
#include "platform/observer.h"

namespace pollard {

void OwnedHandle::reset() {
    if (handle_ == no_handle) return;
    const Handle closing = release();
    const std::intptr_t result = kernel_->close(*kernel_, closing);
    if (result < 0)
        report_problem("closing a handle failed", error_of(Call::close, result).on_descriptor(closing));
}

}  // namespace pollard
