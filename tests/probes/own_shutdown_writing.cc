// We shut down our own writing side: no news on Linux. kqueue reports an end on the writing filter, which must not be
// taken for the peer's.
#include <sys/socket.h>

#include "tests/probes/probe.h"

void scenario(Probe& probe) {
    const Ends ends = connected_pair();
    Watch watch(probe, ends.ours);
    made(::shutdown(ends.ours, SHUT_WR), "shutdown");
    watch.look("our writing side is shut down");
    close_now(ends.peer);
    close_now(ends.ours);
}
