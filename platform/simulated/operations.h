// Operations as the simulated kernel itself carries them out, for the port that speaks completion natively.
#pragma once

#include <optional>

#include "platform/operation.h"
#include "platform/simulated/socket.h"

namespace pollard::simulated {

/// The answer, or nothing when the operation must wait: for the socket, or, when it stands in the line of
/// `buffers` afterwards, for a buffer. A send_all that must wait has noted in itself how much is left. Not
/// for close.
std::optional<std::intptr_t> try_operation(SimulatedKernel&, Socket&, Operation&, BufferPool& buffers);

}  // namespace pollard::simulated
