// AsyncGenerator: a frame that hands out values and waits for others in between.
//
//      struct Lines : AsyncGenerator<Lines, Line, Awaits<Recv>> {
//          Progress body() {
//              CO_BEGIN;
//              for (;;) {
//                  CO_AWAIT(received, peer.recv(bytes));
//                  if (!received || *received == 0) CO_RETURN();
//                  CO_YIELD(line_of(bytes, *received));
//              }
//              CO_END;
//          }
//      };
//
// The consumer awaits one value after the other. This is `async for`, and there is no macro for it, because a
// loop that one can see is as short; `lines` and `line` are fields, and Awaits<> names Next<Lines>:
//
//      for (;;) {
//          CO_AWAIT(line, lines.next());
//          if (!line) break;
//          ...                                        here the generator stands still at its yield
//      }
//      if (!ended(line)) CO_RETURN(line.error());     the generator failed; else it has come to its end
//
// and with the compiler's coroutines:   while (Result<Line> line = co_await lines.next()) ...
//
// A request is an awaitable: nothing happens until it is awaited. The rules are those of Python's asynchronous
// generators:
//
//      created --next--> running <--> waiting for others
//                           |  ^ next, asend, athrow, aclose
//                  CO_YIELD v  |
//                        suspended           CO_RETURN, end of body, an error: finished
//
//      next()          to the next yield.  A value; Error{stopped} at the end (Python's StopAsyncIteration); or
//                      the body's own error, once, and `stopped` ever after.  (Python: anext)
//      asend(v)        the same, and `v` is what the yield gives: CO_AWAIT(target, yield(value)). A generator that
//                      was never asked has no such yield: Error{invalid_argument}, unharmed.
//      athrow(error)   the error arrives at the yield: CO_YIELD ends the body with it; CO_AWAIT(target, yield(v))
//                      hands it over, and the body may go on
//      aclose()        athrow with Error{closed}; the body may clean up, and wait for others as it does so.
//                      Yielding again is then a mistake of the body's: Error{invalid_state}
//
// One request at a time: a second one is told Error{busy}. A consumer that is cancelled while it waits for a value
// is cancelled inside the generator, at what that waits for; cancelled elsewhere, the generator hears nothing of it.
// Nor does it when the consumer leaves its loop early: it stays suspended at its yield. Then aclose() it
// (core/async_scope.h: aclosing), or hold it by an AsyncGeneratorRef (core/async_generator_ref.h), whose last owner
// leaves that to the loop. A plain generator, an object in place, that is destroyed at a yield just goes, like any
// object: the destructors of its fields run, and nothing more of its body.
//
//      what stands in its slot   while it waits for another:   that
//                                at a yield:                   the value, until it is taken
//                                when it is asked again:       where the request is, for the yield to look at
//
// Read next: core/async_generator.cc, core/co_generator.h (the same written with co_yield).
#pragma once

#include <concepts>
#include <cstdint>
#include <new>
#include <utility>

#include "core/coroutine.h"
#include "core/generator.h"

namespace pollard {

/// Whether this answer of a generator's is its end, and no error.
template <class T>
bool ended(const Result<T>& item) {
    return item.error().kind == ErrorKind::stopped;
}

/// The record of an asynchronous generator's type.
struct AsyncGeneratorType : FrameType {
    /// Destroys the value in the slot.
    void (*drop_item)(Frame*);
};

/// The part that is the same in all requests, for all generators.
class GeneratorRequest {
public:
    static constexpr AwaitedType::Kind awaited_kind = AwaitedType::Kind::child_pointer;

    GeneratorRequest(const GeneratorRequest&) = delete;
    ~GeneratorRequest() {
        if (in_progress_) release();
    }

    bool start(Frame& waiter);
    CancelOutcome cancel() { return cancel_chain(*frame_); }
    /// The consumer is destroyed in the middle of an item. What the generator waited for went before, so its body
    /// cannot go on: it is finished.
    void abandon();
    void describe(Text& text) const;

protected:
    enum class Ask : std::uint8_t { next, send, fail, close };

    /// `generator`: null when there was no memory for it.
    GeneratorRequest(Frame* generator, Ask ask, const Error& error = {})
        : frame_(generator), ask_(ask), error_(error) {}

    /// The generator's answer is not a value.
    bool has_failed() const { return error_.kind != ErrorKind::none || frame_->flags.finished; }
    /// What closing came to; kind `none`: it is closed.
    Error outcome_of_close() const;
    template <class Yield>
    Result<Yield> take_item() {
        if (error_.kind != ErrorKind::none) return error_;
        Result<Yield> item = std::move(*static_cast<Result<Yield>*>(frame_->slot()));
        release();
        return item;
    }
    /// The generator may be asked again.
    void release();

private:
    template <class Self, class Yield, class List, class Send>
    friend class AsyncGenerator;
    friend struct YieldArrival;

    /// What arrives at the yield; kind `none`: no error does.
    Error take_thrown();
    bool refuse(const Error& error);
    bool answer_unstarted();
    bool answer_finished();

    Frame* frame_;  // first: AwaitedType::Kind::child_pointer
    Ask ask_;
    bool in_progress_ = false;  // the generator works for this one
    Error error_;               // what to throw in; afterwards: why there is no answer
};

/// Waits for a generator's next value.
template <class Generator>
struct [[nodiscard]] Next : GeneratorRequest {
    explicit Next(Frame* generator) : GeneratorRequest(generator, Ask::next) {}
    bool failed() const { return has_failed(); }
    auto result() { return take_item<typename Generator::yield_type>(); }
};

/// The same, with a value for the yield at which the generator stands.
template <class Generator>
struct [[nodiscard]] Asend : GeneratorRequest {
    using Send = typename Generator::send_type;
    Asend(Frame* generator, Send value)
        : GeneratorRequest(generator, Ask::send), value_to_send(std::move(value)) {}
    bool failed() const { return has_failed(); }
    auto result() { return take_item<typename Generator::yield_type>(); }

    Send value_to_send;
};

/// The same, with an error for the yield. Not started: the body never runs; not started or finished: the error comes
/// out.
template <class Generator>
struct [[nodiscard]] Athrow : GeneratorRequest {
    Athrow(Frame* generator, const Error& error) : GeneratorRequest(generator, Ask::fail, error) {}
    bool failed() const { return has_failed(); }
    auto result() { return take_item<typename Generator::yield_type>(); }
};

/// Waits until the generator has cleaned up and ended. Errors: what the body ended with instead; invalid_state when it
/// yields again; busy.
struct [[nodiscard]] Aclose : GeneratorRequest {
    explicit Aclose(Frame* generator) : GeneratorRequest(generator, Ask::close) {}
    bool failed() const { return outcome_of_close().kind != ErrorKind::none; }
    Result<void> result() {
        const Error outcome = outcome_of_close();
        if (outcome.kind == ErrorKind::none) return {};
        return outcome;
    }
};

/// For who writes generators: the body goes on at a yield, and looks at what it was asked.
struct YieldArrival {
    /// The value that was sent, a Send{} when there is none, or the error that was thrown in.
    template <class Generator>
    static auto take(Frame& generator) -> Result<typename Generator::send_type> {
        GeneratorRequest& request = **static_cast<GeneratorRequest**>(generator.slot());
        const Error thrown = request.take_thrown();
        if (thrown.kind != ErrorKind::none) return thrown;
        if constexpr (!std::same_as<typename Generator::send_type, Nothing>) {
            if (request.ask_ == GeneratorRequest::Ask::send)
                return std::move(static_cast<Asend<Generator>&>(request).value_to_send);
        }
        return typename Generator::send_type{};
    }
};

/// What a body that ends with `error` hands out last: its own `stopped` would be taken for the end of the values.
Error last_item(const Error& error);
GeneratorState state_of(const Frame& generator);

/// Written by hand: derive as `struct Self : AsyncGenerator<Self, Yield, Awaits<...>, Send>`.
template <class Self, class Yield, class List = Awaits<>, class Send = Nothing>
class AsyncGenerator : public AwaitingFrame<Self, Yield, List> {
    using Base = AwaitingFrame<Self, Yield, List>;
    struct Yielding {
        Yield value;
    };

public:
    using yield_type = Yield;
    using send_type = Send;

    AsyncGenerator() { this->type = &type_record; }
    AsyncGenerator(AsyncGenerator&& other) noexcept : Base(std::move(other)) {}
    ~AsyncGenerator() {
        // Dropped half-used at a yield: its fields go like any object's.
        if (this->site != nullptr && this->site->awaited == &consumer_type) this->site = nullptr;
        if (this->flags.has_item) drop_item();
        this->close_unstarted();  // to drop one that nobody ever asked is no mistake
    }

    // --- for the consumer ---

    GeneratorState state() const { return state_of(*this); }
    Next<Self> next() { return Next<Self>(this); }
    Asend<Self> asend(Send value)
        requires(!std::same_as<Send, Nothing>)
    {
        return Asend<Self>(this, std::move(value));
    }
    Athrow<Self> athrow(const Error& error) { return Athrow<Self>(this, error); }
    Aclose aclose() { return Aclose(this); }

    // --- for the body ---

    /// CO_AWAIT(target, yield(value)): hands out the value; the target gets what asend() sent, or athrow()'s error.
    Yielding yield(Yield value) { return {std::move(value)}; }

    // --- what the macros call ---

    template <std::uint16_t line, class PlaceOf, class Make>
    Progress yield_at(PlaceOf place, bool resumed, Make&& make) {
        if (!resumed) return yield_value(make(), line, place);
        const Result<Send> asked = arrive();
        if (!asked) return finish_with(asked.error());
        return FrameProgress::goes_on;
    }
    template <std::uint16_t line, class PlaceOf, class Target, class Make>
    Progress await_at(PlaceOf place, bool resumed, Target& target, Make&& make) {
        if constexpr (std::same_as<decltype(make()), Yielding>) {
            if (!resumed) return yield_value(std::move(make().value), line, place);
            target = arrive();
            return FrameProgress::goes_on;
        } else {
            return Base::template await_at<line>(place, resumed, target, make);
        }
    }
    Progress finish_with(const Error& error) {
        end_with(last_item(error));
        return FrameProgress::finished;
    }
    Progress finish_with() {
        end_with(Error(ErrorKind::stopped, Call::next));
        return FrameProgress::finished;
    }
    Progress end_of_body() { return finish_with(); }

private:
    template <class PlaceOf>
    Progress yield_value(Yield value, std::uint16_t line, PlaceOf) {
        this->resume_point = ResumePoint{line};
        this->site = &yield_site<PlaceOf>;
        put_item(std::move(value));
        return FrameProgress::yielded;
    }
    Result<Send> arrive() {
        this->site = nullptr;
        return YieldArrival::take<Self>(*this);
    }
    void end_with(const Error& error) {
        if (this->flags.has_item) drop_item();
        this->flags.finished = true;
        this->flags.failed = true;
        put_item(error);
    }
    void put_item(Result<Yield> item) {
        ::new (static_cast<void*>(&this->area_.result)) Result<Yield>(std::move(item));
        this->flags.has_item = true;
    }
    void drop_item() {
        this->area_.result.~Result<Yield>();
        this->flags.has_item = false;
    }

    static constexpr AsyncGeneratorType make_type_record() {
        return {{{run_from_queue<Self>, type_name<Self>, true},
                 [](Frame* frame) { return static_cast<Self*>(frame)->body(); },
                 [](Frame* frame, const Error& error) { static_cast<Self*>(frame)->end_with(error); },
                 [](const Frame* frame) { return static_cast<const Self*>(frame)->last_error(); },
                 sizeof(Self)},
                [](Frame* frame) { static_cast<Self*>(frame)->drop_item(); }};
    }
    Error last_error() const {
        return this->flags.has_item ? this->area_.result.error() : Error(ErrorKind::stopped, Call::next);
    }
    static const AsyncGeneratorType type_record;
};

template <class Self, class Yield, class List, class Send>
constexpr AsyncGeneratorType AsyncGenerator<Self, Yield, List, Send>::type_record = make_type_record();

}  // namespace pollard
