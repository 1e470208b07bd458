// PortHandle: a handle and the port that it is open on; what sockets and files have in common.
//
// 16 bytes, move-only. Its destructor hands the handle to the port, which cancels what is armed on it and closes it;
// `close()` does the same, waits, and tells of errors.
//
// Read next: core/io/socket.h, core/io/file.h.
#pragma once

#include <utility>

#include "core/io/operation_await.h"

namespace pollard {

class PortHandle {
public:
    PortHandle() = default;
    /// Takes over a handle that is open on the port.
    PortHandle(CompletionPort& port, Handle handle) : port_(&port), handle_(handle) {}
    PortHandle(PortHandle&& other) noexcept
        : port_(other.port_), handle_(std::exchange(other.handle_, no_handle)) {}
    PortHandle& operator=(PortHandle&& other) noexcept {
        if (this != &other) {
            discard();
            port_ = other.port_;
            handle_ = std::exchange(other.handle_, no_handle);
        }
        return *this;
    }
    ~PortHandle() { discard(); }

    /// Afterwards this is empty.
    Close close() { return Close(port_, std::exchange(handle_, no_handle)); }
    Handle handle() const { return handle_; }
    explicit operator bool() const { return handle_ != no_handle; }

protected:
    CompletionPort* port_ = nullptr;
    Handle handle_ = no_handle;

private:
    void discard() {
        if (handle_ != no_handle) port_->discard(std::exchange(handle_, no_handle));
    }
};

/// A new handle becomes the port's; if that fails, it is closed.
Result<void> open_or_close(CompletionPort& port, Handle handle, HandleKind kind);

}  // namespace pollard
