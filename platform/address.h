// Address: where a socket is or should go. IPv4, IPv6, and Unix paths.
//
//      parse_address("127.0.0.1", 6789)     IPv4
//      parse_address("::1", 6789)           IPv6, also in brackets
//      parse_address("unix:/tmp/socket", 0) a Unix stream socket
//
// Only numbers: names ("localhost") need a resolver, which blocks. The bytes inside are the system's own
// sockaddr, so that they go to the kernel as they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "platform/result.h"

struct sockaddr;

namespace pollard {

struct Address {
    enum class Family : std::uint8_t { none, ipv4, ipv6, unix_path };

    alignas(8) std::byte bytes[112] = {};
    unsigned length = 0;

    Family family() const;
    std::uint16_t port() const;
    const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(bytes); }
    sockaddr* raw() { return reinterpret_cast<sockaddr*>(bytes); }
};

/// Error `bad_address` when the text is not one. Blocks never.
Result<Address> parse_address(std::string_view host, std::uint16_t port);
/// "127.0.0.1:6789", "[::1]:6789", "unix:/tmp/socket".
Text describe(const Address& address);
/// "[::1]:6789"; `bytes` are the 16 of the address in network order.
Text describe_ipv6(const std::uint8_t* bytes, std::uint16_t port);
/// The same error, naming this address as its object.
Error on_address(const Error& error, const Address& address);

}  // namespace pollard
