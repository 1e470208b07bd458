// Frame: a function that can stop in the middle.
//
// A suspended function is two things: the place where it goes on, and the locals that must survive. Here both
// are plain data that one can look at:
//
//      struct Frame                      the object derived from it
//      +---------------------------+
//      | next, previous, type      |  a place in the ready queue (platform/work.h)
//      | waiter  (or task)         |  who goes on when this one has finished
//      | site                      |  where it stopped, and for what; null: not suspended
//      | resume_point              |  the source line of that place
//      | flags, since_turn         |
//      +---------------------------+
//      | slot: what it waits for,  |  one await at a time; when it has finished: its result
//      |       in place            |
//      +---------------------------+
//      | the locals, as fields     |
//      +---------------------------+
//
// Frames wait in chains. The innermost waits for something that is no frame (a timer, an operation), each
// other one for a child in its own slot. So a whole call tree is one object, and needs no heap.
//
//      task <- Main <- Session <- Recv          `waiter` leads to the left, `site` to the right
//
// Starting nests: a child's body is called like a function. Finishing never does: a body stores its result
// and returns, and `run_chain`, the place that runs frames (core/coroutine.h has its shortcut), then goes on with
// the waiter. So no frame is destroyed under its own function, and a chain of any length finishes on a small stack.
//
// Read next: core/generator.h (the simplest frame), core/coroutine.h, then core/scheduler.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "platform/result.h"
#include "platform/work.h"

namespace pollard {

struct Frame;
struct TaskState;

/// What stands where a value is asked for and there is none: a generator that takes nothing in, or returns nothing.
struct Nothing {
    bool operator==(const Nothing&) const = default;
};

/// The source line at which a body goes on; 0 is its beginning. A type of its own, with no named values, so
/// that a CO_AWAIT inside the user's own `switch` does not compile instead of jumping somewhere else.
enum class ResumePoint : std::uint16_t {};
inline constexpr ResumePoint at_beginning{0};
/// No line has this number: the result is stored already and the body must not run.
inline constexpr ResumePoint at_nowhere{0xffff};

/// What a body has to say when it returns. Only frames can make one, so a `return;` of the user's, or a body
/// without CO_END, does not compile.
class [[nodiscard]] Progress {
public:
    constexpr bool suspended() const { return what_ == What::suspended; }
    constexpr bool finished() const { return what_ == What::finished; }
    constexpr bool yielded() const { return what_ == What::yielded; }
    /// The body must return now.
    constexpr bool leaves() const { return what_ != What::goes_on; }

private:
    enum class What : std::uint8_t { goes_on, suspended, yielded, finished };
    constexpr explicit Progress(What what) : what_(what) {}
    What what_;
    friend struct FrameProgress;
};

/// The makers of Progress, for the classes that frames derive from.
struct FrameProgress {
    static constexpr Progress goes_on{Progress::What::goes_on};
    static constexpr Progress suspended{Progress::What::suspended};
    static constexpr Progress yielded{Progress::What::yielded};
    static constexpr Progress finished{Progress::What::finished};
};

/// One constexpr record for each type of frame: what a vtable would hold, and a name.
struct FrameType : WorkType {
    /// Runs the body from its resume point to the next stop. (WorkType::run does the same and goes on with
    /// the waiter when the body has ended: see run_from_queue.)
    Progress (*resume)(Frame*);
    /// Stores this error as the result of a frame; an older result is lost.
    void (*fail)(Frame*, const Error&);
    /// The error that a failed frame has ended with.
    Error (*error)(const Frame*);
    std::size_t size;
};

enum class CancelOutcome : std::uint8_t {
    accepted,    // this await ends, or will end, as the awaited thing says: nothing more to do
    open,        // the kernel was asked; whether it is cancelled or finished will be known at completion
    refused,     // it is too late for this await, its true result is coming: the request stays with the task
    ends_now,    // its frame shall go on at once; whoever asked makes it ready
    goes_round,  // what is waited for waits for the task that is asked: a circle, to be cut elsewhere
};

/// One constexpr record for each type of thing that can be awaited.
struct AwaitedType {
    enum class Kind : std::uint8_t {
        leaf,           // a timer, an operation: no frame behind it
        child,          // a frame, in place
        child_pointer,  // begins with a pointer to a frame
        task_pointer,   // begins with a pointer to a TaskState
        yield,          // nobody is waited for: the consumer asks for the next value
    };
    const char* name;
    Kind kind;
    CancelOutcome (*cancel)(void* awaited);
    void (*abandon)(void* awaited);
    void (*destroy)(void* awaited);
    void (*describe)(const void* awaited, Text& text);
    /// Null, or: the frame is on its way, and the request that `cancel` took since then is taken back.
    void (*withdraw_cancel)(void* awaited) = nullptr;
    /// Null, or: the task to which a request is passed on, so that a long row of tasks is asked in a loop; null: `cancel`.
    TaskState* (*task_behind)(void* awaited) = nullptr;
};

/// A place in the source where a frame can stop: one constexpr record for each CO_AWAIT.
struct Site {
    const char* file;
    const char* expression;
    const AwaitedType* awaited;
    std::uint16_t line;
    /// The slot holds a pointer to the awaited thing, not the thing itself.
    bool indirect;
    /// The awaited thing is destroyed by whoever owns it, not by emptying the slot.
    bool borrowed;
};

struct FrameFlags {
    bool started : 1 = false;
    bool finished : 1 = false;
    bool failed : 1 = false;     // finished with an error
    bool cancelled : 1 = false;  // finished with the error `cancelled`
    bool task_root : 1 = false;  // `root_task` is valid, not `waiter`
    bool moved_from : 1 = false;
    bool has_item : 1 = false;  // an asynchronous generator stopped at a yield: the slot holds the item
};

struct Frame : Work {
    union {
        Frame* waiter = nullptr;  // goes on when this frame finishes; null: nobody
        TaskState* root_task;     // when flags.task_root
    };
    const Site* site = nullptr;
    ResumePoint resume_point = at_beginning;
    FrameFlags flags;
    /// The turn of the loop in which it began to wait for what `site` says.
    std::uint32_t since_turn = 0;

    explicit Frame(const FrameType* frame_type) : Work(frame_type) {}
    /// Only a frame that has not started may move: into a task's block, say. Afterwards it is pinned.
    Frame(Frame&& other) noexcept;
    Frame& operator=(Frame&&) = delete;
    ~Frame();

    const FrameType& frame_type() const { return *static_cast<const FrameType*>(type); }
    void* slot() { return this + 1; }
};
static_assert(sizeof(void*) != 8 || sizeof(Frame) == 48);

template <std::size_t size>
struct NameChars {
    char text[size] = {};
};
/// A type's name, cut from what the compiler calls this function.
template <class T>
constexpr auto type_name_chars() {
#if defined(__clang__) || defined(__GNUC__)
    constexpr std::string_view whole = __PRETTY_FUNCTION__;
    constexpr std::size_t first = whole.find("T = ") + 4;
    constexpr std::size_t last = whole.find_first_of(";]", first);
#else
    constexpr std::string_view whole = __FUNCSIG__;
    constexpr std::size_t first = whole.find("type_name_chars<") + 16;
    constexpr std::size_t last = whole.rfind(">(");
#endif
    // Namespaces are dropped: all that stand before the first template argument, and the usual ones behind.
    constexpr std::string_view qualified = whole.substr(first, last - first);
    constexpr std::size_t colons = qualified.substr(0, qualified.find('<')).rfind("::");
    constexpr std::string_view name =
        colons == std::string_view::npos ? qualified : qualified.substr(colons + 2);
    NameChars<name.size() + 1> chars;
    std::size_t size = 0;
    for (std::size_t i = 0; i < name.size();) {
        std::size_t dropped = 0;
        for (const std::string_view scope : {"pollard::", "{anonymous}::", "(anonymous namespace)::"})
            if (name.substr(i, scope.size()) == scope) dropped = scope.size();
        if (dropped == 0) chars.text[size++] = name[i];
        i += dropped == 0 ? 1 : dropped;
    }
    return chars;
}
template <class T>
inline constexpr auto type_name_storage = type_name_chars<T>();
template <class T>
inline constexpr const char* type_name = type_name_storage<T>.text;

/// Resumes `frame`; while that finishes (or yields), goes on with its waiter. The one place that runs frames: a
/// loop, because a chain may be longer than a stack is deep.
void run_chain(Frame* frame);
/// The second half of it, for a frame whose body has just returned with its end (or a yield).
void run_chain_above(Frame* frame);

/// What `frame` waits for, in memory; only while it is suspended.
void* awaited_by(Frame& frame);
/// The child frame that `frame` waits for; null when it waits for something else or does not wait.
Frame* child_of(Frame& frame);
/// The end of the chain that begins with `frame`.
Frame* innermost(Frame& frame);
/// The task at the other end of the chain; null when no task began it.
TaskState* task_of(Frame& frame);

/// Asks the innermost await of the chain to end early.
CancelOutcome cancel_chain(Frame& frame);
/// Destroys what `frame` waits for, innermost first, without recursion. A kernel operation among it must not
/// be armed. Afterwards the frame may be destroyed.
void destroy_awaited(Frame& frame);

/// What a frame says of itself: "Serve at demos/reverse_server.cc:41, waits for peer.recv(bytes)".
Text describe(Frame& frame);
/// Reports a frame that is dropped although nobody ever awaited it.
void report_never_awaited(const Frame& frame);

}  // namespace pollard
