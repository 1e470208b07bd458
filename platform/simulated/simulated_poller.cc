// Readiness on the simulated kernel: which socket has news, and what its event says.
#include "platform/simulated/simulated_poller.h"

#include <cerrno>
#include <new>
#include <utility>

#include "platform/simulated/socket.h"
#include "platform/simulated/virtual_wait.h"

namespace pollard {

namespace simulated::poller {
namespace {

struct NewsNode : Link {};
struct MemberNode : Link {};
struct SimulatedPoller;

struct Registration : Watcher, NewsNode, MemberNode {
    Registration(SimulatedPoller& in, Socket& of, Token name);

    SimulatedPoller& poller;
    Socket& socket;
    Token token;
    EventBits spurious{};  // by chance; reported once
};

struct SimulatedPoller : Poller {
    explicit SimulatedPoller(SimulatedKernel& on) : simulated(on) {}

    SimulatedKernel& simulated;
    WakeSignal signal;
    List<Registration, NewsNode> news;
    List<Registration, MemberNode> members;
};

SimulatedPoller& self_of(Poller& poller) { return static_cast<SimulatedPoller&>(poller); }

void has_news(Watcher& watcher) {
    auto& registration = static_cast<Registration&>(watcher);
    if (!static_cast<NewsNode&>(registration).linked()) registration.poller.news.push_back(registration);
}

void forget(Watcher& watcher) {
    auto& registration = static_cast<Registration&>(watcher);
    watcher.unlink();
    static_cast<NewsNode&>(registration).unlink();
    static_cast<MemberNode&>(registration).unlink();
    registration.poller.simulated.blocks.give_back(&registration, sizeof registration);
}

Registration::Registration(SimulatedPoller& in, Socket& of, Token name)
    : Watcher(&in, has_news, forget), poller(in), socket(of), token(name) {}

Error error_on(Call call, std::intptr_t result, Token token) {
    return error_of(call, result).on_descriptor(token.handle);
}

/// Null when this very registration does not exist (any more).
Registration* find_registration(SimulatedPoller& poller, Token token) {
    std::intptr_t refusal = 0;
    Socket* socket = find_socket(poller.simulated, token.handle, refusal);
    if (socket == nullptr) return nullptr;
    auto* registration = static_cast<Registration*>(find_watcher(*socket, &poller));
    return registration != nullptr && registration->token == token ? registration : nullptr;
}

Result<void> add(Poller& base, Token token) {
    SimulatedPoller& poller = self_of(base);
    std::intptr_t refusal = 0;
    Socket* socket = find_socket(poller.simulated, token.handle, refusal);
    if (socket == nullptr) return error_on(Call::open, refusal, token);
    if (find_watcher(*socket, &poller) != nullptr) return error_on(Call::open, -EEXIST, token);
    void* block = poller.simulated.blocks.take(sizeof(Registration));
    if (block == nullptr) return error_on(Call::open, -ENOMEM, token);
    auto* registration = new (block) Registration(poller, *socket, token);
    socket->watchers.push_back(*registration);
    poller.members.push_back(*registration);
    if (readiness(*socket).any()) has_news(*registration);
    return {};
}

bool direction_ready(const Readiness& ready, Direction direction) {
    const bool either = ready.error || ready.hang_up;
    return either || (direction == Direction::read ? ready.readable || ready.read_closed : ready.writable);
}

Result<void> arm(Poller& base, Token token, Direction direction) {
    SimulatedPoller& poller = self_of(base);
    Registration* registration = find_registration(poller, token);
    if (registration == nullptr) return error_on(Call::start, -ENOENT, token);
    if (poller.simulated.chance(poller.simulated.faults.spurious_readiness))
        registration->spurious = registration->spurious |
                                 (direction == Direction::read ? EventBits::readable : EventBits::writable);
    if (registration->spurious != EventBits{} || direction_ready(readiness(registration->socket), direction))
        has_news(*registration);
    return {};
}

Result<void> remove(Poller& base, Token token) {
    Registration* registration = find_registration(self_of(base), token);
    if (registration == nullptr) return error_on(Call::close, -ENOENT, token);
    forget(*registration);
    return {};
}

/// What is true of it now; nothing may be.
EventBits take_events(Registration& registration) {
    const Readiness ready = readiness(registration.socket);
    EventBits what = std::exchange(registration.spurious, EventBits{});
    if (ready.readable) what = what | EventBits::readable;
    if (ready.writable) what = what | EventBits::writable;
    if (ready.hang_up || ready.read_closed) what = what | EventBits::hang_up;
    if (ready.error) what = what | EventBits::error;
    return what;
}

void shuffle(SimulatedKernel& kernel, std::span<PollerEvent> events) {
    for (std::size_t left = events.size(); left > 1; --left)
        std::swap(events[left - 1], events[kernel.random.below(left)]);
}

struct Batch {
    SimulatedPoller& poller;
    std::span<PollerEvent> events;
    std::size_t count = 0;

    static bool collect(void* context) {
        auto& batch = *static_cast<Batch*>(context);
        while (batch.count < batch.events.size()) {
            Registration* registration = batch.poller.news.pop_front();
            if (registration == nullptr) break;
            if (const EventBits what = take_events(*registration); what != EventBits{})
                batch.events[batch.count++] = {registration->token, what};
        }
        return batch.count > 0;
    }
};

Result<std::size_t> wait(Poller& base, std::span<PollerEvent> events, std::int64_t timeout_ns) {
    SimulatedPoller& poller = self_of(base);
    SimulatedKernel& kernel = poller.simulated;
    const std::int64_t began_ns = kernel.now_ns;
    Batch batch{poller, events};
    const WaitEnd end = wait_on_virtual_clock(kernel, &poller.signal, timeout_ns, Batch::collect, &batch);
    const std::span<PollerEvent> found = events.first(batch.count);
    if (kernel.chance(kernel.faults.out_of_order_events)) shuffle(kernel, found);
    for (const PollerEvent& event : found) {
        kernel.digest.add(event.token.handle);
        kernel.digest.add(static_cast<std::int64_t>(event.what));
    }
    const std::intptr_t answer = end == WaitEnd::deadlock      ? -EDEADLK
                                 : end == WaitEnd::interrupted ? -EINTR
                                                               : static_cast<std::intptr_t>(batch.count);
    note_wait(kernel, began_ns, timeout_ns, events.size(), answer);
    if (end == WaitEnd::deadlock) return deadlock_error();
    return batch.count;
}

void wake(Poller& base) { self_of(base).signal.give(); }

void close(Poller& base) {
    SimulatedPoller& poller = self_of(base);
    while (Registration* registration = poller.members.first()) forget(*registration);
    --poller.simulated.open_ports;
    poller.~SimulatedPoller();
    release(&poller);
}

constexpr PollerType poller_type = {
    .name = "simulated",
    .add = add,
    .arm = arm,
    .remove = remove,
    .wait = wait,
    .wake = wake,
    .close = close,
};

}  // namespace
}  // namespace simulated::poller

Result<Poller*> open_simulated_poller(SimulatedKernel& kernel, Kernel& door) {
    void* block = allocate(sizeof(simulated::poller::SimulatedPoller));
    if (block == nullptr) return Error(ErrorKind::out_of_memory, Call::allocate);
    auto* poller = new (block) simulated::poller::SimulatedPoller(kernel);
    poller->type = &simulated::poller::poller_type;
    poller->kernel = &door;
    ++kernel.open_ports;
    return poller;
}

}  // namespace pollard
