// Addresses as POSIX systems hold them: parsing by inet_pton(3), no resolver.
#include "platform/address.h"

#include <cstdio>

#include "platform/system_sockets.h"

namespace pollard {

static_assert(sizeof(sockaddr_un) <= sizeof(Address::bytes) &&
              sizeof(sockaddr_in6) <= sizeof(Address::bytes));

namespace {
template <class T>
T& as(Address& address) {
    return *reinterpret_cast<T*>(address.bytes);
}
template <class T>
const T& as(const Address& address) {
    return *reinterpret_cast<const T*>(address.bytes);
}
}  // namespace

Address::Family Address::family() const {
    if (length == 0) return Family::none;
    switch (raw()->sa_family) {
        case AF_INET:
            return Family::ipv4;
        case AF_INET6:
            return Family::ipv6;
        case AF_UNIX:
            return Family::unix_path;
        default:
            return Family::none;
    }
}

std::uint16_t Address::port() const {
    switch (family()) {
        case Family::ipv4:
            return ntohs(as<sockaddr_in>(*this).sin_port);
        case Family::ipv6:
            return ntohs(as<sockaddr_in6>(*this).sin6_port);
        default:
            return 0;
    }
}

Result<Address> parse_address(std::string_view host, std::uint16_t port) {
    const Error bad = Error(ErrorKind::bad_address, Call::parse).on(host);
    Address address;
    constexpr std::string_view unix_prefix = "unix:";
    if (begins_with(host, unix_prefix)) {
        const std::string_view path = part_of(host, unix_prefix.size());
        auto& unix_address = as<sockaddr_un>(address);
        if (path.empty() || path.size() >= sizeof unix_address.sun_path) return bad;
        unix_address.sun_family = AF_UNIX;
        std::memcpy(unix_address.sun_path, path.data(), path.size());
        address.length = static_cast<unsigned>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
        return address;
    }
    if (host.size() > 2 && host.front() == '[' && host.back() == ']')
        host = part_of(host, 1, host.size() - 2);
    char text[INET6_ADDRSTRLEN];
    if (host.empty() || host.size() >= sizeof text) return bad;
    std::memcpy(text, host.data(), host.size());
    text[host.size()] = '\0';

    auto& ipv4 = as<sockaddr_in>(address);
    if (inet_pton(AF_INET, text, &ipv4.sin_addr) == 1) {
        ipv4.sin_family = AF_INET;
        ipv4.sin_port = htons(port);
        address.length = sizeof ipv4;
        return address;
    }
    auto& ipv6 = as<sockaddr_in6>(address);
    if (inet_pton(AF_INET6, text, &ipv6.sin6_addr) == 1) {
        ipv6.sin6_family = AF_INET6;
        ipv6.sin6_port = htons(port);
        address.length = sizeof ipv6;
        return address;
    }
    return bad;
}

Text describe_ipv6(const std::uint8_t* bytes, std::uint16_t port) {
    char host[INET6_ADDRSTRLEN] = "?";
    inet_ntop(AF_INET6, bytes, host, sizeof host);
    return Text().add("[%s]:%u", host, port);
}

Text describe(const Address& address) {
    switch (address.family()) {
        case Address::Family::ipv4: {
            char host[INET_ADDRSTRLEN] = "?";
            inet_ntop(AF_INET, &as<sockaddr_in>(address).sin_addr, host, sizeof host);
            return Text().add("%s:%u", host, address.port());
        }
        case Address::Family::ipv6:
            return describe_ipv6(as<sockaddr_in6>(address).sin6_addr.s6_addr, address.port());
        case Address::Family::unix_path:
            return Text().add("unix:%s", as<sockaddr_un>(address).sun_path);
        case Address::Family::none:
            break;
    }
    return Text().add("(no address)");
}

Error on_address(const Error& error, const Address& address) {
    Error named = error;
    switch (address.family()) {
        case Address::Family::ipv4:
            named.object = Error::Object::ipv4;
            named.address.port = address.port();
            std::memcpy(named.address.bytes, &as<sockaddr_in>(address).sin_addr, 4);
            return named;
        case Address::Family::ipv6:
            named.object = Error::Object::ipv6;
            named.address.port = address.port();
            std::memcpy(named.address.bytes, &as<sockaddr_in6>(address).sin6_addr, 16);
            return named;
        default:
            return error.on(describe(address).view());
    }
}

}  // namespace pollard
