// gdb_subject: a program in which every kind of waiting happens at once, for the test of the debugger scripts.
//
//      gdb_subject              reaches stopped_here() once, where a debugger may stop it, and ends
//      gdb_subject --abort      aborts there instead
//
// The tasks at that moment, by what they wait for:
//
//      Serve<Echo>#1     a connection                          Main#2       Session, which waits for bytes
//      Sleeper#3         a time                                Follower#5   task Main#2
//      Co<void>#4        a compiler's coroutine, that a time  Echo#7       bytes, in a borrowed buffer
//      Cancelled#6       its turn: its sleep was cancelled     Late#8       its turn: it was made just now
//
// That they all stand there does not rest on time. Main connects and its Session sends a byte; when that has
// come to Echo, everything before it has happened, and Echo asks for a callback. That cancels for the first
// time and asks for another, which stops: so Cancelled ran a moment ago, and runs no more.
//
// Read next: run_gdb_test.py, which runs it; tools/gdb/pollard.py, which is tested.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>

#include "core/co_await.h"
#include "core/io/serve.h"

using namespace pollard;

/// Calls that must be there to break at, in an optimised build too.
extern "C" {
[[gnu::noinline]] void session_begins() { asm volatile("" ::: "memory"); }
[[gnu::noinline]] void stopped_here() { asm volatile("" ::: "memory"); }
[[gnu::noinline]] void loop_is_closed() { asm volatile("" ::: "memory"); }
}

namespace {

void cancel_and_go_on(void*);
void stop_and_leave(void*);

EventLoop the_loop;
bool aborts = false;
TaskRef<void> to_cancel;
Callback cancelling{cancel_and_go_on, nullptr};
Callback stopping{stop_and_leave, nullptr};

struct Sleeper : Coroutine<Sleeper, void, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(3600 * second_ns));
        CO_END;
    }
};

/// Takes a second cancellation.
struct Cancelled : Coroutine<Cancelled, void, Awaits<Sleep>> {
    Result<void> slept;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(slept, sleep_ns(7200 * second_ns));
        CO_AWAIT(slept, sleep_ns(7200 * second_ns));
        CO_END;
    }
};

Co<void> pause() { co_return co_await sleep_ns(3600 * second_ns); }

struct Between : Coroutine<Between, void, Awaits<Co<void>>> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(pause());
        CO_END;
    }
};

Co<void> written_with_co_await() {
    co_return co_await in_place([] { return Between{}; });
}

struct Late : Coroutine<Late, void> {
    Progress body() {
        CO_BEGIN;
        CO_END;
    }
};

struct Session : Coroutine<Session, void, Awaits<Recv, SendAll>> {
    Socket peer;
    std::array<char, 1024> bytes;
    Result<std::size_t> received;

    Progress body() {
        CO_BEGIN;
        session_begins();
        CO_TRY(peer.send_all(std::string_view("!")));
        CO_AWAIT(received, peer.recv(bytes));
        CO_END;
    }
};

struct Main : Coroutine<Main, void, Awaits<Connect, Session>> {
    Address server;
    Result<Socket> connected;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(connected, connect(server));
        if (!connected) CO_RETURN(connected.error());
        CO_TRY(Session{.peer = *std::move(connected)});
        CO_END;
    }
};

struct Follower : Coroutine<Follower, void, Awaits<TaskRef<void>&>> {
    TaskRef<void> leader;
    Result<void> led;

    Progress body() {
        CO_BEGIN;
        CO_AWAIT(led, leader);
        CO_END;
    }
};

struct Echo : Coroutine<Echo, void, Awaits<BorrowedRecv>> {
    Socket peer;
    Result<Lease> received;

    Progress body() {
        CO_BEGIN;
        for (;;) {
            CO_AWAIT(received, peer.recv());
            if (!received || received->empty()) CO_RETURN();
            received->give_back();
            the_loop.call_soon(cancelling);
        }
        CO_END;
    }
};

[[noreturn]] void give_up(const Error& error) {
    std::fprintf(stderr, "gdb_subject: %s\n", describe(error).c_str());
    std::exit(EXIT_FAILURE);
}

template <class C>
TaskRef<void> spawn(C coroutine) {
    auto task = the_loop.create_task(std::move(coroutine));
    if (!task) give_up(task.error());
    return *std::move(task);
}

void cancel_and_go_on(void*) {
    to_cancel.cancel();
    the_loop.call_soon(stopping);
}

void stop_and_leave(void*) {
    to_cancel.cancel();
    spawn(Late{});
    stopped_here();
    if (aborts) std::abort();
    the_loop.stop();
}

}  // namespace

int main(int argc, char** argv) {
    aborts = argc > 1 && std::strcmp(argv[1], "--abort") == 0;
    if (const Result<void> opened = the_loop.open(); !opened) give_up(opened.error());
    const Result<Address> anywhere = parse_address("127.0.0.1", 0);
    if (!anywhere) give_up(anywhere.error());
    Result<Listener> listener = listen(the_loop, *anywhere);
    if (!listener) give_up(listener.error());
    const Result<Address> server = listener->local_address();
    if (!server) give_up(server.error());

    spawn(Serve<Echo>{.listener = *std::move(listener)});
    const TaskRef<void> leader = spawn(Main{.server = *server});
    spawn(Sleeper{});
    spawn(written_with_co_await());
    spawn(Follower{.leader = leader});
    to_cancel = spawn(Cancelled{});
    if (const Result<void> ran = the_loop.run_forever(); !ran) give_up(ran.error());
    to_cancel = {};
    if (const Result<void> closed = the_loop.close(); !closed) give_up(closed.error());
    loop_is_closed();
}
