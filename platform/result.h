// Result and Error: every failure is a value.
//
// Nothing in Pollard throws. A function that can fail returns Result<T>: the value, or an Error that says
// what went wrong in words that are the same on every kernel (kind), in this kernel's own number (code), in
// which call, and on what: a descriptor, an address, or something with a name.
//
//      connect to 127.0.0.1:6789: connection refused (ECONNREFUSED)
//      `call`     `object`        `kind`              `code`
//
// Result is like std::expected of C++23, which would need newer compilers than this project asks for, and it
// is [[nodiscard]]: an error that nobody looks at is a compiler warning, and warnings are errors here.
//
// Read next: platform/work.h, platform/operation.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

namespace pollard {

/// What went wrong, the same on every kernel. `describe` gives the words.
enum class ErrorKind : std::uint8_t {
    none,
    // asked for by the program itself
    cancelled,
    timed_out,
    closed,
    stopped,
    // the peer and the network
    end_of_stream,
    connection_refused,
    connection_reset,
    connection_aborted,
    broken_pipe,
    not_connected,
    unreachable,
    // the kernel's moods: nothing is wrong, ask again
    would_block,
    interrupted,
    in_progress,
    // limits
    out_of_memory,
    descriptors_exhausted,
    no_space,  // on the device; or for one more watch of epoll's
    message_too_long,
    // the program's or the user's mistakes
    busy,
    bad_handle,
    address_in_use,
    address_not_available,
    bad_address,
    invalid_argument,
    invalid_state,
    already_connected,
    permission_denied,
    not_supported,
    not_found,
    // queues, barriers, groups of tasks
    queue_empty,
    queue_full,
    queue_shut_down,
    barrier_broken,
    group,  // several tasks failed; the group has the list
    // nothing can ever happen any more, and somebody still waits
    deadlock,
    other,
};

/// Which call it was: a system call, or a call of this library. `describe` gives the name.
enum class Call : std::uint8_t {
    none,
    // system calls; each is one function of `struct Kernel` and is counted under its name
    socket,
    bind,
    listen,
    accept,
    connect,
    recv,
    send,
    shutdown,
    getsockopt,
    setsockopt,
    getsockname,
    getpeername,
    close,
    poll,
    epoll_create,
    epoll_ctl,
    epoll_wait,
    eventfd,
    pipe,
    io_uring_setup,
    io_uring_enter,
    io_uring_register,
    mmap,
    munmap,
    kqueue,
    kevent,
    read,
    write,
    open_file,
    pread,
    pwrite,
    iocp_create,
    iocp_add,
    iocp_wait,
    iocp_post,
    accept_ex,
    connect_ex,
    wsa_recv,
    wsa_send,
    cancel_io,
    afd_open,
    afd_poll,
    read_file,
    write_file,
    clock,
    last_system_call = clock,
    // calls of this library
    allocate,
    parse,
    open,
    start,
    wait,
    await,
    next,
    run,
    create_task,
    cancel,
    set_result,
    sleep,
    gather,
    reschedule,
    acquire,
    release,
    notify,
    put,
    get,
    task_done,
    throw_in,
    last = throw_in,
};
inline constexpr std::size_t call_count = static_cast<std::size_t>(Call::last) + 1;

/// What went wrong and in which call. Kind `none`: nothing did.
struct ErrorHead {
    /// What the call was made on. An address is kept whole; of a longer name (a path) the end is kept.
    enum class Object : std::uint8_t { none, descriptor, ipv4, ipv6, text };

    ErrorKind kind = ErrorKind::none;
    Call call = Call::none;
    Object object = Object::none;
    /// The kernel's own number (errno on POSIX systems); 0 where the library itself said no.
    std::int32_t code = 0;
};

/// On what. A success leaves it unwritten: that is one byte to write, not 32.
struct ErrorObject {
    struct IpAddress {
        std::uint8_t bytes[16];  // 4 of them for IPv4; network order
        std::uint16_t port;
    };
    union {
        std::int64_t descriptor;
        IpAddress address;
        char text[24];
    };
    constexpr ErrorObject() {}
    struct Nothing {};
    constexpr explicit ErrorObject(Nothing) : text{} {}
};

struct Error : ErrorHead, ErrorObject {
    constexpr Error() = default;
    constexpr Error(ErrorKind what, Call where, std::int32_t raw_code = 0)
        : ErrorHead{.kind = what, .call = where, .code = raw_code}, ErrorObject(Nothing()) {}

    Error on_descriptor(std::int64_t which) const {
        Error error = *this;
        error.object = Object::descriptor;
        error.descriptor = which;
        return error;
    }
    /// The same error, naming its object; of a long name the end is kept.
    Error on(std::string_view name) const;
};
static_assert(sizeof(Error) == 32);

/// `count` characters from `first` on, or as many as there are. (std::string_view::substr checks by throwing, and
/// would pull the C++ runtime into an unoptimised build.)
constexpr std::string_view part_of(std::string_view text, std::size_t first,
                                   std::size_t count = std::string_view::npos) {
    if (first > text.size()) first = text.size();
    if (count > text.size() - first) count = text.size() - first;
    return {text.data() + first, count};
}

constexpr bool begins_with(std::string_view text, std::string_view beginning) {
    return part_of(text, 0, beginning.size()) == beginning;
}

/// What is in a format of printf(3) on this system. (MinGW has two printfs; C++ programs get the standard one, but the
/// attribute's plain name means the other.)
#if defined(__MINGW32__) && !defined(__clang__)
#define POLLARD_PRINTF gnu_printf
#else
#define POLLARD_PRINTF printf
#endif

/// A short text on the stack, always zero-terminated; what does not fit is cut off.
struct Text {
    char chars[240];
    std::size_t size = 0;

    Text() { chars[0] = '\0'; }
    const char* c_str() const { return chars; }
    std::string_view view() const { return {chars, size}; }
    /// As printf(3).
    [[gnu::format(POLLARD_PRINTF, 2, 3)]] Text& add(const char* format, ...);
};

const char* describe(ErrorKind kind);
const char* describe(Call call);
/// One line without a newline: "connect 127.0.0.1:6789: connection refused (ECONNREFUSED)".
Text describe(const Error& error);

/// A programmer's mistake: prints the sentence, which says what to do instead, and aborts.
[[noreturn]] void programming_error(const char* file, int line, const char* sentence);

/// For promises that the caller breaks by a mistake in the program, never for what the world may do. Stays on
/// in release builds: it costs one branch that is never taken.
#define POLLARD_REQUIRE(condition, sentence)                                                \
    do {                                                                                    \
        if (!(condition)) [[unlikely]]                                                      \
            ::pollard::programming_error(__FILE__, __LINE__, sentence " [" #condition "]"); \
    } while (false)

/// A value of type T, or an Error. The value stands where the error's object would: for a T of up to 24 bytes a
/// Result is no larger than an Error.
template <class T>
class [[nodiscard]] Result {
public:
    using value_type = T;

    /// Neither value nor error yet: holds the error `invalid_state`. Lets a Result be a field of a frame.
    Result() : head_{.kind = ErrorKind::invalid_state}, object_(ErrorObject::Nothing()) {}
    Result(T value) : value_(std::move(value)) {}
    Result(const Error& error) : head_(error), object_(error) {}

    Result(const Result& other)
        requires std::is_trivially_copy_constructible_v<T>
    = default;
    Result(Result&& other)
        requires std::is_trivially_move_constructible_v<T>
    = default;
    Result& operator=(const Result& other)
        requires std::is_trivially_copyable_v<T>
    = default;
    Result& operator=(Result&& other)
        requires std::is_trivially_copyable_v<T>
    = default;
    ~Result()
        requires std::is_trivially_destructible_v<T>
    = default;

    Result(const Result& other) : head_(other.head_) { copy_from(other); }
    Result(Result&& other) noexcept : head_(other.head_) { move_from(other); }
    Result& operator=(const Result& other) {
        if (this == &other) return *this;
        clear();
        head_ = other.head_;
        copy_from(other);
        return *this;
    }
    Result& operator=(Result&& other) noexcept {
        if (this == &other) return *this;
        clear();
        head_ = other.head_;
        move_from(other);
        return *this;
    }
    ~Result() { clear(); }

    Result& operator=(T&& value) {
        if (has_value()) {
            value_ = std::move(value);
        } else {
            ::new (static_cast<void*>(&value_)) T(std::move(value));
            head_.kind = ErrorKind::none;
        }
        return *this;
    }

    explicit operator bool() const { return has_value(); }
    bool has_value() const { return head_.kind == ErrorKind::none; }

    T& value() & {
        POLLARD_REQUIRE(has_value(), "value() of a Result that holds an error: test it first");
        return value_;
    }
    const T& value() const& { return const_cast<Result*>(this)->value(); }
    T&& value() && { return std::move(value()); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(value()); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }
    T value_or(T otherwise) const { return has_value() ? value_ : otherwise; }

    /// The error; one with kind `none` when there is a value.
    Error error() const {
        Error error;
        if (has_value()) return error;
        static_cast<ErrorHead&>(error) = head_;
        static_cast<ErrorObject&>(error) = object_;
        return error;
    }

private:
    void clear() {
        if (has_value()) value_.~T();
    }
    void copy_from(const Result& other) {
        if (has_value())
            ::new (static_cast<void*>(&value_)) T(other.value_);
        else
            ::new (static_cast<void*>(&object_)) ErrorObject(other.object_);
    }
    void move_from(Result& other) {
        if (has_value())
            ::new (static_cast<void*>(&value_)) T(std::move(other.value_));
        else
            ::new (static_cast<void*>(&object_)) ErrorObject(other.object_);
    }

    ErrorHead head_;
    union {
        T value_;
        ErrorObject object_;  // NOLINT(readability-identifier-naming): as private as the union
    };
};

/// Success, or an Error.
template <>
class [[nodiscard]] Result<void> {
public:
    using value_type = void;

    Result() = default;
    Result(const Error& error) : error_(error) {}

    explicit operator bool() const { return has_value(); }
    bool has_value() const { return error_.kind == ErrorKind::none; }
    Error error() const { return error_; }

private:
    Error error_;
};

}  // namespace pollard
