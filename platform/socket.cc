// Sockets, through the door.
#include "platform/socket.h"

#include <cerrno>

#include "platform/kernel.h"
#include "platform/system_sockets.h"

namespace pollard {

namespace {

Result<void> checked(Call call, std::intptr_t result, Handle handle) {
    if (result >= 0) return {};
    return error_of(call, result).on_descriptor(handle);
}

Result<void> bind_and_listen(Kernel& kernel, Handle handle, const Address& address,
                             const ListenOptions& options) {
    const int on = 1;
    // Linux: without it, bind fails while a connection of the former server is in TIME_WAIT.
    if (const auto set = kernel.setsockopt(kernel, handle, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); set < 0)
        return error_of(Call::setsockopt, set).on_descriptor(handle);
    if (options.share_port) {
        if (const auto set = kernel.setsockopt(kernel, handle, SOL_SOCKET, SO_SHARE_PORT, &on, sizeof on);
            set < 0)
            return error_of(Call::setsockopt, set).on_descriptor(handle);
    }
    if (const auto bound = kernel.bind(kernel, handle, address.raw(), address.length); bound < 0)
        return on_address(error_of(Call::bind, bound), address);
    if (const auto listening = kernel.listen(kernel, handle, options.backlog); listening < 0)
        return on_address(error_of(Call::listen, listening), address);
    return {};
}

Result<Address> name_of(Kernel& kernel, Handle handle, Call call) {
    Address address;
    address.length = sizeof address.bytes;
    const std::intptr_t result = call == Call::getsockname
                                     ? kernel.getsockname(kernel, handle, address.raw(), &address.length)
                                     : kernel.getpeername(kernel, handle, address.raw(), &address.length);
    if (result < 0) return error_of(call, result).on_descriptor(handle);
    return address;
}

bool interrupted(std::intptr_t result, const volatile bool* stop) {
    return result == -EINTR && (stop == nullptr || !*stop);
}

}  // namespace

Result<Handle> open_stream_socket(Kernel& kernel, const Address& address, Blocking blocking) {
    const int type = SOCK_STREAM | SOCK_CLOEXEC | (blocking == Blocking::no ? SOCK_NONBLOCK : 0);
    const std::intptr_t handle = kernel.socket(kernel, address.raw()->sa_family, type, 0);
    if (handle < 0) return on_address(error_of(Call::socket, handle), address);
    return static_cast<Handle>(handle);
}

Result<Handle> open_listener(Kernel& kernel, const Address& address, const ListenOptions& options) {
    const Result<Handle> opened = open_stream_socket(kernel, address, options.blocking);
    if (!opened) return opened;
    const Result<void> listening = bind_and_listen(kernel, *opened, address, options);
    if (listening) return opened;
    kernel.close(kernel, *opened);
    return listening.error();
}

Result<void> connect_blocking(Kernel& kernel, Handle handle, const Address& address) {
    const std::intptr_t result = kernel.connect(kernel, handle, address.raw(), address.length);
    if (result < 0) return on_address(error_of(Call::connect, result), address);
    return {};
}

Result<Address> local_address(Kernel& kernel, Handle handle) {
    return name_of(kernel, handle, Call::getsockname);
}
Result<Address> peer_address(Kernel& kernel, Handle handle) {
    return name_of(kernel, handle, Call::getpeername);
}

Result<void> shut_down_sending(Kernel& kernel, Handle handle) {
    return checked(Call::shutdown, kernel.shutdown(kernel, handle, SHUT_WR), handle);
}

Result<Handle> accept_blocking(Kernel& kernel, Handle listener, const volatile bool* stop) {
    std::intptr_t result;
    do result = kernel.accept(kernel, listener, nullptr, nullptr, SOCK_CLOEXEC);
    while (interrupted(result, stop) || result == -ECONNABORTED);
    if (result < 0) return error_of(Call::accept, result).on_descriptor(listener);
    return static_cast<Handle>(result);
}

Result<std::size_t> recv_blocking(Kernel& kernel, Handle handle, void* bytes, std::size_t size,
                                  const volatile bool* stop) {
    std::intptr_t result;
    do result = kernel.recv(kernel, handle, bytes, size, 0);
    while (interrupted(result, stop));
    if (result < 0) return error_of(Call::recv, result).on_descriptor(handle);
    return static_cast<std::size_t>(result);
}

Result<void> send_all_blocking(Kernel& kernel, Handle handle, const void* bytes, std::size_t size) {
    const auto* next = static_cast<const char*>(bytes);
    while (size > 0) {
        const std::intptr_t sent = kernel.send(kernel, handle, next, size, MSG_NOSIGNAL);
        if (sent == -EINTR) continue;
        if (sent < 0) return error_of(Call::send, sent).on_descriptor(handle);
        next += sent;
        size -= static_cast<std::size_t>(sent);
    }
    return {};
}

}  // namespace pollard
