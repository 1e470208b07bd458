// Contexts: chains of bindings.
#include "core/context.h"

#include <new>

#include "core/task.h"

namespace pollard {

const Binding* Context::find(const void* variable) const {
    const Binding* binding = newest_;
    while (binding != nullptr && binding->variable != variable) binding = binding->below;
    return binding;
}

void Context::let_go(Binding* binding) {
    while (binding != nullptr && --binding->references == 0) {
        Binding* below = binding->below;
        TaskPool& pool = *binding->home;
        --pool.bindings;
        pool.give_back(binding, sizeof(Binding));
        binding = below;
    }
}

bool Context::push(TaskPool& pool, const void* variable, const void* value, std::size_t size) {
    void* memory = pool.blocks.take(sizeof(Binding));
    if (memory == nullptr) return false;
    auto* binding = ::new (memory) Binding{newest_, &pool, variable, 1, {}};
    std::memcpy(binding->value, value, size);
    ++pool.bindings;
    newest_ = binding;
    return true;
}

/// Nobody else sees the binding through this chain.
bool Context::alone_down_to(const Binding* binding) const {
    const Binding* above = newest_;
    while (above != binding && above->references == 1) above = above->below;
    return above->references == 1 && above == binding;
}

bool Context::bind(TaskPool& pool, const void* variable, const void* value, std::size_t size) {
    const Binding* old = find(variable);
    if (old == nullptr) return value == nullptr || push(pool, variable, value, size);
    if (value != nullptr && alone_down_to(old)) {
        std::memcpy(const_cast<Binding*>(old)->value, value, size);
        return true;
    }
    // Others may see the old value: what lies above it is copied, what lies below it stays shared. So a chain never
    // holds a variable twice, however often it is set.
    Context changed;
    changed.newest_ = old->below;
    if (changed.newest_ != nullptr) ++changed.newest_->references;
    for (const Binding* above = newest_; above != old; above = above->below)
        if (!changed.push(pool, above->variable, above->value, sizeof above->value)) return false;
    if (value != nullptr && !changed.push(pool, variable, value, size)) return false;
    *this = std::move(changed);
    return true;
}

Context* current_context() {
    Scheduler* scheduler = current_scheduler;
    if (scheduler == nullptr) return nullptr;
    if (TaskState* task = scheduler->running_task())
        return task->has_extras ? &task->extras()->context : nullptr;
    return scheduler->callback_context;
}

Context* current_context_to_change() {
    TaskState* task = current_task();
    if (task != nullptr) {
        TaskExtras* extras = task->need_extras();
        return extras == nullptr ? nullptr : &extras->context;
    }
    Context* of_callback = current_scheduler == nullptr ? nullptr : current_scheduler->callback_context;
    POLLARD_REQUIRE(
        of_callback != nullptr,
        "a context variable is set in a task or in a callback given as a lambda: there is none here");
    return of_callback;
}

}  // namespace pollard
