// The CompletionPort contract as a suite: every backend, native or adapted, passes the same named tests.
//
//      port_subjects    a new backend is one line here
//      Driver           the least of loops: waits, and gives each piece of work its turn
//      Tracked<Kind>    an operation that counts its completions
//      PortTest         a port of the subject's kind on a World
//
//      operations_test.cc         exactly once, in its turn, one a direction; waits and wakes
//      streams_test.cc            receiving: bytes, their order, their end
//      sending_test.cc            full buffers, slow readers, peers that are gone, a thousand connections
//      connections_test.cc        accept, connect
//      borrowed_buffers_test.cc   the pool and its line
//      cancel_test.cc             the race, and that nothing is lost in it
//      close_test.cc              what is armed first; the number's next owner
//      files_test.cc             bytes at their place in a file; what is none
//      faults_test.cc             calls that fail, memory and descriptors that run out
//      misfortune_test.cc         many seeds of every fault of the simulated kernel
//      attempt_test.cc            the attempt adapter alone, with events made up
//      io_uring_test.cc           io_uring alone: what its streams keep, and its queues when they are full
//
// No test depends on whether an operation finished inside start. Three rules are checked in every test, by
// Driver and Tracked: an operation completes exactly once; an answer that start gave is not told again;
// `completed` is never called from inside a call of the port.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "platform/backend.h"
#include "platform/completion_port.h"
#include "platform/operation.h"
#include "platform/system_sockets.h"
#include "tests/conformance/harness.h"

namespace pollard {

namespace conformance {

struct PortSubject {
    const char* name;
    const char* backend;
    WorldOptions world = {};
    /// Operations are made of calls on the door, so that a FailingKernel can make them fail.
    bool passes_the_door = true;
    /// What this kernel has and others lack.
    bool has_urgent_data = false;
    bool has_datagrams = false;
    /// The door's calls in which its poller registers and waits; `none`: it needs no such call.
    Call watches_by = Call::none;
    Call waits_by = Call::none;
    /// io_uring: this many of its ways to be set up, the newest first, are unknown to the kernel.
    unsigned unknown_setups = 0;
    /// How many descriptors it can watch; select(2) ends at FD_SETSIZE.
    std::uint64_t most_handles = UINT64_MAX;
    /// A receive that waits gets its bytes from the kernel, and nobody can see them before.
    bool fills_buffers_itself = false;
    /// Wine's sockets are asked for their error by Wine itself, and forget it: then a receive finds an end of stream where
    /// there was a reset.
    bool may_forget_resets = false;
    /// For one that is not in the library's list: the backend itself.
    const Backend* own = nullptr;

    const Backend* find() const { return own != nullptr ? own : find_backend(backend); }
};
inline void PrintTo(const PortSubject& subject, std::ostream* out) { *out << subject.name; }

inline constexpr Faults port_moods = {
    .spurious_readiness = 300, .out_of_order_events = 500, .finish_inline = 300, .late_cancel = 500};
inline constexpr std::int64_t far_ns = 3 * millisecond_ns;

inline constexpr PortSubject port_subjects[] = {
#ifdef _WIN32
    {.name = "iocp",
     .backend = "iocp",
     .passes_the_door = false,
     .has_datagrams = true,
     .fills_buffers_itself = true},
    {.name = "afd",
     .backend = "afd",
     .has_datagrams = true,
     .watches_by = Call::afd_poll,
     .waits_by = Call::iocp_wait,
     .may_forget_resets = true},
#endif
#ifdef __linux__
    {"epoll", "epoll", {}, true, true, true, Call::epoll_ctl, Call::epoll_wait},
    {"io_uring", "io_uring", {}, false, true, true},
    {"io_uring_of_5_19", "io_uring", {}, false, true, true, Call::none, Call::none, 1},
#endif
#ifndef _WIN32
    {"poll", "poll", {}, true, true, true, Call::poll, Call::poll},
#endif
    {"simulated", "simulated", {.simulated = true}},
    {"simulated_far", "simulated", {.simulated = true, .latency_ns = far_ns}},
    {"simulated_moody", "simulated", {.simulated = true, .faults = port_moods}},
    {"simulated_completion", "simulated_completion", {.simulated = true}, false},
    {"simulated_completion_far", "simulated_completion", {.simulated = true, .latency_ns = far_ns}, false},
    {"simulated_completion_moody", "simulated_completion", {.simulated = true, .faults = port_moods}, false},
};

/// Whom this executable tests: the list above, unless tests/porting/ brings another.
std::span<const PortSubject> tested_ports();

class Driver {
public:
    bool start(Operation& operation) {
        const Inside here(*this, "start");
        return port->start(operation);
    }
    void cancel(Operation& operation) {
        const Inside here(*this, "cancel");
        port->cancel(operation);
    }
    void discard(Handle handle) {
        const Inside here(*this, "discard");
        port->discard(handle);
    }
    /// Work that has news is in `ready` afterwards.
    Result<void> wait(std::int64_t timeout_ns) {
        const Inside here(*this, "wait");
        return port->wait(timeout_ns, ready);
    }
    /// Gives each piece of work that is ready now its turn.
    void run_ready() {
        WorkList now;
        now.splice_back(ready);
        while (!now.empty()) now.pop_front().run();
    }
    void turn(std::int64_t timeout_ns) {
        if (!broken) {
            const Result<void> waited = wait(ready.empty() ? timeout_ns : 0);
            EXPECT_TRUE(waited) << describe(waited.error()).c_str();
            broken = !waited;
        }
        run_ready();
    }
    /// Takes a few turns, in which whatever should not happen has its chance.
    void settle() {
        for (int turns = 0; turns < 5; ++turns) turn(millisecond_ns);
    }
    /// False: patience is at its end.
    bool run_until(const std::function<bool()>& reached) {
        const std::int64_t deadline_ns = now_ns() + patience_ns;
        while (!reached()) {
            const std::int64_t left_ns = deadline_ns - now_ns();
            if (left_ns <= 0 || broken) return false;
            turn(left_ns);
        }
        return true;
    }
    std::int64_t now_ns() const { return port->kernel->clock(*port->kernel); }

    CompletionPort* port = nullptr;
    WorkList ready;
    /// A wait failed in a turn: nothing comes any more, and nobody waits for it.
    bool broken = false;
    /// The call of the port that is going on; null: none.
    const char* inside = nullptr;
    /// Every operation that was told, in order.
    std::vector<const Operation*> told;

private:
    struct Inside {
        Inside(Driver& in, const char* call) : driver(in) { driver.inside = call; }
        ~Inside() { driver.inside = nullptr; }
        Driver& driver;
    };
};

/// An operation that counts its completions. Dropped while armed, it is cancelled and waited for, so that a
/// test may end at any point.
template <class Kind>
class Tracked : public Kind {
public:
    template <class... Arguments>
    explicit Tracked(Driver& driver, Arguments&&... arguments)
        : Kind(std::forward<Arguments>(arguments)...), driver_(driver) {
        this->completed = [](Operation* operation) { static_cast<Tracked*>(operation)->complete(); };
    }
    ~Tracked() {
        if (!started_ || done()) return;
        driver_.cancel(*this);
        EXPECT_TRUE(driver_.run_until([&] { return done(); })) << describe(this->kind) << " never completes";
    }

    /// Gives itself, for `.start().done()`.
    Tracked& start() {
        return start_by([this] { return driver_.start(*this); });
    }
    /// By another function than the port's own.
    Tracked& start_by(auto start_it) {
        EXPECT_FALSE(started_);
        started_ = true;
        inline_ = start_it();
        if (inline_) {
            EXPECT_EQ(this->state, OperationState::answered);
        }
        return *this;
    }
    void cancel() { driver_.cancel(*this); }
    bool done() const { return inline_ || completions_ > 0; }
    bool was_inline() const { return inline_; }
    /// Starts it if need be, and takes turns until it is done. False: it never is.
    bool finish() {
        if (!started_) start();
        return driver_.run_until([&] { return done(); });
    }
    /// Called when it is told.
    std::function<void()> then;

private:
    void complete() {
        EXPECT_EQ(driver_.inside, nullptr) << "completed was called from inside " << driver_.inside;
        EXPECT_FALSE(inline_) << "start gave the answer, and it is told again";
        EXPECT_EQ(++completions_, 1) << describe(this->kind) << " completed more than once";
        EXPECT_EQ(this->state, OperationState::answered);
        driver_.told.push_back(this);
        if (then) then();
    }

    Driver& driver_;
    bool started_ = false;
    bool inline_ = false;
    int completions_ = 0;
};

using Accepting = Tracked<AcceptOperation>;
using Connecting = Tracked<ConnectOperation>;
using Sending = Tracked<SendOperation>;
using SendingAll = Tracked<SendAllOperation>;
using Borrowing = Tracked<BorrowedRecvOperation>;
using BecomingReadable = Tracked<ReadableOperation>;
using BecomingWritable = Tracked<WritableOperation>;
using Closing = Tracked<CloseOperation>;

struct ReceiveBuffer {
    std::string buffer;
};

/// A receive with a buffer of its own. (A base, so that it outlives the operation.)
struct Receiving : ReceiveBuffer, Tracked<RecvOperation> {
    Receiving(Driver& driver, Handle on, std::size_t capacity = 100)
        : ReceiveBuffer{std::string(capacity, '\0')}, Tracked(driver, on, writable_bytes(buffer)) {}
    /// What came; empty at the end of the stream and after an error.
    std::string text() { return buffer.substr(0, result().value_or(0)); }
};

inline bool all_done(Driver& driver, const auto&... operations) {
    return driver.run_until([&] { return (operations.done() && ...); });
}

class PortTest : public testing::TestWithParam<PortSubject> {
protected:
    void SetUp() override {
        const Backend* backend = GetParam().find();
        if (backend == nullptr) GTEST_SKIP() << "this build has no backend " << GetParam().backend;
        if (const char* why = backend->why_unavailable(); why != nullptr) GTEST_SKIP() << why;
        const Result<CompletionPort*> opened = open_port();
        ASSERT_TRUE(opened) << describe(opened.error()).c_str();
        driver.port = *opened;
    }
    void TearDown() override {
        if (driver.port != nullptr) {
            driver.settle();
            EXPECT_TRUE(driver.ready.empty());
            EXPECT_EQ(driver.port->buffers.lent(), 0u);
            driver.port->destroy();
        }
        world.expect_nothing_left();
    }

    Result<CompletionPort*> open_port() {
        if (const unsigned unknown = GetParam().unknown_setups; unknown > 0)
            world.failing.fail(Call::io_uring_setup, EINVAL, 0, unknown);
        return GetParam().find()->open({.in_front = &world.failing, .simulated = world.simulated()});
    }
    CompletionPort& port() { return *driver.port; }

    Handle open_on_port(Handle handle, HandleKind kind = HandleKind::stream) {
        const Result<void> opened = port().open(handle, kind);
        EXPECT_TRUE(opened) << describe(opened.error()).c_str();
        return handle;
    }
    // As World makes them; `ours` is open on the port.
    Handle listener(int backlog = 128) { return open_on_port(world.listener(backlog)); }
    Handle socket() { return open_on_port(world.socket()); }
    Ends pair() { return opened(world.pair()); }
    Ends narrow_pair() { return opened(world.narrow_pair()); }
    Ends opened(Ends ends) {
        open_on_port(ends.ours);
        return ends;
    }
    /// Both ends are open on the port.
    Ends pair_on_port() {
        const Ends ends = pair();
        open_on_port(ends.peer);
        return ends;
    }

    /// Closed through the port, with its result looked at.
    void close(Handle handle) {
        Closing closing(driver, handle);
        ASSERT_TRUE(closing.finish());
        EXPECT_TRUE(closing.result()) << describe(closing.result().error()).c_str();
        world.closed(handle);
    }
    /// One receive of up to `size` bytes.
    std::string recv(Handle handle, std::size_t size = 100) {
        Receiving receiving(driver, handle, size);
        EXPECT_TRUE(receiving.finish()) << "nothing comes";
        EXPECT_TRUE(receiving.result()) << describe(receiving.result().error()).c_str();
        return receiving.text();
    }
    /// Exactly so many, or fewer where the stream ends.
    std::string recv_all(Handle handle, std::size_t size) {
        std::string all;
        while (all.size() < size) {
            const std::string part = recv(handle, std::min<std::size_t>(size - all.size(), 64 * 1024));
            if (part.empty()) break;
            all += part;
        }
        return all;
    }
    /// What the peer reads, `chunk` bytes at most each time, while the port has its turns.
    std::string read_slowly(Handle peer, std::size_t size, std::size_t chunk) {
        std::string received;
        const std::int64_t deadline_ns = world.now_ns() + patience_ns;
        while (received.size() < size && !driver.broken && world.now_ns() < deadline_ns) {
            const std::string part = world.recv_now(peer, std::min(chunk, size - received.size()));
            received += part;
            driver.turn(0);
            if (part.empty()) world.await(peer, POLLIN, millisecond_ns);
        }
        return received;
    }
    /// Ends our sending: not a byte more than was read so far has been sent.
    void expect_nothing_more(Ends ends) {
        world.half_close(ends.ours);
        EXPECT_EQ(world.recv_to_end(ends.peer), "");
    }
    /// The operation stands armed: it has not been answered, and will not be for want of a turn.
    void expect_armed(const auto& operation) {
        driver.settle();
        EXPECT_FALSE(operation.done());
    }
    void expect_reset(ErrorKind received) {
        if (received == ErrorKind::none && GetParam().may_forget_resets) return;
        EXPECT_EQ(received, ErrorKind::connection_reset);
    }
    /// What was sent to a handle on which a receive is armed has come.
    bool has_come(Handle handle) { return GetParam().fills_buffers_itself || world.await(handle, POLLIN); }
    bool may_reorder() { return GetParam().world.faults.out_of_order_events > 0; }

    World world{GetParam().world};
    Driver driver;
};

inline std::string port_subject_name(const testing::TestParamInfo<PortSubject>& info) {
    return info.param.name;
}

/// Bytes that tell where they stood: no two windows of a few kilobytes are alike.
inline std::string numbered_bytes(std::size_t size, std::uint32_t salt = 0) {
    std::string bytes(size, '\0');
    std::uint32_t state = salt * 2654435761u + 1;
    for (char& byte : bytes) {
        state = state * 1664525u + 1013904223u;
        byte = static_cast<char>(state >> 24);
    }
    return bytes;
}

}  // namespace conformance
}  // namespace pollard
