// The interrupt key: a clean end for a program that runs until somebody presses Ctrl-C. And the quit key, Ctrl-\, by
// which one asks a running program what it does.
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

/// From now on, every SIGQUIT (the key Ctrl-\, on Windows Ctrl-Break) calls `asked(context)` instead of ending the
/// program. One for the whole process; null: as it was. What the handler interrupts goes on undisturbed, as far as the
/// system lets it: a wait in a kernel's queue of events may be cut short.
void on_quit_key(void (*asked)(void* context), void* context);

}  // namespace pollard
