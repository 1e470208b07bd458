// Files, through the door.
#include "platform/file.h"

#include "platform/kernel.h"
#include "platform/system_sockets.h"

namespace pollard {

namespace {

int flags_of(const FileOptions& options) {
    int flags = O_RDONLY;
    if (options.access == FileAccess::write) flags = O_WRONLY;
    if (options.access == FileAccess::read_write) flags = O_RDWR;
    if (options.create) flags |= O_CREAT;
    if (options.must_be_new) flags |= O_EXCL;
    if (options.truncate) flags |= O_TRUNC;
    return flags;
}

}  // namespace

Result<Handle> open_file(Kernel& kernel, const char* path, const FileOptions& options) {
    // Left open by POSIX: what would become of the file.
    if (options.truncate && options.access == FileAccess::read)
        return Error(ErrorKind::invalid_argument, Call::open_file).on(path);
    std::intptr_t opened;
    do opened = kernel.open_file(kernel, path, flags_of(options));
    while (opened == -EINTR);
    if (opened < 0) return error_of(Call::open_file, opened).on(path);
    return static_cast<Handle>(opened);
}

}  // namespace pollard
