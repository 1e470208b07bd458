// Scopes that wait at their ends: Python's `async with`.
//
// A resource has two functions, each of which gives an awaitable:
//
//      aenter()              before the body. An error of it: the body never starts, and aexit is not called
//      aexit(error)          after the body, however that ended; kind `none`: with success. It gives a Result<bool>,
//                            true to swallow the body's error, or a Result<void>, which swallows nothing. An error
//                            of its own takes the place of the body's
//
//      struct Transaction {                                          // keeps `connection`
//          Query aenter() { return connection->query("begin"); }
//          Query aexit(const Error& error) {
//              return connection->query(error.kind == ErrorKind::none ? "commit" : "rollback");
//          }
//      };
//
//      CO_TRY(with_async(transaction, Transfer{.from = a, .to = b}));     Awaits<WithAsync<Transaction, Transfer>>
//      co_await in_place([&] { return with_async(transaction, transfer(a, b)); })
//
//      with_async:  aenter ---> the body, to its end ---> aexit(error or none) ---> success, or the error
//                      \-- error, or cancelled ------------------------------------------^
//
// The body is a coroutine of its own. C++ leaves a block in many ways (CO_RETURN, CO_TRY with an error, cancelled at
// any await), and a destructor, which sees them all, cannot wait. The end of a coroutine is the one place that they
// all pass and where one can wait. A pair of macros around a block would have to catch CO_RETURN behind the reader's
// back. What the body computes it leaves where it was told to: it ends with a Result<void>.
//
// Several resources: with_async of a with_async; or an AsyncExitStack, which is a resource that leaves in reverse order
// whatever was entered into it, as many as turn out to be needed.
//
//      struct Copy : Coroutine<Copy, void, Awaits<EnterInto<File>>> {        fields: AsyncExitStack& stack,
//          ...  CO_TRY(stack.enter_async_context(left));                     AsyncExit<File> left{file}, right{other}
//               CO_TRY(stack.enter_async_context(right));
//      CO_TRY(with_async(stack, Copy{.stack = stack, ...}));                 leaves `right`, then `left`
//
//      aclosing(generator)   the resource that awaits the generator's aclose()
//
// Resources are not owned; they and their entries live as long as the scope.
//
// Read next: core/async_generator.h: `async for`.
#pragma once

#include <concepts>
#include <new>
#include <type_traits>
#include <utility>

#include "core/async_generator.h"
#include "core/coroutine.h"

namespace pollard {

/// An awaitable that has nothing to wait for.
template <class T = void>
struct AlreadyDone {
    Result<T> outcome;
    bool start(Frame& waiter) {
        tell_await(waiter);
        return true;
    }
    bool failed() const { return !outcome; }
    Result<T> result() { return std::move(outcome); }
    CancelOutcome cancel() { return CancelOutcome::refused; }
    void describe(Text& text) const { text.add("what is done"); }
};

template <class Resource>
using AenterOf = decltype(std::declval<Resource&>().aenter());
template <class Resource>
using AexitOf = decltype(std::declval<Resource&>().aexit(std::declval<const Error&>()));

/// What an aexit gave: whether the error is swallowed.
struct ExitAnswer {
    Result<bool> swallowed;

    ExitAnswer& operator=(const Result<bool>& answer) {
        swallowed = answer;
        return *this;
    }
    ExitAnswer& operator=(const Result<void>& answer) {
        swallowed = answer ? Result<bool>(false) : Result<bool>(answer.error());
        return *this;
    }
};

/// Enters `resource`, runs `content`, leaves `resource`.
template <class Resource, class Body>
struct WithAsync
    : Coroutine<WithAsync<Resource, Body>, void,
                Awaits<AenterOf<Resource>, std::conditional_t<std::derived_from<Body, Frame>, Body&, Body>,
                       AexitOf<Resource>>> {
    static_assert(
        std::same_as<typename Body::value_type, void>,
        "the body of with_async ends with a Result<void>: let it leave its value where it was told to");

    Resource* resource;
    Body content;
    Result<void> outcome;
    ExitAnswer left;

    WithAsync(Resource& to_enter, Body&& to_run) : resource(&to_enter), content(std::move(to_run)) {}
    WithAsync(WithAsync&&) = default;
    // A body that did not come to run is no mistake of the body's author.
    ~WithAsync() { content.close_unstarted(); }

    Progress body() {
        CO_BEGIN;
        CO_TRY(resource->aenter());
        CO_AWAIT(outcome, the_content());
        CO_AWAIT(left, resource->aexit(outcome.error()));
        if (!left.swallowed) CO_RETURN(left.swallowed.error());
        if (*left.swallowed) CO_RETURN();
        CO_RETURN(outcome);
        CO_END;
    }

private:
    /// A hand-written frame runs where it is; a compiler's is a pointer, and moves into the slot.
    decltype(auto) the_content() {
        if constexpr (std::derived_from<Body, Frame>)
            return (content);
        else
            return Body(std::move(content));
    }
};

template <class Resource, class Body>
    requires(!std::is_lvalue_reference_v<Body>)
[[nodiscard]] WithAsync<Resource, Body> with_async(Resource& resource, Body&& body) {
    return {resource, std::forward<Body>(body)};
}

/// A resource whose end is that of a generator.
template <class Generator>
struct Aclosing {
    Generator* generator;
    AlreadyDone<> aenter() { return {}; }
    Aclose aexit(const Error&) { return generator->aclose(); }
};
template <class Generator>
Aclosing<Generator> aclosing(Generator& generator) {
    return {&generator};
}

// --- as many as turn out to be needed ---

struct AsyncExitEntry;

/// What a stack needs to know of an entry.
struct AsyncExitType {
    Frame& (*make)(AsyncExitEntry&, const Error&);  // the frame that leaves, not started yet
    Result<bool> (*result)(AsyncExitEntry&);
    void (*destroy)(AsyncExitEntry&);
};

/// Something that was entered; the last that came is left first.
struct AsyncExitEntry {
    const AsyncExitType* type;
    AsyncExitEntry* entered_before = nullptr;
};

template <class Resource>
class AsyncExit : public AsyncExitEntry {
    struct Leave : Coroutine<Leave, bool, Awaits<AexitOf<Resource>>> {
        Resource* resource;
        Error error;
        ExitAnswer left;
        Progress body() {
            CO_BEGIN;
            CO_AWAIT(left, resource->aexit(error));
            CO_RETURN(left.swallowed);
            CO_END;
        }
    };

public:
    explicit AsyncExit(Resource& to_leave) : AsyncExitEntry{&record}, resource(&to_leave) {}
    AsyncExit(AsyncExit&& other) noexcept : AsyncExit(*other.resource) {
        POLLARD_REQUIRE(other.entered_before == nullptr, "an entry that stands in a stack cannot move");
    }
    ~AsyncExit() {}

    Resource* const resource;

private:
    static AsyncExit& of(AsyncExitEntry& entry) { return static_cast<AsyncExit&>(entry); }
    static constexpr AsyncExitType record = {
        .make = [](AsyncExitEntry& entry, const Error& error) -> Frame& {
            return *::new (static_cast<void*>(&of(entry).leave_))
                Leave{.resource = of(entry).resource, .error = error};
        },
        .result = [](AsyncExitEntry& entry) { return of(entry).leave_.result(); },
        .destroy = [](AsyncExitEntry& entry) { of(entry).leave_.~Leave(); },
    };

    union {
        Leave leave_;  // NOLINT(readability-identifier-naming): as private as the union
    };
};

/// Waits until one entry has been left.
class LeaveEntry {
public:
    static constexpr AwaitedType::Kind awaited_kind = AwaitedType::Kind::child_pointer;

    LeaveEntry(AsyncExitEntry& entry, const Error& error)
        : frame_(&entry.type->make(entry, error)), entry_(&entry) {}
    LeaveEntry(const LeaveEntry&) = delete;
    ~LeaveEntry() { entry_->type->destroy(*entry_); }

    bool start(Frame& waiter);
    bool failed() const { return frame_->flags.failed; }
    Result<bool> result() { return entry_->type->result(*entry_); }
    CancelOutcome cancel() { return cancel_chain(*frame_); }
    void describe(Text& text) const { text.add("leaving a resource"); }

private:
    Frame* frame_;  // first: AwaitedType::Kind::child_pointer
    AsyncExitEntry* entry_;
};

class AsyncExitStack;

/// Leaves all that stands in a stack. Each is told the error that there is at that moment.
struct LeaveAll : Coroutine<LeaveAll, bool, Awaits<LeaveEntry>> {
    AsyncExitStack* stack;
    Error error;
    bool had_error;
    bool failed_to_leave = false;
    Result<bool> left;

    LeaveAll(AsyncExitStack& to_leave, const Error& because)
        : stack(&to_leave), error(because), had_error(because.kind != ErrorKind::none) {}
    Progress body();
};

template <class Resource>
struct EnterInto;

class AsyncExitStack {
public:
    AsyncExitStack() = default;
    AsyncExitStack(const AsyncExitStack&) = delete;

    /// Enters the entry's resource; from then on it is left with the stack.
    template <class Resource>
    EnterInto<Resource> enter_async_context(AsyncExit<Resource>& entry) {
        return EnterInto<Resource>(*this, entry);
    }
    /// The same without entering: what needs only an aexit.
    void push_async_exit(AsyncExitEntry& entry) {
        entry.entered_before = last_;
        last_ = &entry;
    }
    /// Leaves everything now. After that the stack may be used again.
    LeaveAll aclose() { return aexit(Error{}); }

    AlreadyDone<> aenter() { return {}; }
    LeaveAll aexit(const Error& error) { return {*this, error}; }

    bool empty() const { return last_ == nullptr; }
    /// Takes out what came last.
    AsyncExitEntry& pop() { return *std::exchange(last_, std::exchange(last_->entered_before, nullptr)); }

private:
    AsyncExitEntry* last_ = nullptr;
};

template <class Resource>
struct EnterInto : Coroutine<EnterInto<Resource>, void, Awaits<AenterOf<Resource>>> {
    AsyncExitStack* stack;
    AsyncExit<Resource>* entry;

    EnterInto(AsyncExitStack& into, AsyncExit<Resource>& what) : stack(&into), entry(&what) {}
    Progress body() {
        CO_BEGIN;
        CO_TRY(entry->resource->aenter());
        stack->push_async_exit(*entry);
        CO_END;
    }
};

}  // namespace pollard
