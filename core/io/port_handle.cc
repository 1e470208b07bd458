// Handing new handles to a port.
#include "core/io/port_handle.h"

#include "platform/kernel.h"

namespace pollard {

Result<void> open_or_close(CompletionPort& port, Handle handle, HandleKind kind) {
    const Result<void> opened = port.open(handle, kind);
    if (!opened) port.kernel->close(*port.kernel, handle);
    return opened;
}

}  // namespace pollard
