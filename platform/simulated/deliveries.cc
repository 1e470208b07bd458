// What is on its way, and the clock that brings it.
//
// One list, ordered by time; equal times keep the order of sending. With a latency that stays the same each
// new delivery is the last one, so the list is searched from its end.
#include <algorithm>

#include "platform/simulated/socket.h"

namespace pollard::simulated {

namespace {

void deliver(SimulatedKernel& kernel, Delivery& delivery) {
    switch (delivery.kind) {
        case Delivery::Kind::data:
            return deliver_data(kernel, static_cast<Chunk&>(delivery));
        case Delivery::Kind::end_of_stream:
            return deliver_end_of_stream(*delivery.connection, delivery.side);
        case Delivery::Kind::reset:
            return deliver_reset(kernel, *delivery.connection, delivery.side);
        case Delivery::Kind::connection_request:
            return deliver_connection_request(kernel, *delivery.connection);
        case Delivery::Kind::connection_answer:
            return deliver_connection_answer(kernel, *delivery.connection);
    }
}

}  // namespace

void dispatch(SimulatedKernel& kernel, Delivery& delivery) {
    End& end = delivery.connection->ends[delivery.side];
    end.last_arrival_ns = std::max(end.last_arrival_ns, kernel.now_ns + kernel.latency_ns);
    dispatch_at(kernel, delivery, end.last_arrival_ns);
}

void dispatch_at(SimulatedKernel& kernel, Delivery& delivery, std::int64_t at_ns) {
    if (at_ns <= kernel.now_ns) return deliver(kernel, delivery);
    delivery.at_ns = at_ns;
    Delivery* before = kernel.deliveries.last();
    while (before != nullptr && before->at_ns > at_ns) before = kernel.deliveries.previous(*before);
    Delivery* behind = before != nullptr ? kernel.deliveries.next(*before) : kernel.deliveries.first();
    if (behind != nullptr)
        kernel.deliveries.push_before(*behind, delivery);
    else
        kernel.deliveries.push_back(delivery);
}

std::int64_t next_delivery_ns(const SimulatedKernel& kernel) {
    const Delivery* first = kernel.deliveries.first();
    return first != nullptr ? first->at_ns : never_ns;
}

void advance_to(SimulatedKernel& kernel, std::int64_t at_ns) {
    while (next_delivery_ns(kernel) <= at_ns) {
        Delivery& due = *kernel.deliveries.pop_front();
        kernel.now_ns = due.at_ns;
        deliver(kernel, due);
    }
    kernel.now_ns = std::max(kernel.now_ns, at_ns);
}

}  // namespace pollard::simulated
