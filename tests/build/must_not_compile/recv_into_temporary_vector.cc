// Receiving into a vector that ends with the expression: the operation would write into freed memory.
//
// EXPECT: no matching (member )?function for call to .*recv
// EXPECT: BorrowedBytes|borrowed_range
#include <vector>

#include "core/coroutine.h"
#include "core/io/socket.h"

using namespace pollard;

struct Receives : Coroutine<Receives, std::size_t, Awaits<Recv>> {
    Socket peer;
    std::vector<std::byte> bytes = std::vector<std::byte>(100);
    Result<std::size_t> received;

    Progress body() {
        CO_BEGIN;
#ifdef FIXED
        CO_AWAIT(received, peer.recv(bytes));
#else
        CO_AWAIT(received, peer.recv(std::vector<std::byte>(100)));
#endif
        CO_RETURN(received);
        CO_END;
    }
};
