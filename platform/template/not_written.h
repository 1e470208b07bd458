// What a function of the template does until it is written: says so, and pretends nothing.
#pragma once

#include <string_view>

#include "platform/kernel.h"
#include "platform/observer.h"
#include "platform/result.h"

namespace pollard {

/// Tells the observer, or the terminal, what is to be written; and is the answer.
inline Error not_written(const char* sentence) {
    const Error error(ErrorKind::not_supported, Call::none);
    report_problem(sentence, error);
    return error;
}

/// The same for `wake`, which has nobody to answer to and may be called by a signal handler: it says its sentence in
/// the one way that is allowed there, a write(2).
inline void wake_not_written(Kernel& kernel) {
    constexpr std::string_view sentence =
        "write wake: end the present wait, or the next; it must be safe in a signal handler (write(2) is)\n";
    constexpr Handle standard_error = 2;
    kernel.write(kernel, standard_error, sentence.data(), sentence.size());
}

}  // namespace pollard
