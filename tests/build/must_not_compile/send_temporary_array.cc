// Sending an array that ends with the expression: the operation would read what is there by then.
//
// EXPECT: no matching (member )?function for call to .*send
// EXPECT: BorrowedBytes|borrowed_range
#include <array>

#include "core/coroutine.h"
#include "core/io/socket.h"

using namespace pollard;

inline constexpr std::array<char, 2> greeting = {'h', 'i'};

struct Sends : Coroutine<Sends, std::size_t, Awaits<Send>> {
    Socket peer;
    Result<std::size_t> sent;

    Progress body() {
        CO_BEGIN;
#ifdef FIXED
        CO_AWAIT(sent, peer.send(greeting));
#else
        CO_AWAIT(sent, peer.send(std::array<char, 2>{'h', 'i'}));
#endif
        CO_RETURN(sent);
        CO_END;
    }
};
