// A regular file: reading it never blocks. epoll refuses it, poll(2) says that it is ready for ever. kqueue calls it
// readable as long as the file offset is not at its end, which is another question.
#include <fcntl.h>

#include "tests/probes/probe.h"

void scenario(Probe& probe) {
    const int file = made(::open("/bin/sh", O_RDONLY), "open");
    Watch watch(probe, file);
    watch.look("a regular file");
    close_now(file);
}
