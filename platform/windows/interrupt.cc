// The interrupt key on Windows: the system runs the handler on a thread that it makes for it.
//
// So the handler may do what any thread may, and blocking calls of other threads are not disturbed by it.
#include "platform/interrupt.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

namespace pollard {

namespace {
void (*volatile interrupted_function)(void*) = nullptr;
void* volatile interrupted_context = nullptr;
volatile bool came = false;
void (*volatile asked_function)(void*) = nullptr;
void* volatile asked_context = nullptr;

BOOL WINAPI handle_quit_key(DWORD event) {
    if (event != CTRL_BREAK_EVENT || asked_function == nullptr) return FALSE;
    asked_function(asked_context);
    return TRUE;
}

BOOL WINAPI handle(DWORD event) {
    if (event == CTRL_BREAK_EVENT && asked_function != nullptr) return FALSE;  // left to handle_quit_key
    // Once: FALSE gives the next one to the system's own handler, which ends the program.
    if (came) return FALSE;
    came = true;
    if (interrupted_function != nullptr) interrupted_function(interrupted_context);
    return TRUE;
}
}  // namespace

void on_interrupt(void (*interrupted)(void* context), void* context) {
    interrupted_context = context;
    interrupted_function = interrupted;
    ::SetConsoleCtrlHandler(handle, TRUE);
}

void on_quit_key(void (*asked)(void* context), void* context) {
    ::SetConsoleCtrlHandler(handle_quit_key, FALSE);
    asked_function = nullptr;  // never the old function with the new context
    asked_context = context;
    asked_function = asked;
    if (asked != nullptr) ::SetConsoleCtrlHandler(handle_quit_key, TRUE);
}

const volatile bool& interrupt_came() { return came; }

}  // namespace pollard
