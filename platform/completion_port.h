// Contract 2, completion: "it is done".
//
// The caller hands over an operation with its buffer; some time later the port says that it is finished and
// how. io_uring and IOCP speak so natively; every Poller speaks so through the adapter in platform/attempt/;
// the simulated kernel has a native one too. This is the only face of the kernel that the event loop knows.
//
//      open(handle, kind)        tell the port about a handle before its first operation
//      start(operation)          true: the answer is there now.  false: completed(operation) will be called
//      cancel(operation)         ask for an early end; completion comes in any case
//      wait(timeout, ready)      what has news is put into `ready`; running that work calls completed()
//      discard(handle)           close it with nobody listening for the result
//
// `completed` is never called from inside start, cancel or wait, but only when the work in the ready queue
// has its turn: so nothing recurses, and an owner never finds itself called back in the middle of its own
// call.
//
// One operation a direction: recv, accept, readable and read_at share the reading side of a handle; send, connect,
// writable and write_at the writing side. A second one while the first is armed is Error{busy}.
//
// Thread rule: all functions on the loop's thread, except `wake`: any thread, also a signal handler.
//
// Read next: platform/attempt/attempt_port.cc.
#pragma once

#include <cstddef>
#include <cstdint>

#include "platform/buffer_pool.h"
#include "platform/observer.h"
#include "platform/operation.h"
#include "platform/result.h"
#include "platform/work.h"

namespace pollard {

struct Kernel;
struct CompletionPort;

/// What kind of thing a handle is; it decides what may be done on it, and what may be concluded from a short read.
enum class HandleKind : std::uint8_t {
    stream,  // TCP, or a Unix stream that passes no descriptors: fewer bytes than asked for means empty now
    file,    // a regular file: read_at and write_at, which nothing else takes
    other,   // datagrams, terminals, seqpackets, anything not known: only would-block means empty
};

/// Starts an operation of one kind.
using StartOperation = bool (*)(CompletionPort&, Operation&);

/// One function for each OperationKind.
struct StartTable {
    StartOperation of[operation_kinds];
};
/// For a port that starts all kinds alike, but those on files, which are looked at first, and `close`, which is no
/// question to the kernel but waits for answers.
consteval StartTable start_table(StartOperation any, StartOperation on_file, StartOperation close) {
    StartTable table;
    for (StartOperation& start : table.of) start = any;
    table.of[static_cast<std::size_t>(OperationKind::read_at)] = on_file;
    table.of[static_cast<std::size_t>(OperationKind::write_at)] = on_file;
    table.of[static_cast<std::size_t>(OperationKind::close)] = close;
    return table;
}

struct CompletionPortType {
    const char* name;
    Result<void> (*open)(CompletionPort&, Handle, HandleKind);
    StartTable start;
    void (*cancel)(CompletionPort&, Operation&);
    Result<void> (*wait)(CompletionPort&, std::int64_t timeout_ns, WorkList& ready);
    void (*wake)(CompletionPort&);
    void (*discard)(CompletionPort&, Handle);
    /// Frees the port. Nothing may be armed on it.
    void (*destroy)(CompletionPort&);
};

struct CompletionPort {
    const CompletionPortType* type = nullptr;
    Kernel* kernel = nullptr;
    BufferPool buffers;

    Result<void> open(Handle handle, HandleKind kind) { return type->open(*this, handle, kind); }
    /// True: finished, the answer is in the operation, `completed` will not be called. False: it will be, once.
    bool start(Operation& operation) {
        operation.port = this;
        if (current_observer != nullptr) [[unlikely]]
            current_observer->operation_started(*current_observer, operation);
        return type->start.of[static_cast<std::size_t>(operation.kind)](*this, operation);
    }
    /// Harmless when the operation is not armed (any more).
    void cancel(Operation& operation) { type->cancel(*this, operation); }
    /// Waits as Poller::wait does, and appends to `ready` the work of every operation that has news.
    Result<void> wait(std::int64_t timeout_ns, WorkList& ready) {
        return type->wait(*this, timeout_ns, ready);
    }
    void wake() { type->wake(*this); }
    /// Cancels what is armed and closes; a failure goes to report_problem.
    void discard(Handle handle) { type->discard(*this, handle); }
    void destroy() { type->destroy(*this); }
};

}  // namespace pollard
