# Rules for gdb's `step`: past what only carries values about, so that steps lead from a CO_AWAIT to the system call.
#
#     gdb -x tools/gdb/pollard.py PROGRAM         loads them without a word; or, inside gdb:  source tools/gdb/skip.gdb
#
# The program should be unoptimised (meson setup -Doptimization=0): in an optimised one, one line is many places.
# gdb stops neither in what is skipped nor in anything called from there. `info skip` lists the rules, `skip disable`
# switches them off, and a breakpoint in a skipped function stops all the same. The expressions are extended ones;
# [(] is a parenthesis, since gdb would eat a backslash. Those with _ZN are for functions with a `requires`, of which
# gdb 13 cannot read the names that Clang gives them.
#
# Read next: core/co_macros.h, whose macros are what one steps through.

# The C++ library: move, forward, launder, placement new, span, optional; and what it calls back.
skip -rfunction ^(std::|_ZN?K?S[tabsiod])
skip -rfunction ^operator.new

# The lambdas that the macros write, POLLARD_PLACE and POLLARD_MAKE (two compilers, two names), and what is made in
# them: an operation is interesting from its `start` on.
skip -rfunction (^|::body[(][)].*::)operator[(][)][(][)]
skip -rfunction ^(pollard::(Socket|Listener|PortHandle|File)::|_ZNK?7pollard(6Socket|8Listener|10PortHandle|4File))
skip -rfunction ^pollard::[A-Za-z]*Operation::[A-Za-z]*Operation[(]
skip -rfunction ^pollard::OperationAwait<.*>::OperationAwait[<(]
skip -rfunction ^pollard::(sleep_ns|Sleep::Sleep)[(]

# A Result, an Error, a Progress, handed from one to the next.
skip -rfunction ^pollard::(Result<.*>|Error|Progress)::

# Members of lists: how they are made, and questions to them.
skip -rfunction ^pollard::(Link::|Work::Work[(]|Timer::Timer[(]|WorkList::empty[(])

# Functions that only say one thing of their argument.
skip -rfunction ^pollard::AwaitingFrame<.*>::(self|awaited<[^(]*>)[(]
skip -rfunction ^pollard::(Frame::(frame_type|slot)|TaskState::(root|scheduler)|must_be_careful|direction_of)[(]
skip -rfunction ^pollard::([(]anonymous.namespace[)]::self_of|attempts::(try_again|index_of))[(]
skip -rfunction ^pollard::HandleTable<.*>::
