// A Result that nobody looks at. Errors are values here, so dropping one silently would hide a failure.
//
// EXPECT: ignoring return(ed)? value .*nodiscard
#include "core/event_loop.h"

using namespace pollard;

inline bool open(EventLoop& loop) {
#ifdef FIXED
    const Result<void> opened = loop.open();
    return opened.has_value();
#else
    loop.open();
    return true;
#endif
}
