// AsyncGeneratorRef: a counted reference to an asynchronous generator, which the loop closes when nobody wants it.
//
//      Result<AsyncGeneratorRef<Lines>> lines = make_async_generator(Lines{.peer = peer});
//      CO_AWAIT(line, lines->next());
//
// A generator that is a plain object cannot wait for others while it is destroyed, so its body is not told that it
// goes. Here it lives in a pooled block, and when the last reference goes while it stands at a yield, the block stays
// and the loop makes a task that awaits its aclose() (Python's finaliser hook):
//
//      last reference dropped --- not started, or finished ---> destroyed, the block is free
//                             \-- half-used ---> task CloseGenerator#7: aclose(), cleanup, then destroyed
//
// `shutdown_asyncgens` does the same to all that are half-used, together, and waits for them:
//
//      CO_TRY(shutdown_asyncgens());
//
// A loop that closes does so too, when all other tasks have ended, and does not cancel those that close a generator.
//
// What a cleanup fails with goes to the loop's error handler. A generator is closed in this way once: a task that somebody
// cancels before its cleanup is through gives up, and then the generator just goes.
// Errors of making one: out_of_memory. When there is no memory for the task that shall close one, that is reported,
// and it just goes.
//
// Thread rule: the loop's thread only.
//
// Read next: core/async_generator_ref.cc.
#pragma once

#include <cstdint>
#include <new>
#include <utility>

#include "core/async_generator.h"
#include "core/scheduler.h"
#include "core/task.h"

namespace pollard {

struct AsyncGeneratorState;

/// What a counted generator's block needs to know of the generator in it.
struct AsyncGeneratorBlockType {
    void (*destroy)(AsyncGeneratorState*);  // the generator, then the state; not the block
    std::size_t size;                       // of the block
};

/// The part of a counted generator that is the same for all.
struct AsyncGeneratorState {
    Link in_all;  // the pool's list of generators
    const AsyncGeneratorBlockType* type;
    TaskPool* home;
    Frame* frame = nullptr;
    /// Closes it at this moment, and holds a reference as long as it exists.
    TaskState* closer = nullptr;
    std::uint32_t references = 1;
    bool was_dropped = false;  // the loop closes it once, and not again when that was cancelled
    bool was_used = false;

    AsyncGeneratorState(const AsyncGeneratorBlockType& block_type, TaskPool& pool);
    ~AsyncGeneratorState() { in_all.unlink(); }

    /// Has begun and has not ended.
    bool half_used() const { return frame->flags.started && !frame->flags.finished; }
    /// Somebody is about to ask it. Reports one that nobody will close any more.
    void use();
    void let_go();
};

/// One counted reference, whatever the generator's type.
class AsyncGeneratorHold {
public:
    explicit AsyncGeneratorHold(AsyncGeneratorState& state) : state_(&state) { ++state.references; }
    AsyncGeneratorHold(const AsyncGeneratorHold& other) : state_(other.state_) {
        if (state_ != nullptr) ++state_->references;
    }
    AsyncGeneratorHold(AsyncGeneratorHold&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    AsyncGeneratorHold& operator=(AsyncGeneratorHold other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~AsyncGeneratorHold() {
        if (state_ != nullptr) state_->let_go();
    }
    AsyncGeneratorState* state() const { return state_; }

protected:
    AsyncGeneratorHold() = default;

private:
    AsyncGeneratorState* state_ = nullptr;
};

/// The frame of a generator: itself, or what a compiler's one holds (null: there was no memory for it).
template <class G>
Frame* frame_of(G& generator) {
    if constexpr (std::derived_from<G, Frame>)
        return &generator;
    else
        return generator.frame();
}

template <class G>
struct AsyncGeneratorBlock : AsyncGeneratorState {
    G generator;
    AsyncGeneratorBlock(TaskPool& pool, G&& made)
        : AsyncGeneratorState(record, pool), generator(std::move(made)) {
        frame = frame_of(generator);
    }
    static constexpr AsyncGeneratorBlockType record = {
        .destroy =
            [](AsyncGeneratorState* state) {
                static_cast<AsyncGeneratorBlock*>(state)->~AsyncGeneratorBlock();
            },
        .size = sizeof(AsyncGeneratorBlock)};
};

/// Whoever waits for one of its requests must keep a reference meanwhile.
template <class G>
class AsyncGeneratorRef : public AsyncGeneratorHold {
public:
    using yield_type = typename G::yield_type;
    using send_type = typename G::send_type;

    AsyncGeneratorRef() = default;
    explicit AsyncGeneratorRef(AsyncGeneratorBlock<G>& block) : AsyncGeneratorHold(block) {}

    explicit operator bool() const { return state() != nullptr; }
    GeneratorState state_of_body() const { return generator().state(); }
    Next<G> next() const { return used().next(); }
    Asend<G> asend(send_type value) const { return used().asend(std::move(value)); }
    Athrow<G> athrow(const Error& error) const { return used().athrow(error); }
    Aclose aclose() const { return generator().aclose(); }

private:
    G& generator() const {
        POLLARD_REQUIRE(state() != nullptr,
                        "this AsyncGeneratorRef refers to nothing: it was moved from, or never set");
        return static_cast<AsyncGeneratorBlock<G>*>(state())->generator;
    }
    G& used() const {
        G& mine = generator();
        state()->use();
        return mine;
    }
};

/// Moves a generator that nobody has asked yet into a block of the scheduler's. Errors: out_of_memory.
template <class G>
Result<AsyncGeneratorRef<G>> make_async_generator_on(Scheduler& scheduler, G generator) {
    using Block = AsyncGeneratorBlock<G>;
    static_assert(alignof(Block) <= 16, "blocks are aligned to 16 bytes");
    void* memory = nullptr;
    if (frame_of(generator) != nullptr) memory = scheduler.pool->blocks.take(sizeof(Block));
    if (memory == nullptr) return Error(ErrorKind::out_of_memory, Call::allocate).on("generator");
    auto* block = ::new (memory) Block(*scheduler.pool, std::move(generator));
    AsyncGeneratorRef<G> reference(*block);
    block->let_go();  // the count it was made with
    return reference;
}

/// The same on the loop that runs here.
template <class G>
Result<AsyncGeneratorRef<G>> make_async_generator(G generator) {
    POLLARD_REQUIRE(current_scheduler != nullptr,
                    "no loop runs here: use make_async_generator_on(loop, generator)");
    return make_async_generator_on(*current_scheduler, std::move(generator));
}

/// Closes one generator, and reports what that fails with.
struct CloseGenerator : Coroutine<CloseGenerator, void, Awaits<Aclose>> {
    AsyncGeneratorHold generator;
    Result<void> closed;

    explicit CloseGenerator(AsyncGeneratorState& state) : generator(state) {}
    CloseGenerator(CloseGenerator&&) = default;
    ~CloseGenerator() {
        if (generator.state() != nullptr) generator.state()->closer = nullptr;
    }
    Progress body();
};

/// Closes all half-used generators of the running loop together, and waits until that is done. Their errors go to the
/// error handler; this one's own is only `cancelled`, when somebody cancels it. (asyncio: loop.shutdown_asyncgens)
struct ShutdownAsyncgens : Coroutine<ShutdownAsyncgens, void, Awaits<TaskRef<void>&>> {
    TaskRef<void> closer;
    Result<void> ended;

    Progress body();
    /// Whoever still closes a generator. False: nobody.
    bool take_a_closer();
};
inline ShutdownAsyncgens shutdown_asyncgens() { return {}; }

}  // namespace pollard
