// Addresses, ports, and who has which.
//
// Sockets with a name of their own stand in a table of buckets: TCP by port, Unix by a hash of the path. An
// accepted connection has its listener's name and is not in the table, because nobody looks for it there.

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "platform/simulated/socket.h"
#include "platform/system_sockets.h"

namespace pollard::simulated {

namespace {

constexpr std::uint16_t first_free_port = 32768;  // net.ipv4.ip_local_port_range
constexpr std::uint16_t last_free_port = 60999;

template <class T>
T& as(Address& address) {
    return *reinterpret_cast<T*>(address.bytes);
}
template <class T>
const T& as(const Address& address) {
    return *reinterpret_cast<const T*>(address.bytes);
}

/// The same on both byte orders.
std::uint16_t swapped(std::uint16_t value) {
    if constexpr (std::endian::native == std::endian::big) return value;
    return static_cast<std::uint16_t>((value << 8) | (value >> 8));
}

void set_port(Address& address, std::uint16_t port) {
    // sin_port and sin6_port stand at the same place.
    static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
    as<sockaddr_in>(address).sin_port = swapped(port);
}

bool is_any(const Address& address) {
    if (address.family() == Address::Family::ipv4)
        return as<sockaddr_in>(address).sin_addr.s_addr == INADDR_ANY;
    return std::memcmp(&as<sockaddr_in6>(address).sin6_addr, &in6addr_any, sizeof in6addr_any) == 0;
}

bool is_on_this_machine(const Address& address) {
    if (address.family() == Address::Family::ipv4)
        return reinterpret_cast<const std::uint8_t*>(&as<sockaddr_in>(address).sin_addr)[0] == 127;
    return std::memcmp(&as<sockaddr_in6>(address).sin6_addr, &in6addr_loopback, sizeof in6addr_loopback) == 0;
}

bool same_host(const Address& one, const Address& other) {
    if (one.family() == Address::Family::ipv4)
        return as<sockaddr_in>(one).sin_addr.s_addr == as<sockaddr_in>(other).sin_addr.s_addr;
    return std::memcmp(&as<sockaddr_in6>(one).sin6_addr, &as<sockaddr_in6>(other).sin6_addr,
                       sizeof in6addr_any) == 0;
}

/// True when a connection to the one name could be meant for the other.
bool overlap(const Address& one, const Address& other) {
    if (one.family() != other.family()) return false;
    if (one.family() == Address::Family::unix_path)
        return one.length == other.length && std::memcmp(one.bytes, other.bytes, one.length) == 0;
    return one.port() == other.port() && (is_any(one) || is_any(other) || same_host(one, other));
}

List<Socket, NameNode>& bucket_of(SimulatedKernel& kernel, const Address& address) {
    std::size_t hash = address.port();
    if (address.family() == Address::Family::unix_path) {
        Digest digest;
        digest.add_bytes(address.bytes, address.length);
        hash = static_cast<std::size_t>(digest.value);
    }
    return kernel.names[hash % SimulatedKernel::name_buckets];
}

/// May `socket` have the name that `holder` has?
bool may_share(const Socket& socket, const Socket& holder) {
    if (socket.is_unix()) return false;
    if (socket.options.reuse_port != 0 && holder.options.reuse_port != 0) return true;
    return socket.options.reuse_address != 0 && holder.options.reuse_address != 0 &&
           holder.state != SocketState::listening;
}

void take_name(SimulatedKernel& kernel, Socket& socket, const Address& address) {
    socket.local = address;
    socket.bound = true;
    bucket_of(kernel, address).push_back(socket);
}

bool is_used(SimulatedKernel& kernel, const Address& address) {
    auto& bucket = bucket_of(kernel, address);
    for (Socket* each = bucket.first(); each != nullptr; each = bucket.next(*each))
        if (overlap(each->local, address)) return true;
    return false;
}

/// Puts a free port into the address. -EADDRINUSE: all are taken.
std::intptr_t choose_port(SimulatedKernel& kernel, Address& address) {
    for (int tries = first_free_port; tries <= last_free_port; ++tries) {
        if (kernel.next_port < first_free_port || kernel.next_port > last_free_port)
            kernel.next_port = first_free_port;
        set_port(address, kernel.next_port++);
        if (!is_used(kernel, address)) return 0;
    }
    return -EADDRINUSE;
}

std::intptr_t read_unix_address(const sockaddr* raw, unsigned length, Address& address) {
    constexpr unsigned path_begins = offsetof(sockaddr_un, sun_path);
    if (length <= path_begins || length > sizeof(sockaddr_un)) return -EINVAL;
    if (raw->sa_family != AF_UNIX) return -EINVAL;
    std::memcpy(address.bytes, raw, length);
    // A path ends at its first zero, wherever `length` ends; an abstract name (first byte zero) does not.
    const auto* path = reinterpret_cast<const char*>(address.bytes) + path_begins;
    if (path[0] == '\0')
        address.length = length;
    else
        address.length = path_begins + static_cast<unsigned>(strnlen(path, length - path_begins)) + 1;
    return 0;
}

}  // namespace

bool Socket::is_unix() const { return domain == AF_UNIX; }

std::intptr_t read_address(Socket& socket, const sockaddr* raw, unsigned length, Address& address) {
    if (raw == nullptr) return -EFAULT;
    if (socket.is_unix()) return read_unix_address(raw, length, address);
    const unsigned needed = socket.domain == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    if (length < needed) return -EINVAL;
    if (raw->sa_family != socket.domain) return -EAFNOSUPPORT;
    std::memcpy(address.bytes, raw, needed);
    address.length = needed;
    return 0;
}

void write_address(SimulatedKernel& kernel, const Address& address, sockaddr* raw, unsigned* length) {
    kernel.digest.add_bytes(address.bytes, address.length);
    if (raw == nullptr || length == nullptr) return;
    std::memcpy(raw, address.bytes, std::min(*length, address.length));
    *length = address.length;
}

std::intptr_t check_name_is_free(SimulatedKernel& kernel, Socket& socket, const Address& address) {
    auto& bucket = bucket_of(kernel, address);
    for (Socket* each = bucket.first(); each != nullptr; each = bucket.next(*each))
        if (each != &socket && overlap(each->local, address) && !may_share(socket, *each)) return -EADDRINUSE;
    return 0;
}

std::intptr_t bind(SimulatedKernel& kernel, Socket& socket, const sockaddr* raw, unsigned length) {
    Address address;
    if (const std::intptr_t refusal = read_address(socket, raw, length, address); refusal < 0) return refusal;
    kernel.digest.add_bytes(address.bytes, address.length);
    if (socket.bound || socket.state != SocketState::idle) return -EINVAL;
    if (!socket.is_unix()) {
        if (!is_any(address) && !is_on_this_machine(address)) return -EADDRNOTAVAIL;
        if (address.port() == 0)
            if (const std::intptr_t refusal = choose_port(kernel, address); refusal < 0) return refusal;
    }
    if (const std::intptr_t refusal = check_name_is_free(kernel, socket, address); refusal < 0)
        return refusal;
    take_name(kernel, socket, address);
    return 0;
}

std::intptr_t bind_to_free_port(SimulatedKernel& kernel, Socket& socket) {
    Address address = socket.local;
    if (choose_port(kernel, address) < 0) return -EADDRNOTAVAIL;
    take_name(kernel, socket, address);
    return 0;
}

void forget_name(Socket& socket) {
    static_cast<NameNode&>(socket).unlink();
    socket.bound = false;
}

Socket* find_listener(SimulatedKernel& kernel, const Address& address, bool& somebody_has_it) {
    auto& bucket = bucket_of(kernel, address);
    Socket* found = nullptr;
    bool found_exact = false;
    std::uint64_t sharing = 0;
    for (Socket* each = bucket.first(); each != nullptr; each = bucket.next(*each)) {
        if (!overlap(each->local, address)) continue;
        somebody_has_it = true;
        if (each->state != SocketState::listening) continue;
        // A listener on this very address goes before one on all addresses.
        const bool exact = each->is_unix() || !is_any(each->local);
        if (found != nullptr && exact != found_exact) {
            if (!exact) continue;
            sharing = 0;
        }
        found_exact = exact;
        // Each of n has the same chance: the k-th replaces the one before with probability 1/k.
        if (++sharing == 1 || kernel.random.below(sharing) == 0) found = each;
    }
    return found;
}

std::intptr_t resolve_destination(Address& address) {
    specialize(address);
    return is_on_this_machine(address) ? 0 : -ENETUNREACH;
}

void specialize(Address& address) {
    if (!is_any(address)) return;
    if (address.family() == Address::Family::ipv4) {
        const std::uint8_t loopback[4] = {127, 0, 0, 1};
        std::memcpy(&as<sockaddr_in>(address).sin_addr, loopback, sizeof loopback);
    } else {
        as<sockaddr_in6>(address).sin6_addr = in6addr_loopback;
    }
}

Address unnamed_unix_address() {
    Address address;
    as<sockaddr_un>(address).sun_family = AF_UNIX;
    address.length = offsetof(sockaddr_un, sun_path);
    return address;
}

std::intptr_t getsockname(SimulatedKernel& kernel, Socket& socket, sockaddr* raw, unsigned* length) {
    if (raw == nullptr || length == nullptr) return -EFAULT;
    write_address(kernel, socket.local, raw, length);
    return 0;
}

std::intptr_t getpeername(SimulatedKernel& kernel, Socket& socket, sockaddr* raw, unsigned* length) {
    if (raw == nullptr || length == nullptr) return -EFAULT;
    if (socket.state != SocketState::connected) return -ENOTCONN;
    if (!socket.is_unix() && socket.end().dead()) return -ENOTCONN;
    write_address(kernel, socket.connection->names[1 - socket.side], raw, length);
    return 0;
}

}  // namespace pollard::simulated
