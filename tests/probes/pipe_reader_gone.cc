// The writing end of a pipe whose last reader goes: an error on Linux, an end on kqueue's writing filter.
#include <unistd.h>

#include "tests/probes/probe.h"

void scenario(Probe& probe) {
    int ends[2];
    made(::pipe(ends), "pipe");
    Watch watch(probe, ends[1]);
    watch.look("room in a pipe");
    close_now(ends[0]);
    watch.look("the reader is gone");
    close_now(ends[1]);
}
