// The await graph: who waits for whom.
//
//      print_tree(loop, stderr);            all tasks that are not done, like pstree(1)
//
//      epoll, turn 12: 3 tasks
//      Main#1 at main.cc:40, awaits Session{...}, since turn 1
//      `-- Session at main.cc:21, awaits gather(left, right): 2 of 2 tasks: Fetch#2, Fetch#3, since turn 1
//          |-- Fetch#2 at main.cc:9, awaits sleep_ns(second_ns): 0.750 s left, since turn 2
//          `-- Fetch#3 at main.cc:10, awaits lock.acquire(): lock, held, 1 in line, since turn 2
//
// The name of a task stands for its outermost frame; below it its chain of frames, each waiting for the next; below the
// innermost the tasks that it waits for. A task for which several wait stands below each of them, with its own chain
// below the first. Tasks that wait for one another in a circle are named first: none of them can ever go on.
//
//      print_call_graph(task, stderr);      the other way: a task's chain, then whoever waits for it, and so on
//
//      * Task Fetch#2
//        + Call stack:
//        |   Fetch at main.cc:9, awaits sleep_ns(second_ns): 0.750 s left
//        + Awaited by:
//          * Task Main#1
//            + Call stack:
//            |   Session at main.cc:21, awaits gather(left, right): 2 of 2 tasks: Fetch#2, Fetch#3
//            |   Main at main.cc:40, awaits Session{...}
//
// Nothing is written down while a program runs. All is there already, in the lists by which the waiting are woken:
//
//      a frame to its child        its site, and what stands in its slot (core/frame.h: child_of)
//      a task to those who wait    TaskState::waiters: frames, and works that will wake a frame
//
// How a combinator joins in: its nodes in TaskState::waiters are works of a type of its own. That type's
// WorkType::wakes gives the frame that awaits the combinator; null before anybody does. A lock, a queue or a future is
// no task, and who waits for one says so by describe().
//
// Cost: print_tree takes a block of 40 bytes a task and 8 a wait, and gives it back. Chains of frames and of tasks may be
// of any length; of long ones the middle is left out.
//
// Thread rule: the loop's thread only; at any time, also from inside a callback or a frame.
//
// Read next: core/await_graph.cc.
#pragma once

#include <cstdio>

#include "core/frame.h"
#include "core/scheduler.h"
#include "core/task.h"

namespace pollard {

/// The frame that will go on because of this work: itself, if it is one. Null: nobody's, a plain callback for example.
Frame* waiter_of(Work& work);

/// One line of print_tree, without its name: "at main.cc:21, awaits gather(left, right): 2 of 2 tasks".
Text describe_wait(Frame& frame);

void print_tree(Scheduler& loop, std::FILE* out);
void print_call_graph(TaskState& task, std::FILE* out);

}  // namespace pollard
