// A descriptor that is closed while it is registered. epoll and kqueue forget it without a word, and cannot take it out
// any more; poll(2) finds a number that is not open.
#include "tests/probes/probe.h"

void scenario(Probe& probe) {
    const Ends ends = connected_pair();
    Watch watch(probe, ends.ours);
    send_text(ends.peer, "hello");
    close_now(ends.ours);
    watch.look("closed while registered");
    watch.forget("taken out after closing");
    close_now(ends.peer);
}
