// The template as a subject of both suites.
//
// It must fail every test, each with one of its sentences. They come as problems; an observer makes failures of them,
// so that they stand in the report of the test. As it stands it fails where it is opened. So that its other sentences
// are seen too, the poller is a second subject, "opened", on an object of this file's; and one test calls each function
// of the port.
#include "platform/observer.h"
#include "platform/template/template_poller.h"
#include "platform/template/template_port.h"
#include "tests/conformance/completion_port_conformance.h"
#include "tests/conformance/poller_conformance.h"

namespace pollard::conformance {

namespace {

Observer problems_are_failures;

void watch_problems() {
    problems_are_failures.problem = [](Observer&, const char* sentence, const Error& error) {
        ADD_FAILURE() << sentence << " (" << describe(error).c_str() << ")";
    };
    current_observer = &problems_are_failures;
}

Poller opened_poller;

Poller* open_poller(Kernel& kernel) {
    watch_problems();
    opened_poller.type = &template_poller_type;
    opened_poller.kernel = &kernel;
    return &opened_poller;
}

const Backend watched_template = {
    .name = "template",
    .native_contract = "readiness",
    .why_unavailable = template_backend.why_unavailable,
    .open =
        [](const PortOptions& options) {
            watch_problems();
            return template_backend.open(options);
        },
};
const Backend watched_template_port = {
    .name = "template_port",
    .native_contract = "completion",
    .why_unavailable = template_port_backend.why_unavailable,
    .open =
        [](const PortOptions& options) {
            watch_problems();
            return template_port_backend.open(options);
        },
};
constexpr PollerSubject pollers[] = {
    {.name = "template",
     .open =
         [](World& world) {
             watch_problems();
             return open_template_poller(world.failing);
         }},
    {.name = "template_opened",
     .open = [](World& world) -> Result<Poller*> { return open_poller(world.failing); }},
};

const PortSubject ports[] = {
    {.name = "template", .backend = "template", .own = &watched_template},
    {.name = "template_port", .backend = "template_port", .own = &watched_template_port},
};

}  // namespace

// It fails as well as all others: each call is a failure, and nothing else would be.
TEST(TemplatePort, CallsEachOfItsFunctions) {
    World world{{}};
    watch_problems();
    CompletionPort port;
    port.type = &template_port_type;
    port.kernel = &world.failing;
    EXPECT_EQ(kind_of(port.open(0, HandleKind::stream)), ErrorKind::not_supported);
    for (std::size_t kind = 0; kind < operation_kinds; ++kind) {
        Operation operation(static_cast<OperationKind>(kind), 0);
        ASSERT_TRUE(port.start(operation));
        EXPECT_EQ(operation.error().kind, ErrorKind::not_supported);
        port.cancel(operation);
    }
    WorkList ready;
    EXPECT_EQ(kind_of(port.wait(0, ready)), ErrorKind::not_supported);
    port.wake();
    port.discard(0);
    port.destroy();
    world.expect_nothing_left();
}

std::span<const PollerSubject> tested_pollers() { return pollers; }
std::span<const PortSubject> tested_ports() { return ports; }

}  // namespace pollard::conformance
