// reverse_client: sends a line to the reverse server and prints what comes back.
//
//      tools/demo reverse_client
//      tools/demo reverse_client --text "able was I" --explain
//      tools/demo reverse_client --clients 100           a hundred of them at once, on one thread
//
// Read next: demos/reverse_talk.h (the client's frame), demos/reverse_client_blocking.cc (its blocking twin).
#include <array>
#include <cstdio>

#include "demos/demo_loop.h"
#include "demos/reverse_talk.h"

using namespace pollard;

namespace {

constexpr std::int64_t most_clients = 1000;

/// Here and not in a frame or on the stack: a thousand references are 8 KB.
constinit std::array<TaskRef<void>, most_clients> tasks;

/// Starts all clients, then waits for each; ends with the first error.
struct Crowd : Coroutine<Crowd, void, Awaits<TaskRef<void>&>> {
    EventLoop* loop;
    Address server;
    std::string_view text;
    std::int64_t clients;
    std::int64_t i = 0;
    Result<void> outcome;
    Result<void> first_error;

    Progress body() {
        CO_BEGIN;
        for (i = 0; i < clients; ++i)
            if (!start_client(i)) CO_RETURN(Error(ErrorKind::out_of_memory, Call::create_task));
        for (i = 0; i < clients; ++i) {
            CO_AWAIT(outcome, tasks[static_cast<std::size_t>(i)]);
            if (!outcome && first_error) first_error = outcome;
        }
        CO_RETURN(first_error);
        CO_END;
    }

    bool start_client(std::int64_t number) {
        Result<TaskRef<void>> task = loop->create_task(Talk{.server = server, .text = text});
        if (task) tasks[static_cast<std::size_t>(number)] = *std::move(task);
        return task.has_value();
    }
};

}  // namespace

int main(int argc, char** argv) {
    DemoLoop demo;
    std::int64_t port = reverse_port;
    std::int64_t clients = 1;
    const char* host = "127.0.0.1";
    const char* words = "Hello Server!\n";
    const Option options[] = {
        text("--host", host, "ADDRESS", "the server's address (127.0.0.1)"),
        number("--port", port, "N", "the server's port (6789)", 1, 65535),
        text("--text", words, "TEXT", "what to send (Hello Server! and a newline)"),
        number("--clients", clients, "N", "how many at once (1)", 1, most_clients),
        demo.kernel_option(),
        demo.explain_option(),
        demo.trace_option(),
    };
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;
    const Result<Address> server = parse_address(host, static_cast<std::uint16_t>(port));
    if (!server) return usage_error("--host %s: not an IPv4 or IPv6 address, nor unix:PATH", host);
    if (const int code = demo.open(); code >= 0) return code;
    demo.stop_on_interrupt();
    const Result<void> talked = demo.loop.run_until_complete(
        Crowd{.loop = &demo.loop, .server = *server, .text = words, .clients = clients});
    for (TaskRef<void>& task : tasks) task = TaskRef<void>();
    return demo.finish(talked.error());
}
