// The words of the socket interface (and of pipes and files), with those that some Unixes lack, so that the door speaks one
// language on all of them.
//
// A word that only asks for a favour is 0 where nobody grants it: nothing is asked, nothing is told. SOCK_NONBLOCK and
// SOCK_CLOEXEC must be understood, though; where the kernel does not, platform/posix/flagged_calls.cc does.
//
// Included by platform/system_sockets.h.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

// Of socket(2)'s type and accept4(2)'s flags. macOS has neither: the numbers stand for nothing else there.
#ifndef SOCK_NONBLOCK
#define SOCK_NONBLOCK 0x10000
#define SOCK_CLOEXEC 0x20000
#endif

// macOS, until recently: there the socket itself has an option, which flagged_calls.cc sets.
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif
// Linux and some others: more is coming, do not send a short packet yet.
#ifndef MSG_MORE
#define MSG_MORE 0
#endif

// Linux and FreeBSD: the peer has closed its sending side. Elsewhere that is POLLIN alone.
#ifndef POLLRDHUP
#define POLLRDHUP 0
#endif
