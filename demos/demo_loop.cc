// Opening a demo's loop with the observers that its options ask for, and ending it with the right exit code.
#include "demos/demo_loop.h"

#include <cstdlib>
#include <string_view>

#include "platform/interrupt.h"

namespace pollard {

namespace {
Text names_of_kernels() {
    Text names;
    for (const Backend* backend : all_backends())
        if (backend->why_unavailable() == nullptr)
            names.add("%s%s", names.size == 0 ? "" : ", ", backend->name);
    return names;
}
}  // namespace

int DemoLoop::open() {
    if (kernel == nullptr) kernel = std::getenv("POLLARD_KERNEL");
    if (kernel == nullptr) kernel = default_backend().name;
    const Backend* backend = find_backend(kernel);
    if (backend == nullptr)
        return usage_error("unknown kernel %s; this machine has: %s", kernel, names_of_kernels().c_str());
    if (const char* why = backend->why_unavailable(); why != nullptr)
        return fail("kernel %s: %s; this machine has: %s", kernel, why, names_of_kernels().c_str());
    LoopOptions options = {.kernel = kernel};
    if (trace_file != nullptr) {
        if (const Result<void> opened = trace.open(trace_file); !opened)
            return fail("cannot write the trace: %s", describe(opened.error()).c_str());
        watchers.add(trace);
    }
    if (explain) watchers.add(narration);
    if (explain || trace_file != nullptr) {
        current_observer = &watchers;
        options.port.in_front = &observed;
    }
    if (const Result<void> opened = loop.open(options); !opened)
        return fail("cannot open a loop on %s: %s", kernel, describe(opened.error()).c_str());
    return -1;
}

int DemoLoop::finish(const Error& error) {
    const Result<void> closed = loop.close();
    current_observer = nullptr;
    const Result<void> traced = trace_file != nullptr ? trace.close() : Result<void>();
    if (error.kind != ErrorKind::none && !(error.kind == ErrorKind::stopped && interrupt_came()))
        return fail("%s", describe(error).c_str());
    if (!closed) return fail("%s", describe(closed.error()).c_str());
    if (!traced) return fail("cannot write the trace: %s", describe(traced.error()).c_str());
    return 0;
}

void DemoLoop::stop_on_interrupt() {
    handle_.emplace(loop.handle());
    on_interrupt([](void* handle) { static_cast<LoopHandle*>(handle)->stop(); }, &*handle_);
}

bool DemoLoop::simulated() const { return begins_with(loop.kernel_name(), "simulated"); }

DemoLoop::~DemoLoop() { current_observer = nullptr; }

}  // namespace pollard
