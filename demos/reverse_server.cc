// reverse_server: sends every byte back, in reverse; many clients at once, one thread.
//
//      tools/demo reverse_server --explain               and in another terminal:
//      tools/demo reverse_client                         or  nc 127.0.0.1 6789
//      tools/demo reverse_server --kernel simulated --explain      server and clients in memory, no network
//
// What to look at: Session::body reads like the blocking twin (reverse_server_blocking.cc), but each CO_AWAIT
// is a place where this session steps aside and the others go on. Put a breakpoint on the CO_AWAIT with
// peer.recv and step: after some twenty steps you are in the system call.
//
// Read next: core/co_macros.h (what CO_AWAIT writes), core/io/socket.h, core/io/operation_await.h,
// platform/attempt/attempt_port.cc, platform/epoll/epoll_poller.cc: the way down, one file a floor.
#include <algorithm>
#include <array>
#include <cstdio>
#include <span>

#include "core/io/serve.h"
#include "demos/demo_loop.h"
#include "demos/reverse_talk.h"

using namespace pollard;

namespace {

/// One connection, from accept to the client's end of stream.
struct Session : Coroutine<Session, void, Awaits<Recv, SendAll>> {
    Socket peer;
    std::array<char, 1024> bytes;
    Result<std::size_t> received;

    Progress body() {
        CO_BEGIN;
        for (;;) {
            CO_AWAIT(received, peer.recv(bytes));
            // A client that has gone, in whatever way, ends its own session and nothing else.
            if (!received || *received == 0) CO_RETURN();
            std::ranges::reverse(part());
            CO_TRY(peer.send_all(part()));
        }
        CO_END;
    }

    std::span<char> part() { return std::span(bytes).first(*received); }
};

/// On a simulated kernel nobody else can connect: two clients talk to the server, then the loop is stopped.
struct Guests : Coroutine<Guests, void, Awaits<TaskRef<void>&>> {
    EventLoop* loop;
    Address server;
    TaskRef<void> first;
    TaskRef<void> second;
    Result<void> outcome;

    Progress body() {
        CO_BEGIN;
        if (!invite(first, "Hello Server!\n") || !invite(second, "A second guest.\n"))
            CO_RETURN(Error(ErrorKind::out_of_memory, Call::create_task));
        CO_AWAIT(outcome, first);
        if (outcome) CO_AWAIT(outcome, second);
        loop->stop();
        CO_RETURN(outcome);
        CO_END;
    }

    bool invite(TaskRef<void>& guest, std::string_view text) {
        Result<TaskRef<void>> task = loop->create_task(Talk{.server = server, .text = text});
        if (task) guest = *std::move(task);
        return task.has_value();
    }
};

int serve(DemoLoop& demo, const Address& address) {
    Result<Listener> listener = listen(demo.loop, address);
    if (!listener) return demo.finish(listener.error());
    const Result<Address> where = listener->local_address();
    if (!where) return demo.finish(where.error());
    std::printf("reverse_server listening on %s\n", describe(*where).c_str());
    std::fflush(stdout);

    Result<TaskRef<void>> guests = TaskRef<void>();
    if (demo.simulated()) guests = demo.loop.create_task(Guests{.loop = &demo.loop, .server = *where});
    if (!guests) return demo.finish(guests.error());
    const Result<void> served =
        demo.loop.run_until_complete(Serve<Session>{.listener = *std::move(listener)});
    if (*guests && guests->done()) return demo.finish(guests->result().error());
    return demo.finish(served.error());
}

}  // namespace

int main(int argc, char** argv) {
    DemoLoop demo;
    std::int64_t port = reverse_port;
    const char* host = "127.0.0.1";
    const Option options[] = {
        text("--host", host, "ADDRESS", "the address to listen on (127.0.0.1)"),
        number("--port", port, "N", "the port to listen on (6789; 0 takes a free one)", 0, 65535),
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
    return serve(demo, *address);
}
