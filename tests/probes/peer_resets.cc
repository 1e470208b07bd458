// The peer resets the connection: an error, with its number in SO_ERROR (and with kqueue in the event itself).
#include <sys/socket.h>

#include <cstdio>

#include "tests/probes/probe.h"

void scenario(Probe& probe) {
    const Ends ends = connected_pair();
    Watch watch(probe, ends.ours);
    close_with_reset(ends.peer);
    watch.look("the peer has reset");
    int error = 0;
    socklen_t length = sizeof error;
    made(::getsockopt(ends.ours, SOL_SOCKET, SO_ERROR, &error, &length), "getsockopt");
    std::printf("  SO_ERROR gives it once: %d\n", error);
    watch.look("SO_ERROR has been asked for");
    close_now(ends.ours);
}
