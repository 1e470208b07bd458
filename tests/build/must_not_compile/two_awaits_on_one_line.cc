// Two awaits on one line. A stop is known by its line, so the second would be the first.
//
// EXPECT: duplicate case value
#include "core/coroutine.h"
#include "core/sleep.h"

using namespace pollard;

struct WaitsTwice : Coroutine<WaitsTwice, void, Awaits<Sleep>> {
    Progress body() {
        CO_BEGIN;
        // clang-format off
#ifdef FIXED
        CO_TRY(sleep_ns(0));
        CO_TRY(sleep_ns(0));
#else
        CO_TRY(sleep_ns(0)); CO_TRY(sleep_ns(0));
#endif
        // clang-format on
        CO_END;
    }
};
