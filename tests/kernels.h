// The kernels that a test of the loop runs on: all that this build has and this machine can run.
#pragma once

#include <string_view>
#include <vector>

#include "platform/backend.h"

namespace pollard {

inline std::vector<const char*> kernels_here() {
    std::vector<const char*> names;
    for (const Backend* backend : all_backends())
        if (backend->why_unavailable() == nullptr) names.push_back(backend->name);
    return names;
}

inline bool is_simulated(std::string_view kernel) { return kernel.starts_with("simulated"); }

}  // namespace pollard
