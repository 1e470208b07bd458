// The end of counted generators.
#include "core/async_generator_ref.h"

namespace pollard {

namespace {

void report(Scheduler& scheduler, const Error& error) {
    scheduler.report({"an asynchronous generator could not be closed", error, nullptr});
}

/// Makes a task that awaits its aclose(), and holds it.
void begin_to_close(AsyncGeneratorState& generator) {
    Scheduler& scheduler = *generator.home->scheduler;
    Result<TaskRef<void>> task = create_task_on(scheduler, CloseGenerator(generator));
    if (task) {
        generator.closer = &task->state();
        generator.closer->cancelled_by_close = true;  // a closing loop lets it clean up, and waits for it
    } else {
        report(scheduler, task.error());
    }
}

AsyncGeneratorState& generator_at(Link* link) { return *reinterpret_cast<AsyncGeneratorState*>(link); }

void begin_to_close_all(TaskPool& pool) {
    for (Link* link = pool.async_generators.next; link != &pool.async_generators;) {
        AsyncGeneratorState& generator = generator_at(link);
        link = link->next;
        if (generator.half_used() && generator.closer == nullptr) begin_to_close(generator);
    }
}

}  // namespace

AsyncGeneratorState::AsyncGeneratorState(const AsyncGeneratorBlockType& block_type, TaskPool& pool)
    : type(&block_type), home(&pool) {
    pool.begin_shutdown_asyncgens = [](Scheduler& owner) {
        return create_task_on(owner, shutdown_asyncgens());
    };
    in_all.insert_before(pool.async_generators);
}

void AsyncGeneratorState::use() {
    if (was_used) return;
    was_used = true;
    if (home->asyncgens_were_shut_down && home->scheduler != nullptr)
        home->scheduler->report({"an asynchronous generator was first asked after shutdown_asyncgens",
                                 Error(ErrorKind::closed, Call::next).on(frame->frame_type().name), nullptr});
}

void AsyncGeneratorState::let_go() {
    if (--references != 0) return;
    POLLARD_REQUIRE(
        !half_used() || frame->waiter == nullptr,
        "the last reference to a generator was dropped while a frame waits in it: let that frame keep one");
    if (half_used() && !was_dropped && home->scheduler != nullptr) {
        was_dropped = true;
        references = 1;  // while the task is made, which takes one
        begin_to_close(*this);
        if (--references != 0) return;
    }
    TaskPool& from = *home;
    const std::size_t size = type->size;
    type->destroy(this);
    from.give_back(this, size);
}

Progress CloseGenerator::body() {
    CO_BEGIN;
    CO_AWAIT(closed, Aclose(generator.state()->frame));
    if (!closed && closed.error().kind == ErrorKind::cancelled) CO_RETURN(closed);
    if (!closed) report(*current_scheduler, closed.error());
    CO_END;
}

bool ShutdownAsyncgens::take_a_closer() {
    const Link& all = current_scheduler->pool->async_generators;
    for (Link* link = all.next; link != &all; link = link->next) {
        TaskState* found = generator_at(link).closer;
        if (found == nullptr || found->done) continue;
        closer = TaskRef<void>(*found);
        return true;
    }
    return false;
}

Progress ShutdownAsyncgens::body() {
    CO_BEGIN;
    current_scheduler->pool->asyncgens_were_shut_down = true;
    begin_to_close_all(*current_scheduler->pool);
    while (take_a_closer()) {
        CO_AWAIT(ended, closer);
        // A closer that somebody else cancelled is no reason to leave the others.
        if (!ended && current_scheduler->running_task()->cancel_requests != 0) CO_RETURN(ended);
    }
    CO_END;
}

}  // namespace pollard
