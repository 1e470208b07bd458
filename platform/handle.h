// Handle: what the kernel calls an open thing.
//
// A small number: a file descriptor on POSIX systems; a SOCKET or HANDLE on Windows, whose type there is as wide as a
// pointer, but which never has more than 32 bits, so that programs of 32 and 64 bits can hand them to each other. The
// rest of Pollard says Handle and never looks inside. Who owns one is said at each place; where nobody else does,
// OwnedHandle closes it.
#pragma once

#include <utility>

namespace pollard {

struct Kernel;

using Handle = int;
inline constexpr Handle no_handle = -1;

/// Closes the handle through the kernel's door when it goes out of scope. For handles that no completion port
/// knows; a socket on a loop is a `Socket` (core/io/socket.h), whose closing is a longer story.
class OwnedHandle {
public:
    OwnedHandle() = default;
    OwnedHandle(Kernel& kernel, Handle handle) : kernel_(&kernel), handle_(handle) {}
    OwnedHandle(OwnedHandle&& other) noexcept
        : kernel_(other.kernel_), handle_(std::exchange(other.handle_, no_handle)) {}
    OwnedHandle& operator=(OwnedHandle&& other) noexcept {
        if (this != &other) {
            reset();
            kernel_ = other.kernel_;
            handle_ = std::exchange(other.handle_, no_handle);
        }
        return *this;
    }
    ~OwnedHandle() { reset(); }

    Handle get() const { return handle_; }
    explicit operator bool() const { return handle_ != no_handle; }
    Handle release() { return std::exchange(handle_, no_handle); }
    void reset();

private:
    Kernel* kernel_ = nullptr;
    Handle handle_ = no_handle;
};

}  // namespace pollard
