// The yardstick: an echo server as one writes it by hand for one kernel.
//
//      raw_epoll_echo PORT [--host 127.0.0.1]
//
// Pollard claims to be as fast as a loop written by hand, and this is that loop: one file, one thread, one
// buffer for all connections, level-triggered epoll, no state for a connection beyond its descriptor. A
// message costs
//
//      epoll_wait (shared by all that are ready)  ->  recv  ->  send
//
// and epoll_ctl is called once for a connection, when it is accepted. The kernel removes a descriptor from
// the set by itself when it is closed. Level-triggered means that nothing must be remembered: bytes which did
// not fit into the buffer, and a close that follows them, are reported again.
//
// Only one case needs memory. When the peer does not read, send takes less than it was given; the rest is put
// aside and the connection waits for room instead of for bytes, so that a slow reader is not read from
// either.
//
// To be fair, both servers treat their sockets alike: a buffer of 16 KiB, SO_REUSEADDR, the longest backlog,
// and no TCP_NODELAY. (With one message in flight Nagle's algorithm has nothing to hold back.)
//
// Port 0 lets the kernel choose; the line "listening on HOST:PORT" says what it chose.
//
// Read next: echo_load.c, the other end.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { event_capacity = 256 };

// What send did not take. While it exists, the connection's epoll data points here.
struct Unsent {
    int fd;
    size_t size;
    size_t sent;
    char bytes[];
};

// The epoll data is the descriptor, or a struct Unsent* with this bit, which no address of a program has.
static const uint64_t unsent_mark = UINT64_C(1) << 63;

static char buffer[16 * 1024];
static int epoll_fd;
static int listener_fd;
static int spare_fd;

static _Noreturn void fail(const char* call) {
    perror(call);
    exit(1);
}

static bool is_temporary(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

static bool set_interest(int change, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(epoll_fd, change, fd, &event) == 0;
}

static void set_aside(int fd, const char* bytes, size_t size) {
    struct Unsent* unsent = malloc(sizeof *unsent + size);
    if (unsent == NULL) {
        close(fd);
        return;
    }
    unsent->fd = fd;
    unsent->size = size;
    unsent->sent = 0;
    memcpy(unsent->bytes, bytes, size);
    if (!set_interest(EPOLL_CTL_MOD, fd, EPOLLOUT, (uintptr_t)unsent | unsent_mark)) {
        free(unsent);
        close(fd);
    }
}

static void send_unsent(struct Unsent* unsent) {
    ssize_t sent = send(unsent->fd, unsent->bytes + unsent->sent, unsent->size - unsent->sent, MSG_NOSIGNAL);
    if (sent < 0 && is_temporary(errno)) return;
    if (sent > 0) {
        unsent->sent += (size_t)sent;
        if (unsent->sent < unsent->size) return;
    }
    if (sent < 0 || !set_interest(EPOLL_CTL_MOD, unsent->fd, EPOLLIN, (uint64_t)unsent->fd))
        close(unsent->fd);
    free(unsent);
}

static void echo(int fd) {
    ssize_t received = recv(fd, buffer, sizeof buffer, 0);
    if (received > 0) {
        ssize_t sent = send(fd, buffer, (size_t)received, MSG_NOSIGNAL);
        if (sent == received) return;
        if (sent >= 0) {
            set_aside(fd, buffer + sent, (size_t)(received - sent));
            return;
        }
        if (is_temporary(errno)) {
            set_aside(fd, buffer, (size_t)received);
            return;
        }
    } else if (received < 0 && is_temporary(errno)) {
        return;
    }
    close(fd);
}

// Without a free descriptor accept fails, the connection stays in the queue, and the listener stays readable:
// the loop would spin. So the spare descriptor is given up, the connection is taken with it and closed.
static void turn_one_away(void) {
    close(spare_fd);
    int fd = accept4(listener_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) close(fd);
    spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void accept_all(void) {
    for (;;) {
        int fd = accept4(listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            if (!set_interest(EPOLL_CTL_ADD, fd, EPOLLIN, (uint64_t)fd)) close(fd);
        } else if (errno == EMFILE || errno == ENFILE) {
            turn_one_away();
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;  // EAGAIN: all are accepted. Anything else is the trouble of one connection; epoll asks
                     // again.
        }
    }
}

static int listen_on(const char* host, const char* port) {
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

static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("setrlimit");
}

int main(int argc, char** argv) {
    const char* host = "127.0.0.1";
    if (argc == 4 && strcmp(argv[2], "--host") == 0) {
        host = argv[3];
    } else if (argc != 2) {
        fprintf(stderr, "usage: raw_epoll_echo PORT [--host 127.0.0.1]\n");
        return 2;
    }

    raise_descriptor_limit();
    listener_fd = listen_on(host, argv[1]);
    spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) fail("epoll_create1");
    if (!set_interest(EPOLL_CTL_ADD, listener_fd, EPOLLIN, (uint64_t)listener_fd)) fail("epoll_ctl");

    static struct epoll_event events[event_capacity];
    for (;;) {
        int count = epoll_wait(epoll_fd, events, event_capacity, -1);
        if (count < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < count; i++) {
            uint64_t data = events[i].data.u64;
            if (data & unsent_mark) {
                send_unsent((struct Unsent*)(uintptr_t)(data & ~unsent_mark));
            } else if ((int)data == listener_fd) {
                accept_all();
            } else {
                echo((int)data);
            }
        }
    }
}
