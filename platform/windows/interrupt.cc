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

BOOL WINAPI handle(DWORD) {
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

const volatile bool& interrupt_came() { return came; }

}  // namespace pollard
