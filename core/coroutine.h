// Coroutine: a frame that waits for others and ends with one result.
//
//      struct Greet : Coroutine<Greet, std::size_t, Awaits<Recv, SendAll>> {
//          Socket peer;
//          std::array<char, 1024> bytes;
//          Result<std::size_t> received;
//
//          Progress body() {
//              CO_BEGIN;
//              CO_TRY(peer.send_all(greeting));
//              CO_AWAIT(received, peer.recv(bytes));
//              CO_RETURN(received);
//              CO_END;
//          }
//      };
//
// `Awaits<...>` names all that the body ever waits for. It waits for one thing at a time, so one slot as
// large as the largest is enough. A child coroutine is awaited like anything else and stands in that slot,
// whole; so sizeof(Greet) is all the memory that a Greet and everything below it will ever need, known when
// it is compiled.
//
// When the body has ended nothing stands in the slot any more, and the result takes its place.
//
// Read next: core/co_macros.h (what the macros write), core/awaitable.h, core/frame.cc.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <new>
#include <utility>

#include "core/awaitable.h"
#include "core/co_macros.h"
#include "core/frame.h"
#include "core/scheduler.h"
#include "platform/observer.h"
#include "platform/result.h"

namespace pollard {

/// All that a frame waits for: values by their type (`Recv`), named things by reference (`TaskRef<int>&`).
template <class... Expressions>
struct Awaits {
    template <class A>
    static constexpr bool includes = (std::same_as<A, SlotType<Expressions>> || ...);
    static constexpr std::size_t slot_size() {
        return std::max({std::size_t{1}, sizeof(SlotType<Expressions>)...});
    }
    static constexpr std::size_t slot_align() {
        return std::max({std::size_t{1}, alignof(SlotType<Expressions>)...});
    }
};

template <class PlaceOf, class A>
inline constexpr Site site_of = {
    .file = PlaceOf{}().file,
    .expression = PlaceOf{}().expression,
    .awaited = &awaited_type<A>,
    .line = static_cast<std::uint16_t>(PlaceOf{}().line),
    .indirect = false,
    .borrowed = false,
};

/// WorkType::run of a hand-written frame: run_chain for the usual case, with the body right inside.
template <class Self>
void run_from_queue(Work* work) {
    auto* frame = static_cast<Self*>(work);
    current_scheduler->running = frame;
    if (!frame->body().suspended()) run_chain_above(frame);
}

/// What Coroutine and AsyncGenerator share: a slot, and waiting for what stands in it.
template <class Self, class T, class List>
class AwaitingFrame : public Frame {
public:
    using value_type = T;

    // --- what the macros call ---

    /// Waits for what `make` builds; afterwards its Result is in `target`.
    template <std::uint16_t line, class PlaceOf, class Target, class Make>
    Progress await_at(PlaceOf, bool resumed, Target& target, Make&& make) {
        using A = SlotType<decltype(make())>;
        static_assert(Awaitable<A>, "this cannot be awaited: see the list of functions in core/awaitable.h");
        if (!resumed && !start_await<A>(line, site_of<PlaceOf, A>, make)) return FrameProgress::suspended;
        take_result<A>(target);
        end_await<A>();
        return FrameProgress::goes_on;
    }

    /// The same without a target: an error ends this frame.
    template <std::uint16_t line, class PlaceOf, class Make>
    Progress try_at(PlaceOf, bool resumed, Make&& make) {
        using A = SlotType<decltype(make())>;
        static_assert(Awaitable<A>, "this cannot be awaited: see the list of functions in core/awaitable.h");
        if (!resumed && !start_await<A>(line, site_of<PlaceOf, A>, make)) return FrameProgress::suspended;
        if (awaited<A>().failed()) [[unlikely]]
            return fail_await<A>();
        end_await<A>();
        return FrameProgress::goes_on;
    }

    /// Reached when the result was stored before the body could run.
    Progress already_finished() {
        POLLARD_REQUIRE(flags.finished, "a body went on at a line that is none of its stops");
        return FrameProgress::finished;
    }

    /// It will never run, and that is no mistake: no report.
    void close_unstarted() { flags.started = true; }

    // --- as an awaitable ---

    /// Begins this frame with `waiter` waiting for it. True: it has finished already.
    bool start(Frame& frame_waiting) {
        POLLARD_REQUIRE(!flags.started, "a coroutine can be awaited once only: make a second one");
        flags.started = true;
        waiter = &frame_waiting;
        tell_await(frame_waiting);
        return !self().body().suspended();
    }
    bool failed() const { return flags.failed; }
    CancelOutcome cancel() { return cancel_chain(*this); }
    void describe(Text& text) const { text.add("%s", type_name<Self>); }

protected:
    AwaitingFrame() : Frame(nullptr) {}
    AwaitingFrame(AwaitingFrame&& other) noexcept : Frame(std::move(other)) {}
    ~AwaitingFrame() {
        POLLARD_REQUIRE(
            site == nullptr,
            "a suspended frame was destroyed: cancel it and let it end, or call destroy_awaited first");
        if (!flags.started && !flags.moved_from) [[unlikely]]
            report_never_awaited(*this);
    }

    Self& self() { return static_cast<Self&>(*this); }

    /// Builds the awaited thing in the slot and starts it. True: its result is there. The place is noted
    /// before anything is started, so that whatever happens now can say for whom.
    template <class A, class Make>
    bool start_await(std::uint16_t line, const Site& where, Make& make) {
        static_assert(List::template includes<A>, "add the type of what is awaited here to Awaits<...>");
        A* made = ::new (static_cast<void*>(area_.slot)) A(make());
        resume_point = ResumePoint{line};
        site = &where;
        return made->start(*this);
    }

    template <class A>
    A& awaited() {
        return *std::launder(reinterpret_cast<A*>(area_.slot));
    }

    /// Where the awaited thing can give its value alone, the way of an error is kept out of line.
    template <class A, class Target>
    void take_result(Target& target) {
        if constexpr (requires(A& a) { target = a.value(); }) {
            if (awaited<A>().failed()) [[unlikely]]
                take_error<A>(target);
            else
                target = awaited<A>().value();
        } else {
            target = awaited<A>().result();
        }
    }
    template <class A, class Target>
    [[gnu::cold, gnu::noinline]] void take_error(Target& target) {
        target = awaited<A>().result();
    }

    /// Empties the slot.
    template <class A>
    void end_await() {
        site = nullptr;
        awaited<A>().~A();
    }

    template <class A>
    [[gnu::cold, gnu::noinline]] Progress fail_await() {
        const Error error = awaited<A>().result().error();
        end_await<A>();
        return self().finish_with(error);
    }

    void store_result(Result<T> result) {
        flags.finished = true;
        if (!result) [[unlikely]] {
            flags.failed = true;
            flags.cancelled = result.error().kind == ErrorKind::cancelled;
        }
        ::new (static_cast<void*>(&area_.result)) Result<T>(std::move(result));
    }

    union Area {
        alignas(List::slot_align()) std::byte slot[List::slot_size()];
        Result<T> result;
        Area() {}
        ~Area() {}
    };
    static_assert(alignof(Area) <= 16, "blocks are aligned to 16 bytes");
    Area area_;
};

/// A coroutine written by hand: derive as `struct Self : Coroutine<Self, T, Awaits<...>>`, give it fields and
/// `Progress body()`. It ends with a Result<T>.
template <class Self, class T = void, class List = Awaits<>>
class Coroutine : public AwaitingFrame<Self, T, List> {
    using Base = AwaitingFrame<Self, T, List>;

public:
    Coroutine() { this->type = &type_record; }
    Coroutine(Coroutine&& other) noexcept : Base(std::move(other)) {}
    ~Coroutine() {
        if (this->flags.finished) this->area_.result.~Result<T>();
    }

    /// What the body ended with. Asked once.
    Result<T> result() {
        POLLARD_REQUIRE(this->flags.finished, "result() of a coroutine that has not finished");
        return std::move(this->area_.result);
    }

    Progress finish_with(Result<T> result) {
        this->store_result(std::move(result));
        return FrameProgress::finished;
    }
    Progress finish_with()
        requires std::same_as<T, void>
    {
        return finish_with(Result<void>());
    }
    Progress end_of_body() {
        if constexpr (std::same_as<T, void>)
            return finish_with();
        else
            programming_error(__FILE__, __LINE__,
                              "a body with a result came to CO_END: end it with CO_RETURN(value)");
    }

    static constexpr FrameType make_type_record() {
        return {{run_from_queue<Self>, type_name<Self>, true},
                [](Frame* frame) { return static_cast<Self*>(frame)->body(); },
                [](Frame* frame, const Error& error) { static_cast<Self*>(frame)->fail_with(error); },
                [](const Frame* frame) { return static_cast<const Self*>(frame)->area_.result.error(); },
                sizeof(Self)};
    }
    static const FrameType type_record;

private:
    void fail_with(const Error& error) {
        if (this->flags.finished) this->area_.result.~Result<T>();
        this->store_result(error);
    }
};

template <class Self, class T, class List>
constexpr FrameType Coroutine<Self, T, List>::type_record = make_type_record();

}  // namespace pollard
