// The load: many connections to an echo server, one message in flight on each, every byte of every answer
// checked.
//
//      echo_load --port P --connections 64 --seconds 1
//      echo_load --port P --connections 1 --round-trips 10000 --size 64
//          runs, and prints one line:
//          connections=64 size=64 round_trips=214519 seconds=1.000212345 p50_us=292.9 p99_us=423.9
//
//      echo_load --port P --connections 64 --seconds -
//          the same again and again on the same connections: a line of its standard input is the length of
//          one run.
//
//      echo_load --port P --idle 10000 [--touch]
//          opens 10,000 connections (each does one round trip first, with --touch), prints "ready", keeps
//          them until its standard input is closed, and fails if the server has closed one of them meanwhile.
//
// Each connection does one round trip before the first run, so that all are accepted by then. The printed
// round trips leave these out.
//
// A single thread on plain level-triggered epoll: a load generator has to be boring. Message k of connection
// i starts at its own place in a row of random bytes, so that an answer which belongs to another message or
// to another connection is noticed. The exit status is 1 after a wrong byte, a lost connection, or ten
// seconds of silence.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    event_capacity = 256,
    pattern_offsets = 251,  // a prime: messages k of neighbours start at different places
    opened_at_once = 64,    // well below any listener's backlog
    silence_limit_ms = 10000,
};

struct Connection {
    int fd;
    uint64_t sequence;  // messages begun
    const char* message;
    size_t sent;
    size_t received;
    bool waits_for_room;
    int64_t begun_at_ns;
};

// Latencies, in steps of 1/16 of a power of two: 6 % is what the two printed figures are exact to.
struct Histogram {
    uint64_t count[64 * 16];
    uint64_t total;
};

// Messages are begun until `limit` of them or the deadline, and the phase is over when none is in flight.
struct Phase {
    uint64_t limit;
    int64_t deadline_ns;
    uint64_t begun;
    uint64_t completed;
    struct Histogram latency;
};

static struct sockaddr_in server = {.sin_family = AF_INET};
static struct Connection* connections;
static size_t message_size = 64;
static char* pattern;
static int epoll_fd;

static _Noreturn void fail(const char* call) {
    fprintf(stderr, "echo_load: %s: %s\n", call, strerror(errno));
    exit(1);
}

static _Noreturn void complain(const char* sentence) {
    fprintf(stderr, "echo_load: %s\n", sentence);
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void* allocate(size_t count, size_t size) {
    void* memory = calloc(count, size);
    if (memory == NULL) fail("calloc");
    return memory;
}

// ---- latencies

// 16 steps in each power of two: the exponent chooses the sixteen, the four bits below the highest one the
// step.
static unsigned step_of(uint64_t latency_ns) {
    if (latency_ns < 16) return (unsigned)latency_ns;
    unsigned exponent = 63 - (unsigned)__builtin_clzll(latency_ns);
    return (exponent - 3) * 16 + (unsigned)((latency_ns >> (exponent - 4)) & 15);
}

static uint64_t end_of_step(unsigned step) {
    if (step < 16) return step;
    unsigned exponent = step / 16 + 3;
    return (UINT64_C(16) + step % 16 + 1) << (exponent - 4);
}

static void add_latency(struct Histogram* histogram, int64_t latency_ns) {
    histogram->count[step_of((uint64_t)latency_ns)]++;
    histogram->total++;
}

static double percentile_us(const struct Histogram* histogram, double share) {
    uint64_t wanted = (uint64_t)((double)histogram->total * share);
    uint64_t seen = 0;
    unsigned step = 0;
    while (step < 64 * 16 - 1 && (seen += histogram->count[step]) <= wanted) step++;
    return (double)end_of_step(step) / 1000;
}

// ---- one connection

static void set_interest(int change, struct Connection* connection, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = connection};
    if (epoll_ctl(epoll_fd, change, connection->fd, &event) != 0) fail("epoll_ctl");
}

static void open_connection(struct Connection* connection) {
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) fail("socket");
    if (connect(connection->fd, (struct sockaddr*)&server, sizeof server) != 0) fail("connect");
    set_interest(EPOLL_CTL_ADD, connection, EPOLLIN);
}

// A message larger than the kernel's buffers goes out in pieces, between which the answer has to be read.
static void send_some(struct Connection* connection) {
    ssize_t sent = send(connection->fd, connection->message + connection->sent,
                        message_size - connection->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
        connection->sent += (size_t)sent;
    } else if (errno != EAGAIN && errno != EINTR) {
        fail("send");
    }
    bool must_wait = connection->sent < message_size;
    if (must_wait == connection->waits_for_room) return;
    connection->waits_for_room = must_wait;
    set_interest(EPOLL_CTL_MOD, connection, must_wait ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void begin_message(struct Connection* connection, struct Phase* phase, int64_t time_ns) {
    uint64_t index = (uint64_t)(connection - connections);
    connection->message = pattern + (index * 7 + connection->sequence) % pattern_offsets;
    connection->sequence++;
    connection->sent = 0;
    connection->received = 0;
    connection->begun_at_ns = time_ns;
    phase->begun++;
    send_some(connection);
}

// True when the answer is complete.
static bool receive_some(struct Connection* connection) {
    static char buffer[64 * 1024];
    ssize_t received = recv(connection->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (received == 0) complain("the server closed a connection");
    if (received < 0) {
        if (errno == EAGAIN || errno == EINTR) return false;
        fail("recv");
    }
    if (connection->received + (size_t)received > connection->sent) complain("bytes came that were not sent");
    if (memcmp(buffer, connection->message + connection->received, (size_t)received) != 0) {
        complain("a byte came back wrong");
    }
    connection->received += (size_t)received;
    return connection->received == message_size;
}

// ---- many connections

static bool may_begin(const struct Phase* phase, int64_t time_ns) {
    return phase->begun < phase->limit && time_ns < phase->deadline_ns;
}

static void serve_event(const struct epoll_event* event, struct Phase* phase) {
    struct Connection* connection = event->data.ptr;
    if (connection->waits_for_room && (event->events & EPOLLOUT)) send_some(connection);
    if (!(event->events & ~(uint32_t)EPOLLOUT) || !receive_some(connection)) return;
    int64_t time_ns = now_ns();
    add_latency(&phase->latency, time_ns - connection->begun_at_ns);
    phase->completed++;
    if (may_begin(phase, time_ns)) begin_message(connection, phase, time_ns);
}

static void run_phase(struct Phase* phase, struct Connection* first, size_t count) {
    struct epoll_event events[event_capacity];
    for (size_t i = 0; i < count; i++) {
        int64_t time_ns = now_ns();
        if (may_begin(phase, time_ns)) begin_message(&first[i], phase, time_ns);
    }
    while (phase->completed < phase->begun) {
        int ready = epoll_wait(epoll_fd, events, event_capacity, silence_limit_ms);
        if (ready < 0 && errno != EINTR) fail("epoll_wait");
        if (ready == 0) complain("the server has been silent for ten seconds");
        for (int i = 0; i < ready; i++) serve_event(&events[i], phase);
    }
}

static void open_connections(size_t count, bool touch) {
    connections = allocate(count, sizeof *connections);
    for (size_t first = 0; first < count; first += opened_at_once) {
        size_t now = count - first < opened_at_once ? count - first : opened_at_once;
        for (size_t i = first; i < first + now; i++) open_connection(&connections[i]);
        struct Phase phase = {.limit = touch ? now : 0, .deadline_ns = INT64_MAX};
        run_phase(&phase, &connections[first], now);
    }
}

// `seconds` or `round_trips` is 0: no limit of that kind.
static void run_load(size_t count, uint64_t round_trips, double seconds) {
    int64_t begin_ns = now_ns();
    struct Phase phase = {.limit = round_trips > 0 ? round_trips : UINT64_MAX, .deadline_ns = INT64_MAX};
    if (seconds > 0) phase.deadline_ns = begin_ns + (int64_t)(seconds * 1e9);
    run_phase(&phase, connections, count);
    double taken = (double)(now_ns() - begin_ns) / 1e9;
    printf("connections=%zu size=%zu round_trips=%llu seconds=%.9f p50_us=%.1f p99_us=%.1f\n", count,
           message_size, (unsigned long long)phase.completed, taken, percentile_us(&phase.latency, 0.50),
           percentile_us(&phase.latency, 0.99));
    fflush(stdout);
}

static void run_on_request(size_t count) {
    char line[64];
    while (fgets(line, sizeof line, stdin) != NULL) {
        double seconds = strtod(line, NULL);
        if (!(seconds > 0)) complain("a line of standard input is no number of seconds");
        run_load(count, 0, seconds);
    }
}

static void stay_idle(size_t count, bool touch) {
    open_connections(count, touch);
    printf("ready\n");
    fflush(stdout);

    char ignored[256];
    while (read(STDIN_FILENO, ignored, sizeof ignored) > 0) {
    }
    for (size_t i = 0; i < count; i++) {
        ssize_t received = recv(connections[i].fd, ignored, sizeof ignored, MSG_DONTWAIT);
        if (received >= 0 || errno != EAGAIN) complain("an idle connection did not stay open and silent");
    }
}

// ---- the program

static void raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) fail("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) fail("setrlimit");
}

static void make_pattern(void) {
    size_t size = message_size + pattern_offsets;
    pattern = allocate(size, 1);
    uint32_t state = 0x9e3779b9;
    for (size_t i = 0; i < size; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        pattern[i] = (char)(state >> 24);
    }
}

static _Noreturn void usage(void) {
    fprintf(
        stderr,
        "usage: echo_load --port P [--host H] [--connections N] [--size 64] --seconds S | --round-trips R\n"
        "       echo_load --port P [--host H] [--connections N] [--size 64] --seconds -\n"
        "       echo_load --port P [--host H] --idle N [--touch]\n");
    exit(2);
}

int main(int argc, char** argv) {
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"host", required_argument, NULL, 'h'},
        {"connections", required_argument, NULL, 'c'},
        {"size", required_argument, NULL, 's'},
        {"seconds", required_argument, NULL, 't'},
        {"round-trips", required_argument, NULL, 'r'},
        {"idle", required_argument, NULL, 'i'},
        {"touch", no_argument, NULL, 'o'},
        {NULL, 0, NULL, 0},
    };
    const char* host = "127.0.0.1";
    size_t count = 1;
    size_t idle = 0;
    double seconds = 0;
    bool on_request = false;
    uint64_t round_trips = 0;
    bool touch = false;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
            case 'p':
                server.sin_port = htons((uint16_t)atoi(optarg));
                break;
            case 'h':
                host = optarg;
                break;
            case 'c':
                count = strtoul(optarg, NULL, 10);
                break;
            case 's':
                message_size = strtoul(optarg, NULL, 10);
                break;
            case 't':
                on_request = strcmp(optarg, "-") == 0;
                seconds = strtod(optarg, NULL);
                break;
            case 'r':
                round_trips = strtoull(optarg, NULL, 10);
                break;
            case 'i':
                idle = strtoul(optarg, NULL, 10);
                break;
            case 'o':
                touch = true;
                break;
            default:
                usage();
        }
    }
    bool has_work = idle > 0 || (count > 0 && (seconds > 0 || on_request || round_trips > 0));
    bool has_server = server.sin_port != 0 && inet_pton(AF_INET, host, &server.sin_addr) == 1;
    if (optind != argc || !has_work || !has_server || message_size == 0) usage();

    raise_descriptor_limit();
    make_pattern();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) fail("epoll_create1");
    if (idle > 0) {
        stay_idle(idle, touch);
        return 0;
    }
    open_connections(count, true);
    if (on_request) {
        run_on_request(count);
    } else {
        run_load(count, round_trips, seconds);
    }
    return 0;
}
