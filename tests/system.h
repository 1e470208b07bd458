// What the tests need of the system and the library does not: descriptors to count and to run out of, signals, files.
//
// Two files hold it, one a family of systems: system_posix.cc, system_windows.cc. What a family does not have it says
// here, so that a test can skip with a sentence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

#include "platform/handle.h"

namespace pollard::test_system {

/// The process's own.
std::size_t open_descriptors();

#ifdef _WIN32
inline constexpr bool descriptors_can_be_limited = false;
inline constexpr bool numbers_are_reused_lowest_first = false;
inline constexpr bool signals_reach_threads = false;
inline constexpr bool poll_shows_half_closes = false;
inline constexpr bool sockets_remember_resets = false;
inline constexpr bool files_are_ready = false;
#else
inline constexpr bool descriptors_can_be_limited = true;
inline constexpr bool numbers_are_reused_lowest_first = true;
inline constexpr bool signals_reach_threads = true;
inline constexpr bool poll_shows_half_closes = true;
inline constexpr bool sockets_remember_resets = true;
inline constexpr bool files_are_ready = true;
#endif

/// From now on `spare` more can be opened; gives what `restore_descriptors` wants to undo it.
std::uint64_t limit_descriptors(unsigned spare);
void restore_descriptors(std::uint64_t limit_before);

/// A descriptor that is no socket, and one more for an open one. no_handle: this system has none such.
Handle open_regular_file();
Handle duplicate(Handle);

/// While it lives, a signal of the program's own calls the function.
class SignalHandler {
public:
    explicit SignalHandler(void (*handle)(int));
    ~SignalHandler();
    SignalHandler(const SignalHandler&) = delete;

    /// In this thread, before it returns.
    void raise();
    /// The thread that made this, from another one; where signals_reach_threads.
    void interrupt_maker();

private:
    alignas(std::max_align_t) std::byte before_[256];
    alignas(std::max_align_t) std::byte own_[16];
};

/// What is written to `file` can be read back as soon as it is flushed.
class MemoryStream {
public:
    MemoryStream();
    ~MemoryStream();
    MemoryStream(const MemoryStream&) = delete;

    std::FILE* file() { return file_; }
    std::string flushed() const;

private:
    char* text_ = nullptr;
    std::size_t size_ = 0;
    std::FILE* file_;
};

/// What `print(file)` prints.
template <class Print>
std::string printed(Print print) {
    MemoryStream stream;
    print(stream.file());
    std::fflush(stream.file());
    return stream.flushed();
}

/// As the user does. False: this process has no terminal to press it on.
bool press_interrupt_key();
/// Undoes platform/interrupt.h's on_interrupt.
void forget_interrupt_handler();

}  // namespace pollard::test_system
