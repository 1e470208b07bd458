// reverse_server_blocking: the reversing echo without a loop: one client at a time, the rest wait.
//
//      tools/demo reverse_server_blocking                and in two other terminals:
//      nc 127.0.0.1 6789                                 the second is not answered until the first has gone
//
// What to look at: each call puts the whole program to sleep in the kernel until its own thing happens. The
// asynchronous twin, reverse_server.cc, has the same lines in the same order.
//
// Read next: demos/reverse_server.cc.
#include <algorithm>
#include <array>
#include <cstdio>
#include <span>

#include "demos/options.h"
#include "demos/reverse_talk.h"
#include "platform/interrupt.h"
#include "platform/kernel.h"

using namespace pollard;

namespace {

/// One connection, to its end. False: the interrupt key was pressed.
bool serve_one(Kernel& kernel, const OwnedHandle& peer) {
    std::array<char, 1024> bytes;
    for (;;) {
        const Result<std::size_t> received =
            recv_blocking(kernel, peer.get(), bytes.data(), bytes.size(), &interrupt_came());
        if (!received) return received.error().kind != ErrorKind::interrupted;
        if (*received == 0) return true;
        const std::span<char> part = std::span(bytes).first(*received);
        std::ranges::reverse(part);
        if (!send_all_blocking(kernel, peer.get(), part.data(), part.size())) return true;
    }
}

int serve(Kernel& kernel, const Address& address) {
    const Result<Handle> opened = open_listener(kernel, address, {.blocking = Blocking::yes});
    if (!opened) return fail("%s", describe(opened.error()).c_str());
    const OwnedHandle listener(kernel, *opened);
    const Result<Address> where = local_address(kernel, listener.get());
    if (!where) return fail("%s", describe(where.error()).c_str());
    std::printf("reverse_server_blocking listening on %s\n", describe(*where).c_str());
    std::fflush(stdout);
    while (!interrupt_came()) {
        const Result<Handle> accepted = accept_blocking(kernel, listener.get(), &interrupt_came());
        if (!accepted && accepted.error().kind == ErrorKind::interrupted) return 0;
        if (!accepted) return fail("%s", describe(accepted.error()).c_str());
        const OwnedHandle peer(kernel, *accepted);
        if (!serve_one(kernel, peer)) return 0;
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::int64_t port = reverse_port;
    const char* host = "127.0.0.1";
    const Option options[] = {
        text("--host", host, "ADDRESS", "the address to listen on (127.0.0.1)"),
        number("--port", port, "N", "the port to listen on (6789; 0 takes a free one)", 0, 65535),
    };
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;
    const Result<Address> address = parse_address(host, static_cast<std::uint16_t>(port));
    if (!address) return usage_error("--host %s: not an IPv4 or IPv6 address, nor unix:PATH", host);
    on_interrupt([](void*) {}, nullptr);
    return serve(system_kernel(), *address);
}
