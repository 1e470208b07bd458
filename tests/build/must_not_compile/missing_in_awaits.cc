// Waiting for something that Awaits<...> does not name: the frame's slot may be too small for it.
//
// EXPECT: add the type of what is awaited here to Awaits<\.\.\.>
#include "core/coroutine.h"
#include "core/sleep.h"

using namespace pollard;

struct Child : Coroutine<Child> {
    Progress body() {
        CO_BEGIN;
        CO_END;
    }
};

#ifdef FIXED
using WhatItAwaits = Awaits<Sleep, Child>;
#else
using WhatItAwaits = Awaits<Sleep>;
#endif

struct Parent : Coroutine<Parent, void, WhatItAwaits> {
    Progress body() {
        CO_BEGIN;
        CO_TRY(sleep_ns(0));
        CO_TRY(Child{});
        CO_END;
    }
};
