// FanOut: one observer that tells several others.
//
//      FanOut watchers;                    the floors tell one
//      watchers.add(trace);                      |
//      watchers.add(narration);            [ FanOut ] --> trace, then narration
//      current_observer = &watchers;
//
// Read next: core/trace/narration.h, core/trace/chrome_trace.h.
#pragma once

#include <cstddef>

#include "platform/observer.h"

namespace pollard {

class FanOut : public Observer {
public:
    static constexpr std::size_t capacity = 4;

    FanOut();
    FanOut(const FanOut&) = delete;
    /// Told after those that were added before; not owned. At most `capacity`.
    void add(Observer& observer);

private:
    /// Calls the same function of each.
    template <auto function, class... Arguments>
    static void tell(Observer& self, Arguments... arguments);

    Observer* told_[capacity] = {};
    std::size_t count_ = 0;
};

}  // namespace pollard
