// One template writes every function of the table: it notes the arguments, asks `before`, calls, tells
// `after`.
#include "platform/interposed_kernel.h"

#include <ctime>
#include <type_traits>

#include "platform/clock.h"
#include "platform/observer.h"

namespace pollard {

namespace {

/// Of a time-out; null is for ever, -1.
std::int64_t nanoseconds_of(const timespec* timeout) {
    return timeout == nullptr ? -1 : timeout->tv_sec * second_ns + timeout->tv_nsec;
}

/// A call whose only point is to wake: it may come out of a signal handler, where an observer could not print.
bool may_be_wake(const KernelCall& call) {
    const bool has_no_room_for_events = call.argument[1] == 0;
    return call.call == Call::write || (call.call == Call::kevent && has_no_room_for_events);
}

/// Sorts the arguments of a call into the fields of KernelCall by their types.
struct ArgumentCollector {
    KernelCall& call;
    bool handle_seen;
    int next_argument = 0;

    template <class T>
    void note(T argument) {
        if constexpr (std::is_pointer_v<T>) {
            if constexpr (std::is_same_v<T, const timespec*>)
                call.argument[next_argument++] = nanoseconds_of(argument);
            else if constexpr (!std::is_same_v<T, unsigned*> && !std::is_same_v<T, _OVERLAPPED*>)
                call.bytes = call.bytes != nullptr ? call.bytes : argument;
        } else if constexpr (std::is_same_v<T, std::size_t>) {
            call.size = argument;
        } else if (std::is_same_v<T, Handle> && !handle_seen) {
            call.handle = static_cast<Handle>(argument);
            handle_seen = true;
        } else {
            call.argument[next_argument++] = static_cast<std::int64_t>(argument);
        }
    }
};

constexpr bool begins_with_handle(Call call) {
    return call != Call::socket && call != Call::poll && call != Call::epoll_create &&
           call != Call::eventfd && call != Call::pipe && call != Call::io_uring_setup &&
           call != Call::kqueue && call != Call::open_file && call != Call::clock &&
           call != Call::iocp_create && call != Call::afd_open;
}

template <Call which, auto member>
struct Through;

template <Call which, class R, class... Arguments, R (*Kernel::*member)(Kernel&, Arguments...)>
struct Through<which, member> {
    static R call(Kernel& self, Arguments... arguments) {
        auto& interposed = static_cast<InterposedKernel&>(self);
        Kernel& inner = *interposed.inner;
        KernelCall seen = {.call = which,
                           .handle = no_handle,
                           .bytes = nullptr,
                           .size = 0,
                           .argument = {},
                           .result = 0,
                           .began_ns = 0,
                           .ended_ns = 0};
        [[maybe_unused]] ArgumentCollector collector{seen, !begins_with_handle(which)};
        (collector.note(arguments), ...);
        const bool timed = interposed.after != nullptr && which != Call::clock;
        if (timed) seen.began_ns = inner.clock(inner);
        std::optional<std::intptr_t> answered;
        if (interposed.before != nullptr) answered = interposed.before(interposed, seen);
        seen.result = answered ? *answered : static_cast<std::intptr_t>((inner.*member)(inner, arguments...));
        if (timed) seen.ended_ns = inner.clock(inner);
        if (interposed.after != nullptr) interposed.after(interposed, seen);
        return static_cast<R>(seen.result);
    }
};

constexpr Kernel through_table = {
    .socket = Through<Call::socket, &Kernel::socket>::call,
    .bind = Through<Call::bind, &Kernel::bind>::call,
    .listen = Through<Call::listen, &Kernel::listen>::call,
    .accept = Through<Call::accept, &Kernel::accept>::call,
    .connect = Through<Call::connect, &Kernel::connect>::call,
    .recv = Through<Call::recv, &Kernel::recv>::call,
    .send = Through<Call::send, &Kernel::send>::call,
    .shutdown = Through<Call::shutdown, &Kernel::shutdown>::call,
    .getsockopt = Through<Call::getsockopt, &Kernel::getsockopt>::call,
    .setsockopt = Through<Call::setsockopt, &Kernel::setsockopt>::call,
    .getsockname = Through<Call::getsockname, &Kernel::getsockname>::call,
    .getpeername = Through<Call::getpeername, &Kernel::getpeername>::call,
    .close = Through<Call::close, &Kernel::close>::call,
    .poll = Through<Call::poll, &Kernel::poll>::call,
    .epoll_create = Through<Call::epoll_create, &Kernel::epoll_create>::call,
    .epoll_ctl = Through<Call::epoll_ctl, &Kernel::epoll_ctl>::call,
    .epoll_wait = Through<Call::epoll_wait, &Kernel::epoll_wait>::call,
    .eventfd = Through<Call::eventfd, &Kernel::eventfd>::call,
    .pipe = Through<Call::pipe, &Kernel::pipe>::call,
    .io_uring_setup = Through<Call::io_uring_setup, &Kernel::io_uring_setup>::call,
    .io_uring_enter = Through<Call::io_uring_enter, &Kernel::io_uring_enter>::call,
    .io_uring_register = Through<Call::io_uring_register, &Kernel::io_uring_register>::call,
    .mmap = Through<Call::mmap, &Kernel::mmap>::call,
    .munmap = Through<Call::munmap, &Kernel::munmap>::call,
    .kqueue = Through<Call::kqueue, &Kernel::kqueue>::call,
    .kevent = Through<Call::kevent, &Kernel::kevent>::call,
    .read = Through<Call::read, &Kernel::read>::call,
    .write = Through<Call::write, &Kernel::write>::call,
    .open_file = Through<Call::open_file, &Kernel::open_file>::call,
    .pread = Through<Call::pread, &Kernel::pread>::call,
    .pwrite = Through<Call::pwrite, &Kernel::pwrite>::call,
    .clock = Through<Call::clock, &Kernel::clock>::call,
#ifdef _WIN32
    .iocp_create = Through<Call::iocp_create, &Kernel::iocp_create>::call,
    .iocp_add = Through<Call::iocp_add, &Kernel::iocp_add>::call,
    .iocp_wait = Through<Call::iocp_wait, &Kernel::iocp_wait>::call,
    .iocp_post = Through<Call::iocp_post, &Kernel::iocp_post>::call,
    .accept_ex = Through<Call::accept_ex, &Kernel::accept_ex>::call,
    .connect_ex = Through<Call::connect_ex, &Kernel::connect_ex>::call,
    .wsa_recv = Through<Call::wsa_recv, &Kernel::wsa_recv>::call,
    .wsa_send = Through<Call::wsa_send, &Kernel::wsa_send>::call,
    .read_file = Through<Call::read_file, &Kernel::read_file>::call,
    .write_file = Through<Call::write_file, &Kernel::write_file>::call,
    .cancel_io = Through<Call::cancel_io, &Kernel::cancel_io>::call,
    .afd_open = Through<Call::afd_open, &Kernel::afd_open>::call,
    .afd_poll = Through<Call::afd_poll, &Kernel::afd_poll>::call,
#endif
};

}  // namespace

InterposedKernel::InterposedKernel() : Kernel(through_table) {}
InterposedKernel::InterposedKernel(Kernel& behind) : Kernel(through_table), inner(&behind) {}
InterposedKernel::InterposedKernel(InterposedKernel& behind)
    : Kernel(through_table), inner(&behind), interposed_behind(&behind) {}

Kernel& put_in_front(InterposedKernel* chain, Kernel& own) {
    if (chain == nullptr) return own;
    InterposedKernel* last = chain;
    while (last->interposed_behind != nullptr) last = last->interposed_behind;
    last->inner = &own;
    return *chain;
}

ObservedKernel::ObservedKernel() {
    after = [](InterposedKernel&, const KernelCall& call) {
        const bool told = call.call != Call::clock && !may_be_wake(call);
        if (told && current_observer != nullptr) current_observer->kernel_called(*current_observer, call);
    };
}

CountingKernel::CountingKernel() {
    after = [](InterposedKernel& self, const KernelCall& call) {
        ++static_cast<CountingKernel&>(self).counts[static_cast<std::size_t>(call.call)];
    };
}

std::uint64_t CountingKernel::total() const {
    std::uint64_t sum = 0;
    for (std::size_t call = 0; call < call_count; ++call)
        if (call != static_cast<std::size_t>(Call::clock)) sum += counts[call];
    return sum;
}

void CountingKernel::reset() {
    for (std::uint64_t& count : counts) count = 0;
}

FailingKernel::FailingKernel() {
    before = [](InterposedKernel& self, const KernelCall& call) -> std::optional<std::intptr_t> {
        auto& failing = static_cast<FailingKernel&>(self);
        Plan& plan = failing.plans[static_cast<std::size_t>(call.call)];
        if (plan.failures == 0) return std::nullopt;
        if (plan.passes > 0) {
            --plan.passes;
            return std::nullopt;
        }
        --plan.failures;
        ++failing.failed;
        return -static_cast<std::intptr_t>(plan.code);
    };
}

void FailingKernel::fail(Call call, std::int32_t code, std::uint64_t passes, std::uint64_t failures) {
    plans[static_cast<std::size_t>(call)] = {.code = code, .passes = passes, .failures = failures};
}

}  // namespace pollard
