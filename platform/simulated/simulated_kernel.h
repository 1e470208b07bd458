// SimulatedKernel: the door with a kernel in memory behind it.
//
// Stream sockets (IPv4, IPv6, Unix), a clock and bad luck, all made of memory. The same program that runs on
// the real kernel runs on this one unchanged, without real time, and the same seed gives the same run to the
// byte. Where the manual pages leave a choice it answers as Linux does.
//
//      send()                                                                     recv()
//        |                                                                           ^
//        v          at once, or after latency_ns on the virtual clock                |
//      [ end ] ---> ( bytes in flight, FIN, reset, connection requests ) ---> [ end: bytes arrived ]
//                         the list of deliveries, ordered by time                    |
//                                                                      tells each watcher "changed"
//
// The clock stands still while the program computes and only a wait moves it: to the next delivery, or to the
// end of the wait.
//
// What is different from a real kernel, and nothing else is meant to be:
//
//  - Every socket behaves as non-blocking, whatever its flags say: in one thread a call that blocks would
//    block for ever. Only poll() and the ports wait, by moving the clock; where nothing can ever happen
//    poll() answers -EDEADLK.
//  - One buffer a direction: its size is the sender's SO_SNDBUF as set, SO_RCVBUF is kept and has no effect.
//  - There is one machine, with 127.0.0.0/8 and ::1; other addresses are EADDRNOTAVAIL to bind and ENETUNREACH
//    to connect. An IPv6 socket takes IPv6 only. There is no TIME_WAIT, and an accepted connection does not
//    hold its listener's port. Ports below 1024 are free for all.
//  - A Unix path is a name and no file; it goes when the socket that bound it is closed.
//  - Descriptors 0, 1, 2 are taken and no sockets, as in any process; epoll, eventfd, pipe and kqueue are ENOSYS.
//  - A close never fails, and a call never raises SIGPIPE.
//
// Thread rule: the kernel and all sockets in it belong to one thread.
//
// Read next: platform/simulated/socket.h (what a socket is made of), streams.cc, simulated_poller.cc.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "platform/kernel.h"
#include "platform/memory.h"
#include "platform/simulated/list.h"
#include "platform/simulated/random.h"

namespace pollard {

namespace simulated {
struct Socket;
struct NameNode;
struct Delivery;
}  // namespace simulated

/// How often bad luck strikes: so many times in a thousand chances. Each is legal behaviour of some kernel,
/// so a correct program survives any of them (with `always`, a program that asks again may ask for ever).
struct Faults {
    static constexpr std::uint32_t always = 1000;

    /// arm() is followed by an event though nothing is ready.
    std::uint32_t spurious_readiness = 0;
    /// recv gives some of the bytes it could give, send takes some of those it could take; at least one.
    std::uint32_t short_read = 0;
    std::uint32_t short_write = 0;
    /// EINTR from accept, recv, send, read, write, poll; from connect too, which goes on nevertheless; a
    /// wait returns without news.
    std::uint32_t interrupted = 0;
    /// EAGAIN from accept, recv, send, read, write, though they could go on.
    std::uint32_t would_block_after_ready = 0;
    /// A TCP connection breaks at a recv or send: both ends find ECONNRESET.
    std::uint32_t reset = 0;
    /// A connection request is refused though somebody listens.
    std::uint32_t refused = 0;
    /// EMFILE from socket and accept.
    std::uint32_t descriptors_exhausted = 0;
    /// accept gives ECONNABORTED and the connection is gone.
    std::uint32_t accept_aborted = 0;
    /// The events, or completions, of one wait come in another order than they happened.
    std::uint32_t out_of_order_events = 0;
    /// Completion port only: an operation finishes inside start.
    std::uint32_t finish_inline = 0;
    /// Completion port only: a cancel comes too late if the operation could finish.
    std::uint32_t late_cancel = 0;
};

struct SimulatedKernel : Kernel {
    explicit SimulatedKernel(std::uint64_t seed = 1);
    SimulatedKernel(const SimulatedKernel&) = delete;
    /// Every poller and port on it must have been closed; open descriptors are closed here.
    ~SimulatedKernel();

    static constexpr std::int64_t start_ns = 1'000'000'000;
    static constexpr Handle first_descriptor = 3;

    // Settings; they may be changed at any time.
    Faults faults;
    /// How long bytes, FINs, resets and each way of a TCP connect take. A Unix connect takes no time.
    std::int64_t latency_ns = 0;
    /// Bytes of one direction of a new socket, until SO_SNDBUF says otherwise.
    std::size_t buffer_size = 64 * 1024;
    /// Descriptors are numbers below this; EMFILE when they are used up.
    Handle descriptor_limit = 65536;
    /// While it is not 0, a wait in which nothing can happen blocks the real thread until a wake instead of
    /// ending with `deadlock`: other threads or signal handlers may still have a word. Whoever takes it to 0
    /// while a wait blocks must wake that wait.
    std::atomic<unsigned> external_wakes_expected{0};

    // What happened.
    std::int64_t now_ns = start_ns;
    /// Over every call (clock readings excepted), its arguments, bytes and answer. Two runs are alike if and
    /// only if their digests are.
    simulated::Digest digest;
    /// sent == received + in_flight + discarded, checked at every call.
    struct Bytes {
        std::uint64_t sent = 0;
        std::uint64_t received = 0;
        std::uint64_t in_flight = 0;  // sent and not yet received, arrived or not
        std::uint64_t discarded = 0;  // by a close or a reset
    } bytes;
    std::size_t open_descriptors = 0;
    std::size_t open_ports = 0;  // pollers and completion ports

    /// True `per_thousand` times in a thousand; draws nothing for 0.
    bool chance(std::uint32_t per_thousand) {
        return per_thousand != 0 && random.below(Faults::always) < per_thousand;
    }

    // The kernel's own: for the files of platform/simulated/.
    simulated::Random random;
    BlockPool blocks;  // all that the kernel needs many of; its memory returns when the kernel goes
    simulated::Socket** descriptors = nullptr;
    Handle descriptor_capacity = 0;
    Handle lowest_free = first_descriptor;  // no smaller number is free
    std::uint16_t next_port = 0;
    /// Sockets that have a name, by a hash of it.
    static constexpr std::size_t name_buckets = 256;
    simulated::List<simulated::Socket, simulated::NameNode> names[name_buckets];
    simulated::List<simulated::Delivery> deliveries;
};

}  // namespace pollard
