// A local with an initialiser in front of an await in the same block. It would have to survive the
// suspension, and only fields do: when the frame resumes, the switch jumps past the initialiser.
//
// EXPECT-GCC: jump to case label
// EXPECT-GCC: crosses initialization of 'int count'
// EXPECT-CLANG: cannot jump from switch statement to this case label
// EXPECT-CLANG: jump bypasses variable initialization
#include "core/coroutine.h"
#include "core/sleep.h"

using namespace pollard;

struct Counts : Coroutine<Counts, int, Awaits<Sleep>> {
#ifdef FIXED
    int count = 0;
#endif

    Progress body() {
        CO_BEGIN;
#ifndef FIXED
        int count = 1;
#endif
        CO_TRY(sleep_ns(0));
        ++count;
        CO_RETURN(count);
        CO_END;
    }
};
