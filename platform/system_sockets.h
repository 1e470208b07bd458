// The words of the socket interface: sockaddr_in, SOCK_NONBLOCK, pollfd, EAGAIN ...
//
// For the files of platform/ that speak of sockets and are the same on all systems. What a system lacks of them is added
// by socket_words.h of its family.
#pragma once

#ifdef _WIN32
#include "platform/windows/socket_words.h"
#else
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

// After the system's own.
#include "platform/posix/socket_words.h"
#endif

#include <cerrno>

#include "platform/handle.h"

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
