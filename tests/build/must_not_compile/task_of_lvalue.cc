// A named coroutine given to create_task. A task takes its coroutine over, so that has to be said with
// std::move.
//
// EXPECT: a task takes the coroutine over: pass it by value or std::move
#include <utility>

#include "core/coroutine.h"
#include "core/event_loop.h"

using namespace pollard;

struct Child : Coroutine<Child> {
    Progress body() {
        CO_BEGIN;
        CO_END;
    }
};

inline bool begin(EventLoop& loop) {
    Child child;
#ifdef FIXED
    return loop.create_task(std::move(child)).has_value();
#else
    return loop.create_task(child).has_value();
#endif
}
