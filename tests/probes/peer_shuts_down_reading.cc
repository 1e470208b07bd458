// The peer shuts down its reading side: it will not read what we send. TCP has no word for that: nothing travels.
#include <sys/socket.h>

#include "tests/probes/probe.h"

void scenario(Probe& probe) {
    const Ends ends = connected_pair();
    Watch watch(probe, ends.ours);
    watch.look("connected");
    made(::shutdown(ends.peer, SHUT_RD), "shutdown");
    watch.look("the peer has shut down");
    close_now(ends.peer);
    close_now(ends.ours);
}
