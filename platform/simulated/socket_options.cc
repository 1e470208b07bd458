// getsockopt and setsockopt: one table of the options that are kept, and three that are computed.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "platform/simulated/socket.h"
#include "platform/system_sockets.h"

namespace pollard::simulated {

namespace {

struct Row {
    int level;
    int option;
    int SocketOptions::* value;
};
constexpr Row rows[] = {
    {SOL_SOCKET, SO_REUSEADDR, &SocketOptions::reuse_address},
    {SOL_SOCKET, SO_SHARE_PORT, &SocketOptions::reuse_port},
    {SOL_SOCKET, SO_SNDBUF, &SocketOptions::send_buffer},
    {SOL_SOCKET, SO_RCVBUF, &SocketOptions::receive_buffer},
    {SOL_SOCKET, SO_KEEPALIVE, &SocketOptions::keep_alive},
    {IPPROTO_IPV6, IPV6_V6ONLY, &SocketOptions::only_ipv6},
    {IPPROTO_TCP, TCP_NODELAY, &SocketOptions::no_delay},
// Not every system has these.
#ifdef TCP_QUICKACK
    {IPPROTO_TCP, TCP_QUICKACK, &SocketOptions::quick_ack},
#endif
#ifdef TCP_KEEPIDLE
    {IPPROTO_TCP, TCP_KEEPIDLE, &SocketOptions::keep_idle_s},
#endif
#ifdef TCP_KEEPINTVL
    {IPPROTO_TCP, TCP_KEEPINTVL, &SocketOptions::keep_interval_s},
    {IPPROTO_TCP, TCP_KEEPCNT, &SocketOptions::keep_count},
#endif
#ifdef TCP_USER_TIMEOUT
    {IPPROTO_TCP, TCP_USER_TIMEOUT, &SocketOptions::user_timeout_ms},
#endif
};

const Row* find_row(int level, int option) {
    for (const Row& row : rows)
        if (row.level == level && row.option == option) return &row;
    return nullptr;
}

/// Unix sockets know the level SOL_SOCKET only, TCP sockets those of their own family too.
bool knows_level(const Socket& socket, int level) {
    if (level == SOL_SOCKET) return true;
    if (level == IPPROTO_IPV6) return socket.domain == AF_INET6;
    return !socket.is_unix();
}

int default_buffer_size(const SimulatedKernel& kernel, int kept) {
    return kept != 0 ? kept : static_cast<int>(kernel.buffer_size);
}

std::intptr_t number_of(SimulatedKernel& kernel, Socket& socket, int level, int option, int& number) {
    if (level == SOL_SOCKET) {
        switch (option) {
            case SO_ERROR:
                number = take_error(socket);
                return 0;
            case SO_TYPE:
                number = SOCK_STREAM;
                return 0;
#ifdef SO_DOMAIN
            case SO_DOMAIN:
                number = socket.domain;
                return 0;
            case SO_PROTOCOL:
                number = socket.is_unix() ? 0 : IPPROTO_TCP;
                return 0;
#endif
            case SO_ACCEPTCONN:
                number = socket.state == SocketState::listening;
                return 0;
            case SO_SNDBUF:
                number = default_buffer_size(kernel, socket.options.send_buffer);
                return 0;
            case SO_RCVBUF:
                number = default_buffer_size(kernel, socket.options.receive_buffer);
                return 0;
        }
    }
    const Row* row = find_row(level, option);
    if (row == nullptr) return -ENOPROTOOPT;
    number = socket.options.*row->value;
    return 0;
}

void give_out(SimulatedKernel& kernel, const void* from, std::size_t size, void* value, unsigned* length) {
    const std::size_t fits = std::min<std::size_t>(size, *length);
    std::memcpy(value, from, fits);
    *length = static_cast<unsigned>(fits);
    kernel.digest.add_bytes(from, size);
}

}  // namespace

std::intptr_t getsockopt(SimulatedKernel& kernel, Socket& socket, int level, int option, void* value,
                         unsigned* length) {
    if (value == nullptr || length == nullptr) return -EFAULT;
    if (!knows_level(socket, level)) return -EOPNOTSUPP;
    if (level == SOL_SOCKET && option == SO_LINGER) {
        linger setting = {};
        setting.l_onoff = static_cast<decltype(setting.l_onoff)>(socket.options.linger_on);
        setting.l_linger = static_cast<decltype(setting.l_linger)>(socket.options.linger_s);
        give_out(kernel, &setting, sizeof setting, value, length);
        return 0;
    }
    int number = 0;
    if (const std::intptr_t refusal = number_of(kernel, socket, level, option, number); refusal < 0)
        return refusal;
    give_out(kernel, &number, sizeof number, value, length);
    return 0;
}

std::intptr_t setsockopt(SimulatedKernel& kernel, Socket& socket, int level, int option, const void* value,
                         unsigned length) {
    if (value == nullptr) return -EFAULT;
    if (!knows_level(socket, level)) return -EOPNOTSUPP;
    kernel.digest.add_bytes(value, length);
    if (level == SOL_SOCKET && option == SO_LINGER) {
        linger setting;
        if (length < sizeof setting) return -EINVAL;
        std::memcpy(&setting, value, sizeof setting);
        socket.options.linger_on = setting.l_onoff != 0;
        socket.options.linger_s = setting.l_linger;
        return 0;
    }
    const Row* row = find_row(level, option);
    if (row == nullptr) return -ENOPROTOOPT;
    int number;
    if (length < sizeof number) return -EINVAL;
    std::memcpy(&number, value, sizeof number);
    socket.options.*row->value = number;
    if (row->value == &SocketOptions::send_buffer && number > 0 && socket.connection != nullptr)
        socket.peer().capacity = static_cast<std::size_t>(number);
    return 0;
}

}  // namespace pollard::simulated
