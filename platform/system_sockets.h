// The words of the socket interface: sockaddr_in, SOCK_NONBLOCK, pollfd, EAGAIN ...
//
// For the files of platform/ that speak of sockets and are the same on all systems. socket_words.h of a family of systems
// brings that family's own headers, and adds what they lack.
#pragma once

#ifdef _WIN32
#include "platform/windows/socket_words.h"
#else
#include "platform/posix/socket_words.h"
#endif

#include <cerrno>

#include "platform/handle.h"

// The option by which several listeners share a port. On Linux each gets its part of the connections; FreeBSD has a name of
// its own for that, and its SO_REUSEPORT hands all of them to one.
#ifdef SO_REUSEPORT_LB
#define SO_SHARE_PORT SO_REUSEPORT_LB
#else
#define SO_SHARE_PORT SO_REUSEPORT
#endif

namespace pollard {

/// An entry of poll(2)'s array. (Windows gives its descriptor another type.)
inline pollfd poll_entry(Handle handle, int events) {
    pollfd entry = {};
    entry.fd = static_cast<decltype(entry.fd)>(handle);
    entry.events = static_cast<short>(events);
    return entry;
}
inline Handle handle_of(const pollfd& entry) { return static_cast<Handle>(entry.fd); }

}  // namespace pollard
