// reverse_client_blocking: the client without a loop: each line waits in the kernel until it is done.
//
//      tools/demo reverse_client_blocking --text "able was I"
//
// Read next: demos/reverse_talk.h, where the same lines are a frame.
#include <array>
#include <cstdio>
#include <string_view>

#include "demos/options.h"
#include "demos/reverse_talk.h"
#include "platform/kernel.h"

using namespace pollard;

namespace {

Result<void> talk(Kernel& kernel, const Address& server, std::string_view text) {
    const Result<Handle> opened = open_stream_socket(kernel, server, Blocking::yes);
    if (!opened) return opened.error();
    const OwnedHandle socket(kernel, *opened);
    if (const Result<void> connected = connect_blocking(kernel, socket.get(), server); !connected)
        return connected;
    print_quoted("Sending ", text);
    if (const Result<void> sent = send_all_blocking(kernel, socket.get(), text.data(), text.size()); !sent)
        return sent;
    std::array<char, 1024> bytes;
    for (std::size_t awaited = text.size(); awaited > 0;) {
        const Result<std::size_t> received = recv_blocking(kernel, socket.get(), bytes.data(), bytes.size());
        if (!received) return received.error();
        if (*received == 0) return Error(ErrorKind::end_of_stream, Call::recv).on("the server hung up");
        print_quoted("Server replied ", std::string_view(bytes.data(), *received));
        awaited -= std::min(awaited, *received);
    }
    return {};
}

}  // namespace

int main(int argc, char** argv) {
    std::int64_t port = reverse_port;
    const char* host = "127.0.0.1";
    const char* words = "Hello Server!\n";
    const Option options[] = {
        text("--host", host, "ADDRESS", "the server's address (127.0.0.1)"),
        number("--port", port, "N", "the server's port (6789)", 1, 65535),
        text("--text", words, "TEXT", "what to send (Hello Server! and a newline)"),
    };
    if (const int code = parse_options(argc, argv, options); code >= 0) return code;
    const Result<Address> server = parse_address(host, static_cast<std::uint16_t>(port));
    if (!server) return usage_error("--host %s: not an IPv4 or IPv6 address, nor unix:PATH", host);
    const Result<void> talked = talk(system_kernel(), *server, words);
    if (!talked) return fail("%s", describe(talked.error()).c_str());
    return 0;
}
