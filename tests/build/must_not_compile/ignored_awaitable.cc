// An operation that is made and not awaited: the macro around it was forgotten, and nothing would be
// received.
//
// EXPECT: ignoring return(ed)? value .*nodiscard
#include <array>

#include "core/coroutine.h"
#include "core/io/socket.h"

using namespace pollard;

struct Receives : Coroutine<Receives, void, Awaits<Recv>> {
    Socket peer;
    std::array<char, 100> bytes;

    Progress body() {
        CO_BEGIN;
#ifdef FIXED
        CO_TRY(peer.recv(bytes));
#else
        peer.recv(bytes);
#endif
        CO_END;
    }
};
