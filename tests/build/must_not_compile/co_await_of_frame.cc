// `co_await` of a hand-written frame, made in the expression. Some compilers copy such a temporary byte by
// byte, and a frame must stay where it is.
//
// EXPECT: write co_await in_place\(\[&\] \{ return Frame\{\.\.\.\}; \}\)
#include "core/co_await.h"
#include "core/coroutine.h"

using namespace pollard;

struct Child : Coroutine<Child> {
    Progress body() {
        CO_BEGIN;
        CO_END;
    }
};

inline Co<void> waits() {
#ifdef FIXED
    co_return co_await in_place([&] { return Child{}; });
#else
    co_return co_await Child{};
#endif
}
