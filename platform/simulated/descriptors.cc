// Descriptor numbers and what they stand for: a table from number to socket, lowest free number first as
// POSIX says (so that a number is reused soon, which is what makes a stale one dangerous).

#include <algorithm>
#include <cerrno>
#include <new>

#include "platform/simulated/socket.h"
#include "platform/system_sockets.h"

namespace pollard::simulated {

namespace {

Address unbound_address(int domain) {
    Address address;
    if (domain == AF_UNIX) return unnamed_unix_address();
    address.raw()->sa_family = static_cast<sa_family_t>(domain);
    address.length = domain == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    return address;
}

bool grow_table(SimulatedKernel& kernel) {
    const Handle capacity = std::max(64, kernel.descriptor_capacity * 2);
    auto* table = static_cast<Socket**>(allocate(static_cast<std::size_t>(capacity) * sizeof(Socket*)));
    if (table == nullptr) return false;
    std::copy(kernel.descriptors, kernel.descriptors + kernel.descriptor_capacity, table);
    std::fill(table + kernel.descriptor_capacity, table + capacity, nullptr);
    release(kernel.descriptors);
    kernel.descriptors = table;
    kernel.descriptor_capacity = capacity;
    return true;
}

}  // namespace

Socket* find_socket(SimulatedKernel& kernel, Handle handle, std::intptr_t& refusal) {
    if (handle >= 0 && handle < SimulatedKernel::first_descriptor) {
        refusal = -ENOTSOCK;
        return nullptr;
    }
    refusal = -EBADF;
    if (handle < 0 || handle >= kernel.descriptor_capacity) return nullptr;
    Socket* socket = kernel.descriptors[handle];
    POLLARD_REQUIRE(socket == nullptr || socket->descriptor == handle,
                    "a closed simulated socket is still in use: a mistake in platform/simulated");
    return socket;
}

std::intptr_t reserve_descriptor(SimulatedKernel& kernel) {
    Handle number = kernel.lowest_free;
    while (number < kernel.descriptor_capacity && kernel.descriptors[number] != nullptr) ++number;
    kernel.lowest_free = number;
    if (number >= kernel.descriptor_limit) return -EMFILE;
    if (number >= kernel.descriptor_capacity && !grow_table(kernel)) return -ENOMEM;
    return number;
}

Socket* make_socket(SimulatedKernel& kernel, int domain) {
    void* block = kernel.blocks.take(sizeof(Socket));
    if (block == nullptr) return nullptr;
    auto* socket = new (block) Socket;
    socket->domain = domain;
    socket->local = unbound_address(domain);
    return socket;
}

Handle install_socket(SimulatedKernel& kernel, Socket& socket) {
    socket.descriptor = kernel.lowest_free;
    kernel.descriptors[socket.descriptor] = &socket;
    ++kernel.lowest_free;
    ++kernel.open_descriptors;
    return socket.descriptor;
}

std::intptr_t socket(SimulatedKernel& kernel, int domain, int type, int protocol) {
    if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX) return -EAFNOSUPPORT;
    if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM) return -ESOCKTNOSUPPORT;
    if (protocol != 0 && (domain == AF_UNIX || protocol != IPPROTO_TCP)) return -EPROTONOSUPPORT;
    if (kernel.chance(kernel.faults.descriptors_exhausted)) return -EMFILE;
    if (const std::intptr_t number = reserve_descriptor(kernel); number < 0) return number;
    Socket* made = make_socket(kernel, domain);
    if (made == nullptr) return -ENOMEM;
    return install_socket(kernel, *made);
}

std::intptr_t close(SimulatedKernel& kernel, Socket& socket) {
    while (Watcher* watcher = socket.watchers.pop_front()) watcher->closed(*watcher);
    if (socket.state == SocketState::listening) stop_listening(kernel, socket);
    forget_name(socket);
    kernel.descriptors[socket.descriptor] = nullptr;
    kernel.lowest_free = std::min(kernel.lowest_free, socket.descriptor);
    --kernel.open_descriptors;
    if (Connection* connection = socket.connection; connection != nullptr) {
        const bool unanswered = socket.state == SocketState::connecting;
        const bool abort = socket.options.linger_on != 0 && socket.options.linger_s == 0;
        close_end(kernel, *connection, socket.side, unanswered || (abort && !socket.is_unix()));
    }
    kernel.blocks.give_back(&socket, sizeof socket);
    return 0;
}

Watcher* find_watcher(Socket& socket, const void* owner) {
    for (Watcher* each = socket.watchers.first(); each != nullptr; each = socket.watchers.next(*each))
        if (each->owner == owner) return each;
    return nullptr;
}

void notify(Socket* socket) {
    if (socket == nullptr) return;
    for (Watcher* each = socket->watchers.first(); each != nullptr; each = socket->watchers.next(*each))
        each->changed(*each);
}

}  // namespace pollard::simulated
