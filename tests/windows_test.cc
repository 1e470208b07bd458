// What only Windows has: its numbers of failure, and the buffers in its kernel's hands.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>

#include "platform/address.h"
#include "platform/backend.h"
#include "platform/clock.h"
#include "platform/kernel.h"
#include "platform/operation.h"
#include "platform/socket.h"
#include "platform/system_sockets.h"
#include "platform/windows/errors.h"

namespace pollard {
namespace {

// --- numbers ---

TEST(WindowsErrors, AResetIsTheSameByPacketAndByCall) {
    EXPECT_EQ(windows::code_of_status(0xC000020D), ECONNRESET);
    EXPECT_EQ(windows::code_of_windows_error(WSAECONNRESET), ECONNRESET);
    EXPECT_EQ(kind_of_code(ECONNRESET), ErrorKind::connection_reset);
}

TEST(WindowsErrors, StatusesThatShareOneWindowsNumberAreToldApart) {
    EXPECT_EQ(windows::code_of_status(0xC000013B), ECONNABORTED);
    EXPECT_EQ(windows::code_of_status(0xC000013C), ECONNRESET);
}

TEST(WindowsErrors, SuccessAndInformationAreNoFailure) {
    EXPECT_EQ(windows::code_of_status(0), 0);
    EXPECT_EQ(windows::code_of_status(0x103), 0);
    EXPECT_EQ(windows::code_of_status(0x40000000), 0);
}

TEST(WindowsErrors, AnUnknownStatusIsAPositiveCodeThatNamesItself) {
    const std::int32_t code = windows::code_of_status(0xC0001234);
    EXPECT_EQ(code, 0x40001234);
    EXPECT_EQ(kind_of_code(code), ErrorKind::other);
    const Error error = error_of(Call::wsa_recv, -std::intptr_t{code}).on_descriptor(64);
    EXPECT_STREQ(describe(error).c_str(), "WSARecv fd 64: failed (code 1073746484)");
}

TEST(WindowsErrors, AnUnknownWindowsNumberIsItself) {
    EXPECT_EQ(windows::code_of_windows_error(12345), 12345);
}

// --- the door ---

TEST(WindowsDoor, TheClockNeverGoesBack) {
    Kernel& kernel = system_kernel();
    std::int64_t before_ns = kernel.clock(kernel);
    for (int reading = 0; reading < 1000; ++reading) {
        const std::int64_t now_ns = kernel.clock(kernel);
        ASSERT_GE(now_ns, before_ns);
        before_ns = now_ns;
    }
}

TEST(WindowsDoor, ALiveListenersPortCannotBeTaken) {
    Kernel& kernel = system_kernel();
    const OwnedHandle first(kernel, *open_listener(kernel, *parse_address("127.0.0.1", 0)));
    const Result<Handle> second = open_listener(kernel, *local_address(kernel, first.get()));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().call, Call::bind);
}

TEST(WindowsDoor, TheCallsOfOtherKernelsAreNotThere) {
    Kernel& kernel = system_kernel();
    EXPECT_EQ(kernel.epoll_create(kernel, 0), -ENOSYS);
    EXPECT_EQ(kernel.eventfd(kernel, 0, 0), -ENOSYS);
}

// --- what the kernel has in its hands ---

class Iocp : public testing::Test {
protected:
    void SetUp() override {
        testing::GTEST_FLAG(death_test_style) = "threadsafe";
        const Result<CompletionPort*> opened = find_backend("iocp")->open({});
        ASSERT_TRUE(opened);
        port = *opened;
        const OwnedHandle listener(kernel, *open_listener(kernel, *parse_address("127.0.0.1", 0),
                                                          {.backlog = 1, .blocking = Blocking::yes}));
        const Address address = *local_address(kernel, listener.get());
        peer = *open_stream_socket(kernel, address, Blocking::yes);
        ASSERT_TRUE(connect_blocking(kernel, peer, address));
        ours = *accept_blocking(kernel, listener.get());
        ASSERT_TRUE(port->open(ours, HandleKind::stream));
    }
    void TearDown() override {
        port->discard(ours);
        port->destroy();
        kernel.close(kernel, peer);
    }
    void run_until(const bool& done) {
        while (!done) {
            WorkList ready;
            ASSERT_TRUE(port->wait(10 * second_ns, ready));
            while (!ready.empty()) ready.pop_front().run();
        }
    }

    Kernel& kernel = system_kernel();
    CompletionPort* port = nullptr;
    Handle ours = no_handle;
    Handle peer = no_handle;
};

struct Receive : RecvOperation {
    using RecvOperation::RecvOperation;
    bool done = false;
};

TEST_F(Iocp, AHandleBelongsToOnePort) {
    CompletionPort* other = *find_backend("iocp")->open({});
    const Result<void> opened = other->open(ours, HandleKind::stream);
    EXPECT_EQ(opened.error().kind, ErrorKind::invalid_argument);
    EXPECT_EQ(opened.error().call, Call::iocp_add);
    other->destroy();
}

TEST_F(Iocp, ACancelledReceiveIsTheKernelsUntilItsPacketIsTaken) {
    std::array<std::byte, 16> buffer;
    Receive receive(ours, buffer);
    receive.completed = [](Operation* operation) { static_cast<Receive*>(operation)->done = true; };
    ASSERT_FALSE(port->start(receive));
    port->cancel(receive);
    EXPECT_FALSE(receive.done);
#ifndef __OPTIMIZE__
    EXPECT_EQ(receive.data, nullptr) << "it is poisoned still";
#endif
    run_until(receive.done);
    EXPECT_EQ(receive.result().error().kind, ErrorKind::cancelled);
}

#ifndef __OPTIMIZE__
TEST_F(Iocp, AnOperationThatIsGivenBackTooEarlyIsTold) {
    const auto give_back_too_early = [this] {
        std::array<std::byte, 16> buffer;
        Receive receive(ours, buffer);
        receive.completed = [](Operation* operation) { static_cast<Receive*>(operation)->done = true; };
        port->start(receive);
        port->cancel(receive);
        receive.data = buffer.data();
        run_until(receive.done);
    };
    EXPECT_DEATH(give_back_too_early(), "wait for its completion");
}
#endif

}  // namespace
}  // namespace pollard
