// A TCP socket that was never connected. Linux says that both sides have hung up, which looks like a connection that has
// just ended; kqueue says nothing.
#include "tests/probes/probe.h"

void scenario(Probe& probe) {
    const int fresh = tcp_socket();
    Watch watch(probe, fresh);
    watch.look("never connected");
    close_now(fresh);
}
