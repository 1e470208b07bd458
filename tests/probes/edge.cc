// The same watched edge-triggered: what was told once is not told again, however much is left, until more arrives. And
// Linux tells the whole truth with it, the room to send as well, since both directions share one registration.
#include "tests/probes/probe.h"

void scenario(Probe& probe) {
    const Ends ends = connected_pair();
    Watch watch(probe, ends.ours, Trigger::edge);
    watch.look("edge: nothing arrived");
    send_text(ends.peer, "hello");
    watch.look("edge: five bytes");
    receive(ends.ours, 2);
    watch.look("edge: two are read");
    send_text(ends.peer, "you");
    watch.look("edge: three more");
    close_now(ends.peer);
    close_now(ends.ours);
}
