// Generator: a frame that hands out values, one at each request.
//
//      struct Countdown : Generator<Countdown, int> {
//          int from;
//          Progress body() {
//              CO_BEGIN;
//              while (from > 0) CO_YIELD(from--);
//              CO_END;
//          }
//      };
//      Countdown countdown{.from = 3};
//      for (int n : countdown) ...            3, 2, 1
//
// It waits for nobody but its consumer, so it needs neither scheduler nor kernel: each request resumes the
// body like a function call, and the body returns at the next CO_YIELD. The rules are those of Python's
// generators:
//
//      created --next--> running --CO_YIELD--> suspended --next, send, fail, close--> running ...
//                           \--CO_RETURN, end of body, an error--> finished
//
//      next()       to the next yield.  A value, or: Error{stopped} when finished, or the body's own error
//      send(v)      the same, and `v` is the value of the yield it resumes (`sent()`)
//      fail(error)  the error arrives at the yield: CO_YIELD ends the body with it; the form with a target,
//                   CO_AWAIT(target, yield(v)), hands it over, and the body may go on
//      close()      fail with Error{closed}; yielding again is then a mistake of the body's
//
// Another generator can stand in for a while: CO_AWAIT(result, delegate(inner)) hands out all of `inner`'s
// values, passes on what is sent in, and gives what `inner` returned. That is Python's `yield from`, and it
// is all that awaiting is: the frames of core/coroutine.h do the same with the scheduler as their consumer.
//
// Read next: core/coroutine.h.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <utility>

#include "core/awaitable.h"
#include "core/co_macros.h"
#include "core/frame.h"
#include "platform/result.h"

namespace pollard {

enum class GeneratorState : std::uint8_t { created, running, suspended, finished };
inline const char* describe(GeneratorState state) {
    constexpr const char* names[] = {"created", "running", "suspended", "finished"};
    return names[static_cast<int>(state)];
}

/// What a generator waits for at a yield, of whatever kind it is: its consumer's next request.
inline constexpr AwaitedType consumer_type = {
    .name = "the next request",
    .kind = AwaitedType::Kind::yield,
    .cancel = [](void*) { return CancelOutcome::refused; },
    .abandon = [](void*) {},
    .destroy = [](void*) {},
    .describe = [](const void*, Text&) {},
};
template <class PlaceOf>
inline constexpr Site yield_site = {.file = PlaceOf{}().file,
                                    .expression = PlaceOf{}().expression,
                                    .awaited = &consumer_type,
                                    .line = static_cast<std::uint16_t>(PlaceOf{}().line),
                                    .indirect = false,
                                    .borrowed = true};

template <class Self, class Yield, class Send = Nothing, class Return = Nothing>
class Generator : public Frame {
    struct Yielding {
        Yield value;
    };
    template <class Inner>
    struct Delegating {
        Inner* inner;
    };

public:
    using yield_type = Yield;
    using send_type = Send;
    using return_type = Return;

    Generator() : Frame(&type_record) {}
    Generator(Generator&& other) noexcept : Frame(std::move(other)) {}

    // --- for the consumer ---

    GeneratorState state() const {
        if (flags.finished) return GeneratorState::finished;
        if (running_) return GeneratorState::running;
        return flags.started ? GeneratorState::suspended : GeneratorState::created;
    }

    Result<Yield> next() { return resume_with(std::nullopt, Error{}); }

    /// A generator that has not started has no yield to receive the value: Error{invalid_argument}, unharmed.
    Result<Yield> send(Send value) {
        if (state() == GeneratorState::created)
            return Error(ErrorKind::invalid_argument, Call::next).on("send before next");
        return resume_with(std::move(value), Error{});
    }

    /// Not started: the body never runs, and the error comes out. Finished: the error comes out.
    Result<Yield> fail(const Error& error) {
        if (state() == GeneratorState::created) (void)finish_with(error);
        if (state() == GeneratorState::finished) return error;
        return resume_with(std::nullopt, error);
    }

    /// Lets the body clean up and end. Errors: what the body ended with instead; invalid_state when it yields
    /// again.
    Result<void> close() {
        if (state() == GeneratorState::created) (void)finish_with(Error(ErrorKind::closed, Call::next));
        if (state() == GeneratorState::finished) return {};
        const Result<Yield> yielded = resume_with(std::nullopt, Error(ErrorKind::closed, Call::next));
        if (yielded) return Error(ErrorKind::invalid_state, Call::next).on("yielded when closed");
        if (yielded.error().kind == ErrorKind::closed || yielded.error().kind == ErrorKind::stopped)
            return {};
        return yielded.error();
    }

    /// What the body returned, or the error that ended it; Error{invalid_state} before the end.
    const Result<Return>& returned() const { return returned_; }

    class Iterator {
    public:
        explicit Iterator(Generator& generator) : generator_(&generator), value_(generator.next()) {}
        Yield& operator*() { return *value_; }
        Iterator& operator++() {
            value_ = generator_->next();
            return *this;
        }
        bool operator==(std::nullptr_t) const { return !value_.has_value(); }

    private:
        Generator* generator_;
        Result<Yield> value_;
    };
    /// After the loop, returned() tells whether an error ended it.
    Iterator begin() { return Iterator(*this); }
    std::nullptr_t end() { return nullptr; }

    // --- for the body ---

    /// The value that the last CO_YIELD was resumed with; empty after a plain next().
    std::optional<Send>& sent() { return sent_; }
    Yielding yield(Yield value) { return {std::move(value)}; }
    template <class Inner>
    Delegating<Inner> delegate(Inner& inner) {
        return {&inner};
    }

    // --- what the macros call ---

    template <std::uint16_t line, class PlaceOf, class Make>
    Progress yield_at(PlaceOf place, bool resumed, Make&& make) {
        if (!resumed) return yield_value(make(), line, place);
        if (const Error thrown = arrive(); thrown.kind != ErrorKind::none) return finish_with(thrown);
        return FrameProgress::goes_on;
    }

    template <std::uint16_t line, class PlaceOf, class Target, class Make>
    Progress await_at(PlaceOf place, bool resumed, Target& target, Make&& make) {
        using Request = decltype(make());
        if constexpr (std::same_as<Request, Yielding>) {
            if (!resumed) return yield_value(std::move(make().value), line, place);
            if (const Error thrown = arrive(); thrown.kind != ErrorKind::none)
                target = thrown;
            else if (sent_)
                target = *std::move(sent_);
            else
                target = Send{};
            return FrameProgress::goes_on;
        } else {
            return delegate_at<line>(place, resumed, target, make);
        }
    }

    template <std::uint16_t line, class PlaceOf, class Make>
    Progress try_at(PlaceOf place, bool resumed, Make&& make) {
        using Inner = std::remove_reference_t<decltype(*make().inner)>;
        Result<typename Inner::return_type> result;
        const Progress progress = delegate_at<line>(place, resumed, result, make);
        if (progress.leaves() || result) return progress;
        return finish_with(result.error());
    }

    Progress finish_with(Result<Return> result) {
        flags.finished = true;
        flags.failed = !result.has_value();
        returned_ = std::move(result);
        return FrameProgress::finished;
    }
    Progress finish_with()
        requires std::same_as<Return, Nothing>
    {
        return finish_with(Nothing{});
    }
    Progress end_of_body() {
        if constexpr (std::same_as<Return, Nothing>)
            return finish_with();
        else
            programming_error(__FILE__, __LINE__,
                              "a body with a result came to CO_END: end it with CO_RETURN(value)");
    }
    Progress already_finished() {
        programming_error(__FILE__, __LINE__,
                          "a generator's body went on at a line that is none of its stops");
    }

    static const FrameType type_record;

private:
    /// One step of the body, from one stop to the next.
    Result<Yield> resume_with(std::optional<Send> value, const Error& thrown) {
        if (running_) return Error(ErrorKind::busy, Call::next).on("resumed inside itself");
        if (flags.finished) return Error(ErrorKind::stopped, Call::next);
        flags.started = true;
        sent_ = std::move(value);
        thrown_ = thrown;
        running_ = true;
        const Progress progress = static_cast<Self*>(this)->body();
        running_ = false;
        if (progress.yielded()) return *std::move(yielded_);
        if (!returned_) return returned_.error();
        return Error(ErrorKind::stopped, Call::next);
    }

    template <class PlaceOf>
    Progress yield_value(Yield value, std::uint16_t line, PlaceOf) {
        yielded_ = std::move(value);
        resume_point = ResumePoint{line};
        site = &yield_site<PlaceOf>;
        return FrameProgress::yielded;
    }

    /// Back at the place of the last yield: what was thrown in, if anything.
    Error arrive() {
        site = nullptr;
        return std::exchange(thrown_, Error{});
    }

    /// Requests go to `inner` until it has finished; then its result goes to the target.
    template <std::uint16_t line, class PlaceOf, class Target, class Make>
    Progress delegate_at(PlaceOf place, bool resumed, Target& target, Make& make) {
        auto& inner = *make().inner;
        Result<Yield> step;
        if (!resumed) {
            step = inner.next();
        } else if (const Error thrown = arrive(); thrown.kind == ErrorKind::closed) {
            const Result<void> closed = inner.close();
            step = closed ? thrown : closed.error();
        } else if (thrown.kind != ErrorKind::none) {
            step = inner.fail(thrown);
        } else {
            step = sent_ ? inner.send(*std::move(sent_)) : inner.next();
        }
        if (step) return yield_value(std::move(*step), line, place);
        if (step.error().kind == ErrorKind::stopped && inner.returned())
            target = inner.returned();
        else
            target = step.error();
        return FrameProgress::goes_on;
    }

    bool running_ = false;
    std::optional<Yield> yielded_;
    std::optional<Send> sent_;
    Error thrown_;
    Result<Return> returned_;
};

template <class Self, class Yield, class Send, class Return>
constexpr FrameType Generator<Self, Yield, Send, Return>::type_record = {
    // Nothing ever queues a generator: its consumer calls it.
    {[](Work*) {}, type_name<Self>, true},
    [](Frame* frame) { return static_cast<Self*>(frame)->body(); },
    [](Frame* frame, const Error& error) { (void)static_cast<Self*>(frame)->finish_with(error); },
    [](const Frame* frame) { return static_cast<const Self*>(frame)->returned().error(); },
    sizeof(Self)};

}  // namespace pollard
