// The words of the socket interface: sockaddr_in, SOCK_NONBLOCK, pollfd, EAGAIN ...
//
// For the files of platform/ that speak of sockets and are the same on all systems. On POSIX systems it is nothing
// but their headers; Windows has most of the words too, and platform/windows/socket_words.h adds those it lacks.
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
