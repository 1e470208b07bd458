// Where a frame stands and for what it waits, in a few words: what the narration and the timeline both say.
#pragma once

#include "core/frame.h"
#include "platform/result.h"

namespace pollard {

/// "reverse_server.cc:41"; the folder is left out.
Text describe_place(const Site& site);
/// "awaits peer.recv(bytes)"; of a compiler's coroutine "serve awaits recv on fd 7". Its site must be set.
Text describe_await(Frame& frame);

}  // namespace pollard
