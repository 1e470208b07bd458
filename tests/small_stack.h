// Runs a function on a stack of a chosen size, to see that nothing recurses.
#pragma once

#include <pthread.h>

#include <gtest/gtest.h>

#include <functional>

#include "core/scheduler.h"

namespace pollard {

/// The thread-local scheduler of the caller is the current one there too.
inline void run_on_small_stack(std::size_t stack_size, std::function<void()> function) {
    struct Job {
        std::function<void()> function;
        Scheduler* scheduler;
    } job{std::move(function), current_scheduler};
    pthread_attr_t attributes;
    ASSERT_EQ(pthread_attr_init(&attributes), 0);
    ASSERT_EQ(pthread_attr_setstacksize(&attributes, stack_size), 0);
    pthread_t thread;
    const auto body = [](void* context) -> void* {
        auto* given = static_cast<Job*>(context);
        current_scheduler = given->scheduler;
        given->function();
        return nullptr;
    };
    ASSERT_EQ(pthread_create(&thread, &attributes, body, &job), 0);
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&attributes);
}

}  // namespace pollard
