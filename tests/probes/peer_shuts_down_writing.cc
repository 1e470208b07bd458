// The peer shuts down its writing side: our stream ends; we may still send.
#include <sys/socket.h>

#include "tests/probes/probe.h"

void scenario(Probe& probe) {
    const Ends ends = connected_pair();
    Watch watch(probe, ends.ours);
    watch.look("connected");
    made(::shutdown(ends.peer, SHUT_WR), "shutdown");
    watch.look("the peer has shut down");
    close_now(ends.peer);
    close_now(ends.ours);
}
