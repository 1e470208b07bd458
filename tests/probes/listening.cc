// A listening socket, with nobody and with one connection in its queue. Only kqueue says how many.
#include <sys/socket.h>

#include "tests/probes/probe.h"

void scenario(Probe& probe) {
    const int listening = listener();
    Watch watch(probe, listening);
    watch.look("nobody waits");
    const int client = connecting_to(listening);
    watch.look("one waits");
    const int accepted = made(::accept(listening, nullptr, nullptr), "accept");
    watch.look("it is accepted");
    close_now(accepted);
    close_now(client);
    close_now(listening);
}
