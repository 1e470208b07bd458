// Opening files.
//
// What is done on an open file are operations (`read_at`, `write_at`: platform/operation.h). Opening one is a plain call:
// io_uring alone could do that, too, while others run.
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
    /// With `create`: it is an error that it is there already.
    bool must_be_new = false;
    /// What is in it goes. Not with FileAccess::read.
    bool truncate = false;
};

/// Closed on exec, ready to be opened on a port as HandleKind::file. The caller owns it. May wait for the disk. `path` is
/// that of a regular file: operations on anything else (a directory, a pipe; opening a FIFO waits for its other end) are
/// as the kernel likes. On Windows it is UTF-8 and at most MAX_PATH characters. Errors name it: not_found,
/// permission_denied, invalid_argument, descriptors_exhausted, not_supported on the simulated kernel. open(2).
Result<Handle> open_file(Kernel& kernel, const char* path, const FileOptions& options = {});

}  // namespace pollard
