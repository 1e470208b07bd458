// AsyncGen: an asynchronous generator written with co_yield and co_await.
//
//      AsyncGen<int> ticks(int count) {
//          for (int i = 0; i < count; ++i) {
//              Result<void> slept = co_await sleep_ns(second_ns);
//              if (!slept) co_return slept;
//              Result<Nothing> asked = co_yield i;
//              if (!asked) co_return asked.error();         aclose() and athrow() arrive here
//          }
//          co_return Result<void>();
//      }
//
//      AsyncGen<int> source = ticks(3);
//      while (Result<int> tick = co_await source.next()) ...
//
// The requests, and all their rules, are those of core/async_generator.h: to a consumer the two authors' generators
// are alike. What a CO_YIELD does by itself, to end the body with an error that was thrown in, must be written here:
// co_yield gives a Result, and whoever does not look at it is warned by the compiler. A body that yields again when it
// was closed has made a mistake.
//
// AsyncGen owns the coroutine, whose block comes from the running scheduler's pool; when there was no memory for it,
// the first request says so. Destroyed at a yield it just goes: the destructors of its locals run, and nothing more of
// its body. Its body must end with co_return; `co_return error` when it failed.
//
// Read next: core/co_await.h: the promise, and why nothing rests on the compiler's layout.
#pragma once

#include <coroutine>
#include <source_location>
#include <utility>

#include "core/async_generator.h"
#include "core/co_await.h"

namespace pollard {

template <class T, class Send = Nothing>
class AsyncGen;

namespace bridge {

template <class T, class Send>
struct GeneratorPromise : PromiseFrame {
    // In a Frame's slot: where that is what it waits for, or the item, or where the request is.
    union Area {
        void* awaited;
        Result<T> item;
        Area() : awaited(nullptr) {}
        ~Area() {}
    } area;
    static_assert(alignof(Area) <= 16);

    GeneratorPromise() : PromiseFrame(&type_record) {}
    ~GeneratorPromise() {
        if (flags.has_item) drop_item();
    }

    AsyncGen<T, Send> get_return_object() { return AsyncGen<T, Send>(this); }
    static AsyncGen<T, Send> get_return_object_on_allocation_failure() { return AsyncGen<T, Send>(nullptr); }

    /// What co_yield waits with.
    struct Yield {
        GeneratorPromise* promise;
        Site site;

        bool await_ready() const { return false; }
        void await_suspend(std::coroutine_handle<>) {
            promise->resume_point = ResumePoint{site.line};
            promise->site = &site;
        }
        Result<Send> await_resume() {
            promise->site = nullptr;
            return YieldArrival::take<AsyncGen<T, Send>>(*promise);
        }
    };
    Yield yield_value(T value, const std::source_location& where = std::source_location::current()) {
        put_item(std::move(value));
        return {this,
                {.file = where.file_name(),
                 .expression = where.function_name(),
                 .awaited = &consumer_type,
                 .line = static_cast<std::uint16_t>(where.line()),
                 .indirect = false,
                 .borrowed = true}};
    }
    void return_value(const Result<void>& how) {
        end_with(how ? Error(ErrorKind::stopped, Call::next) : last_item(how.error()));
    }

    void put_item(Result<T> item) {
        ::new (static_cast<void*>(&area.item)) Result<T>(std::move(item));
        flags.has_item = true;
    }
    void drop_item() {
        area.item.~Result<T>();
        flags.has_item = false;
    }
    void end_with(const Error& error) {
        if (flags.has_item) drop_item();
        flags.finished = true;
        flags.failed = true;
        put_item(error);
    }

    static GeneratorPromise& of(Frame* frame) { return *static_cast<GeneratorPromise*>(frame); }
    std::coroutine_handle<> handle() { return std::coroutine_handle<GeneratorPromise>::from_promise(*this); }
    static Progress resume(Frame* frame) {
        of(frame).handle().resume();
        if (frame->flags.finished) return FrameProgress::finished;
        return frame->flags.has_item ? FrameProgress::yielded : FrameProgress::suspended;
    }
    static Error last_error(const Frame* frame) {
        const auto& promise = *static_cast<const GeneratorPromise*>(frame);
        return promise.flags.has_item ? promise.area.item.error() : Error(ErrorKind::stopped, Call::next);
    }
    static const AsyncGeneratorType type_record;
};

template <class T, class Send>
constexpr AsyncGeneratorType GeneratorPromise<T, Send>::type_record = {
    {{[](Work* work) { run_chain(static_cast<Frame*>(work)); }, type_name<AsyncGen<T, Send>>, true},
     resume,
     [](Frame* frame, const Error& error) { of(frame).end_with(error); },
     last_error,
     sizeof(GeneratorPromise)},
    [](Frame* frame) { of(frame).drop_item(); }};

}  // namespace bridge

template <class T, class Send>
class [[nodiscard]] AsyncGen {
public:
    using yield_type = T;
    using send_type = Send;
    using promise_type = bridge::GeneratorPromise<T, Send>;

    explicit AsyncGen(Frame* frame) : frame_(frame) {}
    AsyncGen(AsyncGen&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    AsyncGen& operator=(AsyncGen&&) = delete;
    ~AsyncGen() {
        if (frame_ == nullptr) return;
        POLLARD_REQUIRE(
            state() != GeneratorState::running,
            "a generator was destroyed in the middle of an item: cancel who waits for it and let it end");
        promise_type::of(frame_).site = nullptr;
        promise_type::of(frame_).handle().destroy();
    }

    bool allocation_failed() const { return frame_ == nullptr; }
    Frame* frame() const { return frame_; }
    GeneratorState state() const { return state_of(*frame_); }
    Next<AsyncGen> next() { return Next<AsyncGen>(frame_); }
    Asend<AsyncGen> asend(Send value)
        requires(!std::same_as<Send, Nothing>)
    {
        return Asend<AsyncGen>(frame_, std::move(value));
    }
    Athrow<AsyncGen> athrow(const Error& error) { return Athrow<AsyncGen>(frame_, error); }
    Aclose aclose() { return Aclose(frame_); }

private:
    Frame* frame_;
};

}  // namespace pollard
