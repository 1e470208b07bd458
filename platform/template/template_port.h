// A CompletionPort to be written: where a port to a kernel of completion starts. What is to do: template_port.cc.
#pragma once

#include "platform/backend.h"
#include "platform/completion_port.h"

namespace pollard {

/// Error not_supported, until it is written.
Result<CompletionPort*> open_template_port(Kernel& kernel);

/// Its functions, each of which answers not_supported and says what to write.
extern const CompletionPortType template_port_type;

/// What platform/meson.build would name in its list of backends.
extern const Backend template_port_backend;

}  // namespace pollard
