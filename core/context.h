// Context variables: values that follow a task without being passed along.
//
//      constinit ContextVar<int> request("request", 0);
//
//      auto token = request.set(42);            in a task: seen by it, and by what it starts from now on
//      request.get()                            42 here and there; 0 elsewhere
//      request.reset(*token);                   as before the set
//
// A task takes a copy of its creator's context when it is created, and a callback given as a lambda takes one of the
// context in which it was registered. What is set afterwards stays inside. A copy is one pointer: a context is a chain
// of bindings that never change once somebody shares them, newest first.
//
//      creator -> [ user = 7 ] ---+        set `user` after it had created the task
//                                 v
//      task ------------------> [ request = 42 ] -> [ lane = 3 ]
//
// A variable is known by its address: make it a global object. Its values are small and trivially copyable; for more,
// hold a pointer, and keep what it points to.
//
// There is no context outside a task and a lambda's call: `get` gives the default there, and `set` is a mistake. The
// caller's own Callbacks have none either; they have a `context` pointer of their own.
//
// While no variable is set anywhere in a loop, none of this costs a task anything.
//
// Thread rule: the loop's thread only.
//
// Read next: core/context.cc, core/task.h.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "core/scheduler.h"
#include "platform/result.h"

namespace pollard {

/// One variable's value in a context. Counted: by the contexts and the bindings that lead to it.
struct Binding {
    Binding* below;
    TaskPool* home;
    const void* variable;
    std::uint32_t references;
    alignas(8) std::byte value[16];
};

/// What a task, or a lambda's call, sees of all variables. Copying it takes one count.
class Context {
public:
    Context() = default;
    Context(const Context& other) : newest_(other.newest_) {
        if (newest_ != nullptr) ++newest_->references;
    }
    Context(Context&& other) noexcept : newest_(std::exchange(other.newest_, nullptr)) {}
    Context& operator=(Context other) noexcept {
        std::swap(newest_, other.newest_);
        return *this;
    }
    ~Context() {
        if (newest_ != nullptr) let_go(newest_);
    }

    bool empty() const { return newest_ == nullptr; }
    /// Null: the variable has no value here.
    const Binding* find(const void* variable) const;
    /// Gives the variable this value here; null: it has none any more. False: out of memory, all is as before.
    bool bind(TaskPool& pool, const void* variable, const void* value, std::size_t size);

private:
    static void let_go(Binding* binding);
    bool push(TaskPool& pool, const void* variable, const void* value, std::size_t size);
    bool alone_down_to(const Binding* binding) const;

    Binding* newest_ = nullptr;
};

/// The context of the task, or of the lambda, that runs now; null: it has none, or nothing is set in it.
Context* current_context();
/// The same to change it. Null: out of memory. Called from elsewhere is a mistake.
Context* current_context_to_change();
/// A copy for a new task or call; cheap when no variable is set in the loop that `pool` belongs to.
inline Context copy_current_context(const TaskPool& pool) {
    if (pool.bindings == 0) [[likely]]
        return {};
    const Context* here = current_context();
    return here == nullptr ? Context() : *here;
}

template <class T>
class ContextVar {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(Binding::value),
                  "a context variable holds up to 16 trivially copyable bytes: use a pointer for more");

public:
    /// What `set` gives for `reset`.
    struct Token {
        const ContextVar* variable;
        const Context* where;
        T before;
        bool had_value;
        bool used = false;
    };

    /// `name` lives as long as the variable. `otherwise`: what `get` gives where it is not set.
    explicit constexpr ContextVar(const char* name, T otherwise = T{}) : name_(name), otherwise_(otherwise) {}
    ContextVar(const ContextVar&) = delete;

    const char* name() const { return name_; }
    T get() const { return get(otherwise_); }
    T get(T otherwise) const {
        const Context* here = current_context();
        const Binding* binding = here == nullptr ? nullptr : here->find(this);
        return binding == nullptr ? otherwise : value_of(*binding);
    }
    /// Error: out_of_memory.
    Result<Token> set(T value) const {
        Context* here = current_context_to_change();
        if (here == nullptr) return no_memory();
        const Binding* old = here->find(this);
        const Token token = {this, here, old == nullptr ? otherwise_ : value_of(*old), old != nullptr};
        if (!here->bind(*current_scheduler->pool, this, &value, sizeof(T))) return no_memory();
        return token;
    }
    /// Makes it what it was before the `set` that gave this token; once, and in the same task. Error: out_of_memory.
    Result<void> reset(Token& token) const {
        POLLARD_REQUIRE(!token.used, "this token was used already: one set, one reset");
        POLLARD_REQUIRE(token.variable == this, "this token is of another context variable");
        Context* here = current_context_to_change();
        if (here == nullptr) return no_memory();
        POLLARD_REQUIRE(token.where == here,
                        "this token was made in another context: reset where you have set");
        if (!here->bind(*current_scheduler->pool, this, token.had_value ? &token.before : nullptr, sizeof(T)))
            return no_memory();
        token.used = true;
        return {};
    }

private:
    static T value_of(const Binding& binding) {
        std::array<std::byte, sizeof(T)> bytes;
        std::memcpy(bytes.data(), binding.value, sizeof(T));
        return std::bit_cast<T>(bytes);
    }
    Error no_memory() const { return Error(ErrorKind::out_of_memory, Call::allocate).on(name_); }

    const char* name_;
    T otherwise_;
};

}  // namespace pollard
