// A body without CO_END. The switch that CO_BEGIN opens stays open.
//
// EXPECT: expected '}'
#include "core/coroutine.h"

using namespace pollard;

struct HasNoEnd : Coroutine<HasNoEnd> {
    Progress body() {
        CO_BEGIN;
        CO_RETURN();
#ifdef FIXED
        CO_END;
#endif
    }
};
