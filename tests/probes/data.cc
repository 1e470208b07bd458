// Bytes arrive and are read in two parts; watched level-triggered. Only kqueue says how many are left.
#include "tests/probes/probe.h"

void scenario(Probe& probe) {
    const Ends ends = connected_pair();
    Watch watch(probe, ends.ours);
    watch.look("nothing arrived");
    send_text(ends.peer, "hello");
    watch.look("five bytes");
    receive(ends.ours, 3);
    watch.look("three are read");
    receive(ends.ours, 2);
    watch.look("all are read");
    close_now(ends.peer);
    close_now(ends.ours);
}
