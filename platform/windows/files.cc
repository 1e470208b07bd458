// Opening files so that a completion port can have them.
//
// What one would not guess: whether operations on a handle may be under way, or must be waited for in the call, is said
// when it is opened (FILE_FLAG_OVERLAPPED) and never again. And a file that one program has open is locked for all others,
// unless both say what they share; here everything is shared, as it is on other systems.
//
// Read next: platform/windows/overlapped_calls.cc, read_file.
#include "platform/windows/files.h"

#include <fcntl.h>

#include "platform/system_sockets.h"
#include "platform/windows/errors.h"

namespace pollard::windows {

namespace {

DWORD access_of(int flags) {
    switch (flags & (O_RDONLY | O_WRONLY | O_RDWR)) {
        case O_WRONLY:
            return GENERIC_WRITE;
        case O_RDWR:
            return GENERIC_READ | GENERIC_WRITE;
        default:
            return GENERIC_READ;
    }
}

DWORD disposition_of(int flags) {
    const bool truncates = (flags & O_TRUNC) != 0;
    if ((flags & O_EXCL) != 0) return CREATE_NEW;
    if ((flags & O_CREAT) != 0) return truncates ? CREATE_ALWAYS : OPEN_ALWAYS;
    return truncates ? TRUNCATE_EXISTING : OPEN_EXISTING;
}

}  // namespace

std::intptr_t open_file(Kernel&, const char* path, int flags) {
    wchar_t wide[MAX_PATH];
    if (::MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, MAX_PATH) == 0)
        return minus_last_error();
    constexpr DWORD shared = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    const HANDLE opened = ::CreateFileW(wide, access_of(flags), shared, nullptr, disposition_of(flags),
                                        FILE_ATTRIBUTE_NORMAL | FILE_FLAG_OVERLAPPED, nullptr);
    if (opened == INVALID_HANDLE_VALUE) return minus_last_error();
    return reinterpret_cast<std::intptr_t>(opened);
}

}  // namespace pollard::windows
