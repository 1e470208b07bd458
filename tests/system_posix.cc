// The tests' needs on POSIX systems: getrlimit(2), sigaction(2), dup(2).
#include "tests/system.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace pollard::test_system {

std::size_t open_descriptors() {
    DIR* directory = ::opendir("/dev/fd");
    if (directory == nullptr) return 0;
    std::size_t count = 0;
    while (::readdir(directory) != nullptr) ++count;
    ::closedir(directory);
    return count;
}

std::uint64_t limit_descriptors(unsigned spare) {
    // New numbers must stay below the limit, and the lowest free one is taken: so it is the limit.
    Handle lowest_free = no_handle;
    std::vector<Handle> probes;
    for (unsigned number = 0; number <= spare; ++number)
        probes.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    for (const Handle probe : probes) {
        lowest_free = std::max(lowest_free, probe);
        ::close(probe);
    }
    rlimit limit = {};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const std::uint64_t before = limit.rlim_cur;
    limit.rlim_cur = static_cast<rlim_t>(lowest_free);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    return before;
}

void restore_descriptors(std::uint64_t limit_before) {
    rlimit limit = {};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = static_cast<rlim_t>(limit_before);
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

Handle open_regular_file() { return ::open("/bin/sh", O_RDONLY | O_CLOEXEC); }
Handle duplicate(Handle handle) { return ::fcntl(handle, F_DUPFD_CLOEXEC, 0); }

SignalHandler::SignalHandler(void (*handle)(int)) {
    static_assert(sizeof(struct sigaction) <= sizeof before_ && sizeof(pthread_t) <= sizeof own_);
    struct sigaction action = {};
    struct sigaction before = {};
    action.sa_handler = handle;
    ::sigaction(SIGUSR1, &action, &before);
    std::memcpy(before_, &before, sizeof before);
    const pthread_t maker = pthread_self();
    std::memcpy(own_, &maker, sizeof maker);
}

SignalHandler::~SignalHandler() {
    struct sigaction before;
    std::memcpy(&before, before_, sizeof before);
    ::sigaction(SIGUSR1, &before, nullptr);
}

void SignalHandler::raise() { ::raise(SIGUSR1); }

void SignalHandler::interrupt_maker() {
    pthread_t maker;
    std::memcpy(&maker, own_, sizeof maker);
    pthread_kill(maker, SIGUSR1);
}

MemoryStream::MemoryStream() : file_(::open_memstream(&text_, &size_)) {}
MemoryStream::~MemoryStream() {
    std::fclose(file_);
    std::free(text_);
}
std::string MemoryStream::flushed() const { return std::string(text_ == nullptr ? "" : text_, size_); }

bool press_interrupt_key() { return ::raise(SIGINT) == 0; }

void forget_interrupt_handler() {
    ::signal(SIGINT, SIG_DFL);
    ::signal(SIGTERM, SIG_DFL);
}

}  // namespace pollard::test_system
