// What the tests of the simulated kernel share: its calls in shorter words, and connections that are there.
#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "platform/address.h"
#include "platform/memory.h"
#include "platform/observer.h"
#include "platform/simulated/simulated_kernel.h"
#include "platform/system_sockets.h"

namespace pollard {

struct Door {
    Kernel& kernel;

    Handle open(int domain = AF_INET) {
        return static_cast<Handle>(
            kernel.socket(kernel, domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    }
    std::intptr_t bind(Handle handle, const Address& address) {
        return kernel.bind(kernel, handle, address.raw(), address.length);
    }
    std::intptr_t listen(Handle handle, int backlog = 16) { return kernel.listen(kernel, handle, backlog); }
    std::intptr_t connect(Handle handle, const Address& address) {
        return kernel.connect(kernel, handle, address.raw(), address.length);
    }
    std::intptr_t accept(Handle handle) {
        return kernel.accept(kernel, handle, nullptr, nullptr, SOCK_NONBLOCK);
    }
    std::intptr_t send(Handle handle, std::string_view bytes) {
        return kernel.send(kernel, handle, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    std::intptr_t recv(Handle handle, std::size_t size = 100, int flags = 0) {
        received.resize(size);
        const std::intptr_t count = kernel.recv(kernel, handle, received.data(), size, flags);
        received.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
        return count;
    }
    std::intptr_t shutdown(Handle handle, int how) { return kernel.shutdown(kernel, handle, how); }
    std::intptr_t close(Handle handle) { return kernel.close(kernel, handle); }
    std::intptr_t set(Handle handle, int option, int value) {
        return kernel.setsockopt(kernel, handle, SOL_SOCKET, option, &value, sizeof value);
    }
    int get(Handle handle, int option) {
        int value = -1;
        unsigned length = sizeof value;
        const std::intptr_t result = kernel.getsockopt(kernel, handle, SOL_SOCKET, option, &value, &length);
        return result < 0 ? static_cast<int>(result) : value;
    }
    std::intptr_t linger_zero(Handle handle) {
        const linger setting = {.l_onoff = 1, .l_linger = 0};
        return kernel.setsockopt(kernel, handle, SOL_SOCKET, SO_LINGER, &setting, sizeof setting);
    }
    short poll(Handle handle, int timeout_ms = 0) {
        pollfd descriptor = poll_entry(handle, POLLIN | POLLOUT | POLLRDHUP);
        const std::intptr_t count = kernel.poll(kernel, &descriptor, 1, timeout_ms);
        return static_cast<short>(count < 0 ? count : descriptor.revents);
    }
    Address name_of(Handle handle) { return ask(kernel.getsockname, handle); }
    Address peer_of(Handle handle) { return ask(kernel.getpeername, handle); }

    std::string received;

private:
    Address ask(std::intptr_t (*call)(Kernel&, Handle, sockaddr*, unsigned*), Handle handle) {
        Address address;
        address.length = sizeof address.bytes;
        if (call(kernel, handle, address.raw(), &address.length) < 0) return Address{};
        return address;
    }
};

inline Address at(std::string_view host, std::uint16_t port = 0) { return *parse_address(host, port); }
inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

class Simulated : public testing::Test {
protected:
    void TearDown() override {
        fail_allocations_after(0, 0);
        current_observer = nullptr;
    }

    Handle listener(const Address& address = at("127.0.0.1"), int backlog = 16) {
        const Handle handle = door.open(address.raw()->sa_family);
        EXPECT_EQ(door.bind(handle, address), 0);
        EXPECT_EQ(door.listen(handle, backlog), 0);
        return handle;
    }
    Handle connected_to(Handle listening) {
        const Address address = door.name_of(listening);
        const Handle handle = door.open(address.raw()->sa_family);
        const std::intptr_t result = door.connect(handle, address);
        EXPECT_TRUE(result == -EINPROGRESS || result == 0) << result;
        return handle;
    }
    /// Two ends of a connection; the listener is closed again.
    struct Ends {
        Handle client;
        Handle server;
    };
    Ends pair(std::string_view host = "127.0.0.1") {
        const Handle listening = listener(at(host));
        const Handle client = connected_to(listening);
        door.poll(listening, -1);
        const auto server = static_cast<Handle>(door.accept(listening));
        EXPECT_GT(server, 0);
        door.poll(client, -1);
        door.close(listening);
        return {client, server};
    }
    std::size_t fill(Handle handle) {
        std::size_t sent = 0;
        std::intptr_t count;
        while ((count = door.send(handle, std::string(1000, 'x'))) > 0)
            sent += static_cast<std::size_t>(count);
        EXPECT_EQ(count, -EAGAIN);
        return sent;
    }

    SimulatedKernel kernel{7};
    Door door{kernel};
};

}  // namespace pollard
