// A time limit that the kernel itself keeps: io_uring's linked time-out.
//
//      the queue of requests:   [ recv, fd 7, LINK ] [ LINK_TIMEOUT, 500 ms ]     handed over together
//
//      the bytes come first     the time-out is cancelled      the answer is the bytes
//      the time is over         the receive is cancelled       the answer is Error timed_out
//
// No other kernel here has its like, so it is no part of the contract, and core/ has time limits that are the same
// everywhere: a timer of the loop's, which costs no request and no answer, and a cancellation when it is due. This one
// pays with a second request and a second answer for each operation. What it is good for: a program without the loop,
// right on a port; and to see it.
//
// Manual page: io_uring_enter(2), IORING_OP_LINK_TIMEOUT. Read next: io_uring_port.cc: `submit`, `settle`.
#pragma once

#include <linux/time_types.h>

#include <cstdint>

#include "platform/completion_port.h"

namespace pollard {

/// The caller keeps it as long as its operation: until `completed`, or until start_with_limit gives true.
struct TimeLimit {
    Operation* operation = nullptr;
    __kernel_timespec duration = {};
    TimeLimit* next = nullptr;
};

/// As CompletionPort::start; the operation ends with `timed_out` if the kernel has no other answer `limit_ns` after it
/// has got the request (which is at the next wait). For connect, recv, send, readable and writable on a port of
/// io_uring's. What a stream has brought before still is the answer at once.
bool start_with_limit(CompletionPort& port, Operation& operation, TimeLimit& limit, std::int64_t limit_ns);

}  // namespace pollard
