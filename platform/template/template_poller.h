// A Poller to be written: where a port to a kernel of readiness starts. What is to do: template_poller.cc.
#pragma once

#include "platform/backend.h"
#include "platform/poller.h"

namespace pollard {

/// Error not_supported, until it is written.
Result<Poller*> open_template_poller(Kernel& kernel);

/// Its functions, each of which answers not_supported and says what to write.
extern const PollerType template_poller_type;

/// What platform/meson.build would name in its list of backends.
extern const Backend template_backend;

}  // namespace pollard
