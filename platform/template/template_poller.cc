// A Poller to be written: copy this folder, name it after your kernel, and fill the functions from the top down.
//
// It compiles, it pretends nothing, and it fails every test of the suite with a sentence that says what to write
// next. A poller that is finished has the shape of platform/epoll/epoll_poller.cc and is about as long.
//
//      open   ->  wait, wake                    nothing is watched yet: poller_wake_test.cc goes by this far
//             ->  add, remove                   poller_registration_test.cc
//             ->  arm, if your kernel needs it  poller_readiness_test.cc
//      close       frees what open made
//
// Say here what your kernel's way is, what one would not guess about it, and which manual pages you read.
//
// Read next: platform/README.md, "Adding a kernel"; platform/poller.h, the contract.
#include "platform/template/template_poller.h"

#include "platform/attempt/attempt_port.h"
#include "platform/interposed_kernel.h"
#include "platform/kernel.h"
#include "platform/template/not_written.h"

namespace pollard {

namespace {

Result<void> add(Poller&, Token) {
    return not_written(
        "write add: let the kernel watch token.handle, both directions at once if it can, and give the "
        "whole token back with each event; a handle that is watched already is invalid_argument, one that"
        " is not open bad_handle, one of a kind your kernel cannot watch not_supported");
}

// A kernel that keeps both directions armed by itself has no such function: then it is a null pointer below.
Result<void> arm(Poller&, Token, Direction) {
    return not_written(
        "write arm: from now on this direction is watched until one event of it has been told; it may be "
        "ready already, and that must be told too");
}

Result<void> remove(Poller&, Token) {
    return not_written(
        "write remove: nothing of token.handle is told any more, also what the kernel has reported and "
        "nobody has fetched yet; not_found when it is not watched");
}

Result<std::size_t> wait(Poller&, std::span<PollerEvent>, std::int64_t) {
    return not_written(
        "write wait: sleep until the kernel has events, a wake comes, or the time-out is over (rounded "
        "up, negative: for ever); translate the events into EventBits; a wake, a time-out and EINTR give "
        "0");
}

void wake(Poller& poller) { wake_not_written(*poller.kernel); }

void close(Poller&) { not_written("write close: give back what open took; the watched handles stay open"); }

}  // namespace

const PollerType template_poller_type = {
    .name = "template",
    .add = add,
    .arm = arm,
    .remove = remove,
    .wait = wait,
    .wake = wake,
    .close = close,
};

Result<Poller*> open_template_poller(Kernel&) {
    return not_written(
        "write open: take memory from platform/memory.h for a struct of yours that begins with Poller, "
        "set its type and its kernel, and make what your kernel needs to wait and to be woken; what fails"
        " gives back the rest");
}

const Backend template_backend = {
    .name = "template",
    .native_contract = "readiness",
    .why_unavailable = []() -> const char* { return nullptr; },
    .open =
        [](const PortOptions& options) {
            return open_attempt_port(open_template_poller(put_in_front(options.in_front, system_kernel())));
        },
};

}  // namespace pollard
