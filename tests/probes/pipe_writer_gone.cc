// The reading end of a pipe whose last writer goes, with bytes left in it.
#include <unistd.h>

#include "tests/probes/probe.h"

void scenario(Probe& probe) {
    int ends[2];
    made(::pipe(ends), "pipe");
    Watch watch(probe, ends[0]);
    watch.look("an empty pipe");
    send_text(ends[1], "hello");
    close_now(ends[1]);
    watch.look("five bytes, the writer is gone");
    receive(ends[0], 5);
    watch.look("they are read, the writer is gone");
    close_now(ends[0]);
}
