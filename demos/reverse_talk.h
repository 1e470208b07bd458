// The client's side of the reversing echo, as a frame: used by reverse_client, and by reverse_server on a
// simulated kernel, where the clients must live on the same loop.
#pragma once

#include <array>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "core/coroutine.h"
#include "core/io/socket.h"

namespace pollard {

inline constexpr std::uint16_t reverse_port = 6789;

/// Prints bytes as they came, between quotes, with what is not printable escaped: a newline is \n.
inline void print_quoted(const char* before, std::string_view bytes) {
    std::printf("%s\"", before);
    for (const char byte : bytes) {
        if (byte == '\n')
            std::printf("\\n");
        else if (byte >= ' ' && byte != '"' && byte != '\\' && byte != 0x7f)
            std::putchar(byte);
        else
            std::printf("\\x%02x", static_cast<unsigned char>(byte));
    }
    std::printf("\"\n");
}

/// Connects, sends the text, and prints what comes back until as many bytes have come as went.
struct Talk : Coroutine<Talk, void, Awaits<Connect, SendAll, Recv, Close>> {
    Address server;
    std::string_view text;
    Result<Socket> socket;
    std::array<char, 1024> bytes;
    Result<std::size_t> received;
    std::size_t awaited_bytes = 0;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(socket, connect(server));
        if (!socket) CO_RETURN(socket.error());
        print_quoted("Sending ", text);
        CO_TRY(socket->send_all(text));
        awaited_bytes = text.size();
        while (awaited_bytes > 0) {
            CO_AWAIT(received, socket->recv(bytes));
            if (!received) CO_RETURN(received.error());
            if (*received == 0)
                CO_RETURN(Error(ErrorKind::end_of_stream, Call::recv).on("the server hung up"));
            print_quoted("Server replied ", std::string_view(bytes.data(), *received));
            awaited_bytes -= std::min(awaited_bytes, *received);
        }
        CO_TRY(socket->close());
        CO_END;
    }
};

}  // namespace pollard
