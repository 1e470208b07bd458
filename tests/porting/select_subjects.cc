// select(2) as a subject of both suites. Its lines stand here and not in the suites' lists: it is no backend.
#include "platform/attempt/attempt_port.h"
#include "tests/conformance/completion_port_conformance.h"
#include "tests/conformance/poller_conformance.h"
#include "tests/porting/select_poller.h"

namespace pollard::conformance {

namespace {

/// The call with a look at what the test has planned for it, under the name of poll(2): the door has no select.
std::intptr_t failing_select(Kernel& kernel, int count, fd_set* reading, fd_set* writing, fd_set* urgent,
                             timeval* timeout) {
    auto& failing = static_cast<FailingKernel&>(kernel);
    const KernelCall call = {.call = Call::poll, .handle = no_handle};
    if (const std::optional<std::intptr_t> answer = failing.before(failing, call)) return *answer;
    return real_select(kernel, count, reading, writing, urgent, timeout);
}

const Backend failing_backend = {
    .name = "select",
    .native_contract = "readiness",
    .why_unavailable = select_backend.why_unavailable,
    .open =
        [](const PortOptions& options) {
            return open_attempt_port(
                open_select_poller(put_in_front(options.in_front, system_kernel()), failing_select));
        },
};

constexpr PollerSubject pollers[] = {
    {.name = "select",
     .open = [](World& world) { return open_select_poller(world.failing, failing_select); },
     .waits_by = Call::poll,
     .wakes_by = Call::write,
     .has_files = true,
     .has_duplicates = true,
     .has_urgent_data = true,
     .watches_files = true,
     .tells_the_end = false},
};

const PortSubject ports[] = {
    {.name = "select",
     .backend = "select",
     .has_urgent_data = true,
     .has_datagrams = true,
     .watches_by = Call::poll,
     .waits_by = Call::poll,
     .most_handles = FD_SETSIZE,
     .own = &failing_backend},
};

}  // namespace

std::span<const PollerSubject> tested_pollers() { return pollers; }
std::span<const PortSubject> tested_ports() { return ports; }

}  // namespace pollard::conformance
