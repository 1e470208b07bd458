// The words of the socket interface that Windows lacks, with numbers that stand for nothing else there.
//
// Pollard's door (platform/kernel.h) speaks POSIX's language on every system; platform/windows/system_kernel.cc is
// where these words are understood, and the simulated kernel understands them by itself.
//
// A header of Windows defines thousands of macros. What is in the way of C++ (min, max) or of Pollard's own names is
// taken back here; only files that speak of sockets include this one.
#pragma once

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <winsock2.h>
#include <ws2tcpip.h>
// These two want the ones above first.
#include <afunix.h>
#include <mswsock.h>
// O_RDONLY and its like.
#include <fcntl.h>
#undef Yield
#undef interface
#undef near
#undef far

using sa_family_t = unsigned short;

// Of socket(2)'s type and accept4(2)'s flags.
#define SOCK_NONBLOCK 0x10000
#define SOCK_CLOEXEC 0x20000

// Of recv(2) and send(2). A send to a peer that has gone is an error value on Windows in any case.
#define MSG_NOSIGNAL 0x4000
#define MSG_DONTWAIT 0x1000
#define MSG_MORE 0x2000

#define SHUT_RD SD_RECEIVE
#define SHUT_WR SD_SEND
#define SHUT_RDWR SD_BOTH

#define POLLRDHUP 0x2000

// Options that only the simulated kernel knows, and the door refuses.
#define SO_REUSEPORT 0x10200
#define SO_DOMAIN 0x10201
#define SO_PROTOCOL 0x10202
#define TCP_QUICKACK 0x10203
#define TCP_USER_TIMEOUT 0x10204
#ifndef TCP_KEEPIDLE
#define TCP_KEEPIDLE 3
#define TCP_KEEPCNT 16
#define TCP_KEEPINTVL 17
#endif

// Codes that Windows' C library has no name for.
#define ESOCKTNOSUPPORT 0x10300
