// What the tests of the observer's readers let run: small programs, a kernel to run them on, and who watches.
//
// What is told of a program names lines of this file; a test that compares it writes LINE there.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "core/coroutine.h"
#include "core/event_loop.h"
#include "core/io/socket.h"
#include "core/sleep.h"
#include "platform/backend.h"
#include "platform/interposed_kernel.h"
#include "platform/observer.h"
#include "tests/system.h"

namespace pollard::trace_test {

// --- programs ---

struct Serve : Coroutine<Serve, void, Awaits<Accept, Recv, SendAll, Close>> {
    Listener listener;
    Socket peer;
    std::array<char, 1024> bytes;
    Result<Socket> accepted;
    Result<std::size_t> received;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(accepted, listener.accept());
        if (!accepted) CO_RETURN(accepted.error());
        peer = *std::move(accepted);
        for (;;) {
            CO_AWAIT(received, peer.recv(bytes));
            if (!received || *received == 0) break;
            CO_TRY(peer.send_all(std::span(bytes.data(), *received)));
        }
        CO_TRY(peer.close());
        CO_END;
    }
};

struct Talk : Coroutine<Talk, std::size_t, Awaits<SendAll, Recv>> {
    Socket* peer;
    std::array<char, 64> bytes;
    Result<std::size_t> received;

    Progress body() {
        CO_BEGIN;
        CO_TRY(peer->send_all(std::string_view("Hello Server!\n")));
        CO_AWAIT(received, peer->recv(bytes));
        CO_RETURN(received);
        CO_END;
    }
};

struct Client : Coroutine<Client, std::size_t, Awaits<Connect, Talk, Close>> {
    Address address;
    Socket peer;
    Result<Socket> connected;
    Result<std::size_t> answer;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(connected, connect(address));
        if (!connected) CO_RETURN(connected.error());
        peer = *std::move(connected);
        CO_AWAIT(answer, Talk{.peer = &peer});
        CO_TRY(peer.close());
        CO_RETURN(answer);
        CO_END;
    }
};

struct Echo : Coroutine<Echo, std::size_t, Awaits<TaskRef<void>&, TaskRef<std::size_t>&>> {
    Listener listener;
    TaskRef<void> server;
    TaskRef<std::size_t> client;
    Result<void> served;
    Result<std::size_t> answer;

    Progress body() {
        CO_BEGIN;
        client = *running_loop().create_task(Client{.address = *listener.local_address()});
        server = *running_loop().create_task(Serve{.listener = std::move(listener)});
        CO_AWAIT(answer, client);
        CO_AWAIT(served, server);
        CO_RETURN(answer);
        CO_END;
    }
};

inline constexpr int sleep_line = __LINE__ + 4;
struct Nap : Coroutine<Nap, void, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(250 * millisecond_ns));
        CO_END;
    }
};

struct YieldsItsTurn : Coroutine<YieldsItsTurn, void, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(0));
        CO_END;
    }
};

struct CannotConnect : Coroutine<CannotConnect, int, Awaits<Connect>> {
    Address address;

    Progress body() {
        CO_BEGIN;
        CO_TRY(connect(address));
        CO_RETURN(1);
        CO_END;
    }
};

struct AwaitsChild : Coroutine<AwaitsChild, int, Awaits<CannotConnect>> {
    Result<int> got;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(got, CannotConnect{.address = *parse_address("127.0.0.1", 1)});
        CO_RETURN(got);
        CO_END;
    }
};

// --- running and watching them ---

/// A stream into memory.
class Page {
public:
    Page() = default;
    Page(const Page&) = delete;
    std::FILE* stream() { return stream_.file(); }
    /// What has been flushed so far.
    std::string flushed() const { return stream_.flushed(); }
    std::string text() {
        std::fflush(stream());
        return flushed();
    }

private:
    test_system::MemoryStream stream_;
};

/// `observer` watches for a scope.
struct Watching {
    explicit Watching(Observer& observer) { current_observer = &observer; }
    ~Watching() { current_observer = nullptr; }
};

inline void open(EventLoop& loop, ObservedKernel& door, const char* kernel) {
    const Result<void> opened = loop.open({.kernel = kernel, .port = {.in_front = &door}});
    ASSERT_TRUE(opened) << describe(opened.error()).c_str();
}

inline Listener listener_on(EventLoop& loop) { return *listen(loop, *parse_address("127.0.0.1", 0)); }

inline Result<std::size_t> run_echo(EventLoop& loop) {
    return loop.run_until_complete(Echo{.listener = listener_on(loop)});
}

struct OnSimulatedKernel : ::testing::Test {
    void SetUp() override {
        if (find_backend("simulated") == nullptr) GTEST_SKIP() << "this build has no simulated kernel";
    }
};

/// Its tests stand in more than one file; narration_test.cc says which kernels there are.
struct EveryKernel : ::testing::TestWithParam<const Backend*> {
    void SetUp() override {
        if (GetParam()->why_unavailable() != nullptr) GTEST_SKIP() << GetParam()->why_unavailable();
    }
};

}  // namespace pollard::trace_test
