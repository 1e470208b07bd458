// Opening a demo's loop with the observers that its options ask for, and ending it with the right exit code.
#include "demos/demo_loop.h"

#include <cstdlib>
#include <string_view>

#include "core/await_graph.h"
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
    handle_.emplace(loop.handle());
    print_tree_on_quit_key();
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
    on_interrupt([](void* handle) { static_cast<LoopHandle*>(handle)->stop(); }, &*handle_);
}

void DemoLoop::print_tree_on_quit_key() {
    static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler must not wait for a lock");
    on_quit_key(ask_for_tree, this);
}

/// The tree cannot be drawn here: the signal may have come while the loop changed a list. So the loop is asked to call
/// back, between two turns of its own. While that call is on its way, asking again adds nothing.
void DemoLoop::ask_for_tree(void* self) {
    auto& demo = *static_cast<DemoLoop*>(self);
    if (!demo.asked_.exchange(true)) demo.handle_->call_soon_threadsafe(demo.answer_);
}

void DemoLoop::answer(void* self) {
    auto& demo = *static_cast<DemoLoop*>(self);
    demo.asked_.store(false);
    print_tree(demo.loop, stderr);
}

bool DemoLoop::simulated() const { return begins_with(loop.kernel_name(), "simulated"); }

DemoLoop::~DemoLoop() {
    if (handle_) on_quit_key(nullptr, nullptr);
    current_observer = nullptr;
}

}  // namespace pollard
