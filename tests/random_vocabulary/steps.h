// What a program made of chance is composed of: steps of three kinds, and the tasks that take them.
//
// Each kind of step stands in a file of its own, and there each step is written twice. What it chooses and what it
// checks is one struct; the two coroutines, by hand and by the compiler, only await. So both draw the same numbers, and
// all tasks are told the same, turn by turn, whoever wrote them.
//
//      steps_alone.cc          waits for one thing: a sleep, an event, a barrier, a condition, a queue, a future
//      steps_around.cc         stands around any other step: inside a lock, with a limit of time, in a group
//      steps_with_others.cc    has to do with several: other tasks, gathered or waited for, and generators
//
// Read next: tests/random_vocabulary/steps_alone.cc, and for who takes these steps tests/random_vocabulary/program.cc.
#pragma once

#include "core/co_await.h"
#include "core/combinators/task_group.h"
#include "core/coroutine.h"
#include "tests/random_vocabulary/world.h"

namespace pollard::random_vocabulary {

/// Any step, by either author, as long as there are not too many around each other.
Co<int> anything(Actor& actor);

/// So many kinds there are; which one is to be taken the caller says.
constexpr unsigned steps_alone = 7;
Co<int> alone_by_hand(Actor& actor, unsigned which);
Co<int> alone_by_compiler(Actor& actor, unsigned which);

constexpr unsigned steps_around = 4;
Co<int> around_by_hand(Actor& actor, unsigned which);
Co<int> around_by_compiler(Actor& actor, unsigned which);

Co<int> with_others_by_hand(Actor& actor);
Co<int> with_others_by_compiler(Actor& actor);
/// Several tasks ask one generator; without them nobody needs it any more.
void forget_shared_numbers();

/// What a task does: steps, until its chance says that it is enough.
struct WorkByHand : Coroutine<WorkByHand, int, Awaits<Co<int>>> {
    Actor actor;
    Result<int> how = 0;

    Progress body();
};
Co<int> work_by_compiler(Actor actor);
/// Of a task that begins now: it knows what the task will see of its creator's context.
Actor make_child_actor(World& world, int depth);

TaskRef<int> spawn(World& world, int depth, const TaskOptions& options = {});
/// The same in a group, unless that is aborting.
Result<TaskRef<int>> add_to(TaskGroup& group, Actor& by);

inline bool is(const Error& error, ErrorKind kind) { return error.kind == kind; }

}  // namespace pollard::random_vocabulary
