// What each filter looks at: whether a knote has an event is asked of the descriptor itself, each time.
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "tests/kqueue_double/knote.h"

namespace kqueue_double {

namespace {

int number_of(const Knote& knote) { return static_cast<int>(knote.asked.ident); }

// --- what a descriptor is ---

struct stat status_of(int number) {
    struct stat status = {};
    ::fstat(number, &status);
    return status;
}

bool is_socket(int number) { return S_ISSOCK(status_of(number).st_mode); }

int option_of(int number, int level, int option) {
    int value = 0;
    socklen_t length = sizeof value;
    // Past the double's own getsockopt: none of these is SO_ERROR.
    return ::getsockopt(number, level, option, &value, &length) == 0 ? value : 0;
}

bool is_tcp(int number) { return option_of(number, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP; }
bool is_stream(int number) { return option_of(number, SOL_SOCKET, SO_TYPE) != SOCK_DGRAM; }
bool is_listening(int number) { return option_of(number, SOL_SOCKET, SO_ACCEPTCONN) != 0; }

tcp_info tcp_info_of(int number) {
    tcp_info info = {};
    socklen_t length = sizeof info;
    ::getsockopt(number, IPPROTO_TCP, TCP_INFO, &info, &length);
    return info;
}

int amount(int number, unsigned long request) {
    int bytes = 0;
    return ::ioctl(number, request, &bytes) == 0 ? bytes : 0;
}

/// What poll(2) says now.
int state_of(int number) {
    pollfd descriptor = {.fd = number, .events = POLLIN | POLLOUT | POLLRDHUP, .revents = 0};
    return ::poll(&descriptor, 1, 0) > 0 ? descriptor.revents : 0;
}

/// Linux calls a socket that was never connected hung up, and writable; a BSD says nothing of it.
bool was_never_connected(int state) { return (state & POLLHUP) != 0 && (state & (POLLRDHUP | POLLERR)) == 0; }

/// Whether this end has said that it will send no more, or cannot any more.
bool has_stopped_sending(int number) {
    if (!is_tcp(number))
        // Nothing is sent: of a Unix socket this tells just whether something could be.
        return send_for_real(number, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EPIPE;
    switch (tcp_info_of(number).tcpi_state) {
        case TCP_FIN_WAIT1:
        case TCP_FIN_WAIT2:
        case TCP_CLOSING:
        case TCP_LAST_ACK:
        case TCP_TIME_WAIT:
        case TCP_CLOSE:
            return true;
        default:
            return false;
    }
}

// --- READ ---

Found look_at_listener(int number, int state) {
    const auto waiting = is_tcp(number) ? tcp_info_of(number).tcpi_unacked : (state & POLLIN) != 0 ? 1u : 0u;
    return {.active = waiting > 0, .data = waiting};
}

Found look_for_bytes_at_socket(const Knote& knote, int number, int state) {
    const int error = pending_error(number, (state & POLLERR) != 0);
    const int bytes = amount(number, FIONREAD);
    const bool end = is_stream(number) && (state & POLLRDHUP) != 0;
    const bool delays = (knote.asked.fflags & NOTE_LOWAT) != 0;
    // A datagram may be empty.
    const bool has_some =
        delays ? bytes >= knote.asked.data : bytes > 0 || (!is_stream(number) && (state & POLLIN) != 0);
    return {.active = has_some || end || error != 0,
            .data = bytes,
            .notes = end ? static_cast<std::uint32_t>(error) : 0,
            .end = end};
}

Found look_for_reading(const Knote& knote) {
    const int number = number_of(knote);
    if (Queue* inner = find_queue(number); inner != nullptr) {
        const std::size_t ready = count_ready(*inner);
        return {.active = ready > 0, .data = static_cast<std::int64_t>(ready)};
    }
    const struct stat status = status_of(number);
    if (S_ISREG(status.st_mode)) {
        const std::int64_t left = status.st_size - ::lseek(number, 0, SEEK_CUR);
        return {.active = left > 0, .data = left};
    }
    const int state = state_of(number);
    if (S_ISSOCK(status.st_mode)) {
        if (is_listening(number)) return look_at_listener(number, state);
        if (was_never_connected(state)) return {};
        return look_for_bytes_at_socket(knote, number, state);
    }
    const bool end = (state & POLLHUP) != 0;
    return {.active = (state & (POLLIN | POLLHUP)) != 0, .data = amount(number, FIONREAD), .end = end};
}

// --- WRITE ---

Found look_for_room_at_socket(int number, int state) {
    if (is_listening(number) || was_never_connected(state)) return {};
    const int error = pending_error(number, (state & POLLERR) != 0);
    const bool end = is_stream(number) && (state & (POLLOUT | POLLHUP)) != 0 && has_stopped_sending(number);
    const int room = option_of(number, SOL_SOCKET, SO_SNDBUF) - amount(number, SIOCOUTQ);
    return {.active = (state & POLLOUT) != 0 || end,
            .data = std::max(room, 0),
            .notes = end ? static_cast<std::uint32_t>(error) : 0,
            .end = end};
}

Found look_for_writing(const Knote& knote) {
    const int number = number_of(knote);
    if (S_ISREG(status_of(number).st_mode)) return {.active = true};
    const int state = state_of(number);
    if (is_socket(number)) return look_for_room_at_socket(number, state);
    const bool reader_is_gone = (state & POLLERR) != 0;
    const int room = ::fcntl(number, F_GETPIPE_SZ) - amount(number, FIONREAD);
    return {.active = (state & (POLLOUT | POLLERR)) != 0, .data = std::max(room, 0), .end = reader_is_gone};
}

// --- TIMER ---

/// Milliseconds, if nothing else is asked for.
std::int64_t period_ns(const RawEvent& asked) {
#ifdef NOTE_SECONDS
    if ((asked.fflags & NOTE_SECONDS) != 0) return asked.data * 1'000'000'000;
    if ((asked.fflags & NOTE_USECONDS) != 0) return asked.data * 1'000;
    if ((asked.fflags & NOTE_NSECONDS) != 0) return asked.data;
#endif
    return asked.data * 1'000'000;
}

bool is_absolute([[maybe_unused]] const RawEvent& asked) {
#ifdef NOTE_ABSTIME
    return (asked.fflags & NOTE_ABSTIME) != 0;
#else
    return false;
#endif
}

int set_timer(Knote& knote) {
    const RawEvent& asked = knote.asked;
    if (asked.data < 0) return profile.timer_of_zero_fires ? EINVAL : 0;
    if (asked.data == 0 && !profile.timer_of_zero_fires) return EINVAL;
    const std::int64_t ns = std::max<std::int64_t>(period_ns(asked), 1'000'000);
    const timespec value = {.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
    const bool once = (asked.flags & EV_ONESHOT) != 0 || is_absolute(asked);
    const itimerspec setting = {.it_interval = once ? timespec{} : value, .it_value = value};
    knote.count = 0;
    const int how = is_absolute(asked) ? TFD_TIMER_ABSTIME : 0;
    return ::timerfd_settime(knote.source, how, &setting, nullptr) == 0 ? 0 : errno;
}

int attach_timer(Knote& knote) {
    const int clock = is_absolute(knote.asked) ? CLOCK_REALTIME : CLOCK_MONOTONIC;
    knote.asked.flags |= EV_CLEAR;
    knote.source = ::timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC);
    return knote.source >= 0 ? set_timer(knote) : errno;
}

Found look_at_timer(Knote& knote) {
    std::uint64_t expired = 0;
    if (read_for_real(knote.source, &expired, sizeof expired) == sizeof expired) knote.count += expired;
    return {.active = knote.count > 0, .data = static_cast<std::int64_t>(knote.count)};
}

// --- PROC ---

/// The wait status, if this process is a child of ours and has exited. It is not reaped.
bool has_exited(int process_descriptor, std::int64_t& status) {
    siginfo_t info = {};
    const auto id = static_cast<id_t>(process_descriptor);
    if (::waitid(P_PIDFD, id, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
        status = info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0) : W_EXITCODE(0, info.si_status);
        return true;
    }
    status = 0;  // of somebody else's child nobody tells
    return (state_of(process_descriptor) & POLLIN) != 0;
}

int attach_process(Knote& knote) {
    if ((knote.asked.fflags & ~NOTE_EXIT) != 0) return EINVAL;
    knote.source = static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(knote.asked.ident), 0));
    if (knote.source < 0) return errno;
    std::int64_t status;
    if (!profile.watches_exited_processes && has_exited(knote.source, status)) return ESRCH;
    knote.asked.flags |= EV_ONESHOT;
    return 0;
}

Found look_at_process(const Knote& knote) {
    Found found;
    found.active = found.end = has_exited(knote.source, found.data);
    found.notes = found.active ? NOTE_EXIT : 0;
    return found;
}

// --- VNODE ---

void remember_file(Knote& knote) {
    const struct stat status = status_of(number_of(knote));
    knote.size = status.st_size;
    knote.links = status.st_nlink;
}

int attach_file(Knote& knote) {
    const mode_t mode = status_of(number_of(knote)).st_mode;
    if (!S_ISREG(mode) && !S_ISDIR(mode)) return EINVAL;
    knote.source = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (knote.source < 0) return errno;
    char path[32];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", number_of(knote));
    constexpr auto wanted = IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF | IN_CREATE | IN_DELETE |
                            IN_MOVED_FROM | IN_MOVED_TO;
    if (::inotify_add_watch(knote.source, path, wanted) < 0) return errno;
    remember_file(knote);
    return 0;
}

/// What inotify's word means. It says "attributes" of a changed number of links, too.
std::uint32_t notes_of(Knote& knote, std::uint32_t mask) {
    const std::int64_t size = knote.size;
    const std::uint64_t links = knote.links;
    remember_file(knote);
    std::uint32_t notes = 0;
    if ((mask & (IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)) != 0) notes |= NOTE_WRITE;
    if ((mask & IN_MODIFY) != 0 && knote.size > size) notes |= NOTE_EXTEND;
    if ((mask & IN_MOVE_SELF) != 0) notes |= NOTE_RENAME;
    if ((mask & IN_ATTRIB) == 0) return notes;
    if (knote.links == links) return notes | NOTE_ATTRIB;
    return notes | (knote.links == 0 ? NOTE_DELETE : NOTE_LINK);
}

Found look_at_file(Knote& knote) {
    alignas(inotify_event) char words[4096];
    ssize_t size;
    while ((size = read_for_real(knote.source, words, sizeof words)) > 0) {
        for (const char* at = words; at < words + size;) {
            const auto* word = reinterpret_cast<const inotify_event*>(at);
            knote.notes |= notes_of(knote, word->mask) & knote.asked.fflags;
            at += sizeof *word + word->len;
        }
    }
    return {.active = knote.notes != 0, .notes = knote.notes};
}

// --- USER ---

#ifdef EVFILT_USER
void touch_user(Knote& knote, const RawEvent& change) {
    const std::uint32_t given = change.fflags & NOTE_FFLAGSMASK & ~NOTE_TRIGGER;
    switch (change.fflags & NOTE_FFCTRLMASK) {
        case NOTE_FFAND:
            knote.notes &= given;
            break;
        case NOTE_FFOR:
            knote.notes |= given;
            break;
        case NOTE_FFCOPY:
            knote.notes = given;
            break;
        default:
            break;
    }
    if ((change.fflags & NOTE_TRIGGER) != 0) knote.count = 1;
}

int attach_user(Knote& knote) {
    knote.notes = knote.asked.fflags & NOTE_FFLAGSMASK & ~NOTE_TRIGGER;
    const bool triggers = (knote.asked.fflags & NOTE_TRIGGER) != 0 && !profile.creating_ignores_trigger;
    knote.count = triggers ? 1 : 0;
    return 0;
}
#endif

// --- the epoll sets ---

int watch(Knote& knote, int set, int descriptor, std::uint32_t interest) {
    epoll_event event = {.events = interest | EPOLLET, .data = {.u64 = knote.serial}};
    return ::epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event) == 0 ? 0 : errno;
}

int attach_descriptor(Knote& knote) {
    const bool reads = knote.asked.filter == EVFILT_READ;
    const int set = reads ? knote.queue->number : knote.queue->writing;
    const int error = watch(knote, set, number_of(knote), reads ? EPOLLIN | EPOLLRDHUP : EPOLLOUT);
    if (error != EPERM) return error;
    knote.source = unwatched;
    return S_ISREG(status_of(number_of(knote)).st_mode) ? 0 : EINVAL;
}

int attach_source(Knote& knote, int (*open)(Knote&)) {
    int error = open(knote);
    if (error == 0) error = watch(knote, knote.queue->number, knote.source, EPOLLIN);
    if (error != 0 && knote.source >= 0) close_for_real(knote.source);
    return error;
}

}  // namespace

int attach(Knote& knote) {
    const Filter filter = knote.asked.filter;
    if (filter == EVFILT_TIMER) return attach_source(knote, attach_timer);
    if (filter == EVFILT_PROC) return attach_source(knote, attach_process);
    if (filter == EVFILT_VNODE) return attach_source(knote, attach_file);
#ifdef EVFILT_USER
    if (filter == EVFILT_USER) return attach_user(knote);
#endif
    return attach_descriptor(knote);
}

int touch(Knote& knote, const RawEvent& change) {
    const bool adds = (change.flags & EV_ADD) != 0;
#ifdef EVFILT_USER
    if (knote.asked.filter == EVFILT_USER) {
        touch_user(knote, change);
        return 0;
    }
#endif
    if (knote.asked.filter == EVFILT_TIMER) {
        if (!adds || !profile.adding_a_timer_again_restarts_it) return 0;
        knote.asked.fflags = change.fflags;
        knote.asked.data = change.data;
        return set_timer(knote);
    }
    if (!adds) return 0;
    knote.asked.fflags = change.fflags;
    knote.asked.data = change.data;
    return 0;
}

void detach(Knote& knote) {
    if (knote.source >= 0) close_for_real(knote.source);
    const Filter filter = knote.asked.filter;
    const bool in_set = knote.source == -1 && (filter == EVFILT_READ || filter == EVFILT_WRITE);
    if (!in_set) return;
    epoll_event unused = {};
    const int set = filter == EVFILT_READ ? knote.queue->number : knote.queue->writing;
    ::epoll_ctl(set, EPOLL_CTL_DEL, number_of(knote), &unused);
}

Found look(Knote& knote) {
    const Filter filter = knote.asked.filter;
    if (filter == EVFILT_READ) return look_for_reading(knote);
    if (filter == EVFILT_WRITE) return look_for_writing(knote);
    if (filter == EVFILT_TIMER) return look_at_timer(knote);
    if (filter == EVFILT_PROC) return look_at_process(knote);
    if (filter == EVFILT_VNODE) return look_at_file(knote);
    return {.active = knote.count > 0, .notes = knote.notes};
}

void forget_news(Knote& knote) {
    knote.count = 0;
    if (knote.asked.filter == EVFILT_VNODE) knote.notes = 0;
}

}  // namespace kqueue_double
