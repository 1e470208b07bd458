// The yardstick: an echo server as one writes it by hand for one kernel.
//
//      raw_epoll_echo PORT [--host 127.0.0.1]
//
// Pollard claims to be as fast as a loop written by hand, and this is that loop: one thread, one
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
// Read next: raw_echo.h (sockets, recv and send), echo_load.c, the other end.
#include "raw_echo.h"

#include <sys/epoll.h>

enum { event_capacity = 256 };

// The epoll data is the descriptor, or a struct Unsent* with this bit, which no address of a program has.
static const uint64_t unsent_mark = UINT64_C(1) << 63;

static int epoll_fd;

static bool set_interest(int change, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(epoll_fd, change, fd, &event) == 0;
}

static bool watch(int fd) { return set_interest(EPOLL_CTL_ADD, fd, EPOLLIN, (uint64_t)fd); }

static void echo(int fd) {
    struct Unsent* rest = NULL;
    enum Outcome outcome = echo_once(fd, &rest);
    if (outcome == all_is_sent) return;
    if (outcome == rest_waits && set_interest(EPOLL_CTL_MOD, fd, EPOLLOUT, (uintptr_t)rest | unsent_mark))
        return;
    free(rest);
    close(fd);
}

static void go_on_sending(struct Unsent* unsent) {
    enum Outcome outcome = send_rest(unsent);
    if (outcome == rest_waits) return;
    if (outcome == over || !set_interest(EPOLL_CTL_MOD, unsent->fd, EPOLLIN, (uint64_t)unsent->fd))
        close(unsent->fd);
    free(unsent);
}

int main(int argc, char** argv) {
    begin_to_listen(argc, argv);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) fail("epoll_create1");
    if (!watch(listener_fd)) fail("epoll_ctl");

    static struct epoll_event events[event_capacity];
    for (;;) {
        int count = epoll_wait(epoll_fd, events, event_capacity, -1);
        if (count < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < count; i++) {
            uint64_t data = events[i].data.u64;
            if (data & unsent_mark) {
                go_on_sending((struct Unsent*)(uintptr_t)(data & ~unsent_mark));
            } else if ((int)data == listener_fd) {
                accept_all(watch);
            } else {
                echo((int)data);
            }
        }
    }
}
