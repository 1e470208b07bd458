// echo_server: a plain, fast echo server that says nothing; it is there to be measured.
//
//      tools/demo echo_server 7000
//      tools/bench/bench echo              beside a hand-written epoll server in C
//
// Each connection is one task of about two hundred bytes. While it waits for a message it holds no buffer: the
// receive borrows one of the loop's when data is there, and gives it back before it waits again.
//
// Read next: core/io/serve.h (accepting), core/io/operation_await.h, platform/attempt/attempt_port.cc.
#include <optional>

#include "core/io/serve.h"
#include "demos/demo_loop.h"

using namespace pollard;

namespace {

struct Echo : Coroutine<Echo, void, Awaits<BorrowedRecv, SendAll>> {
    Socket peer;
    Result<Lease> received;

    Progress body() {
        CO_BEGIN;
        for (;;) {
            CO_AWAIT(received, peer.recv());
            // A peer that has gone, in whatever way, ends its own connection and nothing else.
            if (!received || received->empty()) CO_RETURN();
            CO_TRY(peer.send_all(received->bytes()));
            received->give_back();
        }
        CO_END;
    }
};

}  // namespace

int main(int argc, char** argv) {
    DemoLoop demo;
    std::int64_t port = 0;
    const char* host = "127.0.0.1";
    const Option options[] = {
        required(number("PORT", port, "N", "the port to listen on", 0, 65535)),
        text("--host", host, "ADDRESS", "the address to listen on (127.0.0.1)"),
        demo.kernel_option(),
        demo.explain_option(),
        demo.trace_option(),
    };
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;
    const Result<Address> address = parse_address(host, static_cast<std::uint16_t>(port));
    if (!address) return usage_error("--host %s: not an IPv4 or IPv6 address, nor unix:PATH", host);
    if (const int code = demo.open(); code >= 0) return code;

    raise_descriptor_limit();
    demo.stop_on_interrupt();
    Result<Listener> listener = listen(demo.loop, *address);
    if (!listener) return demo.finish(listener.error());
    const Result<void> served = demo.loop.run_until_complete(Serve<Echo>{.listener = *std::move(listener)});
    return demo.finish(served.error());
}
