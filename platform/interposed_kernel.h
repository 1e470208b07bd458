// A kernel in front of another: sees every call, may answer in its place.
//
// Three values of it are used: ObservedKernel tells the observer of each call, CountingKernel counts calls by
// name, FailingKernel makes chosen calls fail. They can be stacked.
//
//      port -> [ FailingKernel ] -> [ CountingKernel ] -> system_kernel()
#pragma once

#include <cstdint>
#include <optional>

#include "platform/kernel.h"

namespace pollard {

struct InterposedKernel : Kernel {
    /// Without a kernel behind it: one is given by put_in_front.
    InterposedKernel();
    explicit InterposedKernel(Kernel& behind);
    /// Stacked: this one sees a call before `behind` does.
    explicit InterposedKernel(InterposedKernel& behind);
    InterposedKernel(const InterposedKernel&) = delete;

    Kernel* inner = nullptr;
    InterposedKernel* interposed_behind = nullptr;
    /// May answer instead of the inner kernel. `call.result` is not set yet. Null: every call goes through.
    std::optional<std::intptr_t> (*before)(InterposedKernel&, const KernelCall& call) = nullptr;
    /// Sees the finished call. Null: nobody looks.
    void (*after)(InterposedKernel&, const KernelCall& call) = nullptr;
};

/// The door to use for a kernel `own` that may get a chain of interposed ones in front: sets the last one's
/// `inner` and gives the first; `own` itself when the chain is null.
Kernel& put_in_front(InterposedKernel* chain, Kernel& own);

/// Tells the thread's observer of each call, except clock readings and those that may be wakes, out of a signal
/// handler: writes, and kevents without room for events.
struct ObservedKernel : InterposedKernel {
    ObservedKernel();
    explicit ObservedKernel(Kernel& behind) : ObservedKernel() { inner = &behind; }
    explicit ObservedKernel(InterposedKernel& behind) : ObservedKernel(static_cast<Kernel&>(behind)) {
        interposed_behind = &behind;
    }
};

struct CountingKernel : InterposedKernel {
    CountingKernel();
    explicit CountingKernel(Kernel& behind) : CountingKernel() { inner = &behind; }
    explicit CountingKernel(InterposedKernel& behind) : CountingKernel(static_cast<Kernel&>(behind)) {
        interposed_behind = &behind;
    }

    std::uint64_t of(Call call) const { return counts[static_cast<std::size_t>(call)]; }
    /// All but clock readings, which are no system call on most machines (vDSO).
    std::uint64_t total() const;
    void reset();

    std::uint64_t counts[call_count] = {};
};

/// Makes calls fail: the n-th of one name from now on, or every one while switched on.
struct FailingKernel : InterposedKernel {
    FailingKernel();
    explicit FailingKernel(Kernel& behind) : FailingKernel() { inner = &behind; }
    explicit FailingKernel(InterposedKernel& behind) : FailingKernel(static_cast<Kernel&>(behind)) {
        interposed_behind = &behind;
    }

    /// Lets `passes` calls of this name through, then fails `failures` of them with this errno (positive).
    void fail(Call call, std::int32_t code, std::uint64_t passes = 0, std::uint64_t failures = 1);

    struct Plan {
        std::int32_t code = 0;
        std::uint64_t passes = 0;
        std::uint64_t failures = 0;
    };
    Plan plans[call_count] = {};
    std::uint64_t failed = 0;
};

}  // namespace pollard
