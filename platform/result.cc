// The words for errors, and the one way a programmer's mistake ends.
#include "platform/result.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "platform/address.h"
#include "platform/kernel.h"

namespace pollard {

// NOLINTNEXTLINE(readability-function-size): one case a kind.
const char* describe(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::none:
            return "no error";
        case ErrorKind::cancelled:
            return "cancelled";
        case ErrorKind::timed_out:
            return "timed out";
        case ErrorKind::closed:
            return "closed";
        case ErrorKind::stopped:
            return "stopped";
        case ErrorKind::end_of_stream:
            return "end of stream";
        case ErrorKind::connection_refused:
            return "connection refused";
        case ErrorKind::connection_reset:
            return "connection reset by peer";
        case ErrorKind::connection_aborted:
            return "connection aborted";
        case ErrorKind::broken_pipe:
            return "the peer no longer receives";
        case ErrorKind::not_connected:
            return "not connected";
        case ErrorKind::unreachable:
            return "unreachable";
        case ErrorKind::would_block:
            return "would block";
        case ErrorKind::interrupted:
            return "interrupted";
        case ErrorKind::in_progress:
            return "in progress";
        case ErrorKind::out_of_memory:
            return "out of memory";
        case ErrorKind::descriptors_exhausted:
            return "out of descriptors";
        case ErrorKind::no_space:
            return "no space left";
        case ErrorKind::message_too_long:
            return "message too long";
        case ErrorKind::busy:
            return "busy";
        case ErrorKind::bad_handle:
            return "not an open handle";
        case ErrorKind::address_in_use:
            return "address in use";
        case ErrorKind::address_not_available:
            return "address not available on this machine";
        case ErrorKind::bad_address:
            return "not an address";
        case ErrorKind::invalid_argument:
            return "invalid argument";
        case ErrorKind::invalid_state:
            return "invalid state";
        case ErrorKind::already_connected:
            return "already connected";
        case ErrorKind::permission_denied:
            return "permission denied";
        case ErrorKind::not_supported:
            return "not supported";
        case ErrorKind::not_found:
            return "not found";
        case ErrorKind::queue_empty:
            return "the queue is empty";
        case ErrorKind::queue_full:
            return "the queue is full";
        case ErrorKind::queue_shut_down:
            return "the queue was shut down";
        case ErrorKind::barrier_broken:
            return "the barrier is broken";
        case ErrorKind::group:
            return "some tasks of the group failed";
        case ErrorKind::deadlock:
            return "nothing can ever happen any more";
        case ErrorKind::other:
            return "failed";
    }
    return "unknown error";
}

// NOLINTNEXTLINE(readability-function-size): one case a call.
const char* describe(Call call) {
    switch (call) {
        case Call::none:
            return "";
        case Call::socket:
            return "socket";
        case Call::bind:
            return "bind";
        case Call::listen:
            return "listen";
        case Call::accept:
            return "accept";
        case Call::connect:
            return "connect";
        case Call::recv:
            return "recv";
        case Call::send:
            return "send";
        case Call::shutdown:
            return "shutdown";
        case Call::getsockopt:
            return "getsockopt";
        case Call::setsockopt:
            return "setsockopt";
        case Call::getsockname:
            return "getsockname";
        case Call::getpeername:
            return "getpeername";
        case Call::close:
            return "close";
        case Call::poll:
            return "poll";
        case Call::epoll_create:
            return "epoll_create1";
        case Call::epoll_ctl:
            return "epoll_ctl";
        case Call::epoll_wait:
            return "epoll_wait";
        case Call::eventfd:
            return "eventfd";
        case Call::pipe:
            return "pipe2";
        case Call::io_uring_setup:
            return "io_uring_setup";
        case Call::io_uring_enter:
            return "io_uring_enter";
        case Call::io_uring_register:
            return "io_uring_register";
        case Call::mmap:
            return "mmap";
        case Call::munmap:
            return "munmap";
        case Call::kqueue:
            return "kqueue";
        case Call::kevent:
            return "kevent";
        case Call::read:
            return "read";
        case Call::write:
            return "write";
        case Call::open_file:
            return "open";
        case Call::pread:
            return "pread";
        case Call::pwrite:
            return "pwrite";
        case Call::iocp_create:
            return "CreateIoCompletionPort";
        case Call::iocp_add:
            return "AssociateWithPort";
        case Call::iocp_wait:
            return "GetQueuedCompletionStatusEx";
        case Call::iocp_post:
            return "PostQueuedCompletionStatus";
        case Call::accept_ex:
            return "AcceptEx";
        case Call::connect_ex:
            return "ConnectEx";
        case Call::wsa_recv:
            return "WSARecv";
        case Call::wsa_send:
            return "WSASend";
        case Call::cancel_io:
            return "CancelIoEx";
        case Call::afd_open:
            return "open AFD";
        case Call::afd_poll:
            return "AFD poll";
        case Call::read_file:
            return "ReadFile";
        case Call::write_file:
            return "WriteFile";
        case Call::clock:
            return "clock_gettime";
        case Call::allocate:
            return "allocate";
        case Call::parse:
            return "parse";
        case Call::open:
            return "open";
        case Call::start:
            return "start";
        case Call::wait:
            return "wait";
        case Call::await:
            return "await";
        case Call::next:
            return "next";
        case Call::run:
            return "run";
        case Call::create_task:
            return "create_task";
        case Call::cancel:
            return "cancel";
        case Call::set_result:
            return "set_result";
        case Call::sleep:
            return "sleep";
        case Call::gather:
            return "gather";
        case Call::reschedule:
            return "reschedule";
        case Call::acquire:
            return "acquire";
        case Call::release:
            return "release";
        case Call::notify:
            return "notify";
        case Call::put:
            return "put";
        case Call::get:
            return "get";
        case Call::task_done:
            return "task_done";
        case Call::throw_in:
            return "throw";
    }
    return "?";
}

Error Error::on(std::string_view name) const {
    Error error = *this;
    error.object = Object::text;
    if (name.size() >= sizeof error.text) name.remove_prefix(name.size() - sizeof error.text + 1);
    std::memcpy(error.text, name.data(), name.size());
    error.text[name.size()] = '\0';
    return error;
}

Text& Text::add(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int wanted = std::vsnprintf(chars + size, sizeof chars - size, format, arguments);
    va_end(arguments);
    if (wanted > 0) size += static_cast<std::size_t>(wanted);
    if (size >= sizeof chars) size = sizeof chars - 1;
    return *this;
}

Text describe(const Error& error) {
    Text text;
    text.add("%s", describe(error.call));
    switch (error.object) {
        case Error::Object::none:
            break;
        case Error::Object::descriptor:
            text.add(" fd %lld", static_cast<long long>(error.descriptor));
            break;
        case Error::Object::text:
            text.add(" %s", error.text);
            break;
        case Error::Object::ipv4:
            text.add(" %u.%u.%u.%u:%u", error.address.bytes[0], error.address.bytes[1],
                     error.address.bytes[2], error.address.bytes[3], error.address.port);
            break;
        case Error::Object::ipv6:
            text.add(" %s", describe_ipv6(error.address.bytes, error.address.port).c_str());
    }
    text.add("%s%s", text.size == 0 ? "" : ": ", describe(error.kind));
    if (error.code != 0) {
        const char* name = name_of_code(error.code);
        if (name[0] != '\0')
            text.add(" (%s)", name);
        else
            text.add(" (code %d)", error.code);
    }
    return text;
}

void programming_error(const char* file, int line, const char* sentence) {
    std::fprintf(stderr, "%s:%d: a mistake in the program: %s\n", file, line, sentence);
    std::abort();
}

}  // namespace pollard
