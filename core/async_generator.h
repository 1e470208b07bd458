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
// The consumer awaits one value after the other; Error{stopped} is the end (Python's StopAsyncIteration):
//
//      for (;;) {
//          CO_AWAIT(line, lines.next());          // lines is a field; Awaits<Next<Lines>> if (!line) break;
//
// It is a Coroutine that can finish many times: at each CO_YIELD its waiter goes on, with the value standing
// in the slot, where nothing is awaited at that moment. Only one consumer may wait at a time; a second one is
// told Error{busy}.
//
// Read next: core/coroutine.h, core/generator.h.
#pragma once

#include <concepts>
#include <cstdint>
#include <utility>

#include "core/coroutine.h"

namespace pollard {

template <class Generator>
class Next;

template <class Self, class Yield, class List = Awaits<>>
class AsyncGenerator : public AwaitingFrame<Self, Yield, List> {
    using Base = AwaitingFrame<Self, Yield, List>;

public:
    AsyncGenerator() { this->type = &type_record; }
    AsyncGenerator(AsyncGenerator&& other) noexcept : Base(std::move(other)) {}
    ~AsyncGenerator() {
        // Dropped half-used at a yield: its fields go like any object's.
        if (this->site != nullptr && this->site->awaited == &consumer) this->site = nullptr;
        if (this->flags.has_item) this->area_.result.~Result<Yield>();
        this->close_unstarted();  // to drop one that nobody ever asked is no mistake
    }

    /// The awaitable of the next value.
    Next<Self> next() { return Next<Self>(static_cast<Self&>(*this)); }

    // --- what the macros call ---

    template <std::uint16_t line, class PlaceOf, class Make>
    Progress yield_at(PlaceOf, bool resumed, Make&& make) {
        if (resumed) {
            this->site = nullptr;
            return FrameProgress::goes_on;
        }
        this->resume_point = ResumePoint{line};
        this->site = &yield_site<PlaceOf>;
        put_item(make());
        return FrameProgress::yielded;
    }
    Progress finish_with(const Error& error) {
        this->flags.finished = true;
        this->flags.failed = true;
        put_item(error);
        return FrameProgress::finished;
    }
    Progress finish_with() { return finish_with(Error(ErrorKind::stopped, Call::next)); }
    Progress end_of_body() { return finish_with(); }

private:
    template <class G>
    friend class Next;

    void put_item(Result<Yield> item) {
        ::new (static_cast<void*>(&this->area_.result)) Result<Yield>(std::move(item));
        this->flags.has_item = true;
    }
    Result<Yield> take_item() {
        Result<Yield> item = std::move(this->area_.result);
        this->area_.result.~Result<Yield>();
        this->flags.has_item = false;
        return item;
    }

    static constexpr AwaitedType consumer = {
        .name = "the next request",
        .kind = AwaitedType::Kind::yield,
        .cancel = [](void*) { return CancelOutcome::refused; },
        .abandon = [](void*) {},
        .destroy = [](void*) {},
        .describe = [](const void*, Text&) {},
    };
    template <class PlaceOf>
    static constexpr Site yield_site = {.file = PlaceOf{}().file,
                                        .expression = PlaceOf{}().expression,
                                        .awaited = &consumer,
                                        .line = static_cast<std::uint16_t>(PlaceOf{}().line),
                                        .indirect = false,
                                        .borrowed = true};

    static const FrameType type_record;
};

template <class Self, class Yield, class List>
constexpr FrameType AsyncGenerator<Self, Yield, List>::type_record = {
    {run_from_queue<Self>, type_name<Self>, true},
    [](Frame* frame) { return static_cast<Self*>(frame)->body(); },
    [](Frame* frame, const Error& error) { (void)static_cast<Self*>(frame)->finish_with(error); },
    [](const Frame*) { return Error(ErrorKind::stopped, Call::next); },
    sizeof(Self)};

/// Waits for a generator's next value.
template <class Generator>
class [[nodiscard]] Next {
public:
    static constexpr AwaitedType::Kind awaited_kind = AwaitedType::Kind::child_pointer;

    explicit Next(Generator& generator) : frame_(&generator) {}

    bool start(Frame& waiter) {
        Generator& source = generator();
        if (source.flags.finished && !source.flags.has_item)
            return answer(Error(ErrorKind::stopped, Call::next));
        if (source.waiter != nullptr)
            return answer(Error(ErrorKind::busy, Call::next).on(type_name<Generator>));
        source.flags.started = true;
        source.waiter = &waiter;
        tell_await(waiter);
        return !source.body().suspended();
    }
    bool failed() const {
        return refused_.kind != ErrorKind::none || (generator().flags.finished && generator().flags.has_item);
    }
    auto result() -> decltype(std::declval<Generator&>().take_item()) {
        if (refused_.kind != ErrorKind::none) return refused_;
        generator().waiter = nullptr;
        return generator().take_item();
    }
    CancelOutcome cancel() { return cancel_chain(*frame_); }
    /// The consumer goes; the generator stays where it waits, and must be let go by its owner.
    void abandon() {
        if (refused_.kind == ErrorKind::none) generator().waiter = nullptr;
    }
    void describe(Text& text) const { text.add("the next value of %s", type_name<Generator>); }

private:
    bool answer(const Error& error) {
        refused_ = error;
        return true;
    }
    Generator& generator() const { return *static_cast<Generator*>(frame_); }

    Frame* frame_;  // first: AwaitedType::Kind::child_pointer
    Error refused_;
};

}  // namespace pollard
