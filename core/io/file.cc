// Opening files on a loop.
#include "core/io/file.h"

namespace pollard {

Result<File> open_file(EventLoop& loop, const char* path, const FileOptions& options) {
    CompletionPort& port = loop.port();
    const Result<Handle> handle = open_file(*port.kernel, path, options);
    if (!handle) return handle.error();
    if (const Result<void> opened = open_or_close(port, *handle, HandleKind::file); !opened)
        return opened.error();
    return File(port, *handle);
}

}  // namespace pollard
