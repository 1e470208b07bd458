// The interrupt key: a clean end for a program that runs until somebody presses Ctrl-C.
//
// A signal handler may do next to nothing (signal-safety(7)). So ours sets a flag and calls one function,
// which must be signal-safe itself: LoopHandle::stop is, it sets another flag and writes to a descriptor. The
// second interrupt finds the system's own handler again and ends the program at once.
#pragma once

namespace pollard {

/// From now on, the first SIGINT or SIGTERM calls `interrupted(context)`. One for the whole process; blocking
/// system calls then fail with EINTR.
void on_interrupt(void (*interrupted)(void* context), void* context);
/// Whether it has come.
const volatile bool& interrupt_came();

}  // namespace pollard
