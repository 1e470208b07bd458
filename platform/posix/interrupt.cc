// The handler: it saves errno, sets the flag, and calls the one function it was given.
#include "platform/interrupt.h"

#include <signal.h>

#include <cerrno>

namespace pollard {

namespace {
void (*volatile interrupted_function)(void*) = nullptr;
void* volatile interrupted_context = nullptr;
volatile bool came = false;

void handle(int) {
    // What the handler calls may change errno under the code that it interrupts.
    const int saved_errno = errno;
    came = true;
    if (interrupted_function != nullptr) interrupted_function(interrupted_context);
    errno = saved_errno;
}
}  // namespace

void on_interrupt(void (*interrupted)(void* context), void* context) {
    interrupted_context = context;
    interrupted_function = interrupted;
    struct sigaction action = {};
    action.sa_handler = handle;
    // Once: the next one ends the program. No SA_RESTART: a blocking call must come back to look at the flag.
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
}

const volatile bool& interrupt_came() { return came; }

}  // namespace pollard
