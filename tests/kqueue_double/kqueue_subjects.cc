// The kqueue backend as a subject of both suites, on the double.
//
//      kqueue                as on FreeBSD: woken by EVFILT_USER
//      kqueue_netbsd         as on an older NetBSD, which has none: woken by a descriptor
//      .._old_kernel         the header may know EVFILT_USER, the kernel does not
//      .._moody              spurious events, out of order, with bits in their flags that mean nothing
#include <sys/event.h>

#include "platform/backend.h"
#include "platform/kqueue/kqueue_poller.h"
#include "tests/conformance/completion_port_conformance.h"
#include "tests/conformance/poller_conformance.h"
#include "tests/kqueue_double/kqueue_double.h"

#ifdef EVFILT_USER
#define KQUEUE "kqueue"
#else
#define KQUEUE "kqueue_netbsd"
#endif

namespace pollard::conformance {

namespace {

using kqueue_double::Misfortune;
using kqueue_double::Profile;

#ifdef EVFILT_USER
constexpr Call wakes_by = Call::kevent;
#else
constexpr Call wakes_by = Call::write;
#endif

void prepare(const Misfortune& misfortune, const Profile& profile = kqueue_double::this_system) {
    kqueue_double::reset();
    kqueue_double::misfortune = misfortune;
    kqueue_double::profile = profile;
}

constexpr Misfortune none;
constexpr Misfortune moods = {.spurious_per_mille = 300, .shuffles = true, .litters_flags = true};

Result<Poller*> open_kqueue(World& world) {
    prepare(none);
    return open_kqueue_poller(world.failing);
}
Result<Poller*> open_kqueue_on_old_kernel(World& world) {
    prepare(none, kqueue_double::netbsd);
    return open_kqueue_poller(world.failing);
}
Result<Poller*> open_kqueue_moody(World& world) {
    prepare(moods);
    return open_kqueue_poller(world.failing);
}

template <const Misfortune& misfortune>
constexpr Backend kqueue_with = {.name = "kqueue",
                                 .native_contract = "readiness",
                                 .why_unavailable = []() -> const char* { return nullptr; },
                                 .open =
                                     [](const PortOptions& options) {
                                         prepare(misfortune);
                                         return find_backend("kqueue")->open(options);
                                     }};

constexpr PollerSubject poller_subject(const char* name, Result<Poller*> (*open)(World&), Call wakes) {
    return {.name = name, .open = open, .waits_by = Call::kevent, .wakes_by = wakes, .has_duplicates = true};
}
constexpr PollerSubject pollers[] = {
    poller_subject(KQUEUE, open_kqueue, wakes_by),
    poller_subject(KQUEUE "_old_kernel", open_kqueue_on_old_kernel, Call::write),
    poller_subject(KQUEUE "_moody", open_kqueue_moody, wakes_by),
};

constexpr PortSubject port_subject(const char* name, const Backend& backend) {
    return {.name = name,
            .backend = "kqueue",
            .has_datagrams = true,
            .watches_by = Call::kevent,
            .waits_by = Call::kevent,
            .own = &backend};
}
constexpr PortSubject ports[] = {
    port_subject(KQUEUE, kqueue_with<none>),
    port_subject(KQUEUE "_moody", kqueue_with<moods>),
};

}  // namespace

std::span<const PollerSubject> tested_pollers() { return pollers; }
std::span<const PortSubject> tested_ports() { return ports; }

}  // namespace pollard::conformance
