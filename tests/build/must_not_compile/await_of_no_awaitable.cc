// Waiting for something that nobody can wait for.
//
// EXPECT: this cannot be awaited: see the list of functions in core/awaitable\.h
#include "core/coroutine.h"
#include "core/sleep.h"

using namespace pollard;

#ifdef FIXED
inline Sleep make_what_is_awaited() { return sleep_ns(0); }
#else
inline int make_what_is_awaited() { return 0; }
#endif
using WhatIsAwaited = decltype(make_what_is_awaited());

struct Waits : Coroutine<Waits, void, Awaits<WhatIsAwaited>> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(make_what_is_awaited());
        CO_END;
    }
};
