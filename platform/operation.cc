// What operations say of themselves and of their failures.
#include "platform/operation.h"

#include "platform/address.h"
#include "platform/completion_port.h"
#include "platform/kernel.h"

namespace pollard {

const char* describe(OperationKind kind) {
    switch (kind) {
        case OperationKind::accept:
            return "accept";
        case OperationKind::connect:
            return "connect";
        case OperationKind::recv:
            return "recv";
        case OperationKind::recv_borrowed:
            return "recv into a borrowed buffer";
        case OperationKind::send:
            return "send";
        case OperationKind::send_all:
            return "send_all";
        case OperationKind::readable:
            return "readable";
        case OperationKind::writable:
            return "writable";
        case OperationKind::read_at:
            return "read_at";
        case OperationKind::write_at:
            return "write_at";
        case OperationKind::close:
            return "close";
    }
    return "?";
}

namespace {
Call call_of(OperationKind kind) {
    switch (kind) {
        case OperationKind::accept:
            return Call::accept;
        case OperationKind::connect:
            return Call::connect;
        case OperationKind::recv:
        case OperationKind::recv_borrowed:
            return Call::recv;
        case OperationKind::send:
        case OperationKind::send_all:
            return Call::send;
        case OperationKind::readable:
        case OperationKind::writable:
            return Call::poll;
        case OperationKind::read_at:
            return Call::pread;
        case OperationKind::write_at:
            return Call::pwrite;
        case OperationKind::close:
            return Call::close;
    }
    return Call::none;
}
}  // namespace

Error Operation::error() const {
    return error_of(call_of(kind), answer).on_descriptor(static_cast<std::int64_t>(handle));
}

void AcceptOperation::drop_result() {
    if (!failed()) port->discard(static_cast<Handle>(answer));
}

Result<void> ConnectOperation::result() {
    if (!failed()) return {};
    return on_address(error(), *peer);
}

Operation& next_served(BufferPool& pool) {
    auto& operation = static_cast<Operation&>(pool.served.pop_front());
    operation.size = 1;
    return operation;
}

void leave_buffer_line(BufferPool& pool, Operation& operation) {
    bool promised = operation.size != 0;
    for (Work* served = pool.served.first(); served != nullptr; served = pool.served.next(*served))
        if (served == &operation) promised = true;
    operation.unlink();
    operation.size = 0;
    if (promised) pool.drop_promise();
}

}  // namespace pollard
