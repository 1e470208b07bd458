// What the conformance suites stand on: a kernel for one test, and the far ends of its sockets.
//
// The same test runs on the system's kernel and on a simulated one, because it makes its sockets through the
// door. Two rules follow. Nothing sleeps: whoever waits, waits for an event, at most `patience_ns` long,
// which costs nothing in virtual time. And nothing is assumed to be there at once: bytes arrive when they
// arrive.
//
//      the subject (Poller, CompletionPort) --> door = [ failing ] --> kernel <-- the peers (World's functions)
//                                             may be made to fail                 never see a planned failure
//
// Afterwards `expect_nothing_left` counts: descriptors, memory, and in a simulated kernel ports and bytes.
//
// Read next: poller_conformance.h, completion_port_conformance.h.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "platform/address.h"
#include "platform/clock.h"
#include "platform/handle.h"
#include "platform/interposed_kernel.h"
#include "platform/kernel.h"
#include "platform/poller.h"
#include "platform/result.h"
#include "platform/simulated/simulated_kernel.h"

namespace pollard {

// How GoogleTest prints them when an expectation fails.
inline void PrintTo(ErrorKind kind, std::ostream* out) { *out << describe(kind); }
inline void PrintTo(Call call, std::ostream* out) { *out << describe(call); }
inline void PrintTo(EventBits what, std::ostream* out) { *out << "bits " << static_cast<unsigned>(what); }

namespace conformance {

/// Far longer than anything here takes, on the slowest machine. What has not happened by then never will.
inline constexpr std::int64_t patience_ns = 10 * second_ns;

/// The kind of the error, `none` for a success: EXPECT_EQ(kind_of(result), ErrorKind::busy).
template <class R>
ErrorKind kind_of(const R& result) {
    return result.error().kind;
}

/// What a subject of a suite says of the kernel it runs on.
struct WorldOptions {
    bool simulated = false;
    // Of a simulated kernel: bytes and connections take so long; and this is how often bad luck strikes.
    std::int64_t latency_ns = 0;
    Faults faults = {};
};

/// Two ends of a connection: `ours` for the subject, `peer` for the test.
struct Ends {
    Handle ours;
    Handle peer;
};

class World {
public:
    explicit World(const WorldOptions& options);
    World(const World&) = delete;

    /// Null on the system's kernel.
    SimulatedKernel* simulated() { return simulated_ ? &*simulated_ : nullptr; }
    /// For the peers, and for looking.
    Kernel& kernel() { return simulated_ ? static_cast<Kernel&>(*simulated_) : system_kernel(); }
    std::int64_t now_ns() { return kernel().clock(kernel()); }
    /// How long `wait(timeout_ns)` takes. On the system's kernel it is asked again when it was too short: whoever stops
    /// and continues the process (a debugger, a container's freezer) interrupts a wait, and that is no fault of it.
    std::int64_t duration_of(std::int64_t timeout_ns, auto wait) {
        for (int attempts_left = simulated_ ? 1 : 5;; --attempts_left) {
            const std::int64_t began_ns = now_ns();
            wait(timeout_ns);
            const std::int64_t took_ns = now_ns() - began_ns;
            if (took_ns >= timeout_ns || attempts_left == 1) return took_ns;
        }
    }
    /// Closes what this made and is still open, and counts what is left.
    void expect_nothing_left();

    // --- making sockets; whatever is made is closed by expect_nothing_left,
    // unless `closed` said otherwise ---

    Handle listener(int backlog = 128);
    Handle socket();
    Handle keep(Handle made);
    Address address_of(Handle handle);
    /// Begins to; it may be there at once.
    void connect(Handle handle, const Address& address);
    /// A new socket that does so.
    Handle connecting_to(const Address& address);
    /// The next in the listener's queue, waited for.
    Handle accepted_from(Handle listening);
    Ends pair();
    /// Both ends with small buffers, so that one is quickly full.
    Ends narrow_pair();
    /// Connections, one request each, until the listener's queue is full and the last one hangs. Backlog 0.
    Handle connect_that_hangs(Handle listening);

    // --- the peer's side; each waits where it must ---

    void send(Handle handle, std::string_view bytes);
    /// Exactly so many bytes, or fewer where the stream ends.
    std::string recv(Handle handle, std::size_t size);
    /// What is there now; at most `size` bytes.
    std::string recv_now(Handle handle, std::size_t size);
    std::string recv_to_end(Handle handle);
    /// Whether there is nothing to receive: it has been tried.
    bool would_block(Handle handle);
    /// Sends until it would block; gives how much that was.
    std::size_t fill(Handle handle);
    void half_close(Handle handle);
    void close(Handle handle);
    /// Closes so that the other end finds ECONNRESET.
    void reset(Handle handle);
    /// Somebody else has closed it.
    void closed(Handle handle);
    /// False: it did not happen. `events` as in poll(2).
    bool await(Handle handle, short events, std::int64_t timeout_ns = patience_ns);
    bool is_open(Handle handle);
    /// What SO_ERROR gives.
    int pending_error(Handle handle);
    void set_option(Handle handle, int level, int option, int value);

    /// In front of the subject's kernel: makes chosen calls of the subject fail.
    FailingKernel failing;

private:
    std::optional<SimulatedKernel> simulated_;
    std::vector<Handle> open_;
    std::size_t descriptors_before_;
    std::uint64_t memory_before_;
};

/// While it lives, the process (or the simulated kernel) can open `spare` more descriptors, and no more. The
/// gaps among the open ones are filled.
class DescriptorShortage {
public:
    DescriptorShortage(World& world, unsigned spare);
    ~DescriptorShortage();
    DescriptorShortage(const DescriptorShortage&) = delete;

    /// Windows has no limit that could be reached.
    static bool is_possible(World& world);

private:
    World& world_;
    std::uint64_t limit_before_;
};

/// The process's own descriptors.
std::size_t open_descriptors();
/// Blocks that came from platform/memory.h and have not gone back.
std::uint64_t memory_in_use();

}  // namespace conformance
}  // namespace pollard
