// Kernel calls in words: flags, addresses, options, events and bytes as a reader of the system's manual knows them.
//
// Read next: platform/describe_call.h.
#include "platform/describe_call.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#ifdef __linux__
#include <sys/epoll.h>
#include <sys/eventfd.h>
#endif

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "platform/address.h"
#include "platform/observer.h"
#include "platform/system_sockets.h"

namespace pollard::trace_test {
namespace {

KernelCall call_of(Call call, Handle handle, std::intptr_t result, std::array<std::int64_t, 3> arguments = {},
                   const void* bytes = nullptr, std::size_t size = 0) {
    return {.call = call,
            .handle = handle,
            .bytes = bytes,
            .size = size,
            .argument = {arguments[0], arguments[1], arguments[2]},
            .result = result,
            .began_ns = 0,
            .ended_ns = 0};
}
std::string words(const KernelCall& call) { return describe_kernel_call(call).c_str(); }
std::string news(const KernelCall& call) { return describe_kernel_news(call).c_str(); }

TEST(KernelCalls, FlagsAreWrittenByTheirNamesAndTheRestAsANumber) {
    EXPECT_EQ(words(call_of(Call::accept, 5, 7, {SOCK_NONBLOCK | SOCK_CLOEXEC})),
              "accept4(5, null, null, NONBLOCK|CLOEXEC) = 7");
    EXPECT_EQ(words(call_of(Call::accept, 5, 7, {0})), "accept4(5, null, null, 0) = 7");
    EXPECT_EQ(words(call_of(Call::socket, no_handle, 5, {AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0})),
              "socket(AF_INET6, STREAM|CLOEXEC, 0) = 5");
    EXPECT_EQ(words(call_of(Call::socket, no_handle, -EINVAL, {99, SOCK_DGRAM, 17})),
              "socket(99, DGRAM, 17) = EINVAL");
    EXPECT_EQ(words(call_of(Call::send, 7, 3, {MSG_NOSIGNAL | MSG_OOB}, "abc", 3)),
              "send(7, .., 3, NOSIGNAL|OOB) = 3");
    EXPECT_EQ(words(call_of(Call::recv, 7, 0, {0x10000000}, "", 9)), "recv(7, .., 9, 0x10000000) = 0");
    EXPECT_EQ(words(call_of(Call::shutdown, 7, 0, {SHUT_WR})), "shutdown(7, WR) = 0");
#ifndef _WIN32
    EXPECT_EQ(words(call_of(Call::pipe, no_handle, 0, {O_NONBLOCK | O_CLOEXEC})),
              "pipe2(.., NONBLOCK|CLOEXEC) = 0");
#endif
    EXPECT_EQ(words(call_of(Call::io_uring_setup, no_handle, 3, {256})), "io_uring_setup(256, ..) = 3");
    EXPECT_EQ(words(call_of(Call::io_uring_enter, 3, 2, {2, 1, 9})),
              "io_uring_enter(3, 2, 1, GETEVENTS|EXT_ARG) = 2");
    EXPECT_EQ(words(call_of(Call::io_uring_register, 3, 0, {12, 0})),
              "io_uring_register(3, ENABLE_RINGS) = 0");
    EXPECT_EQ(words(call_of(Call::mmap, 3, -ENOMEM, {3, 1, 0}, nullptr, 4096)), "mmap(3, 4096) = ENOMEM");
    EXPECT_EQ(words(call_of(Call::munmap, no_handle, 0, {}, nullptr, 4096)), "munmap(.., 4096) = 0");
    EXPECT_EQ(words(call_of(Call::listen, 5, 0, {128})), "listen(5, 128) = 0");
    EXPECT_EQ(words(call_of(Call::close, 5, -EBADF)), "close(5) = EBADF");
    EXPECT_EQ(words(call_of(Call::close, 5, -9999)), "close(5) = -9999");
}

TEST(KernelCalls, AddressesAreWrittenInWords) {
    for (const char* host : {"127.0.0.1", "::1", "unix:/tmp/a"}) {
        const Address address = *parse_address(host, 6789);
        const std::string name = describe(address).c_str();
        EXPECT_EQ(words(call_of(Call::connect, 6, -EINPROGRESS, {address.length}, address.raw())),
                  "connect(6, " + name + ") = EINPROGRESS");
        EXPECT_EQ(words(call_of(Call::bind, 6, 0, {address.length}, address.raw())),
                  "bind(6, " + name + ") = 0");
    }
    const Address address = *parse_address("127.0.0.1", 6789);
    EXPECT_EQ(news(call_of(Call::getsockname, 6, 0, {}, address.raw())), "127.0.0.1:6789");
    EXPECT_EQ(news(call_of(Call::getsockname, 6, -EBADF, {}, address.raw())), "");
}

TEST(KernelCalls, SocketOptionsShowTheirValue) {
    const int on = 1;
    const int refused = ECONNREFUSED;
    const int none = 0;
    EXPECT_EQ(words(call_of(Call::setsockopt, 5, 0, {SOL_SOCKET, SO_REUSEADDR, sizeof on}, &on)),
              "setsockopt(5, SOL_SOCKET, SO_REUSEADDR, 1) = 0");
    EXPECT_EQ(words(call_of(Call::getsockopt, 5, 0, {SOL_SOCKET, SO_ERROR}, &refused)),
              "getsockopt(5, SOL_SOCKET, SO_ERROR, [ECONNREFUSED]) = 0");
    EXPECT_EQ(words(call_of(Call::getsockopt, 5, 0, {SOL_SOCKET, SO_ERROR}, &none)),
              "getsockopt(5, SOL_SOCKET, SO_ERROR, [0]) = 0");
    EXPECT_EQ(words(call_of(Call::setsockopt, 5, 0, {IPPROTO_TCP, 1, sizeof on}, &on)),
              "setsockopt(5, 6, 1, ..) = 0");
}

TEST(KernelCalls, EventsAreToldByDescriptor) {
    pollfd asked[2] = {poll_entry(7, POLLIN), poll_entry(8, POLLIN | POLLOUT)};
    asked[1].revents = POLLOUT | POLLHUP;
    EXPECT_EQ(words(call_of(Call::poll, no_handle, 1, {2, 0}, asked)), "poll({7: IN, 8: IN|OUT}, 2, 0) = 1");
    EXPECT_EQ(news(call_of(Call::poll, no_handle, 1, {2, 0}, asked)), "fd 8: OUT|HUP");
    pollfd many[7];
    for (int i = 0; i < 7; ++i) {
        many[i] = poll_entry(i == 0 ? ~3 : i, POLLIN);
        many[i].revents = i == 0 ? short{0} : short{POLLIN};
    }
    EXPECT_EQ(words(call_of(Call::poll, no_handle, 6, {7, -1}, many)),
              "poll({1: IN, 2: IN, 3: IN, 4: IN, ...}, 7, -1) = 6");
    EXPECT_EQ(news(call_of(Call::poll, no_handle, 6, {7, -1}, many)),
              "fd 1: IN, fd 2: IN, fd 3: IN, fd 4: IN, ...");
}

TEST(KernelCalls, APipeIsToldByItsTwoEnds) {
    const Handle ends[2] = {5, 6};
    EXPECT_EQ(news(call_of(Call::pipe, no_handle, 0, {0}, ends)), "from fd 6 to fd 5");
    EXPECT_EQ(news(call_of(Call::pipe, no_handle, -EMFILE, {0}, ends)), "");
}

#ifdef __linux__
TEST(KernelCalls, TheCallsOfEpollAreWrittenInItsWords) {
    EXPECT_EQ(words(call_of(Call::eventfd, no_handle, 4, {0, EFD_NONBLOCK | EFD_CLOEXEC})),
              "eventfd(0, NONBLOCK|CLOEXEC) = 4");
    EXPECT_EQ(words(call_of(Call::epoll_create, no_handle, 3, {EPOLL_CLOEXEC})),
              "epoll_create1(CLOEXEC) = 3");

    epoll_event events[6] = {};
    for (unsigned i = 0; i < 6; ++i) {
        events[i].events = EPOLLIN;
        events[i].data.u64 = std::uint64_t{12345} << 32 | (7 + i);
    }
    events[1].events = EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    EXPECT_EQ(words(call_of(Call::epoll_wait, 3, 1, {64, -1}, events)), "epoll_wait(3, .., 64, -1) = 1");
    EXPECT_EQ(news(call_of(Call::epoll_wait, 3, 1, {64, -1}, events)), "fd 7: IN");
    EXPECT_EQ(news(call_of(Call::epoll_wait, 3, 2, {64, -1}, events)), "fd 7: IN, fd 8: OUT|RDHUP|HUP|ERR");
    EXPECT_TRUE(news(call_of(Call::epoll_wait, 3, 6, {64, -1}, events)).ends_with("fd 10: IN, ..."));
    EXPECT_EQ(news(call_of(Call::epoll_wait, 3, 0, {64, 5}, events)), "");

    epoll_event interest = {};
    interest.events = EPOLLIN | EPOLLET;
    EXPECT_EQ(words(call_of(Call::epoll_ctl, 3, -EEXIST, {EPOLL_CTL_ADD, 7}, &interest)),
              "epoll_ctl(3, ADD, 7, IN|ET) = EEXIST");
    EXPECT_EQ(words(call_of(Call::epoll_ctl, 3, 0, {EPOLL_CTL_DEL, 7}, &interest)),
              "epoll_ctl(3, DEL, 7) = 0");
}
#endif

TEST(KernelCalls, BytesAreShortenedAndEscaped) {
    const auto received = [](std::string_view bytes) {
        return news(
            call_of(Call::recv, 7, static_cast<std::intptr_t>(bytes.size()), {0}, bytes.data(), 1024));
    };
    EXPECT_EQ(received("Hello Server!\n"), R"("Hello Server!\n")");
    EXPECT_EQ(received(std::string_view("\"\\\t\r\0\x7f\xff"
                                        "1",
                                        8)),
              R"("\"\\\t\r\000\177\3771")");
    EXPECT_EQ(received(std::string(32, 'x')), '"' + std::string(32, 'x') + '"');
    EXPECT_EQ(received(std::string(33, 'x')), '"' + std::string(32, 'x') + "\"...");
    EXPECT_EQ(received(""), "");
    EXPECT_EQ(news(call_of(Call::recv, 7, -EAGAIN, {0}, "unwritten", 9)), "");
}

}  // namespace
}  // namespace pollard::trace_test
