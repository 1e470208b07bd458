// AFD: Windows' readiness, by way of completion.
//
// AFD is the driver that sockets are made of. A poll of it is an overlapped operation: it is finished, and leaves a
// packet at a completion port, when the socket is ready. So a kernel that speaks completion can be asked for readiness
// too, and everything that stands on a Poller runs on it.
//
//      add     a look whether it is a socket, and no more
//      arm     a poll of this direction: NtDeviceIoControlFile(afd, .., IOCTL_AFD_POLL, {socket, events})
//      wait    GetQueuedCompletionStatusEx(port, packets, n, timeout)
//
// What one would not guess:
//  - A poll goes to a handle of the driver, not to the socket; one such handle serves all sockets.
//  - A poll is used up by its first event. What is true already finishes it at once, and leaves no packet; it stands
//    in a list until the next wait.
//  - A poll that nobody wants any more is cancelled, and its packet taken, before its memory is free again: a removed
//    registration lives on until then, without a name.
//  - Wine tells of a half close only after what stands before it was read; but then the direction is readable.
//
// The interface is not documented by its maker, and has been the same since Windows 2000.
//
// Read next: platform/epoll/epoll_poller.cc (the same contract where the kernel keeps the registrations).
#include "platform/iocp/afd_poller.h"

#include <cerrno>
#include <cstring>
#include <new>

#include "platform/attempt/attempt_port.h"
#include "platform/backend.h"
#include "platform/interposed_kernel.h"
#include "platform/iocp/iocp.h"
#include "platform/windows/errors.h"

namespace pollard {

namespace iocp {
namespace {

struct Registration;

/// The first field is what a packet brings back.
struct Request {
    OVERLAPPED overlapped;
    struct Poll* poll;
};

/// The poll of one direction. It stands in `ready` when it was answered at once.
struct Poll : Work {
    Poll() : Work(nullptr) {}

    Request request = {};
    AfdPoll question = {};
    Registration* registration = nullptr;
    bool in_kernel = false;  // a packet will come
};

struct Registration {
    Token token;
    Poll polls[2];  // by Direction
    bool removed = false;

    bool in_kernel() const { return polls[0].in_kernel || polls[1].in_kernel; }
};

struct AfdPoller : Poller {
    Handle port = no_handle;
    Handle afd = no_handle;
    bool skips_packets = false;  // what is answered at once leaves none
    std::atomic<bool> wake_pending{false};
    HandleTable<Registration*> table;  // by place_of
    std::size_t polls_in_kernel = 0;
    WorkList ready;
    BlockPool blocks;
    OVERLAPPED_ENTRY packets[packet_batch];
};

AfdPoller& self_of(Poller& poller) { return static_cast<AfdPoller&>(poller); }
/// Null: it is not registered.
Registration* find(AfdPoller& poller, Handle handle) {
    Registration** place = poller.table.find(place_of(handle));
    return place != nullptr ? *place : nullptr;
}

Result<void> add(Poller& base, Token token) {
    AfdPoller& poller = self_of(base);
    const auto refuse = [token](ErrorKind why) { return Error(why, Call::open).on_descriptor(token.handle); };
    if (token.handle < 0) return refuse(ErrorKind::bad_handle);
    if (find(poller, token.handle) != nullptr) return refuse(ErrorKind::invalid_argument);
    int type = 0;
    unsigned length = sizeof type;
    const std::intptr_t looked =
        poller.kernel->getsockopt(*poller.kernel, token.handle, SOL_SOCKET, SO_TYPE, &type, &length);
    if (looked < 0) return error_of(Call::getsockopt, looked).on_descriptor(token.handle);
    if (!poller.table.make_room(place_of(token.handle))) return refuse(ErrorKind::out_of_memory);
    void* block = poller.blocks.take(sizeof(Registration));
    if (block == nullptr) return refuse(ErrorKind::out_of_memory);
    auto* registration = ::new (block) Registration;
    registration->token = token;
    for (Poll& poll : registration->polls) poll.registration = registration;
    poller.table[place_of(token.handle)] = registration;
    return {};
}

Result<void> arm(Poller& base, Token token, Direction direction) {
    AfdPoller& poller = self_of(base);
    Registration* registration = find(poller, token.handle);
    if (registration == nullptr || registration->token != token)
        return Error(ErrorKind::not_found, Call::afd_poll).on_descriptor(token.handle);
    Poll& poll = registration->polls[static_cast<int>(direction)];
    if (poll.in_kernel || poll.linked()) return {};
    const std::uint32_t own = direction == Direction::read ? afd_receive | afd_accept | afd_urgent : afd_send;
    poll.question.events = own | afd_disconnect | afd_abort | afd_connect_fail;
    poll.request = {.overlapped = {}, .poll = &poll};
    const std::intptr_t asked = poller.kernel->afd_poll(*poller.kernel, poller.afd, token.handle,
                                                        &poll.question, &poll.request.overlapped);
    if (asked == -EINPROGRESS || (asked >= 0 && !poller.skips_packets)) {
        poll.in_kernel = true;
        ++poller.polls_in_kernel;
    } else if (asked < 0) {
        return error_of(Call::afd_poll, asked).on_descriptor(token.handle);
    } else {
        poller.ready.push_back(poll);
    }
    return {};
}

void free_if_unused(AfdPoller& poller, Registration& registration) {
    if (!registration.removed || registration.in_kernel()) return;
    poller.blocks.give_back(&registration, sizeof registration);
}

void forget(AfdPoller& poller, Registration& registration) {
    poller.table[place_of(registration.token.handle)] = nullptr;
    registration.removed = true;
    for (Poll& poll : registration.polls) {
        poll.unlink();
        // -ENOENT: it is finished, and its packet is on its way.
        if (poll.in_kernel) poller.kernel->cancel_io(*poller.kernel, poller.afd, &poll.request.overlapped);
    }
    free_if_unused(poller, registration);
}

Result<void> remove(Poller& base, Token token) {
    AfdPoller& poller = self_of(base);
    Registration* registration = find(poller, token.handle);
    if (registration == nullptr || registration->token != token)
        return Error(ErrorKind::not_found, Call::cancel_io).on_descriptor(token.handle);
    forget(poller, *registration);
    return {};
}

EventBits translate(std::uint32_t events) {
    const auto bit = [events](std::uint32_t afd, EventBits ours) {
        return (events & afd) != 0 ? ours : EventBits{};
    };
    return bit(afd_receive | afd_accept | afd_disconnect, EventBits::readable) |
           bit(afd_send, EventBits::writable) | bit(afd_urgent, EventBits::urgent) |
           bit(afd_disconnect | afd_abort, EventBits::hang_up) |
           bit(afd_abort | afd_connect_fail, EventBits::error);
}

/// The poll of a packet goes to `ready`, unless nobody is left to be told.
void take_packet(AfdPoller& poller, const OVERLAPPED_ENTRY& packet) {
    if (packet.lpCompletionKey == iocp_wake_key) {
        poller.wake_pending.exchange(false);
        return;
    }
    Poll* poll = reinterpret_cast<Request*>(packet.lpOverlapped)->poll;
    poll->in_kernel = false;
    --poller.polls_in_kernel;
    if (poll->registration->removed)
        free_if_unused(poller, *poll->registration);
    else
        poller.ready.push_back(*poll);
}

// STOP: wait
Result<std::size_t> wait(Poller& base, std::span<PollerEvent> events, std::int64_t timeout_ns) {
    AfdPoller& poller = self_of(base);
    const std::intptr_t count = wait_for_packets(*poller.kernel, poller.port, poller.packets, packet_batch,
                                                 poller.ready.empty() ? timeout_ns : 0);
    if (count < 0 && count != -EINTR) return error_of(Call::iocp_wait, count).on_descriptor(poller.port);
    for (std::intptr_t index = 0; index < count; ++index) take_packet(poller, poller.packets[index]);
    std::size_t stored = 0;
    while (stored < events.size() && !poller.ready.empty()) {
        const Poll& poll = static_cast<Poll&>(poller.ready.pop_front());
        const bool failed =
            windows::code_of_status(static_cast<std::uint32_t>(poll.request.overlapped.Internal)) != 0;
        const EventBits what = failed ? EventBits::error : translate(poll.question.events);
        events[stored++] = {poll.registration->token, what};
    }
    return stored;
}

void wake(Poller& base) {
    AfdPoller& poller = self_of(base);
    if (poller.wake_pending.exchange(true)) return;
    std::intptr_t posted;
    do posted = poller.kernel->iocp_post(*poller.kernel, poller.port);
    while (posted == -EINTR);
    if (posted < 0) poller.wake_pending.exchange(false);
}

void close(Poller& base) {
    AfdPoller& poller = self_of(base);
    Kernel& kernel = *poller.kernel;
    for (Registration* each : std::span(poller.table.entries, poller.table.capacity))
        if (each != nullptr) forget(poller, *each);
    while (poller.polls_in_kernel > 0) {
        const std::intptr_t count = wait_for_packets(kernel, poller.port, poller.packets, packet_batch, -1);
        for (std::intptr_t index = 0; index < count; ++index) take_packet(poller, poller.packets[index]);
    }
    if (poller.afd != no_handle) kernel.close(kernel, poller.afd);
    if (poller.port != no_handle) kernel.close(kernel, poller.port);
    poller.~AfdPoller();
    release(&poller);
}

constexpr PollerType afd_poller_type = {
    .name = "afd", .add = add, .arm = arm, .remove = remove, .wait = wait, .wake = wake, .close = close};

}  // namespace
}  // namespace iocp

Result<Poller*> open_afd_poller(Kernel& kernel) {
    void* memory = allocate(sizeof(iocp::AfdPoller));
    if (memory == nullptr) return Error(ErrorKind::out_of_memory, Call::open).on("afd");
    auto* poller = ::new (memory) iocp::AfdPoller;
    poller->type = &iocp::afd_poller_type;
    poller->kernel = &kernel;
    const auto give_up = [poller](const Error& error) {
        poller->close();
        return error;
    };
    const std::intptr_t port = kernel.iocp_create(kernel);
    if (port < 0) return give_up(error_of(Call::iocp_create, port));
    poller->port = static_cast<Handle>(port);
    const std::intptr_t afd = kernel.afd_open(kernel);
    if (afd < 0) return give_up(error_of(Call::afd_open, afd));
    poller->afd = static_cast<Handle>(afd);
    const std::intptr_t added = kernel.iocp_add(kernel, poller->port, poller->afd);
    if (added < 0) return give_up(error_of(Call::iocp_add, added));
    poller->skips_packets = added == 1;
    return poller;
}

extern const Backend afd_backend;
const Backend afd_backend = {
    .name = "afd",
    .native_contract = "readiness",
    .why_unavailable = []() -> const char* { return nullptr; },
    .open =
        [](const PortOptions& options) {
            return open_attempt_port(open_afd_poller(put_in_front(options.in_front, system_kernel())));
        },
};

}  // namespace pollard
