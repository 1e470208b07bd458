// A kernel call in words, as strace(1) would print it:
//
//      epoll_ctl(3, ADD, 7, IN|OUT|RDHUP|PRI|ET) = 0
//      recv(7, .., 1024, 0) = 14                            "Hello Server!\n"
//      describe_kernel_call                                 describe_kernel_news
//
// The narration and the timeline print these. They stand here because only the platform may know what the
// bits of the system's flags are called.
#pragma once

#include "platform/kernel.h"
#include "platform/result.h"

namespace pollard {

/// The call, its arguments and what it returned.
Text describe_kernel_call(const KernelCall& call);
/// What came or went with it: the bytes, the events, an address. Empty when there is nothing to tell.
Text describe_kernel_news(const KernelCall& call);

}  // namespace pollard
