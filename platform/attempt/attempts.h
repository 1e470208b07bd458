// One attempt at an operation: the system call itself, and what its answer means.
#pragma once

#include <cstdint>

#include "platform/completion_port.h"
#include "platform/operation.h"
#include "platform/poller.h"

namespace pollard {

enum class AttemptOutcome : std::uint8_t {
    answered,          // operation.answer is set
    would_block,       // ask the poller
    waits_for_buffer,  // the operation stands in the pool's line
};

struct Attempt {
    AttemptOutcome outcome;
    /// The direction has nothing more now: a further call would block until the next event.
    bool drained = false;
};

constexpr Direction direction_of(OperationKind kind) {
    return kind == OperationKind::send || kind == OperationKind::send_all || kind == OperationKind::connect ||
                   kind == OperationKind::writable
               ? Direction::write
               : Direction::read;
}

/// Makes the call, again after an interruption by a signal. `short_means_empty`: a short receive proves that
/// nothing is left.
Attempt attempt(CompletionPort& port, Operation& operation, bool short_means_empty);

}  // namespace pollard
