// The six macros with which a frame's body is written.
//
// C++ has co_await, co_yield and co_return, and the compiler then cuts the function into pieces at those
// places and moves its locals into an object. These macros do the same cutting in plain sight. A body is one
// `switch` over the line at which it last stopped, and each place where it can stop is a `case` of it:
//
//      Progress body() {                          Progress body() {
//          CO_BEGIN;                                  switch (resume_point) { case 0:
//          for (;;) {                                     for (;;) {
//                                                             resumed = false;
//                                                             if (false) { case 41: resumed = true; }
//              CO_AWAIT(n, peer.recv(bytes));                 step = await_at<41>(resumed, n, peer.recv(bytes));
//                                                             if (step.leaves()) return step;
//              if (!n) CO_RETURN(n.error());                  if (!n) return finish_with(n.error());
//          }                                              }
//          CO_END;                                    } return end_of_body();
//      }                                          }
//
// `await_at` is reached in two ways. From above, the first time: it makes the awaited thing in the frame's
// slot and starts it; if the result is there at once, the body simply goes on, otherwise it has noted the
// line, and the body returns. And by the switch, when the frame is resumed: then it moves the result into the
// target. (Simon Tatham's "Coroutines in C" and Contiki's protothreads cut functions in this way; what is
// added here is what the compiler can check, and a slot for what is waited for.)
//
//      CO_BEGIN                     opens the switch; nothing may stand before it
//      CO_AWAIT(target, awaitable)  waits; target = its Result
//      CO_TRY(awaitable)            waits; an error ends this frame with that error, a value is dropped
//      CO_YIELD(value)              generators: hands a value out; goes on at the next request
//      CO_RETURN(result)            ends the frame: a value, an Error or a Result; CO_RETURN() without value
//      CO_END                       closes the switch; the end of a body without result
//
// What the rules are, and who enforces them:
//  - A local that must survive a stop is a field of the frame. A local with an initialiser in front of a
//    macro, in the same block, does not compile ("jump to case label crosses initialization").
//  - No CO_AWAIT inside a `switch` of your own: does not compile (ResumePoint is an enum class).
//  - One macro a line: two are two equal case labels and do not compile.
//  - A plain `return`, or a forgotten CO_END, does not compile (only frames can make a Progress).
//  - The awaitable is made in the frame, but what it only refers to must live in the frame too: a temporary
//    buffer does not compile (operations take borrowed ranges).
//
// The macros hold calls of named functions and nothing else, so that a debugger steps into what matters.
#pragma once

#define CO_BEGIN                  \
    switch (this->resume_point) { \
        case ::pollard::at_beginning:

#define CO_END                           \
    break;                               \
    default:                             \
        return this->already_finished(); \
        }                                \
        return this->end_of_body()

#define CO_AWAIT(target, ...)                                                                              \
    POLLARD_STOP_HERE(this->template await_at<__LINE__>(POLLARD_PLACE(#__VA_ARGS__), resumed_here, target, \
                                                        POLLARD_MAKE(__VA_ARGS__)))

#define CO_TRY(...)                                                                              \
    POLLARD_STOP_HERE(this->template try_at<__LINE__>(POLLARD_PLACE(#__VA_ARGS__), resumed_here, \
                                                      POLLARD_MAKE(__VA_ARGS__)))

#define CO_YIELD(...)                                                                              \
    POLLARD_STOP_HERE(this->template yield_at<__LINE__>(POLLARD_PLACE(#__VA_ARGS__), resumed_here, \
                                                        POLLARD_MAKE(__VA_ARGS__)))

#define CO_RETURN(...) return this->finish_with(__VA_ARGS__)

// A case label for this line, and the way out. The jump may pass the bool's declaration because it has no
// initialiser.
#define POLLARD_STOP_HERE(...)                                                                       \
    do {                                                                                             \
        bool resumed_here;                                                                           \
        resumed_here = false;                                                                        \
        if (false) {                                                                                 \
            case ::pollard::ResumePoint{__LINE__}:                                                   \
                resumed_here = true;                                                                 \
        }                                                                                            \
        if (const ::pollard::Progress step_here = __VA_ARGS__; step_here.leaves()) return step_here; \
    } while (false)

// File, line and text of the place as a type of its own, from which one constexpr Site is made.
#define POLLARD_PLACE(text) [] { return ::pollard::Place{__FILE__, text, __LINE__}; }

// The expression, written once and not yet evaluated: it is built in the frame's slot. An lvalue stays one.
#define POLLARD_MAKE(...) [&]() -> decltype(auto) { return (__VA_ARGS__); }

namespace pollard {
/// What POLLARD_PLACE gives.
struct Place {
    const char* file;
    const char* expression;
    unsigned line;
};
}  // namespace pollard
