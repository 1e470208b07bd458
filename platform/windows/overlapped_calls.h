// The calls that start something and answer later, by a packet of a completion port.
//
// Each answers at once with a value or minus a code, or with -EINPROGRESS: then the OVERLAPPED and the buffer belong to
// the kernel until the packet that names the OVERLAPPED has been taken.
//
// Read next: platform/iocp/iocp_port.cc, who calls them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "platform/handle.h"
#include "platform/kernel.h"

namespace pollard {

/// A question to AFD, Windows' driver for sockets, and its answer: which of `events` are there.
struct AfdPoll {
    std::int64_t timeout;
    std::uint32_t count;
    std::uint32_t exclusive;
    std::uintptr_t socket;
    std::uint32_t events;
    std::int32_t status;
};

/// What a packet says of its kind.
inline constexpr std::uintptr_t iocp_wake_key = 0;
inline constexpr std::uintptr_t iocp_operation_key = 1;

namespace windows {

std::intptr_t iocp_create(Kernel&);
std::intptr_t iocp_add(Kernel&, Handle port, Handle handle);
std::intptr_t iocp_wait(Kernel&, Handle port, _OVERLAPPED_ENTRY* packets, int capacity, int timeout_ms);
std::intptr_t iocp_post(Kernel&, Handle port);
std::intptr_t accept_ex(Kernel&, Handle listener, Handle accepted, void* names, _OVERLAPPED* overlapped);
std::intptr_t connect_ex(Kernel&, Handle handle, const sockaddr* address, unsigned length,
                         _OVERLAPPED* overlapped);
std::intptr_t wsa_recv(Kernel&, Handle handle, void* bytes, std::size_t size, int flags,
                       _OVERLAPPED* overlapped);
std::intptr_t wsa_send(Kernel&, Handle handle, const void* bytes, std::size_t size, _OVERLAPPED* overlapped);
std::intptr_t read_file(Kernel&, Handle file, void* bytes, std::size_t size, std::int64_t offset,
                        _OVERLAPPED* overlapped);
std::intptr_t write_file(Kernel&, Handle file, const void* bytes, std::size_t size, std::int64_t offset,
                         _OVERLAPPED* overlapped);
/// As read_file and write_file, but waited for in the call.
std::intptr_t pread(Kernel&, Handle file, void* bytes, std::size_t size, std::int64_t offset);
std::intptr_t pwrite(Kernel&, Handle file, const void* bytes, std::size_t size, std::int64_t offset);
std::intptr_t cancel_io(Kernel&, Handle handle, _OVERLAPPED* overlapped);
std::intptr_t afd_open(Kernel&);
std::intptr_t afd_poll(Kernel&, Handle afd, Handle handle, AfdPoll* poll, _OVERLAPPED* overlapped);

/// AcceptEx writes two addresses into its buffer, and wants 16 bytes more than each can be long.
inline constexpr unsigned accept_name_size = 128 + 16;

}  // namespace windows
}  // namespace pollard
