// We shut down our own reading side: from here it looks as if the peer had ended its stream.
#include <sys/socket.h>

#include "tests/probes/probe.h"

void scenario(Probe& probe) {
    const Ends ends = connected_pair();
    Watch watch(probe, ends.ours);
    made(::shutdown(ends.ours, SHUT_RD), "shutdown");
    watch.look("our reading side is shut down");
    close_now(ends.peer);
    close_now(ends.ours);
}
