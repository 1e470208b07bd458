// Backends: which kernels this build knows, by name.
//
// `find_backend("epoll")->open(options)` gives a completion port. The list is made by platform/meson.build
// from one line a backend, so a new kernel is one folder and one line there, and nothing here.
//
//      epoll                  Linux, readiness, through the attempt adapter
//      kqueue                 macOS and the BSDs, readiness, through the attempt adapter
//      io_uring               Linux, completion
//      poll                   any Unix, readiness, through the attempt adapter
//      iocp                   Windows, completion
//      afd                    Windows, readiness, through the attempt adapter
//      simulated              a kernel in memory, readiness, through the attempt adapter
//      simulated_completion   the same kernel in memory, speaking completion natively
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "platform/completion_port.h"
#include "platform/result.h"

namespace pollard {

struct InterposedKernel;
struct SimulatedKernel;

struct PortOptions {
    /// Put in front of the backend's own kernel (see put_in_front); null: nothing.
    InterposedKernel* in_front = nullptr;
    /// Simulated backends: the kernel to use. Null: one of its own, made from `seed`, that goes with the
    /// port.
    SimulatedKernel* simulated = nullptr;
    std::uint64_t seed = 1;
};

struct Backend {
    const char* name;
    const char* native_contract;  // "readiness" or "completion"
    /// Null when this machine has it; else a sentence that says what is missing.
    const char* (*why_unavailable)();
    /// The caller ends it with port->destroy().
    Result<CompletionPort*> (*open)(const PortOptions& options);
};

std::span<const Backend* const> all_backends();
/// Null when no backend of this build has that name.
const Backend* find_backend(std::string_view name);
/// The native one of this system; what a loop uses when nothing is asked for.
const Backend& default_backend();

}  // namespace pollard
