// Callbacks: being called.
#include "core/callback.h"

namespace pollard {

const WorkType Callback::run_type = {[](Work* work) {
                                         auto* callback = static_cast<Callback*>(work);
                                         current_scheduler->running = nullptr;
                                         callback->function(callback->context);
                                     },
                                     "a callback"};

const WorkType TimedCallback::run_type = {[](Work* work) {
                                              auto* callback = static_cast<TimedCallback*>(work);
                                              current_scheduler->running = nullptr;
                                              callback->function(callback->context);
                                          },
                                          "a timed callback"};

const WorkType PooledCall::run_type = {[](Work* work) {
                                           auto* call = static_cast<PooledCall*>(work);
                                           current_scheduler->running = nullptr;
                                           current_scheduler->callback_context = &call->context;
                                           call->invoke(call);
                                           current_scheduler->callback_context = nullptr;
                                           call->finish();
                                       },
                                       "a callback"};

PooledCall::PooledCall(TaskPool* pool, std::uint32_t block_size, void (*call)(PooledCall*),
                       void (*destroy)(PooledCall*))
    : Timer(&run_type),
      home(pool),
      context(copy_current_context(*pool)),
      size(block_size),
      invoke(call),
      destroy_function(destroy) {}

void PooledCall::finish() {
    if (finished) return;
    finished = true;
    destroy_function(this);
    context = Context();
    let_go();
}

void PooledCall::let_go() {
    if (--references == 0) home->give_back(this, size);
}

void CallHandle::cancel() {
    if (call_ == nullptr) return;
    call_->cancelled = true;
    if (call_->finished || !call_->linked()) return;
    call_->unlink();
    call_->finish();
}

}  // namespace pollard
