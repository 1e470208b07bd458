// Opening files.
//
// What is done on an open file are operations (`read_at`, `write_at`: platform/operation.h). Opening one is a plain call:
// no kernel here has another that every system shares, and it is seldom what takes long.
//
// Read next: core/io/file.h, which makes it something to await.
#pragma once

#include <cstdint>

#include "platform/handle.h"
#include "platform/result.h"

namespace pollard {

struct Kernel;

enum class FileAccess : std::uint8_t { read, write, read_write };

struct FileOptions {
    FileAccess access = FileAccess::read;
    /// A file that is not there yet comes into being, empty.
    bool create = false;
    /// What is in it goes.
    bool truncate = false;
};

/// A regular file, closed on exec, ready to be opened on a port as HandleKind::file. The caller owns it. May wait for the
/// disk. Errors name the path: not_found, permission_denied, descriptors_exhausted, not_supported on the simulated
/// kernel. open(2).
Result<Handle> open_file(Kernel& kernel, const char* path, const FileOptions& options = {});

}  // namespace pollard
