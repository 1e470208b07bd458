// A send buffer that is full, and then has room again.
#include <unistd.h>

#include <string>

#include "tests/probes/probe.h"

void scenario(Probe& probe) {
    const Ends ends = connected_pair();
    const std::string bytes(64 * 1024, 'x');
    std::size_t sent = 0;
    Watch watch(probe, ends.ours);
    // Until it stays full: the peer's kernel takes a part out of our buffer while we fill it.
    for (int times_full = 0; times_full < 20;) {
        const ssize_t taken = ::write(ends.ours, bytes.data(), bytes.size());
        if (taken > 0) sent += static_cast<std::size_t>(taken);
        times_full = taken > 0 ? 0 : times_full + 1;
        if (taken < 0) ::usleep(1000);
    }
    watch.look("full");
    std::string room(64 * 1024, '\0');
    while (sent > 0) {
        const ssize_t taken = ::read(ends.peer, room.data(), room.size());
        if (taken > 0) sent -= static_cast<std::size_t>(taken);
    }
    watch.look("the peer has read all");
    close_now(ends.peer);
    close_now(ends.ours);
}
