// A connect to a port where nobody listens.
#include "tests/probes/probe.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

void scenario(Probe& probe) {
    const int listening = listener();
    sockaddr_storage nobody = {};
    socklen_t length = sizeof nobody;
    made(::getsockname(listening, reinterpret_cast<sockaddr*>(&nobody), &length), "getsockname");
    close_now(listening);
    const int client = tcp_socket();
    Watch watch(probe, client);
    if (::connect(client, reinterpret_cast<sockaddr*>(&nobody), length) != 0 && errno != EINPROGRESS &&
        errno != ECONNREFUSED)
        made(-1, "connect");
    watch.look("refused");
    close_now(client);
}
