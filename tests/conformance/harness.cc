// The kernel of one test and the far ends of its sockets. What for: harness.h.
#include "tests/conformance/harness.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "platform/memory.h"
#include "platform/socket.h"
#include "platform/system_sockets.h"
#include "tests/system.h"

namespace pollard::conformance {

namespace {

bool again(std::intptr_t result) { return result == -EINTR || result == -EAGAIN; }

/// Makes the call until no signal interrupts it.
std::intptr_t uninterrupted(const auto& call) {
    std::intptr_t result;
    do result = call();
    while (result == -EINTR);
    return result;
}

/// Where poll does not show a half close, the readable end of the stream does.
short shown_by_poll(bool simulated, short events) {
    if (simulated || test_system::poll_shows_half_closes || (events & POLLRDHUP) == 0) return events;
    return static_cast<short>((events & ~POLLRDHUP) | POLLIN);
}

}  // namespace

std::size_t open_descriptors() { return test_system::open_descriptors(); }

std::uint64_t memory_in_use() {
    const MemoryCounters counters = memory_counters();
    return counters.allocations - counters.releases;
}

World::World(const WorldOptions& options)
    : descriptors_before_(open_descriptors()), memory_before_(memory_in_use()) {
    if (options.simulated) {
        simulated_.emplace(1);
        simulated_->latency_ns = options.latency_ns;
        simulated_->faults = options.faults;
    }
    put_in_front(&failing, kernel());
}

void World::expect_nothing_left() {
    fail_allocations_after(0, 0);
    for (const Handle handle : open_) EXPECT_EQ(kernel().close(kernel(), handle), 0) << "handle " << handle;
    open_.clear();
    if (simulated_) {
        EXPECT_EQ(simulated_->open_descriptors, 0u);
        ASSERT_EQ(simulated_->open_ports, 0u);
        simulated_.reset();  // counts its own blocks and bytes
    }
    EXPECT_EQ(open_descriptors(), descriptors_before_) << "descriptors are left, or too many are closed";
    EXPECT_EQ(memory_in_use(), memory_before_) << "memory is left";
}

// --- making sockets ---

Handle World::keep(Handle made) {
    open_.push_back(made);
    return made;
}

void World::closed(Handle handle) {
    const auto found = std::find(open_.begin(), open_.end(), handle);
    ASSERT_NE(found, open_.end()) << "handle " << handle << " is none of this test's";
    open_.erase(found);
}

Handle World::listener(int backlog) {
    const Result<Handle> opened =
        open_listener(kernel(), *parse_address("127.0.0.1", 0), {.backlog = backlog});
    EXPECT_TRUE(opened) << describe(opened.error()).c_str();
    return keep(*opened);
}

Handle World::socket() {
    const Result<Handle> opened = open_stream_socket(kernel(), *parse_address("127.0.0.1", 0));
    EXPECT_TRUE(opened) << describe(opened.error()).c_str();
    return keep(*opened);
}

Address World::address_of(Handle handle) {
    const Result<Address> address = local_address(kernel(), handle);
    EXPECT_TRUE(address) << describe(address.error()).c_str();
    return *address;
}

void World::connect(Handle handle, const Address& address) {
    const std::intptr_t result = kernel().connect(kernel(), handle, address.raw(), address.length);
    // An interrupted one goes on by itself.
    EXPECT_TRUE(result == 0 || result == -EINPROGRESS || result == -EINTR) << result;
}

Handle World::connecting_to(const Address& address) {
    const Result<Handle> opened = open_stream_socket(kernel(), address);
    EXPECT_TRUE(opened) << describe(opened.error()).c_str();
    connect(*opened, address);
    return keep(*opened);
}

Handle World::accepted_from(Handle listening) {
    EXPECT_TRUE(await(listening, POLLIN)) << "nobody connects";
    const std::intptr_t handle = uninterrupted(
        [&] { return kernel().accept(kernel(), listening, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); });
    EXPECT_GE(handle, 0);
    return keep(static_cast<Handle>(handle));
}

Ends World::pair() {
    const Handle listening = listener();
    const Handle ours = connecting_to(address_of(listening));
    const Handle peer = accepted_from(listening);
    EXPECT_TRUE(await(ours, POLLOUT));
    close(listening);
    return {ours, peer};
}

Ends World::narrow_pair() {
    const int bytes = 8 * 1024;
    const Handle listening = listener();
    // Inherited by what is accepted.
    set_option(listening, SOL_SOCKET, SO_RCVBUF, bytes);
    set_option(listening, SOL_SOCKET, SO_SNDBUF, bytes);
    const Handle ours = socket();
    set_option(ours, SOL_SOCKET, SO_RCVBUF, bytes);
    set_option(ours, SOL_SOCKET, SO_SNDBUF, bytes);
    connect(ours, address_of(listening));
    const Handle peer = accepted_from(listening);
    EXPECT_TRUE(await(ours, POLLOUT));
    close(listening);
    return {ours, peer};
}

Handle World::connect_that_hangs(Handle listening) {
    const Address address = address_of(listening);
    for (int tries = 0; tries < 16; ++tries) {
        const Handle handle = connecting_to(address);
        if (!await(handle, POLLOUT, 50 * millisecond_ns)) return handle;
    }
    ADD_FAILURE() << "the queue of a listener with backlog 0 is never full";
    return no_handle;
}

// --- the peer's side ---

bool World::await(Handle handle, short events, std::int64_t timeout_ns) {
    const std::int64_t deadline_ns = now_ns() + timeout_ns;
    for (;;) {
        pollfd descriptor = poll_entry(handle, shown_by_poll(simulated_.has_value(), events));
        // A test that has failed already waits for nobody.
        const bool in_vain = testing::Test::HasFailure();
        const std::int64_t left_ns = in_vain ? 0 : std::max<std::int64_t>(deadline_ns - now_ns(), 0);
        const std::intptr_t count = kernel().poll(kernel(), &descriptor, 1, round_up_to_ms(left_ns));
        if (count == -EINTR) continue;
        EXPECT_GE(count, 0);
        return count > 0;
    }
}

void World::send(Handle handle, std::string_view bytes) {
    while (!bytes.empty()) {
        const std::intptr_t sent = kernel().send(kernel(), handle, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (again(sent)) {
            ASSERT_TRUE(await(handle, POLLOUT)) << "nobody reads";
            continue;
        }
        ASSERT_GT(sent, 0);
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
}

std::string World::recv(Handle handle, std::size_t size) {
    std::string all;
    while (all.size() < size) {
        std::string part(std::min<std::size_t>(size - all.size(), 64 * 1024), '\0');
        const std::intptr_t count = kernel().recv(kernel(), handle, part.data(), part.size(), 0);
        if (again(count)) {
            if (await(handle, POLLIN)) continue;
            ADD_FAILURE() << "after " << all.size() << " of " << size << " bytes nothing more comes";
            break;
        }
        EXPECT_GE(count, 0);
        if (count <= 0) break;
        all.append(part, 0, static_cast<std::size_t>(count));
    }
    return all;
}

std::string World::recv_now(Handle handle, std::size_t size) {
    std::string bytes(size, '\0');
    const std::intptr_t count =
        uninterrupted([&] { return kernel().recv(kernel(), handle, bytes.data(), size, 0); });
    EXPECT_TRUE(count >= 0 || count == -EAGAIN) << count;
    bytes.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return bytes;
}

bool World::would_block(Handle handle) {
    char byte;
    return uninterrupted([&] { return kernel().recv(kernel(), handle, &byte, 1, MSG_PEEK); }) == -EAGAIN;
}

std::string World::recv_to_end(Handle handle) { return recv(handle, SIZE_MAX); }

std::size_t World::fill(Handle handle) {
    const std::string bytes(16 * 1024, 'f');
    std::size_t filled = 0;
    for (;;) {
        const std::intptr_t sent = uninterrupted(
            [&] { return kernel().send(kernel(), handle, bytes.data(), bytes.size(), MSG_NOSIGNAL); });
        // A real kernel moves what is queued on to the peer by and by, and has room again: filled is what stays full.
        if (sent == -EAGAIN && !simulated_ && await(handle, POLLOUT, 120 * millisecond_ns)) continue;
        if (sent == -EAGAIN) return filled;
        EXPECT_GT(sent, 0);
        if (sent <= 0) return filled;
        filled += static_cast<std::size_t>(sent);
    }
}

void World::half_close(Handle handle) { EXPECT_TRUE(shut_down_sending(kernel(), handle)); }

void World::close(Handle handle) {
    closed(handle);
    EXPECT_EQ(kernel().close(kernel(), handle), 0);
}

void World::reset(Handle handle) {
    const linger at_once = {.l_onoff = 1, .l_linger = 0};
    EXPECT_EQ(kernel().setsockopt(kernel(), handle, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(handle);
}

bool World::is_open(Handle handle) {
    int value = 0;
    unsigned length = sizeof value;
    return kernel().getsockopt(kernel(), handle, SOL_SOCKET, SO_TYPE, &value, &length) >= 0;
}

int World::pending_error(Handle handle) {
    int error = 0;
    unsigned length = sizeof error;
    EXPECT_EQ(kernel().getsockopt(kernel(), handle, SOL_SOCKET, SO_ERROR, &error, &length), 0);
    return error;
}

void World::set_option(Handle handle, int level, int option, int value) {
    EXPECT_EQ(kernel().setsockopt(kernel(), handle, level, option, &value, sizeof value), 0);
}

// --- running out of descriptors ---

DescriptorShortage::DescriptorShortage(World& world, unsigned spare) : world_(world) {
    if (SimulatedKernel* kernel = world.simulated(); kernel != nullptr) {
        limit_before_ = static_cast<std::uint64_t>(kernel->descriptor_limit);
        // Valid where the open ones have no gaps, which is so in these tests.
        const std::size_t used = SimulatedKernel::first_descriptor + kernel->open_descriptors;
        kernel->descriptor_limit = static_cast<Handle>(used + spare);
        return;
    }
    limit_before_ = test_system::limit_descriptors(spare);
}

bool DescriptorShortage::is_possible(World& world) {
    return world.simulated() != nullptr || test_system::descriptors_can_be_limited;
}

DescriptorShortage::~DescriptorShortage() {
    if (SimulatedKernel* kernel = world_.simulated(); kernel != nullptr) {
        kernel->descriptor_limit = static_cast<Handle>(limit_before_);
        return;
    }
    test_system::restore_descriptors(limit_before_);
}

}  // namespace pollard::conformance
