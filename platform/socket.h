// Making sockets: the few calls around an operation that never wait.
//
// Opening, binding, listening, naming and half-closing a socket block on no kernel, so they are plain
// functions on the door and no operations.
#pragma once

#include <cstdint>

#include "platform/address.h"
#include "platform/handle.h"
#include "platform/result.h"

namespace pollard {

struct Kernel;

/// Whether calls on a socket may put the thread to sleep. Every socket of a loop is non_blocking.
enum class Blocking : bool { no, yes };

struct ListenOptions {
    /// Connections that may wait to be accepted.
    int backlog = 128;
    /// Let several sockets, of one loop each, share the port (SO_REUSEPORT, on FreeBSD SO_REUSEPORT_LB).
    bool share_port = false;
    Blocking blocking = Blocking::no;
};

/// A stream socket of the address's family, closed on exec. The caller owns it. Errors:
/// descriptors_exhausted, not_supported for a family this kernel lacks. socket(2).
Result<Handle> open_stream_socket(Kernel& kernel, const Address& address, Blocking blocking = Blocking::no);
/// The same, bound and listening; a port left in TIME_WAIT by a former server is no obstacle. Port 0 takes a
/// free one, see local_address. Errors: address_in_use, address_not_available, permission_denied. bind(2),
/// listen(2).
Result<Handle> open_listener(Kernel& kernel, const Address& address, const ListenOptions& options = {});
/// Waits in the kernel until connected; for blocking sockets. connect(2).
Result<void> connect_blocking(Kernel& kernel, Handle handle, const Address& address);
Result<Address> local_address(Kernel& kernel, Handle handle);
Result<Address> peer_address(Kernel& kernel, Handle handle);
/// The peer reads an end of stream; receiving goes on. shutdown(2).
Result<void> shut_down_sending(Kernel& kernel, Handle handle);

// Blocking calls, for the twin programs that show what a loop replaces. Interruptions by signals are retried
// only where `stop` is null or still false: so a SIGINT handler can end a program that waits here.
Result<Handle> accept_blocking(Kernel& kernel, Handle listener, const volatile bool* stop = nullptr);
Result<std::size_t> recv_blocking(Kernel& kernel, Handle handle, void* bytes, std::size_t size,
                                  const volatile bool* stop = nullptr);
Result<void> send_all_blocking(Kernel& kernel, Handle handle, const void* bytes, std::size_t size);

/// Lets this process open as many descriptors as it is allowed to; gives that number. getrlimit(2).
std::uint64_t raise_descriptor_limit();

}  // namespace pollard
