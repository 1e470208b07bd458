// The third yardstick: the server of raw_epoll_echo.c with poll(2) in place of epoll.
//
//      raw_poll_echo PORT [--host 127.0.0.1]
//
// poll is slower than epoll even at one connection, for whoever calls it: the kernel enters the waiting thread into
// the wait queue of each descriptor in the list, and takes it out again, at every wait; epoll has done so once. This
// program says how much of the distance between Pollard on poll and Pollard on epoll is the kernel's own: as much as
// lies between this one and raw_epoll_echo. (On one connection: a list of one descriptor is level with epoll, and
// each further one that is silent costs 1.6 % of a round trip.)
//
// Since it is the number of descriptors that counts, the list holds what every loop has to watch that others can
// wake: beside the listener and the connections the reading end of a wake. Here it ends the program, on SIGTERM and
// SIGINT. It is in the order in which one writes it,
//
//      [ wake ] [ listener ] [ connection ] [ connection ] ..
//
// Read next: platform/poll/poll_poller.cc, which turns this order round, and why; raw_echo.h (recv and send).
#include "raw_echo.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>

enum { wake, listener, first_connection };  // places in the list

static struct pollfd* list;
static struct Unsent** unsent;  // by place in the list; null: waits for bytes
static nfds_t count;

static bool watch(int fd) {
    unsent[count] = NULL;
    list[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    return true;
}

static void serve(nfds_t place) {
    struct pollfd* entry = &list[place];
    enum Outcome outcome = unsent[place] ? send_rest(unsent[place]) : echo_once(entry->fd, &unsent[place]);
    if (outcome == rest_waits) {
        entry->events = POLLOUT;
        return;
    }
    if (unsent[place]) {
        free(unsent[place]);
        unsent[place] = NULL;
        entry->events = POLLIN;
    }
    if (outcome == all_is_sent) return;
    close(entry->fd);
    *entry = list[--count];
    unsent[place] = unsent[count];
}

static void stop(int number) {
    (void)number;
    const uint64_t one = 1;
    if (write(list[wake].fd, &one, sizeof one) < 0) _exit(1);
}

int main(int argc, char** argv) {
    size_t limit = begin_to_listen(argc, argv);
    list = calloc(limit, sizeof *list);
    unsent = calloc(limit, sizeof *unsent);
    if (list == NULL || unsent == NULL) fail("calloc");
    int wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wake_fd < 0) fail("eventfd");
    watch(wake_fd);
    watch(listener_fd);
    signal(SIGTERM, stop);
    signal(SIGINT, stop);

    for (;;) {
        int left = poll(list, count, -1);
        if (left < 0 && errno != EINTR) fail("poll");
        if (left < 0) continue;  // then nothing is written into the list
        if (list[wake].revents) return 0;
        // From the end to the front: who moves into the place of one that has ended was served already.
        left -= list[listener].revents != 0;
        for (nfds_t place = count; left > 0 && place-- > first_connection;) {
            if (list[place].revents == 0) continue;
            left--;
            serve(place);
        }
        if (list[listener].revents) accept_all(watch);
    }
}
