// The bridge: C++20's own coroutines on the same scheduler.
//
//      Co<std::size_t> greet(Socket& peer) {
//          Result<void> sent = co_await peer.send_all(greeting);
//          if (!sent) co_return sent.error();
//          Result<std::size_t> received = co_await peer.recv(buffer);
//          co_return received;
//      }
//
// The compiler cuts such a function in pieces, as the CO_ macros do in plain sight, and makes an object of
// its locals, which it hides. In that object stands a promise, whose type we may choose: ours **is a** Frame,
// and its resume function is coroutine_handle::resume. So scheduler, tasks, cancellation and tools know one
// kind of thing, a Frame, and two authors of it. Nothing rests on the compiler's own layout: the way from the
// promise to the coroutine is coroutine_handle::from_promise.
//
//      [ compiler's frame: ... [ promise: Frame | awaited, or result ] ... locals, awaiters ]
//
// A hand-written frame is awaited as `co_await in_place([&] { return Session{.peer = peer}; })`: built where
// it will stay. The plain `co_await Session{...}` does not compile, because GCC 12 copies such a temporary
// byte by byte behind everybody's back (an aggregate's prvalue in a co_await expression), and a frame must
// not be copied.
//
// What is different from a hand-written frame: its memory is a block of its own, from the running scheduler's
// pool (none left: awaiting it gives Error{out_of_memory}); what it awaits is a temporary in the compiler's
// frame; its size is known to nobody; and destroying a chain of them recurses, one level a coroutine.
//
// File and line of a `co_await` come from std::source_location; its text is not to be had.
//
// Read next: demos/three_forms.cc puts the forms side by side; core/co_generator.h.
#pragma once

#include <coroutine>
#include <cstddef>
#include <source_location>
#include <utility>

#include "core/awaitable.h"
#include "core/frame.h"
#include "core/scheduler.h"
#include "platform/result.h"

namespace pollard {

template <class T>
class Co;

/// A hand-written frame, built by `make` where it is awaited.
template <class Make>
class [[nodiscard]] InPlace {
    using Child = decltype(std::declval<Make&>()());

public:
    static constexpr AwaitedType::Kind awaited_kind = AwaitedType::Kind::child_pointer;

    explicit InPlace(Make make) : make_(std::move(make)) {}
    InPlace(InPlace&& other) : make_(std::move(other.make_)) {}
    ~InPlace() {
        if (frame_ != nullptr) child().~Child();
    }

    bool start(Frame& waiter) {
        frame_ = ::new (static_cast<void*>(storage_)) Child(make_());
        return child().start(waiter);
    }
    bool failed() const { return frame_->flags.failed; }
    auto result() { return child().result(); }
    CancelOutcome cancel() { return cancel_chain(*frame_); }
    void describe(Text& text) const { text.add("%s", type_name<Child>); }

private:
    Child& child() { return *static_cast<Child*>(frame_); }

    Frame* frame_ = nullptr;  // first: AwaitedType::Kind::child_pointer
    Make make_;
    alignas(Child) std::byte storage_[sizeof(Child)];
};

template <class Make>
InPlace<Make> in_place(Make make) {
    return InPlace<Make>(std::move(make));
}

namespace bridge {

/// Memory for a compiler's frame, with a note in front of where it came from. Null when there is none.
void* take_block(std::size_t size);
void give_back_block(void* block, std::size_t size);

/// What `co_await` waits with: the awaited thing, and the place in the source. A temporary in a co_await
/// expression lives in the compiler's frame until the expression is over, so a reference to it is enough (and
/// what must not move, a Sleep, does not); for a named thing `Held` is the Reference to it.
template <class A, class Held = A>
struct Awaiter {
    Held awaited;
    Site site;
    Frame* frame = nullptr;

    template <class Made>
    Awaiter(Made&& made, const std::source_location& where)
        : awaited(std::forward<Made>(made)),
          site{.file = where.file_name(),
               .expression = where.function_name(),
               .awaited = &awaited_type<A>,
               .line = static_cast<std::uint16_t>(where.line()),
               .indirect = true,
               .borrowed = true} {}
    Awaiter(const Awaiter&) = delete;
    ~Awaiter() {
        if (frame != nullptr) frame->site = nullptr;
    }

    bool await_ready() const { return false; }
    /// False: the result is there, the coroutine goes on at once, on the same stack.
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> coroutine) {
        Promise& promise = coroutine.promise();
        frame = &promise;
        *static_cast<void**>(promise.slot()) = &awaited;
        promise.resume_point = ResumePoint{site.line};
        promise.site = &site;
        return !awaited.start(promise);
    }
    auto await_resume() {
        frame->site = nullptr;
        frame = nullptr;
        return awaited.result();
    }
};

/// What is the same in all promises, whatever their coroutines give.
struct PromiseFrame : Frame {
    explicit PromiseFrame(const FrameType* frame_type) : Frame(frame_type) {}

    static void* operator new(std::size_t size) noexcept { return take_block(size); }
    static void operator delete(void* block, std::size_t size) { give_back_block(block, size); }

    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void unhandled_exception() noexcept {}

    template <Awaitable A>
    Awaiter<A, A&&> await_transform(A&& made,
                                    const std::source_location& where = std::source_location::current()) {
        static_assert(!std::derived_from<A, Frame>,
                      "write co_await in_place([&] { return Frame{...}; }): see core/co_await.h");
        return {std::forward<A>(made), where};
    }
    template <class A>
    Awaiter<SlotType<A&>> await_transform(
        A& named, const std::source_location& where = std::source_location::current()) {
        return {named, where};
    }
};

template <class T>
struct Promise : PromiseFrame {
    // In a Frame's slot stands what it waits for (here: where that is), and at the end the result.
    union Area {
        void* awaited;
        Result<T> result;
        Area() : awaited(nullptr) {}
        ~Area() {}
    } area;
    static_assert(alignof(Area) <= 16);

    Promise() : PromiseFrame(&type_record) {}
    ~Promise() {
        if (flags.finished) area.result.~Result<T>();
    }

    Co<T> get_return_object();
    static Co<T> get_return_object_on_allocation_failure();

    void store(Result<T> result) {
        flags.finished = true;
        if (!result) {
            flags.failed = true;
            flags.cancelled = result.error().kind == ErrorKind::cancelled;
        }
        ::new (static_cast<void*>(&area.result)) Result<T>(std::move(result));
    }

    static Progress resume(Frame* frame) {
        auto* promise = static_cast<Promise*>(frame);
        // `at_nowhere`: cancelled before its first step, the result is stored already.
        if (promise->resume_point != at_nowhere) handle_of(*promise).resume();
        return promise->flags.finished ? FrameProgress::finished : FrameProgress::suspended;
    }
    static std::coroutine_handle<> handle_of(Promise& promise);

    static const FrameType type_record;
};

/// co_return: a value, an Error, or a Result. Without a value the promise must say return_void instead.
template <class T>
struct ValuePromise : Promise<T> {
    void return_value(Result<T> result) { this->store(std::move(result)); }
};
/// A coroutine without value ends with success by running off its end, and with an error by `co_return error`
/// only if it says so: `co_return Result<void>(error)`. C++ wants one form of co_return; this is it.
template <>
struct ValuePromise<void> : Promise<void> {
    void return_value(Result<void> result) { store(result); }
};

}  // namespace bridge

/// A coroutine written with co_await, that ends with a Result<T>. Not started until it is awaited or made a
/// task. Its body must end with co_return; without a value: `co_return Result<void>();` or an Error.
template <class T>
class [[nodiscard]] Co {
public:
    using value_type = T;
    using promise_type = bridge::ValuePromise<T>;
    static constexpr AwaitedType::Kind awaited_kind = AwaitedType::Kind::child_pointer;

    explicit Co(Frame* frame) : frame_(frame) {}
    Co(Co&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    Co& operator=(Co&&) = delete;
    ~Co() {
        if (frame_ == nullptr) return;
        if (!frame_->flags.started) report_never_awaited(*frame_);
        // Innermost first; the compiler's own destruction of what is awaited then finds nothing suspended.
        if (frame_->site != nullptr) destroy_awaited(*frame_);
        handle().destroy();
    }

    bool allocation_failed() const { return frame_ == nullptr; }
    void close_unstarted() {
        if (frame_ != nullptr) frame_->flags.started = true;
    }

    bool start(Frame& waiter) {
        if (frame_ == nullptr) return true;
        POLLARD_REQUIRE(!frame_->flags.started,
                        "a coroutine can be awaited once only: call its function again");
        frame_->flags.started = true;
        frame_->waiter = &waiter;
        tell_await(waiter);
        return !frame_->frame_type().resume(frame_).suspended();
    }
    bool failed() const { return frame_ == nullptr || frame_->flags.failed; }
    Result<T> result() {
        if (frame_ == nullptr) return Error(ErrorKind::out_of_memory, Call::allocate).on("coroutine");
        return std::move(promise().area.result);
    }
    CancelOutcome cancel() { return cancel_chain(*frame_); }
    void describe(Text& text) const {
        text.add("%s", frame_ == nullptr ? "no memory" : frame_->frame_type().name);
    }

private:
    promise_type& promise() const {
        return *static_cast<promise_type*>(static_cast<bridge::Promise<T>*>(frame_));
    }
    std::coroutine_handle<promise_type> handle() const {
        return std::coroutine_handle<promise_type>::from_promise(promise());
    }

    Frame* frame_;  // first: AwaitedType::Kind::child_pointer
};

namespace bridge {

template <class T>
constexpr FrameType Promise<T>::type_record = {
    {[](Work* work) { run_chain(static_cast<Frame*>(work)); }, type_name<Co<T>>, true},
    resume,
    [](Frame* frame, const Error& error) {
        auto* promise = static_cast<Promise*>(frame);
        if (promise->flags.finished) promise->area.result.~Result<T>();
        promise->store(error);
    },
    [](const Frame* frame) { return static_cast<const Promise*>(frame)->area.result.error(); },
    sizeof(Promise<T>)};

template <class T>
Co<T> Promise<T>::get_return_object() {
    return Co<T>(this);
}
template <class T>
Co<T> Promise<T>::get_return_object_on_allocation_failure() {
    return Co<T>(nullptr);
}
template <class T>
std::coroutine_handle<> Promise<T>::handle_of(Promise& promise) {
    return std::coroutine_handle<ValuePromise<T>>::from_promise(static_cast<ValuePromise<T>&>(promise));
}

}  // namespace bridge
}  // namespace pollard
