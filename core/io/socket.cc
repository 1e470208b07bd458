// Opening sockets on a loop: each new handle becomes the port's, or is closed again.
#include "core/io/socket.h"

#include "platform/kernel.h"

namespace pollard {

Result<Listener> listen(EventLoop& loop, const Address& address, const ListenOptions& options) {
    CompletionPort& port = loop.port();
    const Result<Handle> handle = open_listener(*port.kernel, address, options);
    if (!handle) return handle.error();
    if (const Result<void> opened = open_or_close(port, *handle, HandleKind::stream); !opened)
        return opened.error();
    return Listener(Socket(port, *handle));
}

Connect::~Connect() {
    if (operation_.handle != no_handle) operation_.port->discard(operation_.handle);
}

bool Connect::start(Frame& waiter) {
    tell_await(waiter);
    CompletionPort& port = running_loop().port();
    const Result<Handle> handle = open_stream_socket(*port.kernel, address_);
    if (!handle) {
        open_error_ = handle.error();
        return true;
    }
    if (const Result<void> opened = open_or_close(port, *handle, HandleKind::stream); !opened) {
        open_error_ = opened.error();
        return true;
    }
    operation_.port = &port;
    operation_.handle = *handle;
    return operation_.start_told(waiter);
}

Result<Socket> Connect::result() {
    if (open_error_.kind != ErrorKind::none) return open_error_;
    const Result<void> connected = operation_.result();
    if (!connected) return connected.error();
    return Socket(*operation_.port, std::exchange(operation_.handle, no_handle));
}

}  // namespace pollard
