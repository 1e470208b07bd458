// The list of backends, from one line each in platform/meson.build.
#include "platform/backend.h"

#include "platform/backends.inc"

namespace pollard {

#define POLLARD_BACKEND(name) extern const Backend name##_backend;
POLLARD_BACKENDS
#undef POLLARD_BACKEND

namespace {
#define POLLARD_BACKEND(name) &name##_backend,
constexpr const Backend* backends[] = {POLLARD_BACKENDS};
#undef POLLARD_BACKEND
}  // namespace

std::span<const Backend* const> all_backends() { return backends; }

const Backend* find_backend(std::string_view name) {
    for (const Backend* backend : backends)
        if (name == backend->name) return backend;
    return nullptr;
}

const Backend& default_backend() { return *backends[0]; }

}  // namespace pollard
