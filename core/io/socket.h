// Socket and Listener: connections on a loop.
//
//      CO_AWAIT(connection, connect(address));        Result<Socket>
//      CO_AWAIT(received, peer.recv(bytes));          Result<std::size_t>, 0 = the peer sends no more
//      CO_AWAIT(borrowed, peer.recv());               Result<Lease>, the loop's own buffer, held only while needed
//      CO_TRY(peer.send_all(bytes));
//      CO_TRY(peer.close());
//
// One receive and one send may be under way at the same time, not two of either: the second is Error{busy}.
//
// Read next: core/io/port_handle.h, core/io/operation_await.h; demos/reverse_server.cc shows all of it in use.
#pragma once

#include <utility>

#include "core/event_loop.h"
#include "core/io/port_handle.h"
#include "platform/address.h"
#include "platform/socket.h"

namespace pollard {

class Socket : public PortHandle {
public:
    using PortHandle::PortHandle;

    /// At least one byte, at most the buffer; 0 = end of stream. The buffer must outlive the await.
    template <BorrowedBytes R>
    Recv recv(R&& buffer) const {
        return Recv(port_, handle_, writable_bytes(std::forward<R>(buffer)));
    }
    /// The same in a buffer of the loop's; an empty lease = end of stream.
    BorrowedRecv recv() const { return BorrowedRecv(port_, handle_); }
    /// Some of the bytes.
    template <BorrowedBytes R>
    Send send(R&& bytes) const {
        return Send(port_, handle_, readable_bytes(std::forward<R>(bytes)));
    }
    /// All of the bytes, or an error.
    template <BorrowedBytes R>
    SendAll send_all(R&& bytes) const {
        return SendAll(port_, handle_, readable_bytes(std::forward<R>(bytes)));
    }
    /// Until a recv would probably not block.
    Readable readable() const { return Readable(port_, handle_); }
    Writable writable() const { return Writable(port_, handle_); }

    /// The peer will read an end of stream; receiving goes on.
    Result<void> shut_down_sending() const { return pollard::shut_down_sending(*port_->kernel, handle_); }
    Result<Address> local_address() const { return pollard::local_address(*port_->kernel, handle_); }
    Result<Address> peer_address() const { return pollard::peer_address(*port_->kernel, handle_); }
};

/// The await of Listener::accept.
struct [[nodiscard]] Accept : OperationAwait<AcceptOperation> {
    using OperationAwait::OperationAwait;
    Result<Socket> result() {
        const Result<Handle> accepted = OperationAwait::result();
        if (!accepted) return accepted.error();
        return Socket(*port, *accepted);
    }
};

class Listener {
public:
    Listener() = default;
    explicit Listener(Socket socket) : socket_(std::move(socket)) {}

    /// The next connection. Error descriptors_exhausted: it stays in the kernel's queue; wait a while, try
    /// again.
    Accept accept(CompletionPort& port) const { return Accept(&port, socket_.handle()); }
    Accept accept() const { return accept(running_loop().port()); }
    Result<Address> local_address() const { return socket_.local_address(); }
    Close close() { return socket_.close(); }

private:
    Socket socket_;
};

/// Opens a listening socket on the loop; waits for nothing. Errors: as open_listener, and out_of_memory.
Result<Listener> listen(EventLoop& loop, const Address& address, const ListenOptions& options = {});

/// The await of connect(): opens a socket and connects it. The address is kept here.
class [[nodiscard]] Connect {
public:
    explicit Connect(const Address& address) : address_(address), operation_(nullptr, no_handle, address_) {}
    Connect(const Connect&) = delete;
    ~Connect();

    bool start(Frame& waiter);
    Result<Socket> result();
    bool failed() const { return open_error_.kind != ErrorKind::none || operation_.failed(); }
    CancelOutcome cancel() { return operation_.cancel(); }
    void abandon() { operation_.abandon(); }
    void describe(Text& text) const { text.add("a connection to %s", pollard::describe(address_).c_str()); }

private:
    Address address_;
    OperationAwait<ConnectOperation> operation_;
    Error open_error_;
};

/// `CO_AWAIT(socket, connect(address))` on the running loop. Errors: connection_refused, unreachable, ...
inline Connect connect(const Address& address) { return Connect(address); }

}  // namespace pollard
