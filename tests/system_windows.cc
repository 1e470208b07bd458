// The tests' needs on Windows, which has fewer of these things.
#include "tests/system.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <io.h>
#include <signal.h>

#include <cstring>

namespace pollard::test_system {

std::size_t open_descriptors() {
    DWORD count = 0;
    return ::GetProcessHandleCount(::GetCurrentProcess(), &count) ? count : 0;
}

std::uint64_t limit_descriptors(unsigned) { return 0; }
void restore_descriptors(std::uint64_t) {}

Handle open_regular_file() {
    const HANDLE opened = ::CreateFileA("C:\\windows\\win.ini", GENERIC_READ, FILE_SHARE_READ, nullptr,
                                        OPEN_EXISTING, FILE_FLAG_OVERLAPPED, nullptr);
    return opened == INVALID_HANDLE_VALUE ? no_handle
                                          : static_cast<Handle>(reinterpret_cast<std::intptr_t>(opened));
}
Handle duplicate(Handle) { return no_handle; }

// The C library's signals are functions that raise() calls, in this thread, and forgets each time.
SignalHandler::SignalHandler(void (*handle)(int)) {
    const auto before = ::signal(SIGTERM, handle);
    std::memcpy(before_, &before, sizeof before);
    std::memcpy(own_, &handle, sizeof handle);
}

SignalHandler::~SignalHandler() {
    decltype(::signal(0, nullptr)) before;
    std::memcpy(&before, before_, sizeof before);
    ::signal(SIGTERM, before);
}

void SignalHandler::raise() {
    void (*handle)(int);
    std::memcpy(&handle, own_, sizeof handle);
    ::signal(SIGTERM, handle);
    ::raise(SIGTERM);
}
void SignalHandler::interrupt_maker() {}

// A file that goes when it is closed. It is read by its descriptor, past what stands in the stream's own buffer.
MemoryStream::MemoryStream() : file_(nullptr) {
    char directory[MAX_PATH];
    char path[MAX_PATH];
    if (::GetTempPathA(MAX_PATH, directory) != 0 && ::GetTempFileNameA(directory, "test", 0, path) != 0)
        file_ = std::fopen(path, "w+bTD");
}
MemoryStream::~MemoryStream() { std::fclose(file_); }
std::string MemoryStream::flushed() const {
    const int descriptor = ::_fileno(file_);
    const std::int64_t end = ::_lseeki64(descriptor, 0, SEEK_END);
    std::string text(static_cast<std::size_t>(end), '\0');
    ::_lseeki64(descriptor, 0, SEEK_SET);
    const int read = ::_read(descriptor, text.data(), static_cast<unsigned>(text.size()));
    text.resize(read > 0 ? static_cast<std::size_t>(read) : 0);
    return text;
}

bool press_interrupt_key() { return ::GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0) != 0; }
void forget_interrupt_handler() {}

}  // namespace pollard::test_system
