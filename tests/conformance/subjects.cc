// Whom the suites test in this build: the lists in their headers, and every backend that no list names.
//
// The suites themselves are libraries that know no subject, so that a kernel which is not in the library's list can
// bring its own: see tests/porting/.
#include <algorithm>

#include "tests/conformance/completion_port_conformance.h"
#include "tests/conformance/poller_conformance.h"

namespace pollard::conformance {

std::span<const PollerSubject> tested_pollers() { return poller_subjects; }

std::span<const PortSubject> tested_ports() {
    static const std::vector<PortSubject> all = [] {
        std::vector<PortSubject> subjects(std::begin(port_subjects), std::end(port_subjects));
        for (const Backend* backend : all_backends()) {
            const auto named = [backend](const PortSubject& subject) {
                return std::string_view(subject.backend) == backend->name;
            };
            if (std::ranges::none_of(port_subjects, named))
                subjects.push_back({.name = backend->name, .backend = backend->name});
        }
        return subjects;
    }();
    return all;
}

}  // namespace pollard::conformance
