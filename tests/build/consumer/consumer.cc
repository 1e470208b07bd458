// A program of somebody else's: it uses Pollard, and with it all of the C++ library, exceptions and RTTI,
// which Pollard itself is built without.
//
// It prints "42 bytes echoed". Built by tests/build/install_test.py, once against the installed library and
// once with the library as a subproject.
#include <array>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <utility>

#include "core/coroutine.h"
#include "core/event_loop.h"
#include "core/io/socket.h"

using namespace pollard;

namespace {

struct Base {
    virtual ~Base() = default;
};
struct Derived : Base {};

/// Receives once and sends the same back.
struct EchoOnce : Coroutine<EchoOnce, void, Awaits<Accept, Recv, SendAll>> {
    Listener* listener;
    Result<Socket> peer;
    std::array<char, 100> bytes;
    Result<std::size_t> received;

    explicit EchoOnce(Listener& on) : listener(&on) {}

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(peer, listener->accept());
        if (!peer) CO_RETURN(peer.error());
        CO_AWAIT(received, peer->recv(bytes));
        if (!received) CO_RETURN(received.error());
        CO_TRY(peer->send_all(std::span(bytes).first(*received)));
        CO_END;
    }
};

/// Sends a text to an address and gives the number of bytes that come back.
struct Ask : Coroutine<Ask, std::size_t, Awaits<Connect, SendAll, Recv>> {
    Address address;
    std::string text;
    Result<Socket> server;
    std::array<char, 100> bytes;
    Result<std::size_t> received;

    Ask(const Address& where, std::string what) : address(where), text(std::move(what)) {}

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(server, connect(address));
        if (!server) CO_RETURN(server.error());
        CO_TRY(server->send_all(text));
        CO_AWAIT(received, server->recv(bytes));
        CO_RETURN(received);
        CO_END;
    }
};

template <class T>
T value_or_throw(Result<T> result) {
    if (!result) throw std::runtime_error(describe(result.error()).c_str());
    return *std::move(result);
}

std::size_t echo(const std::string& text) {
    EventLoop loop;
    if (const Result<void> opened = loop.open(); !opened)
        throw std::runtime_error(describe(opened.error()).c_str());
    Listener listener = value_or_throw(listen(loop, value_or_throw(parse_address("127.0.0.1", 0))));
    const Address address = value_or_throw(listener.local_address());
    const auto server = value_or_throw(loop.create_task(EchoOnce(listener)));
    const std::size_t size = value_or_throw(loop.run_until_complete(Ask(address, text)));
    if (const Result<void> served = loop.run_until_complete(server); !served)
        throw std::runtime_error(describe(served.error()).c_str());
    return size;
}

}  // namespace

int main() {
    try {
        std::printf("%zu bytes echoed\n", echo(std::string(42, 'x')));
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "%s\n", problem.what());
        return 1;
    }
    const Derived derived;
    const Base& base = derived;
    return typeid(base) == typeid(Derived) ? 0 : 1;
}
