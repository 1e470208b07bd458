// The thread's observer, and where problems go when there is none.
#include "platform/observer.h"

#include <cstdio>

namespace pollard {

constinit thread_local Observer* current_observer = nullptr;

void report_problem(const char* sentence, const Error& error) {
    if (current_observer != nullptr)
        current_observer->problem(*current_observer, sentence, error);
    else
        std::fprintf(stderr, "pollard: %s: %s\n", sentence, describe(error).c_str());
}

}  // namespace pollard
