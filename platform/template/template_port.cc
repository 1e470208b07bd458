// A CompletionPort to be written: for a kernel that carries operations out and says when they are done.
//
// A kernel that only says "you may try now" needs none of this: it is a Poller (template_poller.cc), and
// platform/attempt/ makes the port of it.
//
//      open_template_port  ->  open, start[readable], wait, wake      operations_test.cc
//                          ->  start[recv], start[send] ...           streams_test.cc, sending_test.cc
//                          ->  start[accept], start[connect]          connections_test.cc
//                          ->  recv_borrowed                          borrowed_buffers_test.cc
//                          ->  cancel                                 cancel_test.cc
//                          ->  start[close], discard                  close_test.cc
//      destroy                 frees what open_template_port made
//
// The rule behind all of it: from start until its completion the kernel may write into an operation's buffer, also
// after a cancel. So nothing is told before the kernel has let go of it, and everything is told once.
//
// Read next: platform/README.md, "Adding a kernel"; platform/completion_port.h, the contract.
#include "platform/template/template_port.h"

#include <cerrno>

#include "platform/interposed_kernel.h"
#include "platform/kernel.h"
#include "platform/template/not_written.h"

namespace pollard {

namespace {

constexpr const char* sentences[operation_kinds] = {
    "write start[accept]: the answer is the new handle, non-blocking, and open on this port; pass over "
    "connections that died in the queue",
    "write start[connect]: the answer is 0, or minus the code; interrupted, it goes on by itself",
    "write start[recv]: the answer is the number of bytes, 0 at the end of the stream",
    "write start[recv_borrowed]: take_buffer when there is something to receive, not before; with none "
    "left stand in buffers.waiting, and serve that line in wait",
    "write start[send]: the answer is the number of bytes taken, at least one; no SIGPIPE",
    "write start[send_all]: go on after a short send until everything is taken; the answer is 0",
    "write start[readable]: the answer is 0 when a recv or accept would probably not block; nothing is "
    "consumed",
    "write start[writable]: the answer is 0 when a send would probably not block",
    "write start[read_at]: the answer is the number of bytes read from the file at the offset, 0 at its "
    "end; refusal_on_file says what to refuse",
    "write start[write_at]: the answer is the number of bytes written to the file at the offset",
    "write start[close]: cancel what is armed on the handle, wait until each of those has been told, "
    "close the handle, then answer",
};

/// Refused at once: the answer is there, `completed` is not called.
template <OperationKind kind>
bool start(CompletionPort&, Operation& operation) {
    not_written(sentences[static_cast<std::size_t>(kind)]);
    operation.answer = -EOPNOTSUPP;
    operation.state = OperationState::answered;
    return true;
}

Result<void> open(CompletionPort&, Handle, HandleKind) {
    return not_written(
        "write open: note the handle and its kind, and tell the kernel of it if it must know; busy when "
        "it is open already");
}

void cancel(CompletionPort&, Operation&) {
    not_written(
        "write cancel: ask the kernel to end the operation if it is armed; its completion comes in any "
        "case, with ECANCELED or with what really happened");
}

Result<void> wait(CompletionPort&, std::int64_t, WorkList&) {
    return not_written(
        "write wait: sleep until the kernel has completions, a wake comes, or the time-out is over; put "
        "each operation that has its answer into `ready` as work that calls `completed` in its turn");
}

void wake(CompletionPort& port) { wake_not_written(*port.kernel); }

void discard(CompletionPort&, Handle) {
    not_written("write discard: as start[close], with nobody to tell; a failure goes to report_problem");
}

void destroy(CompletionPort&) {
    not_written("write destroy: give back what open_template_port took; nothing is armed any more");
}

}  // namespace

const CompletionPortType template_port_type = {
    .name = "template",
    .open = open,
    .start = {start<OperationKind::accept>, start<OperationKind::connect>, start<OperationKind::recv>,
              start<OperationKind::recv_borrowed>, start<OperationKind::send>, start<OperationKind::send_all>,
              start<OperationKind::readable>, start<OperationKind::writable>, start<OperationKind::read_at>,
              start<OperationKind::write_at>, start<OperationKind::close>},
    .cancel = cancel,
    .wait = wait,
    .wake = wake,
    .discard = discard,
    .destroy = destroy,
};

Result<CompletionPort*> open_template_port(Kernel&) {
    return not_written(
        "write open_template_port: take memory from platform/memory.h for a struct of yours that begins "
        "with CompletionPort, set its type and its kernel, and make what your kernel needs to wait and to"
        " be woken; what fails gives back the rest");
}

const Backend template_port_backend = {
    .name = "template_port",
    .native_contract = "completion",
    .why_unavailable = []() -> const char* { return nullptr; },
    .open =
        [](const PortOptions& options) {
            return open_template_port(put_in_front(options.in_front, system_kernel()));
        },
};

}  // namespace pollard
