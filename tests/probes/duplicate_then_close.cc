// The trap of epoll(7): a registration is keyed on the open file and lives as long as any duplicate. The number that was
// registered is closed, and its events go on coming; nobody can take it out. kqueue's is keyed on the number and goes.
#include <unistd.h>

#include "tests/probes/probe.h"

void scenario(Probe& probe) {
    const Ends ends = connected_pair();
    Watch watch(probe, ends.ours);
    const int twin = made(::dup(ends.ours), "dup");
    close_now(ends.ours);
    send_text(ends.peer, "hello");
    watch.look("a duplicate is open, the number is closed");
    watch.forget("taken out with a duplicate open");
    close_now(twin);
    close_now(ends.peer);
}
