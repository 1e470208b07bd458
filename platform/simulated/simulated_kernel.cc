// The door of the simulated kernel: every call is noted in the digest, may meet with bad luck, and goes to
// the function that does it.
//
//      table -> Entry: digest, by chance EINTR or EAGAIN -> simulated::send(...) -> digest -> answer
//
// Read next: platform/simulated/streams.cc.
#include "platform/simulated/simulated_kernel.h"

#include <algorithm>
#include <cerrno>
#include <type_traits>

#include "platform/simulated/socket.h"
#include "platform/simulated/virtual_wait.h"
#include "platform/system_sockets.h"

namespace pollard {

namespace simulated {
namespace {

constexpr bool may_be_interrupted(Call call) {
    return call == Call::accept || call == Call::recv || call == Call::send || call == Call::read ||
           call == Call::write || call == Call::poll;
}

constexpr bool may_block(Call call) { return may_be_interrupted(call) && call != Call::poll; }

/// What the call answers instead of being made; 0: it is made.
std::intptr_t bad_luck(SimulatedKernel& kernel, Call call) {
    if (may_be_interrupted(call) && kernel.chance(kernel.faults.interrupted)) return -EINTR;
    if (may_block(call) && kernel.chance(kernel.faults.would_block_after_ready)) return -EAGAIN;
    return 0;
}

/// Pointers differ from run to run; what they point to is noted where it is used.
template <class T>
void note_argument(SimulatedKernel& kernel, T argument) {
    if constexpr (!std::is_pointer_v<T>) kernel.digest.add(static_cast<std::int64_t>(argument));
}

template <class... Arguments>
void note_call(SimulatedKernel& kernel, Call call, Arguments... arguments) {
    kernel.digest.add(static_cast<std::int64_t>(call));
    (note_argument(kernel, arguments), ...);
}

template <Call which, auto function>
struct Entry;
template <Call which, auto function>
struct SocketEntry;

/// Calls that are made on no descriptor.
template <Call which, class... Arguments, std::intptr_t (*function)(SimulatedKernel&, Arguments...)>
struct Entry<which, function> {
    static std::intptr_t call(Kernel& door, Arguments... arguments) {
        auto& kernel = static_cast<SimulatedKernel&>(door);
        note_call(kernel, which, arguments...);
        std::intptr_t result = bad_luck(kernel, which);
        if (result == 0) result = function(kernel, arguments...);
        kernel.digest.add(result);
        return result;
    }
};

/// Calls on a socket.
template <Call which, class... Arguments, std::intptr_t (*function)(SimulatedKernel&, Socket&, Arguments...)>
struct SocketEntry<which, function> {
    static std::intptr_t call(Kernel& door, Handle handle, Arguments... arguments) {
        auto& kernel = static_cast<SimulatedKernel&>(door);
        note_call(kernel, which, handle, arguments...);
        std::intptr_t result = 0;
        if (Socket* socket = find_socket(kernel, handle, result); socket != nullptr) {
            result = bad_luck(kernel, which);
            if (result == 0) result = function(kernel, *socket, arguments...);
        }
        // POSIX: an interrupted connect goes on, and says EALREADY when asked again.
        if (which == Call::connect && result == -EINPROGRESS && kernel.chance(kernel.faults.interrupted))
            result = -EINTR;
        kernel.digest.add(result);
        return result;
    }
};

// Descriptors 0 to 2 are no sockets and open for nothing.
std::intptr_t descriptor_or_error(std::intptr_t result) { return result == -ENOTSOCK ? -EBADF : result; }

std::intptr_t recv_without_flags(SimulatedKernel& kernel, Socket& socket, void* bytes, std::size_t size) {
    return recv(kernel, socket, bytes, size, 0);
}

std::intptr_t send_without_flags(SimulatedKernel& kernel, Socket& socket, const void* bytes,
                                 std::size_t size) {
    return send(kernel, socket, bytes, size, 0);
}

std::intptr_t read_descriptor(Kernel& door, Handle handle, void* bytes, std::size_t size) {
    return descriptor_or_error(SocketEntry<Call::read, &recv_without_flags>::call(door, handle, bytes, size));
}

std::intptr_t write_descriptor(Kernel& door, Handle handle, const void* bytes, std::size_t size) {
    return descriptor_or_error(
        SocketEntry<Call::write, &send_without_flags>::call(door, handle, bytes, size));
}

std::intptr_t close_descriptor(Kernel& door, Handle handle) {
    return descriptor_or_error(SocketEntry<Call::close, &close>::call(door, handle));
}

short poll_events(SimulatedKernel& kernel, const pollfd& descriptor) {
    std::intptr_t refusal = 0;
    const Socket* socket = find_socket(kernel, handle_of(descriptor), refusal);
    if (socket == nullptr) return POLLNVAL;
    const Readiness ready = readiness(*socket);
    const int asked = (ready.readable ? POLLIN | POLLRDNORM : 0) |
                      (ready.writable ? POLLOUT | POLLWRNORM : 0) | (ready.read_closed ? POLLRDHUP : 0);
    const int always = (ready.hang_up ? POLLHUP : 0) | (ready.error ? POLLERR : 0);
    return static_cast<short>((asked & descriptor.events) | always);
}

struct PollCall {
    SimulatedKernel& kernel;
    pollfd* descriptors;
    unsigned count;
    unsigned ready = 0;

    static bool look(void* context) {
        auto& call = *static_cast<PollCall*>(context);
        call.ready = 0;
        for (unsigned index = 0; index < call.count; ++index) {
            pollfd& each = call.descriptors[index];
            each.revents = handle_of(each) < 0 ? short{0} : poll_events(call.kernel, each);
            call.ready += each.revents != 0;
        }
        return call.ready > 0;
    }
};

std::intptr_t poll(SimulatedKernel& kernel, pollfd* descriptors, unsigned count, int timeout_ms) {
    if (descriptors == nullptr && count > 0) return -EFAULT;
    PollCall call{kernel, descriptors, count};
    const std::int64_t timeout_ns = timeout_ms < 0 ? -1 : timeout_ms * millisecond_ns;
    const WaitEnd end = wait_on_virtual_clock(kernel, nullptr, timeout_ns, PollCall::look, &call);
    if (end == WaitEnd::deadlock) return -EDEADLK;
    if (end == WaitEnd::interrupted) return -EINTR;
    for (unsigned index = 0; index < count; ++index) {
        kernel.digest.add(handle_of(descriptors[index]));
        kernel.digest.add(descriptors[index].revents);
    }
    return call.ready;
}

constexpr Kernel simulated_table = {
    .socket = Entry<Call::socket, &socket>::call,
    .bind = SocketEntry<Call::bind, &bind>::call,
    .listen = SocketEntry<Call::listen, &listen>::call,
    .accept = SocketEntry<Call::accept, &accept>::call,
    .connect = SocketEntry<Call::connect, &connect>::call,
    .recv = SocketEntry<Call::recv, &recv>::call,
    .send = SocketEntry<Call::send, &send>::call,
    .shutdown = SocketEntry<Call::shutdown, &shutdown>::call,
    .getsockopt = SocketEntry<Call::getsockopt, &getsockopt>::call,
    .setsockopt = SocketEntry<Call::setsockopt, &setsockopt>::call,
    .getsockname = SocketEntry<Call::getsockname, &getsockname>::call,
    .getpeername = SocketEntry<Call::getpeername, &getpeername>::call,
    .close = close_descriptor,
    .poll = Entry<Call::poll, &poll>::call,
    .read = read_descriptor,
    .write = write_descriptor,
    .clock = [](Kernel& door) { return static_cast<SimulatedKernel&>(door).now_ns; },
};

}  // namespace
}  // namespace simulated

SimulatedKernel::SimulatedKernel(std::uint64_t seed) : Kernel(simulated::simulated_table), random{seed} {}

SimulatedKernel::~SimulatedKernel() {
    POLLARD_REQUIRE(open_ports == 0, "close the pollers and ports on a simulated kernel before it goes");
    for (Handle number = first_descriptor; number < descriptor_capacity; ++number)
        if (descriptors[number] != nullptr) simulated::close(*this, *descriptors[number]);
    POLLARD_REQUIRE(blocks.blocks_in_use() == 0 && bytes.in_flight == 0,
                    "the simulated kernel has lost a socket or a byte: a mistake in platform/simulated");
    release(descriptors);
}

}  // namespace pollard
