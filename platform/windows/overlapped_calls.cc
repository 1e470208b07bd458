// Overlapped calls behind the door: sockets, completion ports, and polls of AFD.
//
// AFD is the driver that sockets are made of. It answers a question that Winsock has no overlapped call for: tell me
// when this socket is ready. The interface is not documented, but has been the same since Windows 2000, and several
// event loops stand on it.
#include "platform/windows/overlapped_calls.h"

#include <atomic>
#include <cerrno>
#include <climits>

#include "platform/system_sockets.h"
#include "platform/windows/errors.h"
// What the driver interface of the kernel is called by.
#include <winternl.h>

namespace pollard::windows {

namespace {

SOCKET socket_of(Handle handle) { return static_cast<SOCKET>(static_cast<std::intptr_t>(handle)); }
HANDLE system_handle(Handle handle) { return reinterpret_cast<HANDLE>(static_cast<std::intptr_t>(handle)); }
Handle from_system(HANDLE handle) { return static_cast<Handle>(reinterpret_cast<std::intptr_t>(handle)); }

/// Winsock's answer and its number of bytes as the door's answer.
std::intptr_t socket_answer(bool success, std::size_t count) {
    if (success) return static_cast<std::intptr_t>(count);
    return -code_of_windows_error(static_cast<std::uint32_t>(::WSAGetLastError()));
}

/// Bytes are counted in 32 bits here.
DWORD clamped(std::size_t size) {
    constexpr DWORD largest = 1u << 30;
    return size < largest ? static_cast<DWORD>(size) : largest;
}

/// Where in the file stands in the OVERLAPPED.
void set_offset(OVERLAPPED& overlapped, std::int64_t offset) {
    const auto place = static_cast<std::uint64_t>(offset);
    overlapped.Offset = static_cast<DWORD>(place);
    overlapped.OffsetHigh = static_cast<DWORD>(place >> 32);
}

/// AcceptEx and ConnectEx are no exports of Winsock: the socket's provider is asked for them by number, once.
template <class Function>
Function extension(Handle handle, GUID number) {
    static constinit std::atomic<Function> known = nullptr;
    if (Function function = known.load(); function != nullptr) return function;
    Function function = nullptr;
    DWORD size = 0;
    if (::WSAIoctl(socket_of(handle), SIO_GET_EXTENSION_FUNCTION_POINTER, &number, sizeof number, &function,
                   sizeof function, &size, nullptr, nullptr) != 0)
        return nullptr;
    known = function;
    return function;
}

}  // namespace

std::intptr_t iocp_create(Kernel&) {
    const HANDLE port = ::CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, 1);
    return port != nullptr ? from_system(port) : minus_last_error();
}

std::intptr_t iocp_add(Kernel&, Handle port, Handle handle) {
    if (::CreateIoCompletionPort(system_handle(handle), system_handle(port), iocp_operation_key, 0) ==
        nullptr)
        return minus_last_error();
    // Some network drivers of others cannot do without the packet; then it comes, and is waited for.
    constexpr UCHAR modes = FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE;
    return ::SetFileCompletionNotificationModes(system_handle(handle), modes) ? 1 : 0;
}

std::intptr_t iocp_wait(Kernel&, Handle port, OVERLAPPED_ENTRY* packets, int capacity, int timeout_ms) {
    ULONG count = 0;
    if (::GetQueuedCompletionStatusEx(system_handle(port), packets, static_cast<ULONG>(capacity), &count,
                                      timeout_ms < 0 ? INFINITE : static_cast<DWORD>(timeout_ms), FALSE))
        return static_cast<std::intptr_t>(count);
    return ::GetLastError() == WAIT_TIMEOUT ? 0 : minus_last_error();
}

std::intptr_t iocp_post(Kernel&, Handle port) {
    return ::PostQueuedCompletionStatus(system_handle(port), 0, iocp_wake_key, nullptr) ? 0
                                                                                        : minus_last_error();
}

std::intptr_t accept_ex(Kernel&, Handle listener, Handle accepted, void* names, OVERLAPPED* overlapped) {
    const auto call = extension<LPFN_ACCEPTEX>(listener, WSAID_ACCEPTEX);
    if (call == nullptr) return socket_answer(false, 0);
    DWORD unused = 0;
    return socket_answer(call(socket_of(listener), socket_of(accepted), names, 0, accept_name_size,
                              accept_name_size, &unused, overlapped) != 0,
                         0);
}

std::intptr_t connect_ex(Kernel&, Handle handle, const sockaddr* address, unsigned length,
                         OVERLAPPED* overlapped) {
    const auto call = extension<LPFN_CONNECTEX>(handle, WSAID_CONNECTEX);
    if (call == nullptr) return socket_answer(false, 0);
    return socket_answer(
        call(socket_of(handle), address, static_cast<int>(length), nullptr, 0, nullptr, overlapped) != 0, 0);
}

std::intptr_t wsa_recv(Kernel&, Handle handle, void* bytes, std::size_t size, int flags,
                       OVERLAPPED* overlapped) {
    WSABUF buffer = {static_cast<ULONG>(size < ULONG_MAX ? size : ULONG_MAX), static_cast<char*>(bytes)};
    DWORD raw_flags = static_cast<DWORD>(flags);
    DWORD received = 0;
    const bool success =
        ::WSARecv(socket_of(handle), &buffer, 1, &received, &raw_flags, overlapped, nullptr) == 0;
    if (success) return static_cast<std::intptr_t>(received);
    switch (::WSAGetLastError()) {
        case WSAEMSGSIZE:  // a datagram was cut off, as it is on other systems without a word
            return static_cast<std::intptr_t>(overlapped->InternalHigh);
        case WSAESHUTDOWN:
            return 0;
        default:
            return socket_answer(false, 0);
    }
}

std::intptr_t wsa_send(Kernel&, Handle handle, const void* bytes, std::size_t size, OVERLAPPED* overlapped) {
    WSABUF buffer = {static_cast<ULONG>(size), static_cast<char*>(const_cast<void*>(bytes))};
    DWORD sent = 0;
    const bool success = ::WSASend(socket_of(handle), &buffer, 1, &sent, 0, overlapped, nullptr) == 0;
    return socket_answer(success, sent);
}

std::intptr_t read_file(Kernel&, Handle file, void* bytes, std::size_t size, std::int64_t offset,
                        OVERLAPPED* overlapped) {
    set_offset(*overlapped, offset);
    DWORD count = 0;
    const bool success = ::ReadFile(system_handle(file), bytes, clamped(size), &count, overlapped) != 0;
    return success ? static_cast<std::intptr_t>(count) : minus_last_error();
}

std::intptr_t write_file(Kernel&, Handle file, const void* bytes, std::size_t size, std::int64_t offset,
                         OVERLAPPED* overlapped) {
    set_offset(*overlapped, offset);
    DWORD count = 0;
    const bool success = ::WriteFile(system_handle(file), bytes, clamped(size), &count, overlapped) != 0;
    return success ? static_cast<std::intptr_t>(count) : minus_last_error();
}

namespace {

/// Makes a call with an OVERLAPPED and an event of its own, and waits for the answer. (The event is two more calls; so are
/// files where the loop waits for them.)
template <class Start>
std::intptr_t waited_for(Handle file, Start start) {
    const HANDLE event = ::CreateEventW(nullptr, TRUE, FALSE, nullptr);
    if (event == nullptr) return minus_last_error();
    OVERLAPPED overlapped = {};
    // With the lowest bit set, no port that the file may be on gets a packet.
    overlapped.hEvent = reinterpret_cast<HANDLE>(reinterpret_cast<std::uintptr_t>(event) | 1);
    std::intptr_t answer = start(overlapped);
    if (answer == -EINPROGRESS) {
        DWORD count = 0;
        const bool success = ::GetOverlappedResult(system_handle(file), &overlapped, &count, TRUE) != 0;
        answer = success ? static_cast<std::intptr_t>(count) : minus_last_error();
    }
    ::CloseHandle(event);
    return answer;
}

}  // namespace

std::intptr_t pread(Kernel& kernel, Handle file, void* bytes, std::size_t size, std::int64_t offset) {
    const std::intptr_t answer = waited_for(file, [&](OVERLAPPED& overlapped) {
        return read_file(kernel, file, bytes, size, offset, &overlapped);
    });
    return answer == -end_of_file ? 0 : answer;
}

std::intptr_t pwrite(Kernel& kernel, Handle file, const void* bytes, std::size_t size, std::int64_t offset) {
    return waited_for(file, [&](OVERLAPPED& overlapped) {
        return write_file(kernel, file, bytes, size, offset, &overlapped);
    });
}

std::intptr_t cancel_io(Kernel&, Handle handle, OVERLAPPED* overlapped) {
    return ::CancelIoEx(system_handle(handle), overlapped) ? 0 : minus_last_error();
}

std::intptr_t afd_open(Kernel&) {
    wchar_t path[] = L"\\Device\\Afd\\Pollard";
    UNICODE_STRING name = {sizeof path - sizeof path[0], sizeof path, path};
    OBJECT_ATTRIBUTES attributes = {};
    attributes.Length = sizeof attributes;
    attributes.ObjectName = &name;
    IO_STATUS_BLOCK status = {};
    HANDLE opened = nullptr;
    const NTSTATUS result = ::NtCreateFile(&opened, SYNCHRONIZE, &attributes, &status, nullptr, 0,
                                           FILE_SHARE_READ | FILE_SHARE_WRITE, FILE_OPEN, 0, nullptr, 0);
    if (result != 0) return -code_of_status(static_cast<std::uint32_t>(result));
    return from_system(opened);
}

std::intptr_t afd_poll(Kernel&, Handle afd, Handle handle, AfdPoll* poll, OVERLAPPED* overlapped) {
    constexpr ULONG ioctl_afd_poll = 0x12024;
    // The driver knows the socket beneath what network drivers of others may have put around it.
    SOCKET base = INVALID_SOCKET;
    DWORD size = 0;
    if (::WSAIoctl(socket_of(handle), SIO_BASE_HANDLE, nullptr, 0, &base, sizeof base, &size, nullptr,
                   nullptr) != 0)
        return socket_answer(false, 0);
    poll->timeout = INT64_MAX;
    poll->count = 1;
    poll->exclusive = 0;
    poll->socket = base;
    poll->status = 0;
    // An OVERLAPPED begins with the two fields of a status block, and is the context that the packet brings back.
    auto* status = reinterpret_cast<IO_STATUS_BLOCK*>(overlapped);
    const auto result = static_cast<std::uint32_t>(
        ::NtDeviceIoControlFile(system_handle(afd), nullptr, nullptr, overlapped, status, ioctl_afd_poll,
                                poll, sizeof *poll, poll, sizeof *poll));
    constexpr std::uint32_t pending = 0x103;
    if (result == pending) return -EINPROGRESS;
    return -code_of_status(result);
}

}  // namespace pollard::windows
