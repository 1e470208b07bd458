// A Progress that the user makes. What a body returns must come from the macros: they note where it goes on.
//
// EXPECT-GCC: no matching function for call to 'pollard::Progress::Progress\(\)'
// EXPECT-CLANG: no matching constructor for initialization of 'Progress'
#include "core/coroutine.h"

using namespace pollard;

struct MakesItUp : Coroutine<MakesItUp> {
    Progress body() {
        CO_BEGIN;
#ifdef FIXED
        CO_RETURN();
#else
        return Progress();
#endif
        CO_END;
    }
};
