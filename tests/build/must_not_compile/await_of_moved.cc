// Waiting for something moved. What is awaited is either made in the frame's slot or waited for where it is.
//
// EXPECT: await a value, made here, or a named thing; not something moved
#include <utility>

#include "core/coroutine.h"

using namespace pollard;

struct Child : Coroutine<Child> {
    Progress body() {
        CO_BEGIN;
        CO_END;
    }
};

struct Parent : Coroutine<Parent, void, Awaits<Child&>> {
    Child child;

    Progress body() {
        CO_BEGIN;
#ifdef FIXED
        CO_TRY(child);
#else
        CO_TRY(std::move(child));
#endif
        CO_END;
    }
};
