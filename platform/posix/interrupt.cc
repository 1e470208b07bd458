// The handler: it saves errno, sets the flag, and calls the one function it was given.
#include "platform/interrupt.h"

#include <signal.h>

#include <cerrno>

namespace pollard {

namespace {
void (*volatile interrupted_function)(void*) = nullptr;
void* volatile interrupted_context = nullptr;
volatile bool came = false;
void (*volatile asked_function)(void*) = nullptr;
void* volatile asked_context = nullptr;

void handle_quit_key(int) {
    const int saved_errno = errno;
    if (asked_function != nullptr) asked_function(asked_context);
    errno = saved_errno;
}

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

void on_quit_key(void (*asked)(void* context), void* context) {
    struct sigaction action = {};
    if (asked == nullptr) {
        // First the handler goes, then what it would call.
        action.sa_handler = SIG_DFL;
        ::sigaction(SIGQUIT, &action, nullptr);
    }
    asked_function = nullptr;  // never the old function with the new context
    asked_context = context;
    asked_function = asked;
    if (asked == nullptr) return;
    action.sa_handler = handle_quit_key;
    action.sa_flags = SA_RESTART;
    ::sigaction(SIGQUIT, &action, nullptr);
}

const volatile bool& interrupt_came() { return came; }

}  // namespace pollard
