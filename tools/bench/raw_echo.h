// What the echo servers written by hand have in common: all that does not touch the way in which they wait.
//
// To be fair, all servers treat their sockets alike: a buffer of 16 KiB, SO_REUSEADDR, the longest backlog, and no
// TCP_NODELAY. (With one message in flight Nagle's algorithm has nothing to hold back.)
//
// Port 0 lets the kernel choose; the line "listening on HOST:PORT" says what it chose.
//
// Read next: raw_epoll_echo.c, raw_poll_echo.c, raw_io_uring_echo.c.
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { buffer_size = 16 * 1024 };

static int listener_fd;
static int spare_fd;

static inline _Noreturn void fail(const char* call) {
    perror(call);
    exit(1);
}

// ---- starting

static inline int listen_on(const char* host, const char* port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        fprintf(stderr, "%s: not an IPv4 address\n", host);
        exit(2);
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket");
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) fail("setsockopt");
    socklen_t length = sizeof address;
    if (bind(fd, (struct sockaddr*)&address, length) != 0) fail("bind");
    if (listen(fd, SOMAXCONN) != 0) fail("listen");
    if (getsockname(fd, (struct sockaddr*)&address, &length) != 0) fail("getsockname");
    printf("listening on %s:%u\n", host, ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

// As high as it goes; gives it.
static inline size_t raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("setrlimit");
    return limit.rlim_cur;
}

// PORT [--host 127.0.0.1]. Gives the number of descriptors that may be open.
static inline size_t begin_to_listen(int argc, char** argv) {
    const char* host = "127.0.0.1";
    if (argc == 4 && strcmp(argv[2], "--host") == 0) {
        host = argv[3];
    } else if (argc != 2) {
        fprintf(stderr, "usage: %s PORT [--host 127.0.0.1]\n", argv[0]);
        exit(2);
    }
    size_t limit = raise_descriptor_limit();
    listener_fd = listen_on(host, argv[1]);
    spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return limit;
}

// ---- accepting

// Without a free descriptor accept fails, the connection stays in the queue, and the listener stays readable:
// the loop would spin. So the spare descriptor is given up, the connection is taken with it and closed.
static inline void turn_one_away(void) {
    close(spare_fd);
    int fd = accept4(listener_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) close(fd);
    spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static inline void accept_all(bool (*watch)(int fd)) {
    for (;;) {
        int fd = accept4(listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            if (!watch(fd)) close(fd);
        } else if (errno == EMFILE || errno == ENFILE) {
            turn_one_away();
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;  // EAGAIN: all are accepted. Anything else is the trouble of one connection; the next wait
                     // tells of the listener again.
        }
    }
}

// ---- echoing, for those who wait for readiness

// What send did not take.
struct Unsent {
    int fd;
    size_t size;
    size_t sent;
    char bytes[];
};

enum Outcome {
    over,         // the connection is to be closed
    all_is_sent,  // wait for bytes
    rest_waits,   // wait for room
};

static inline bool is_temporary(int error) {
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static inline enum Outcome set_aside(int fd, const char* bytes, size_t size, struct Unsent** rest) {
    struct Unsent* unsent = malloc(sizeof *unsent + size);
    if (unsent == NULL) return over;
    unsent->fd = fd;
    unsent->size = size;
    unsent->sent = 0;
    memcpy(unsent->bytes, bytes, size);
    *rest = unsent;
    return rest_waits;
}

// Bytes have come, perhaps. `rest` is written when some of them wait.
static inline enum Outcome echo_once(int fd, struct Unsent** rest) {
    static char buffer[buffer_size];
    ssize_t received = recv(fd, buffer, sizeof buffer, 0);
    if (received < 0 && is_temporary(errno)) return all_is_sent;
    if (received <= 0) return over;
    ssize_t sent = send(fd, buffer, (size_t)received, MSG_NOSIGNAL);
    if (sent == received) return all_is_sent;
    if (sent < 0 && !is_temporary(errno)) return over;
    if (sent < 0) sent = 0;
    return set_aside(fd, buffer + sent, (size_t)(received - sent), rest);
}

// There is room, perhaps. Unless some bytes still wait, `unsent` is free to go.
static inline enum Outcome send_rest(struct Unsent* unsent) {
    ssize_t sent = send(unsent->fd, unsent->bytes + unsent->sent, unsent->size - unsent->sent, MSG_NOSIGNAL);
    if (sent < 0) return is_temporary(errno) ? rest_waits : over;
    unsent->sent += (size_t)sent;
    return unsent->sent < unsent->size ? rest_waits : all_is_sent;
}
