// An await in a `switch` of one's own. Its case label would belong to that switch and not to the body's, and
// the frame would resume somewhere else; but a ResumePoint is no case of a switch over anything else.
//
// EXPECT-GCC: could not convert .*ResumePoint.* to .int.
// EXPECT-CLANG: pollard::ResumePoint' is not implicitly convertible to 'int'
#include "core/coroutine.h"
#include "core/sleep.h"

using namespace pollard;

struct Waits : Coroutine<Waits, void, Awaits<Sleep>> {
    int kind = 0;

    Progress body() {
        CO_BEGIN;
#ifdef FIXED
        if (kind == 1) CO_TRY(sleep_ns(0));
#else
        switch (kind) {
            case 1:
                CO_TRY(sleep_ns(0));
                break;
        }
#endif
        CO_END;
    }
};
