// One urgent byte, then one that is not. The urgent one is no data: what is readable is what stands behind it.
#include <sys/socket.h>

#include "tests/probes/probe.h"

void scenario(Probe& probe) {
    const Ends ends = connected_pair();
    Watch watch(probe, ends.ours);
    made(static_cast<int>(::send(ends.peer, "!", 1, MSG_OOB)), "send");
    watch.look("an urgent byte");
    send_text(ends.peer, "x");
    watch.look("and one behind it");
    close_now(ends.peer);
    close_now(ends.ours);
}
