// The common part of all probes: the table, the calls, the rows. What for: probe.h.
#include "tests/probes/probe.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <thread>

// Where there is kqueue(2) it is the one to ask: on a BSD, on macOS, and on Linux in front of the test double of it.
#if __has_include(<sys/event.h>)
#include <sys/event.h>
#define HAS_KQUEUE 1
#else
#include <sys/epoll.h>
#define HAS_KQUEUE 0
#endif

namespace {

// --- the table ---

/// The columns that this system is to be compared with.
bool is_of_this_system(std::string_view column) {
#if defined(__linux__)
    return HAS_KQUEUE ? column == "kqueue" : column == "epoll" || column == "poll";
#elif defined(__FreeBSD__) || defined(__NetBSD__)
    return column == "kqueue";
#else
    (void)column;
    return false;
#endif
}

/// The columns that this system has a call for.
bool can_be_asked(std::string_view column) {
    return column == "poll" || (column == "kqueue") == (HAS_KQUEUE != 0);
}

std::string joined(std::initializer_list<std::string_view> parts) {
    std::string text;
    for (const std::string_view part : parts) text.append(part);
    return text;
}

std::string trimmed(const std::string& text) {
    const std::size_t first = text.find_first_not_of(' ');
    if (first == std::string::npos) return "";
    return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

std::vector<std::string> cells_of(const std::string& line) {
    std::vector<std::string> cells;
    std::istringstream stream(line);
    for (std::string cell; std::getline(stream, cell, '|');) cells.push_back(trimmed(cell));
    return cells;
}

// --- the calls, in words ---

struct Name {
    unsigned value;
    const char* name;
};

std::string names_of(unsigned bits, const std::vector<Name>& names) {
    std::string text;
    for (const auto& [value, name] : names)
        if ((bits & value) != 0) text.append(text.empty() ? "" : "+").append(name);
    return text.empty() ? "-" : text;
}

std::string name_of_error(int code) {
    const std::vector<Name> names = {
        {ECONNRESET, "ECONNRESET"}, {ECONNREFUSED, "ECONNREFUSED"},
        {EPERM, "EPERM"},           {EBADF, "EBADF"},
        {ENOENT, "ENOENT"},         {EPIPE, "EPIPE"},
    };
    for (const auto& [value, name] : names)
        if (static_cast<int>(value) == code) return name;
    return joined({"errno ", std::to_string(code)});
}

std::string ask_poll(int descriptor) {
    const std::vector<Name> names = {{POLLIN, "IN"},       {POLLPRI, "PRI"}, {POLLOUT, "OUT"},
#ifdef POLLRDHUP
                                     {POLLRDHUP, "RDHUP"},
#endif
                                     {POLLERR, "ERR"},     {POLLHUP, "HUP"}, {POLLNVAL, "NVAL"}};
    unsigned everything = 0;
    for (const Name& each : names) everything |= each.value;
    pollfd asked = {};
    asked.fd = descriptor;
    asked.events = static_cast<short>(everything & ~unsigned{POLLERR | POLLHUP | POLLNVAL});
    made(::poll(&asked, 1, 0), "poll");
    return names_of(static_cast<unsigned>(asked.revents), names);
}

#if !HAS_KQUEUE
std::string queue_name() { return "epoll"; }
int open_queue() { return made(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"); }

std::string add_to_queue(int queue, int descriptor, Trigger trigger) {
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP;
    if (trigger == Trigger::edge) event.events |= EPOLLET;
    if (::epoll_ctl(queue, EPOLL_CTL_ADD, descriptor, &event) == 0) return "";
    return joined({"ADD: ", name_of_error(errno)});
}

std::string take_out_of_queue(int queue, int descriptor) {
    epoll_event unused = {};
    if (::epoll_ctl(queue, EPOLL_CTL_DEL, descriptor, &unused) == 0) return "DEL: ok";
    return joined({"DEL: ", name_of_error(errno)});
}

std::string ask_queue(int queue) {
    epoll_event event = {};
    if (made(::epoll_wait(queue, &event, 1, 0), "epoll_wait") == 0) return "-";
    return names_of(event.events, {{EPOLLIN, "IN"},
                                   {EPOLLPRI, "PRI"},
                                   {EPOLLOUT, "OUT"},
                                   {EPOLLRDHUP, "RDHUP"},
                                   {EPOLLERR, "ERR"},
                                   {EPOLLHUP, "HUP"}});
}
#else
std::string queue_name() { return "kqueue"; }
int open_queue() { return made(::kqueue(), "kqueue"); }

/// The changes for both filters; the first error is the answer, 0 if there is none.
int change_both(int queue, int descriptor, unsigned flags) {
    int error = 0;
    for (const auto filter : {EVFILT_READ, EVFILT_WRITE}) {
        struct kevent change;
        std::memset(&change, 0, sizeof change);
        change.ident = static_cast<decltype(change.ident)>(descriptor);
        change.filter = static_cast<decltype(change.filter)>(filter);
        change.flags = static_cast<decltype(change.flags)>(flags);
        if (::kevent(queue, &change, 1, nullptr, 0, nullptr) < 0 && error == 0) error = errno;
    }
    return error;
}

std::string add_to_queue(int queue, int descriptor, Trigger trigger) {
    const int error = change_both(queue, descriptor, EV_ADD | (trigger == Trigger::edge ? EV_CLEAR : 0));
    return error == 0 ? "" : joined({"ADD: ", name_of_error(error)});
}

std::string take_out_of_queue(int queue, int descriptor) {
    const int error = change_both(queue, descriptor, EV_DELETE);
    return error == 0 ? "DEL: ok" : joined({"DEL: ", name_of_error(error)});
}

std::string ask_queue(int queue) {
    struct kevent events[4];
    const timespec at_once = {};
    const int count = made(::kevent(queue, nullptr, 0, events, 4, &at_once), "kevent");
    std::string reading;
    std::string writing;
    for (int i = 0; i < count; ++i) {
        const struct kevent& event = events[i];
        const bool is_reading = event.filter == static_cast<decltype(event.filter)>(EVFILT_READ);
        const bool failed = (event.flags & EV_EOF) != 0 && event.fflags != 0;
        std::string text = is_reading ? "READ" : "WRITE";
        if (is_reading && !failed) text.append(" ").append(std::to_string(event.data));
        if ((event.flags & EV_EOF) != 0) text += " EOF";
        if (failed) text.append(joined({"(", name_of_error(static_cast<int>(event.fflags)), ")"}));
        (is_reading ? reading : writing) = text;
    }
    const char* between = reading.empty() || writing.empty() ? "" : ", ";
    const std::string both = joined({reading, between, writing});
    return both.empty() ? "-" : both;
}
#endif

}  // namespace

Probe::Probe(const char* table_file, std::string_view scenario_name) {
    std::ifstream file(table_file);
    bool in_scenario = false;
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line[0] == '#') continue;
        if (line[0] == '[') {
            in_scenario = line == joined({"[", scenario_name, "]"});
        } else if (std::vector<std::string> cells = cells_of(line); columns.empty()) {
            columns.assign(cells.begin() + 1, cells.end());
        } else if (in_scenario) {
            rows_.push_back({cells[0], {cells.begin() + 1, cells.end()}, false});
        }
    }
    if (rows_.empty()) {
        std::fprintf(stderr, "%s has no rows for the scenario %s\n", table_file,
                     std::string(scenario_name).c_str());
        std::exit(2);
    }
}

const Probe::Row& Probe::row(std::string_view step) {
    for (Row& each : rows_) {
        if (each.step != step || each.cells.size() != columns.size()) continue;
        each.seen = true;
        return each;
    }
    std::fprintf(stderr, "the table has no whole row for the step: %s\n", std::string(step).c_str());
    std::exit(2);
}

void Probe::expect_every_row_seen() const {
    for (const Row& each : rows_) {
        if (each.seen) continue;
        std::fprintf(stderr, "the table has a row that no step looks at: %s\n", each.step.c_str());
        std::exit(2);
    }
}

Watch::Watch(Probe& probe, int descriptor, Trigger trigger)
    : probe_(probe), descriptor_(descriptor), queue_(open_queue()) {
    refusal_ = add_to_queue(queue_, descriptor, trigger);
}

Watch::~Watch() { ::close(queue_); }

std::string Watch::ask(std::string_view column) {
    if (column == "poll") return ask_poll(descriptor_);
    return refusal_.empty() ? ask_queue(queue_) : refusal_;
}

std::string Watch::take_out(std::string_view column) {
    return column == queue_name() ? take_out_of_queue(queue_, descriptor_) : "";
}

void Watch::look(const char* step) { print_row(step, &Watch::ask); }
void Watch::forget(const char* step) { print_row(step, &Watch::take_out); }

void Watch::print_row(const char* step, std::string (Watch::*question)(std::string_view)) {
    constexpr auto pause = std::chrono::milliseconds(1);
    constexpr int patience = 500;
    const Probe::Row& row = probe_.row(step);
    std::string here;
    std::string elsewhere;
    for (std::size_t i = 0; i < probe_.columns.size(); ++i) {
        const std::string& column = probe_.columns[i];
        const std::string& expected = row.cells[i];
        if (!can_be_asked(column)) {
            elsewhere.append(joined({"| ", column, ": ", expected, "  "}));
            continue;
        }
        const bool compared = is_of_this_system(column) && expected != "?";
        std::string said = (this->*question)(column);
        for (int times = 0; compared && said != expected && times < patience; ++times) {
            std::this_thread::sleep_for(pause);
            said = (this->*question)(column);
        }
        if (said.empty()) continue;
        std::string cell = joined({column, ": ", said});
        if (compared && said != expected) {
            probe_.differs = true;
            cell.append(joined({" (the table says ", expected, ")"}));
        }
        cell.resize(std::max<std::size_t>(cell.size() + 2, 24), ' ');
        here += cell;
    }
    std::printf("  %-44s %s%s\n", step, here.c_str(), elsewhere.c_str());
}

int made(int result, const char* call) {
    if (result >= 0) return result;
    std::perror(call);
    std::exit(2);
}

int tcp_socket() {
    const int made_socket = made(::socket(AF_INET, SOCK_STREAM, 0), "socket");
    const int on = 1;
    made(::setsockopt(made_socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "setsockopt");
    made(::fcntl(made_socket, F_SETFL, O_NONBLOCK), "fcntl");
    return made_socket;
}

int listener() {
    const int listening = tcp_socket();
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    made(::bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
    made(::listen(listening, 16), "listen");
    return listening;
}

int connecting_to(int listening) {
    sockaddr_storage address = {};
    socklen_t length = sizeof address;
    made(::getsockname(listening, reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
    const int client = tcp_socket();
    if (::connect(client, reinterpret_cast<sockaddr*>(&address), length) != 0 && errno != EINPROGRESS)
        made(-1, "connect");
    return client;
}

Ends connected_pair() {
    const int listening = listener();
    const int ours = connecting_to(listening);
    pollfd ready = {};
    ready.fd = listening;
    ready.events = POLLIN;
    made(::poll(&ready, 1, -1), "poll");
    const int peer = made(::accept(listening, nullptr, nullptr), "accept");
    ready.fd = ours;
    ready.events = POLLOUT;
    made(::poll(&ready, 1, -1), "poll");
    ::close(listening);
    return {ours, peer};
}

void send_text(int descriptor, std::string_view text) {
    const auto written = made(static_cast<int>(::write(descriptor, text.data(), text.size())), "write");
    if (static_cast<std::size_t>(written) != text.size()) std::abort();
}

void receive(int descriptor, std::size_t size) {
    std::string bytes(size, '\0');
    if (made(static_cast<int>(::read(descriptor, bytes.data(), size)), "read") != static_cast<int>(size))
        std::abort();
}

void close_now(int descriptor) { made(::close(descriptor), "close"); }

void close_with_reset(int descriptor) {
    linger at_once = {};
    at_once.l_onoff = 1;
    made(::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), "setsockopt");
    close_now(descriptor);
}

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s tests/probes/table.txt\n", argv[0]);
        return 2;
    }
    // The program is called probe_NAME, and its rows stand below [NAME].
    const std::string path = argv[0];
    const std::string program = path.substr(path.rfind('/') + 1);
    const std::string name = program.substr(program.find('_') + 1);
    std::printf("%s\n", name.c_str());
    Probe probe(argv[1], name);
    scenario(probe);
    probe.expect_every_row_seen();
    return probe.differs ? 1 : 0;
}
