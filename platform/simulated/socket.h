// What a simulated socket is made of.
//
//      descriptor 5 ---> Socket ---+                                 +--- Socket <--- descriptor 6
//                                  v                                 v
//                            Connection { End 0 {incoming} , End 1 {incoming} }
//                                          ^                   ^
//                       what 1 has sent to 0                   what 0 has sent to 1
//
// A Socket is what a descriptor stands for. Two of them share a Connection, which lives until both ends are
// closed. Each End holds what is on its way to it and what has arrived: `stored` bytes in a chain of chunks,
// the first `arrived` of them visible to recv.
//
//      idle --listen--> listening
//        |
//        +--connect--> connecting --answer--> connected (also after a reset, a refusal and the end)
//
// Internal to platform/simulated/. All functions that give a std::intptr_t answer as the door does.
//
// Read next: streams.cc (bytes), connecting.cc (how two sockets find each other), deliveries.cc (time).
#pragma once

#include "platform/address.h"
#include "platform/clock.h"
#include "platform/simulated/list.h"
#include "platform/simulated/simulated_kernel.h"

namespace pollard::simulated {

struct Connection;
struct Socket;

/// Something on its way to one end of a connection. Part of what is on its way, so that nothing that must be
/// said can fail for lack of memory.
struct Delivery : Link {
    enum class Kind : std::uint8_t { data, end_of_stream, reset, connection_request, connection_answer };

    Kind kind;
    std::uint8_t side = 0;  // the end it goes to
    Connection* connection = nullptr;
    std::int64_t at_ns = 0;

    explicit Delivery(Kind what) : kind(what) {}
};

/// Some of the bytes of one direction; they follow the structure in memory. Stands in the list of deliveries
/// while it is in flight.
struct Chunk : Delivery {
    Chunk() : Delivery(Kind::data) {}
    Chunk* next_chunk = nullptr;
    std::uint32_t begin = 0;  // the bytes not yet received are [begin, end)
    std::uint32_t end = 0;
    std::uint32_t capacity = 0;

    std::byte* bytes() { return reinterpret_cast<std::byte*>(this + 1); }
    static constexpr std::uint32_t largest_capacity();
};
constexpr std::uint32_t Chunk::largest_capacity() { return BlockPool::largest_pooled - sizeof(Chunk); }

struct End {
    Socket* socket = nullptr;  // null before accept and after close
    bool open = false;         // from the connection's making until close, also while nobody has accepted it
    bool shut_read = false;    // no more bytes will come, or shutdown said that none are wanted
    bool shut_write = false;
    bool end_arrived = false;  // the peer's FIN is here
    bool broken = false;       // reset, refused or timed out
    int error = 0;             // what SO_ERROR gives, once
    int reset_error = 0;       // what the reset on its way brings; 0: a Unix socket closed in peace

    Chunk* first = nullptr;
    Chunk* last = nullptr;
    std::size_t stored = 0;
    std::size_t arrived = 0;
    std::uint64_t sent = 0;  // by the other end, to this one
    std::uint64_t received = 0;
    std::uint64_t discarded = 0;
    std::size_t capacity = 0;
    std::int64_t last_arrival_ns = 0;  // nothing overtakes: what is sent later arrives no earlier
    Delivery end_delivery{Delivery::Kind::end_of_stream};
    Delivery reset_delivery{Delivery::Kind::reset};

    /// What TCP calls the state CLOSED.
    bool dead() const { return broken || (end_arrived && shut_write); }
    /// As Linux has it: writable again when a third is free, so that a sender is not woken for every byte.
    bool has_room() const { return stored < capacity && (capacity - stored) * 3 >= capacity; }
};

/// In its listener's queue while it waits for accept. End 0 is the one that connected.
struct Connection : Link {
    int domain = 0;
    bool pending = true;  // the connecting side has no answer yet
    unsigned tries = 0;   // of the connection request, while the listener's queue is full
    int refusal = 0;      // the answer on its way: 0, or an errno
    Address names[2];
    End ends[2];
    Delivery request{Delivery::Kind::connection_request};
    Delivery answer{Delivery::Kind::connection_answer};
};

/// Wants to know when a socket changes. At most one an owner and socket.
struct Watcher : Link {
    const void* owner;
    /// Something a call could notice has happened: bytes, room, a connection, an error. May happen in the
    /// middle of any call; must only take note.
    void (*changed)(Watcher&);
    /// The descriptor is being closed; the watcher stands in no list any more.
    void (*closed)(Watcher&);

    Watcher(const void* whose, void (*on_change)(Watcher&), void (*on_close)(Watcher&))
        : owner(whose), changed(on_change), closed(on_close) {}
};

enum class SocketState : std::uint8_t { idle, listening, connecting, connected };

/// Options that are kept and given back; the kernel itself looks at those with a comment.
struct SocketOptions {
    int reuse_address = 0;  // bind
    int reuse_port = 0;     // bind, connection requests
    int linger_on = 0;      // close
    int linger_s = 0;
    int send_buffer = 0;  // capacity of the other end's incoming direction
    int receive_buffer = 0;
    int keep_alive = 0;
    int only_ipv6 = 1;
    int no_delay = 0;
    int quick_ack = 0;
    int keep_idle_s = 7200;
    int keep_interval_s = 75;
    int keep_count = 9;
    int user_timeout_ms = 0;
};

struct NameNode : Link {};

struct Socket : NameNode {
    Handle descriptor = no_handle;
    int domain = 0;
    SocketState state = SocketState::idle;
    bool bound = false;            // `local` is in the table of names
    bool connect_answered = true;  // a connect() after EINPROGRESS has given the outcome
    Address local;
    SocketOptions options;

    Connection* connection = nullptr;  // connecting, connected
    unsigned side = 0;

    List<Connection> queue;  // listening
    unsigned queue_length = 0;
    unsigned backlog = 0;

    List<Watcher> watchers;

    bool is_unix() const;
    End& end() const { return connection->ends[side]; }
    End& peer() const { return connection->ends[1 - side]; }
};

/// What poll(2) says of a socket.
struct Readiness {
    bool readable = false;
    bool writable = false;
    bool read_closed = false;  // POLLRDHUP
    bool hang_up = false;
    bool error = false;

    bool any() const { return readable || writable || read_closed || hang_up || error; }
};

// descriptors.cc: numbers, and what they stand for
/// Null: `refusal` is -EBADF or -ENOTSOCK.
Socket* find_socket(SimulatedKernel&, Handle, std::intptr_t& refusal);
/// Lowest free number, or -EMFILE, or -ENOMEM; not taken yet, and the next install_socket gets it.
std::intptr_t reserve_descriptor(SimulatedKernel&);
/// Null when memory is out. It has no descriptor yet.
Socket* make_socket(SimulatedKernel&, int domain);
Handle install_socket(SimulatedKernel&, Socket&);
std::intptr_t socket(SimulatedKernel&, int domain, int type, int protocol);
std::intptr_t close(SimulatedKernel&, Socket&);
Watcher* find_watcher(Socket&, const void* owner);
/// Tells everybody who watches; null is nobody.
void notify(Socket*);

// naming.cc: addresses and ports
std::intptr_t bind(SimulatedKernel&, Socket&, const sockaddr*, unsigned length);
std::intptr_t getsockname(SimulatedKernel&, Socket&, sockaddr*, unsigned* length);
std::intptr_t getpeername(SimulatedKernel&, Socket&, sockaddr*, unsigned* length);
/// 0, or minus an errno when these bytes are no address for a socket of this domain.
std::intptr_t read_address(Socket&, const sockaddr*, unsigned length, Address& address);
/// Copies as much as fits and sets `length` to the whole, as accept(2) says. Null is fine.
void write_address(SimulatedKernel&, const Address&, sockaddr*, unsigned* length);
/// 0, or -EADDRINUSE: another socket has that name, and the two cannot share it.
std::intptr_t check_name_is_free(SimulatedKernel&, Socket&, const Address&);
/// Gives an unbound socket a port of the kernel's choice.
std::intptr_t bind_to_free_port(SimulatedKernel&, Socket&);
void forget_name(Socket&);
/// The bound socket that a connection request to this name reaches, or null. Of several sharing it, one by
/// chance; `somebody_has_it` is set when the name exists but nobody listens on it.
Socket* find_listener(SimulatedKernel&, const Address&, bool& somebody_has_it);
/// 0.0.0.0 means this machine, as in connect(2) on Linux; -ENETUNREACH when it is not on this machine.
std::intptr_t resolve_destination(Address&);
/// 127.0.0.1 or ::1 in place of 0.0.0.0 or ::.
void specialize(Address&);
Address unnamed_unix_address();

// connecting.cc: listen, accept, connect
std::intptr_t listen(SimulatedKernel&, Socket&, int backlog);
std::intptr_t accept(SimulatedKernel&, Socket&, sockaddr*, unsigned* length, int flags);
std::intptr_t connect(SimulatedKernel&, Socket&, const sockaddr*, unsigned length);
void deliver_connection_request(SimulatedKernel&, Connection&);
void deliver_connection_answer(SimulatedKernel&, Connection&);
/// Resets what nobody has accepted.
void stop_listening(SimulatedKernel&, Socket&);

// streams.cc: bytes, and how they end
std::intptr_t send(SimulatedKernel&, Socket&, const void* bytes, std::size_t size, int flags);
std::intptr_t recv(SimulatedKernel&, Socket&, void* bytes, std::size_t size, int flags);
bool recv_would_block(const Socket&);
std::intptr_t shutdown(SimulatedKernel&, Socket&, int how);
Readiness readiness(const Socket&);
/// What SO_ERROR gives; it is 0 afterwards.
int take_error(Socket&);
/// Closes one end: says FIN or reset to the other, and frees the connection with the second one.
void close_end(SimulatedKernel&, Connection&, unsigned side, bool abort);
void send_reset(SimulatedKernel&, Connection&, unsigned to_side, int error);
/// The end finds this error; nothing goes or comes any more.
void break_end(SimulatedKernel&, Connection&, unsigned side, int error);
void deliver_data(SimulatedKernel&, Chunk&);
void deliver_end_of_stream(Connection&, unsigned side);
void deliver_reset(SimulatedKernel&, Connection&, unsigned side);

// deliveries.cc: the virtual clock
/// Puts it on its way: it arrives after the latency, at once when there is none.
void dispatch(SimulatedKernel&, Delivery&);
/// It arrives then, not earlier.
void dispatch_at(SimulatedKernel&, Delivery&, std::int64_t at_ns);
/// `never_ns` when nothing is on its way.
std::int64_t next_delivery_ns(const SimulatedKernel&);
/// Moves the clock and delivers all that is due until then, in order. The clock never goes back.
void advance_to(SimulatedKernel&, std::int64_t at_ns);

// socket_options.cc
std::intptr_t getsockopt(SimulatedKernel&, Socket&, int level, int option, void* value, unsigned* length);
std::intptr_t setsockopt(SimulatedKernel&, Socket&, int level, int option, const void* value,
                         unsigned length);

}  // namespace pollard::simulated
