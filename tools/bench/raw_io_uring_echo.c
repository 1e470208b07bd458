// The second yardstick: an echo server as one writes it by hand for io_uring.
//
//      raw_io_uring_echo PORT [--host 127.0.0.1]
//
// One thread, no library: the two rings are mapped and used as io_uring(7) says. One multishot request
// accepts, one for each connection receives, into buffers that the kernel was given ahead; each message is sent back
// from the buffer it came in, which then goes back to the kernel. A turn of the loop is one call,
//
//      io_uring_enter (hands over all sends, waits for at least one answer)  ->  receives and sends are answers
//
// so that a message costs a part of a call. The ring is set up as a server with one thread should:
// SINGLE_ISSUER and DEFER_TASKRUN. It needs Linux 6.1.
//
// What needs memory is the peer that does not read. A connection has one send under way; buffers that fill meanwhile
// stand in its row, and when the row is long the receive is stopped until it is empty again.
//
// Read next: raw_echo.h (sockets), raw_epoll_echo.c, echo_load.c.
#include "raw_echo.h"

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum {
    request_capacity = 256,
    answer_capacity = 4096,
    buffer_count = 256,  // a power of two
    long_row = 4,
    no_buffer = 0xffff,
};

enum { accepting, receiving, sending, cancelling };  // what a request was, beside its descriptor

struct Connection {
    uint16_t first_buffer;  // being sent; no_buffer: nothing is
    uint16_t last_buffer;
    uint16_t row;  // how many
    bool receives;
    bool stopping;
    bool over;  // closed when nothing is under way any more
};

struct Buffer {
    uint32_t size;
    uint32_t sent;
    uint16_t next;
};

static int ring_fd;
static struct io_uring_sqe* requests;
static struct io_uring_cqe* answers;
static unsigned *request_head, *request_tail, request_mask;
static unsigned *answer_head, *answer_tail, answer_mask;
static unsigned next_request_tail;

static struct io_uring_buf* buffer_ring;
static uint16_t buffer_ring_tail;
static char (*bytes)[buffer_size];
static struct Buffer buffers[buffer_count];

static struct Connection* connections;  // by descriptor

// ---- the rings

static void set_up_ring(void) {
    struct io_uring_params parameters = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
        .cq_entries = answer_capacity,
    };
    ring_fd = (int)syscall(SYS_io_uring_setup, request_capacity, &parameters);
    if (ring_fd < 0) fail("io_uring_setup");
    size_t request_size = parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned);
    size_t answer_size = parameters.cq_off.cqes + parameters.cq_entries * sizeof(struct io_uring_cqe);
    size_t size = request_size > answer_size ? request_size : answer_size;
    char* queues =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring_fd, IORING_OFF_SQ_RING);
    if (queues == MAP_FAILED) fail("mmap");
    requests = mmap(NULL, parameters.sq_entries * sizeof *requests, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_POPULATE, ring_fd, IORING_OFF_SQES);
    if (requests == MAP_FAILED) fail("mmap");
    request_head = (unsigned*)(queues + parameters.sq_off.head);
    request_tail = (unsigned*)(queues + parameters.sq_off.tail);
    request_mask = *(unsigned*)(queues + parameters.sq_off.ring_mask);
    answer_head = (unsigned*)(queues + parameters.cq_off.head);
    answer_tail = (unsigned*)(queues + parameters.cq_off.tail);
    answer_mask = *(unsigned*)(queues + parameters.cq_off.ring_mask);
    answers = (struct io_uring_cqe*)(queues + parameters.cq_off.cqes);
    for (unsigned i = 0; i < parameters.sq_entries; i++)
        ((unsigned*)(queues + parameters.sq_off.array))[i] = i;
}

static unsigned queued(void) { return next_request_tail - __atomic_load_n(request_head, __ATOMIC_ACQUIRE); }

static void enter(unsigned min_complete) {
    __atomic_store_n(request_tail, next_request_tail, __ATOMIC_RELEASE);
    long result =
        syscall(SYS_io_uring_enter, ring_fd, queued(), min_complete, IORING_ENTER_GETEVENTS, NULL, 0);
    if (result < 0 && errno != EINTR && errno != EAGAIN && errno != EBUSY) fail("io_uring_enter");
}

static struct io_uring_sqe* new_request(int what, int fd) {
    while (queued() > request_mask) enter(0);
    struct io_uring_sqe* request = &requests[next_request_tail++ & request_mask];
    memset(request, 0, sizeof *request);
    request->fd = fd;
    request->user_data = (uint64_t)what << 32 | (uint32_t)fd;
    return request;
}

// ---- the buffers

static void give_to_kernel(uint16_t number) {
    struct io_uring_buf* entry = &buffer_ring[buffer_ring_tail++ & (buffer_count - 1)];
    entry->addr = (uintptr_t)bytes[number];
    entry->len = buffer_size;
    entry->bid = number;
    __atomic_store_n(&buffer_ring[0].resv, buffer_ring_tail, __ATOMIC_RELEASE);
}

static void set_up_buffers(void) {
    size_t size = buffer_count * sizeof *buffer_ring;
    buffer_ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bytes = mmap(NULL, (size_t)buffer_count * buffer_size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (buffer_ring == MAP_FAILED || bytes == MAP_FAILED) fail("mmap");
    struct io_uring_buf_reg description = {.ring_addr = (uintptr_t)buffer_ring, .ring_entries = buffer_count};
    if (syscall(SYS_io_uring_register, ring_fd, IORING_REGISTER_PBUF_RING, &description, 1) != 0)
        fail("io_uring_register");
    for (uint16_t number = 0; number < buffer_count; number++) give_to_kernel(number);
}

// ---- requests

static void ask_to_accept(void) {
    struct io_uring_sqe* request = new_request(accepting, listener_fd);
    request->opcode = IORING_OP_ACCEPT;
    request->ioprio = IORING_ACCEPT_MULTISHOT;
    request->accept_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
}

static void ask_to_receive(int fd) {
    struct io_uring_sqe* request = new_request(receiving, fd);
    request->opcode = IORING_OP_RECV;
    request->ioprio = IORING_RECV_MULTISHOT;
    request->flags = IOSQE_BUFFER_SELECT;
    connections[fd].receives = true;
}

static void ask_to_send(int fd) {
    uint16_t number = connections[fd].first_buffer;
    struct io_uring_sqe* request = new_request(sending, fd);
    request->opcode = IORING_OP_SEND;
    request->addr = (uintptr_t)(bytes[number] + buffers[number].sent);
    request->len = buffers[number].size - buffers[number].sent;
    request->msg_flags = MSG_NOSIGNAL;
}

static void ask_to_stop_receiving(int fd) {
    struct io_uring_sqe* request = new_request(cancelling, fd);
    request->opcode = IORING_OP_ASYNC_CANCEL;
    request->fd = -1;
    request->addr = (uint64_t)receiving << 32 | (uint32_t)fd;
    request->flags = IOSQE_CQE_SKIP_SUCCESS;
    connections[fd].stopping = true;
}

// ---- answers

static void close_if_over(int fd) {
    struct Connection* connection = &connections[fd];
    if (!connection->over) return;
    if (connection->receives && !connection->stopping) ask_to_stop_receiving(fd);
    if (!connection->receives && connection->first_buffer == no_buffer) close(fd);
}

static void drop_first_buffer(struct Connection* connection) {
    uint16_t number = connection->first_buffer;
    connection->first_buffer = buffers[number].next;
    connection->row--;
    give_to_kernel(number);
}

static void on_accepted(int result, bool last) {
    if (result == -EMFILE || result == -ENFILE) turn_one_away();
    if (result >= 0) {
        connections[result] = (struct Connection){.first_buffer = no_buffer};
        ask_to_receive(result);
    }
    if (last) ask_to_accept();
}

static void on_received(int fd, int result, uint32_t flags) {
    struct Connection* connection = &connections[fd];
    if (!(flags & IORING_CQE_F_MORE)) connection->receives = connection->stopping = false;
    if (result > 0) {
        uint16_t number = (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT);
        buffers[number] = (struct Buffer){.size = (uint32_t)result, .next = no_buffer};
        connection->row++;
        if (connection->first_buffer == no_buffer) {
            connection->first_buffer = connection->last_buffer = number;
            ask_to_send(fd);
        } else {
            buffers[connection->last_buffer].next = number;
            connection->last_buffer = number;
        }
        if (connection->row >= long_row && connection->receives && !connection->stopping)
            ask_to_stop_receiving(fd);
    } else {
        if (flags & IORING_CQE_F_BUFFER) give_to_kernel((uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT));
        if (result != -ENOBUFS && result != -ECANCELED && result != -EINTR) connection->over = true;
    }
    if (!connection->receives && !connection->over && connection->first_buffer == no_buffer)
        ask_to_receive(fd);
    close_if_over(fd);
}

static void on_sent(int fd, int result) {
    struct Connection* connection = &connections[fd];
    struct Buffer* buffer = &buffers[connection->first_buffer];
    if (result >= 0) {
        buffer->sent += (uint32_t)result;
        if (buffer->sent == buffer->size) drop_first_buffer(connection);
    } else if (result != -EINTR && result != -EAGAIN) {
        connection->over = true;
        while (connection->first_buffer != no_buffer) drop_first_buffer(connection);
    }
    if (connection->first_buffer != no_buffer)
        ask_to_send(fd);
    else if (!connection->receives && !connection->over)
        ask_to_receive(fd);
    close_if_over(fd);
}

static void on_answer(const struct io_uring_cqe* answer) {
    int fd = (int)(uint32_t)answer->user_data;
    switch (answer->user_data >> 32) {
        case accepting:
            on_accepted(answer->res, !(answer->flags & IORING_CQE_F_MORE));
            break;
        case receiving:
            on_received(fd, answer->res, answer->flags);
            break;
        case sending:
            on_sent(fd, answer->res);
            break;
        default:
            break;
    }
}

// ---- the program

int main(int argc, char** argv) {
    size_t limit = begin_to_listen(argc, argv);
    connections = calloc(limit, sizeof *connections);
    if (connections == NULL) fail("calloc");
    set_up_ring();
    set_up_buffers();
    ask_to_accept();
    for (;;) {
        enter(1);
        unsigned head = *answer_head;
        const unsigned tail = __atomic_load_n(answer_tail, __ATOMIC_ACQUIRE);
        for (; head != tail; head++) on_answer(&answers[head & answer_mask]);
        __atomic_store_n(answer_head, head, __ATOMIC_RELEASE);
    }
}
