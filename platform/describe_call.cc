// The names of flags, and how each call of the door is written.
//
// `KernelCall::argument` holds the arguments that are neither the first descriptor, nor a pointer, nor a
// size, in their order; platform/interposed_kernel.cc puts them there.
#include "platform/describe_call.h"

#include <cstring>
#include <span>

#include "platform/address.h"
#include "platform/epoll/epoll_calls.h"
#include "platform/flag_names.h"
#include "platform/kqueue/kqueue_calls.h"
#include "platform/system_sockets.h"

namespace pollard {

namespace {

// --- flags ---

constexpr FlagName socket_flags[] = {{SOCK_NONBLOCK, "NONBLOCK"}, {SOCK_CLOEXEC, "CLOEXEC"}};
constexpr FlagName message_flags[] = {
    {MSG_NOSIGNAL, "NOSIGNAL"}, {MSG_OOB, "OOB"}, {MSG_PEEK, "PEEK"}, {MSG_DONTWAIT, "DONTWAIT"}};
#ifndef _WIN32
constexpr FlagName pipe_flags[] = {{O_NONBLOCK, "NONBLOCK"}, {O_CLOEXEC, "CLOEXEC"}};
#endif
constexpr FlagName poll_events[] = {{POLLIN, "IN"},      {POLLOUT, "OUT"}, {POLLPRI, "PRI"},
                                    {POLLHUP, "HUP"},    {POLLERR, "ERR"}, {POLLNVAL, "NVAL"},
                                    {POLLRDHUP, "RDHUP"}};

// <linux/io_uring.h> is not everywhere; these numbers are its ABI.
constexpr FlagName ring_enter_flags[] = {{1, "GETEVENTS"}, {8, "EXT_ARG"}};
constexpr FlagName ring_changes[] = {{12, "ENABLE_RINGS"}, {22, "PBUF_RING"}};

constexpr FlagName families[] = {{AF_INET, "AF_INET"}, {AF_INET6, "AF_INET6"}, {AF_UNIX, "AF_UNIX"}};
constexpr FlagName directions[] = {{SHUT_RD, "RD"}, {SHUT_WR, "WR"}, {SHUT_RDWR, "RDWR"}};
constexpr FlagName socket_options[] = {{SO_ERROR, "SO_ERROR"},
                                       {SO_REUSEADDR, "SO_REUSEADDR"},
                                       {SO_REUSEPORT, "SO_REUSEPORT"},
                                       {SO_SNDBUF, "SO_SNDBUF"},
                                       {SO_RCVBUF, "SO_RCVBUF"},
#ifdef SO_REUSEPORT_LB
                                       {SO_REUSEPORT_LB, "SO_REUSEPORT_LB"},
#endif
                                       {SO_LINGER, "SO_LINGER"}};

// --- arguments ---

constexpr std::size_t shown_bytes = 32;

template <class T>
T copy_of(const void* bytes) {
    T value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

Text describe_address(const void* bytes, std::size_t length) {
    Address address;
    if (bytes == nullptr || length > sizeof address.bytes) return Text().add("?");
    std::memcpy(address.bytes, bytes, length);
    address.length = static_cast<unsigned>(length);
    return describe(address);
}

/// Of an address that the kernel has written: its length is known by its family. A Unix path is left out.
Text describe_answered_address(const void* bytes) {
    switch (static_cast<const sockaddr*>(bytes)->sa_family) {
        case AF_INET:
            return describe_address(bytes, sizeof(sockaddr_in));
        case AF_INET6:
            return describe_address(bytes, sizeof(sockaddr_in6));
        default:
            return {};
    }
}

void add_option(Text& text, const KernelCall& call) {
    const std::int64_t level = call.argument[0];
    const std::int64_t option = call.argument[1];
    if (level != SOL_SOCKET) {
        text.add(", %lld, %lld, ..", static_cast<long long>(level), static_cast<long long>(option));
        return;
    }
    text.add(", SOL_SOCKET, ");
    add_name(text, option, socket_options);
    if (call.result < 0 || call.bytes == nullptr || option == SO_LINGER) {
        text.add(", ..");
        return;
    }
    const int value = copy_of<int>(call.bytes);
    const char* code_name = option == SO_ERROR ? name_of_code(value) : "";
    if (code_name[0] != '\0')
        text.add(", [%s]", code_name);
    else
        text.add(call.call == Call::getsockopt ? ", [%d]" : ", %d", value);
}

void add_socket(Text& text, const KernelCall& call) {
    constexpr std::int64_t flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    constexpr FlagName types[] = {
        {SOCK_STREAM, "STREAM"}, {SOCK_DGRAM, "DGRAM"}, {SOCK_SEQPACKET, "SEQPACKET"}};
    add_name(text, call.argument[0], families);
    text.add(", ");
    add_name(text, call.argument[1] & ~flags, types);
    if ((call.argument[1] & flags) != 0) {
        text.add("|");
        add_flags(text, call.argument[1] & flags, socket_flags);
    }
    text.add(", %lld", static_cast<long long>(call.argument[2]));
}

void add_open(Text& text, const KernelCall& call) {
    constexpr std::int64_t accesses = O_RDONLY | O_WRONLY | O_RDWR;
    constexpr FlagName access_names[] = {{O_RDONLY, "RDONLY"}, {O_WRONLY, "WRONLY"}, {O_RDWR, "RDWR"}};
    constexpr FlagName file_flags[] = {{O_CREAT, "CREAT"}, {O_EXCL, "EXCL"}, {O_TRUNC, "TRUNC"}};
    text.add("%s, ", static_cast<const char*>(call.bytes));
    add_name(text, call.argument[0] & accesses, access_names);
    if ((call.argument[0] & ~accesses) == 0) return;
    text.add("|");
    add_flags(text, call.argument[0] & ~accesses, file_flags);
}

void add_poll(Text& text, const KernelCall& call) {
    const auto* descriptors = static_cast<const pollfd*>(call.bytes);
    std::intptr_t shown = 0;
    text.add("{");
    for (std::int64_t i = 0; i < call.argument[0]; ++i) {
        if (handle_of(descriptors[i]) < 0) continue;  // the kernel skips it, and so do we
        text.add(shown == 0 ? "" : ", ");
        if (++shown > shown_events) {
            text.add("...");
            break;
        }
        text.add("%d: ", handle_of(descriptors[i]));
        add_flags(text, descriptors[i].events, poll_events);
    }
    text.add("}, %lld, %lld", static_cast<long long>(call.argument[0]),
             static_cast<long long>(call.argument[1]));
}

void add_wait(Text& text, const KernelCall& call) {
    const std::int64_t timeout_ns = call.argument[0];
    if (timeout_ns < 0)
        text.add("for ever");
    else if (timeout_ns % 1000 == 0)
        text.add("%lld us", static_cast<long long>(timeout_ns / 1000));
    else
        text.add("%lld ns", static_cast<long long>(timeout_ns));
}

// NOLINTNEXTLINE(readability-function-size): one case a call.
void add_arguments(Text& text, const KernelCall& call) {
    const auto argument = [&call](int i) { return static_cast<long long>(call.argument[i]); };
    if (call.handle != no_handle) text.add("%lld", static_cast<long long>(call.handle));
    switch (call.call) {
        case Call::socket:
            return add_socket(text, call);
        case Call::bind:
        case Call::connect:
        case Call::connect_ex:
            text.add(", %s", describe_address(call.bytes, static_cast<std::size_t>(argument(0))).c_str());
            return;
        case Call::iocp_add:
        case Call::accept_ex:
        case Call::afd_poll:
            text.add(", %lld", argument(0));
            return;
        case Call::iocp_wait:
            text.add(", .., %lld, %lld", argument(0), argument(1));
            return;
        case Call::wsa_recv:
        case Call::wsa_send:
            text.add(", .., %zu", call.size);
            return;
        case Call::listen:
            text.add(", %lld", argument(0));
            return;
        case Call::accept:
            text.add(", %s, ", call.bytes == nullptr ? "null, null" : ".., ..");
            return add_flags(text, argument(0), socket_flags);
        case Call::recv:
        case Call::send:
            text.add(", .., %zu, ", call.size);
            return add_flags(text, argument(0), message_flags);
        case Call::shutdown:
            text.add(", ");
            return add_name(text, argument(0), directions);
        case Call::getsockopt:
        case Call::setsockopt:
            return add_option(text, call);
        case Call::poll:
            return add_poll(text, call);
        case Call::epoll_create:
        case Call::epoll_ctl:
        case Call::epoll_wait:
        case Call::eventfd:
            return add_epoll_arguments(text, call);
#ifndef _WIN32
        case Call::pipe:
            text.add(".., ");
            return add_flags(text, argument(0), pipe_flags);
#endif
        case Call::io_uring_setup:
            text.add("%lld, ..", argument(0));
            return;
        case Call::io_uring_enter:
            text.add(", %lld, %lld, ", argument(0), argument(1));
            return add_flags(text, argument(2), ring_enter_flags);
        case Call::io_uring_register:
            text.add(", ");
            return add_name(text, argument(0), ring_changes);
        case Call::mmap:
            text.add("%s%zu", call.handle == no_handle ? "" : ", ", call.size);
            return;
        case Call::munmap:
            text.add(".., %zu", call.size);
            return;
        case Call::kevent:
            return add_kevent_arguments(text, call);
        case Call::read:
        case Call::write:
            text.add(", .., %zu", call.size);
            return;
        case Call::open_file:
            return add_open(text, call);
        case Call::pread:
        case Call::pwrite:
        case Call::read_file:
        case Call::write_file:
            text.add(", .., %zu, %lld", call.size, argument(0));
            return;
        case Call::wait:
            return add_wait(text, call);
        default:
            return;
    }
}

// --- news ---

/// As a string in C; what is not printable in octal, which unlike \x ends by itself.
Text quote(const void* bytes, std::size_t size) {
    const auto* characters = static_cast<const unsigned char*>(bytes);
    Text text;
    text.add("\"");
    for (std::size_t i = 0; i < size && i < shown_bytes; ++i) {
        const unsigned char character = characters[i];
        if (character == '\n')
            text.add("\\n");
        else if (character == '\r')
            text.add("\\r");
        else if (character == '\t')
            text.add("\\t");
        else if (character == '"' || character == '\\')
            text.add("\\%c", character);
        else if (character >= ' ' && character <= '~')
            text.add("%c", character);
        else
            text.add("\\%03o", character);
    }
    return text.add(size > shown_bytes ? "\"..." : "\"");
}

Text describe_pipe_ends(const KernelCall& call) {
    const auto* ends = static_cast<const Handle*>(call.bytes);
    return Text().add("from fd %lld to fd %lld", static_cast<long long>(ends[1]),
                      static_cast<long long>(ends[0]));
}

Text describe_poll_events(const KernelCall& call) {
    const auto* descriptors = static_cast<const pollfd*>(call.bytes);
    Text text;
    std::intptr_t told = 0;
    for (std::int64_t i = 0; told < call.result && told < shown_events; ++i) {
        if (descriptors[i].revents == 0) continue;
        add_event(text, handle_of(descriptors[i]), descriptors[i].revents, poll_events);
        ++told;
    }
    return text.add(call.result > told ? ", ..." : "");
}

}  // namespace

Text describe_kernel_call(const KernelCall& call) {
    Text text;
    text.add("%s(", call.call == Call::accept ? "accept4" : describe(call.call));
    add_arguments(text, call);
    if (call.result >= 0) return text.add(") = %lld", static_cast<long long>(call.result));
    const auto code = static_cast<std::int32_t>(-call.result);
    const char* name = name_of_code(code);
    if (name[0] != '\0') return text.add(") = %s", name);
    return text.add(") = -%d", code);
}

Text describe_kernel_news(const KernelCall& call) {
    if (call.result < 0 || call.bytes == nullptr) return {};
    switch (call.call) {
        case Call::recv:
        case Call::send:
        case Call::read:
        case Call::write:
        case Call::pread:
        case Call::pwrite:
            return call.result == 0 ? Text() : quote(call.bytes, static_cast<std::size_t>(call.result));
        case Call::epoll_wait:
            return describe_epoll_events(call);
        case Call::poll:
            return describe_poll_events(call);
        case Call::kevent:
            return describe_kevents(call);
        case Call::pipe:
            return describe_pipe_ends(call);
        case Call::getsockname:
        case Call::getpeername:
            return describe_answered_address(call.bytes);
        default:
            return {};
    }
}

}  // namespace pollard
