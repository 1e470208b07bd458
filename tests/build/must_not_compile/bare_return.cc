// A `return;` in a body. A body says how it returns, and CO_RETURN is how one says that it has ended.
//
// EXPECT-GCC: return-statement with no value
// EXPECT-CLANG: non-void function 'body' should return a value
#include "core/coroutine.h"

using namespace pollard;

struct LeavesEarly : Coroutine<LeavesEarly> {
    bool early = false;

    Progress body() {
        CO_BEGIN;
#ifdef FIXED
        if (early) CO_RETURN();
#else
        if (early) return;
#endif
        CO_END;
    }
};
