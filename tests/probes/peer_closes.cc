// The peer sends its last words and closes. The end is told together with them: who reads less than everything there is
// and waits edge-triggered for the end would wait for ever.
#include "tests/probes/probe.h"

void scenario(Probe& probe) {
    const Ends ends = connected_pair();
    Watch watch(probe, ends.ours);
    Watch edge(probe, ends.ours, Trigger::edge);
    send_text(ends.peer, "hello");
    close_now(ends.peer);
    watch.look("five bytes and the end");
    edge.look("edge: five bytes and the end");
    receive(ends.ours, 5);
    watch.look("the bytes are read");
    edge.look("edge: the bytes are read");
    close_now(ends.ours);
}
