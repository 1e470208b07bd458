"""Commands for gdb: which tasks a stopped program has, and what each of them waits for.

    gdb -x tools/gdb/pollard.py PROGRAM          or, inside gdb:  source tools/gdb/pollard.py

    pollard tasks         every task that is not done: its state, and where it waits for what since when
    pollard bt TASK       the chain of frames from the task down to what it waits for; TASK is 3, #3, Echo#3 or Echo
    pollard bt all        the same for every task
    pollard help          this

gdb's own `bt` shows the stack, and a waiting task has none: its frames are objects, each with its own waiter and
place in the source. So this walks those objects, as print_tree in core/await_graph.cc does:

    pollard::all_loops -> EventLoop -> tasks -> TaskState -> root Frame -> (site says how) -> child Frame -> ...

It only reads memory and debug information and calls nothing in the program, so a core file does as well as a live
process. Whatever it follows may be damaged; then it says so in one line and goes on with the next task.

Loading this also loads skip.gdb, by which `step` leads from a CO_AWAIT to the system call, past what only carries
values about; `skip disable` switches that off.

Read next: core/frame.h, which says what lies behind a Frame; skip.gdb.
"""

import pathlib
import re

import gdb

# A chain may be longer than anybody reads, and a damaged one without end.
SHOWN_AT_EITHER_END = 100
LONGEST_CHAIN = 1_000_000
DEEPEST_STACK = 2000

LEAF, CHILD, CHILD_POINTER, TASK_POINTER, YIELD = "leaf", "child", "child_pointer", "task_pointer", "yield"


class Trouble(Exception):
    """Something that cannot be shown, in a sentence for the user."""


# What gdb raises on memory that cannot be read, values that are optimised out, and types that are not known; and what
# comes of bytes that are no text.
READING_ERRORS = (gdb.error, RuntimeError, ValueError, Trouble)


def one_line(error):
    return " ".join(str(error).split())


# --- reading the program ---


def type_of(name):
    try:
        return gdb.lookup_type(name)
    except gdb.error:
        raise Trouble(f"no debug information for {name}: was the program built with -g?") from None


def pointer(value, type_name):
    return value.cast(type_of(type_name).pointer())


def address(value):
    return int(value) & (2**64 - 1)


def enumerator(value):
    """The last part of an enumerator's name: `child` of pollard::AwaitedType::Kind::child."""
    return str(value).rsplit("::", 1)[-1]


def text(value):
    return value.string("utf-8", "replace") if address(value) else "(no name)"


def plain_name(name):
    """Without the scopes that only distract: `Serve<Echo>` of pollard::Serve<(anonymous namespace)::Echo>."""
    return re.sub(r"\{anonymous\}::|\(anonymous namespace\)::|\bpollard::|(?<=\w)\[abi:\w+\]", "", name)


def function_name(signature):
    """`greet` of `pollard::Co<int> {anonymous}::greet(Socket&)`, which is all that is known of a co_await's place."""
    before_parameters = plain_name(signature).split("(", 1)[0]
    return re.split(r"[\s:]", before_parameters.strip())[-1] or signature


def short_path(path):
    """Paths are as the compiler was given them, often from a build folder: ../core/io/serve.h."""
    return re.sub(r"^(\.\.?/)+", "", path)


def count(number, what):
    return f"{number} {what}" + ("" if number == 1 else "s")


# --- loops ---


class Loop:
    def __init__(self, value):
        self.value = value
        self.address = address(value.address)
        self.turn = int(value["turn_count"])

    def heading(self, tasks):
        backend = self.value["backend_"]
        name = text(backend["name"]) if address(backend) else "no kernel"
        state = "running" if self.value["running_"] else "not running"
        if not address(self.value["port_"]):
            state = "closed"
        return f"loop on {name}: turn {self.turn}, {state}, {count(tasks, 'task')}"

    def turns_ago(self, turn):
        ago = (self.turn - turn) & 0xFFFFFFFF
        return f"turn {turn} ({'now' if ago == 0 else count(ago, 'turn') + ' ago'})"

    def ready_works(self):
        """The addresses of what stands in the ready queue and in the batch of this turn."""
        works = set()
        for name in ("batch", "ready"):
            head = self.value[name]["head_"]
            works |= {address(link) for link in links_behind(head)}
        return works

    def running_root(self):
        """The address of the root frame that runs now, or null. The loop notes who was resumed last, not when that
        one has returned; whether it still runs is seen on the stack."""
        frame = self.value["running"]
        if not address(frame) or not self.value["running_"]:
            return 0
        for _ in range(LONGEST_CHAIN):
            if frame["flags"]["task_root"]:
                return address(frame) if runs_a_body(self) else 0
            if not address(frame["waiter"]):
                return 0
            frame = frame["waiter"]
        return 0


def all_loops():
    if not gdb.selected_inferior().threads():
        raise Trouble("there is no process: start the program, attach to one, or load a core file")
    symbol = gdb.lookup_global_symbol("pollard::all_loops")
    if symbol is None:
        raise Trouble("this program has no pollard::all_loops: it has no loop, or was built without -g")
    loops, seen = [], set()
    loop = symbol.value()
    while address(loop):
        if address(loop) in seen:
            raise Trouble("the list of loops is damaged: it runs in a circle")
        seen.add(address(loop))
        loops.append(Loop(loop.dereference()))
        loop = loops[-1].value["next_loop_"]
    # The list has the newest one in front.
    return loops[::-1]


def links_behind(head):
    """Each Link of a circular list but its head. Raises Trouble where two neighbours disagree."""
    previous, link = head.address, head["next"]
    seen = set()
    while link != head.address:
        if not address(link) or link["previous"] != previous or address(link) in seen:
            raise Trouble(f"a list is damaged behind {address(previous):#x}")
        seen.add(address(link))
        yield link
        previous, link = link, link["next"]


def runs_a_body(loop):
    """Whether some thread is inside of a frame's body under this loop's turn."""
    was_selected, was_frame = gdb.selected_thread(), gdb.selected_frame()
    try:
        return any(stack_has_body(thread, loop) for thread in gdb.selected_inferior().threads())
    finally:
        was_selected.switch()
        was_frame.select()


def stack_has_body(thread, loop):
    thread.switch()
    frame, inside = gdb.newest_frame(), False
    for _ in range(DEEPEST_STACK):
        if frame is None:
            return False
        name = frame.name() or ""
        if re.search(r"(^|::)(body|run_chain|run_from_queue<.*>)$", name):
            inside = True
        elif re.search(r"(^|::)(run_turn|run_batch_carefully|run_batch_in_debug_mode)$", name):
            return inside and is_of(frame, loop)
        try:
            frame = frame.older()
        except gdb.error:
            return False
    return inside


def is_of(frame, loop):
    try:
        return address(frame.read_var("this")) in (0, loop.address)
    except (gdb.error, ValueError):
        return True  # optimised out: taken as the one that is looked at


# --- tasks ---


class Task:
    def __init__(self, loop, link):
        self.loop = loop
        self.value = pointer(link, "pollard::TaskState").dereference()
        self.id = int(self.value["id"])

    def root(self):
        task_type = self.value["type"]
        place = address(self.value.address) + int(task_type["root_offset"])
        frame = gdb.Value(place).cast(type_of("pollard::Frame").pointer().pointer())
        if task_type["root_indirect"]:
            return Frame(frame.dereference())
        return Frame(pointer(frame, "pollard::Frame"))

    def name(self):
        given = self.value["extras_"]["name"].string() if self.value["has_extras"] else ""
        return given or f"{self.root().name()}#{self.id}"

    def chain(self):
        """Its frames, the root first."""
        frames, seen = [], set()
        frame = self.root()
        while frame is not None:
            if frame.address in seen or len(frames) >= LONGEST_CHAIN:
                raise Trouble("its chain of frames is damaged: it runs in a circle")
            seen.add(frame.address)
            frames.append(frame)
            frame = frame.child()
        return frames

    def requests(self):
        requested = int(self.value["cancel_requests"])
        if not requested:
            return ""
        not_delivered = ", not delivered yet" if self.value["cancel_pending"] else ""
        return f", {count(requested, 'cancel request')}{not_delivered}"


def tasks_of(loop):
    """The tasks that are not done, in the order of their creation, and what kept us from seeing the rest."""
    tasks, trouble = [], None
    try:
        for link in links_behind(loop.value["tasks"]):
            tasks.append(Task(loop, link))
    except READING_ERRORS as error:
        trouble = f"the list of tasks cannot be read any further: {one_line(error)}"
    return tasks, trouble


def state_of(task, inner, running_root, ready):
    """Running now, ready or waiting. What a ready frame waited for may stand in the queue in its place: an operation
    with news, a timer that is due."""
    if task.root().address == running_root:
        return "running now"
    if inner.address in ready:
        return "ready"
    awaited = inner.awaited()
    if awaited is not None and (address(awaited.place) in ready or awaited.has_news()):
        return "ready"
    return "waiting" if awaited is not None else "running now"


# --- frames ---


class Frame:
    def __init__(self, value):
        self.value = value.dereference()
        self.address = address(value)

    def name(self):
        frame_type = pointer(self.value["type"], "pollard::FrameType")
        return plain_name(text(frame_type["name"]))

    def site(self):
        site = self.value["site"]
        return site.dereference() if address(site) else None

    def since_turn(self):
        return int(self.value["since_turn"])

    def awaited(self):
        site = self.site()
        if site is None:
            return None
        slot = self.value.address + 1
        place = slot.cast(type_of("void").pointer().pointer())
        return Awaited(site["awaited"].dereference(), place.dereference() if site["indirect"] else place)

    def child(self):
        awaited = self.awaited()
        return awaited.frame() if awaited is not None else None

    def where(self):
        site = self.site()
        return f"{short_path(text(site['file']))}:{int(site['line'])}"

    def expression(self):
        """The text in the CO_AWAIT; of a compiler's coroutine nobody knows more than the function."""
        site = self.site()
        expression = text(site["expression"])
        return f"co_await in {function_name(expression)}" if site["indirect"] else expression


# By the record of an awaited type and the part's name; what offset_in found. Emptied by each command.
offsets = {}


class Awaited:
    """What a frame waits for: its record, and where it stands."""

    def __init__(self, record, place):
        self.record = record
        self.place = place
        self.kind = enumerator(record["kind"])

    def frame(self):
        if self.kind == CHILD:
            return Frame(pointer(self.place, "pollard::Frame"))
        if self.kind == CHILD_POINTER:
            return Frame(self.first_pointer("pollard::Frame"))
        return None

    def task(self):
        return self.first_pointer("pollard::TaskState") if self.kind == TASK_POINTER else None

    def first_pointer(self, type_name):
        pointed = self.place.cast(type_of(type_name).pointer().pointer()).dereference()
        if not address(pointed):
            raise Trouble(f"it waits for nothing: a null pointer where a {type_name} should be")
        return pointed

    def name(self):
        return plain_name(text(self.record["name"]))

    def part(self, type_name):
        """The Operation, or the Timer, that the awaited thing is or has; None if it has none."""
        key = (address(self.record.address), type_name)
        if key not in offsets:
            offsets[key] = offset_in(self.own_type(), type_name)
        if offsets[key] is None:
            return None
        return pointer(gdb.Value(address(self.place) + offsets[key]), type_name).dereference()

    def own_type(self):
        """The type of what stands there. Its record is an awaited_type<TYPE>, and so the symbol's name tells it."""
        where = gdb.execute(f"info symbol {address(self.record.address):#x}", to_string=True)
        symbol = re.match(r"pollard::awaited_type<(.*)> in section", where)
        try:
            return gdb.lookup_type(symbol.group(1).strip()) if symbol else None
        except gdb.error:
            return None

    def operation(self):
        return self.part("pollard::Operation") if self.kind == LEAF else None

    def timer(self):
        return self.part("pollard::Timer") if self.kind == LEAF else None

    def has_news(self):
        operation = self.operation()
        return operation is not None and enumerator(operation["state"]) in ("due", "answered")

    def describe(self, loop):
        if self.kind == YIELD:
            return "its consumer's next request"
        if self.kind == TASK_POINTER:
            return f"task {name_of(self.task())}"
        child = self.frame()
        if child is not None:
            return child.name()
        operation = self.operation()
        if operation is not None:
            return describe_operation(operation)
        timer = self.timer()
        if timer is not None:
            return describe_deadline(timer, loop)
        return self.name()


def name_of(state):
    return Task(None, state).name()


def offset_in(whole, part_name, depth=4):
    """Where in a type its base class or field of that type begins, in bytes; None if it has none."""
    if whole is None or depth == 0:
        return None
    whole = whole.strip_typedefs()
    if whole.code not in (gdb.TYPE_CODE_STRUCT,):
        return None
    if whole.name == part_name:
        return 0
    for field in whole.fields():
        if not hasattr(field, "bitpos"):  # static
            continue
        offset = offset_in(field.type, part_name, depth - 1)
        if offset is not None:
            return field.bitpos // 8 + offset
    return None


def describe_operation(operation):
    said = f"{enumerator(operation['kind'])} on fd {int(operation['handle'])}"
    state = enumerator(operation["state"])
    if state != "armed":
        said += {"idle": ", not begun", "due": ", which has news", "answered": ", answered"}.get(state, "")
    if operation["cancel_requested"]:
        said += ", cancel requested"
    return said


def describe_deadline(timer, loop):
    deadline_ns = int(timer["deadline_ns"])
    if deadline_ns < 0:
        return "a sleep that was cancelled"
    if deadline_ns == 0:
        return "its next turn"
    left_ns = deadline_ns - int(loop.value["time_ns_"])
    distance = f"{abs(left_ns) / 1e9:.3f} s {'after' if left_ns >= 0 else 'before'} its last look"
    return f"until {deadline_ns / 1e9:.3f} s on the loop's clock, {distance}"


# --- the commands ---


def say(line=""):
    gdb.write(line + "\n")


class Snapshot:
    """All loops with their tasks, and what is found once for each loop."""

    def __init__(self):
        offsets.clear()
        self.loops = all_loops()
        self.tasks, self.troubles, self.running, self.ready = {}, {}, {}, {}
        for loop in self.loops:
            self.tasks[loop.address], trouble = tasks_of(loop)
            self.troubles[loop.address] = [trouble] if trouble else []
            self.running[loop.address] = self.attempt(loop, "who runs now is not known", loop.running_root, 0)
            self.ready[loop.address] = self.attempt(loop, "the ready queue cannot be read", loop.ready_works, set())

    def attempt(self, loop, what, function, otherwise):
        try:
            return function()
        except READING_ERRORS as error:
            self.troubles[loop.address].append(f"{what}: {one_line(error)}")
            return otherwise

    def state(self, task, inner):
        loop = task.loop.address
        return state_of(task, inner, self.running[loop], self.ready[loop])


def print_heading(snapshot, loop):
    say(loop.heading(len(snapshot.tasks[loop.address])))
    for trouble in snapshot.troubles[loop.address]:
        say(f"  ({trouble})")


def summary(snapshot, task, inner):
    """`Main#2: waiting since turn 3 (2 turns ago), 1 cancel request`"""
    state = snapshot.state(task, inner)
    since = task.loop.turns_ago(inner.since_turn())
    if state == "running now":
        since = ""
    elif inner.site() is not None:
        since = f" since {since}" if state == "waiting" else f", has waited since {since}"
    else:
        since = f", has not begun, made in {since}"
    return f"{task.name()}: {state}{since}{task.requests()}"


def print_task(snapshot, task):
    try:
        inner = task.chain()[-1]
        said = [f"  {summary(snapshot, task, inner)}"]
        who = inner.name() if inner.address != task.root().address else ""
        if inner.site() is not None:
            what = f"{inner.expression()}: {inner.awaited().describe(task.loop)}"
            said.append(f"      {who + ' ' if who else ''}at {inner.where()} for {what}")
        elif who:
            said.append(f"      in {who}")
        for line in said:
            say(line)
    except READING_ERRORS as error:
        say(f"  #{task.id}: cannot be read: {one_line(error)}")


def print_tasks():
    snapshot = Snapshot()
    if not snapshot.loops:
        say("no event loop is open")
    for loop in snapshot.loops:
        print_heading(snapshot, loop)
        for task in snapshot.tasks[loop.address]:
            print_task(snapshot, task)


def frame_line(task, frame):
    if frame.site() is None:
        return f"{frame.name()}, which waits for nothing"
    since = task.loop.turns_ago(frame.since_turn())
    awaited = frame.awaited().describe(task.loop)
    return f"{frame.name()} at {frame.where()}, waits for {frame.expression()}: {awaited}, since {since}"


def print_chain(task, frames):
    for number, frame in enumerate(reversed(frames)):
        if SHOWN_AT_EITHER_END <= number < len(frames) - SHOWN_AT_EITHER_END:
            if number == SHOWN_AT_EITHER_END:
                say(f"...  {count(len(frames) - 2 * SHOWN_AT_EITHER_END, 'frame')} in between")
            continue
        say(f"#{number:<2} {frame_line(task, frame)}")


def print_backtrace(snapshot, task):
    """The task's frames, then those of the task that it waits for, and so on."""
    seen = set()
    while task is not None:
        if address(task.value.address) in seen:
            return say("which is above: these tasks wait for one another")
        seen.add(address(task.value.address))
        frames = task.chain()
        say(summary(snapshot, task, frames[-1]))
        print_chain(task, frames)
        awaited = frames[-1].awaited()
        followed = awaited.task() if awaited is not None else None
        task = Task(task.loop, followed) if followed is not None else None
        if task is not None:
            say(f"waits for task {task.name()} ->")
            if task.value["done"]:
                return say("which is done")
    return None


def matches(task, wanted):
    """3, #3, Echo#3, and Echo for all of that name."""
    if re.fullmatch(r"#?\d+", wanted):
        return task.id == int(wanted.lstrip("#"))
    try:
        return wanted in (task.name(), task.root().name())
    except READING_ERRORS:
        return False


def print_backtraces(wanted):
    snapshot = Snapshot()
    if not snapshot.loops:
        return say("no event loop is open")
    shown = 0
    for loop in snapshot.loops:
        chosen = [task for task in snapshot.tasks[loop.address] if wanted == "all" or matches(task, wanted)]
        if chosen:
            print_heading(snapshot, loop)
        for task in chosen:
            say()
            try:
                print_backtrace(snapshot, task)
            except READING_ERRORS as error:
                say(f"#{task.id}: cannot be read: {one_line(error)}")
        shown += len(chosen)
    if shown == 0:
        say("there are no tasks" if wanted == "all" else f"no task {wanted} is running, ready or waiting")
    return None


def in_cpp(function):
    """Runs it with C++ as gdb's language: where a process stopped in a C library, names with :: would mean nothing.
    What goes wrong becomes one line."""
    language = gdb.parameter("language")
    try:
        gdb.execute("set language c++", to_string=True)
        function()
    except READING_ERRORS as error:
        raise gdb.GdbError(f"pollard: {one_line(error)}") from None
    finally:
        gdb.execute(f"set language {language}", to_string=True)


class PollardCommand(gdb.Command):
    """Shows the tasks of a Pollard program. `pollard help` says how."""

    def __init__(self):
        super().__init__("pollard", gdb.COMMAND_STACK, gdb.COMPLETE_NONE, True)

    def invoke(self, argument, from_tty):
        if argument:
            raise gdb.GdbError(f'pollard: no command "{argument}": try `pollard help`')
        say(usage())


class TasksCommand(gdb.Command):
    """Every task that is not done: its state, and where it waits for what since when."""

    def __init__(self):
        super().__init__("pollard tasks", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        in_cpp(print_tasks)


class BacktraceCommand(gdb.Command):
    """pollard bt TASK: from the task down to what it waits for. TASK is 3, #3, Echo#3, Echo, or all."""

    def __init__(self):
        super().__init__("pollard bt", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        if not argument.strip():
            raise gdb.GdbError("pollard: which task? `pollard bt 3`, `pollard bt Echo#3`, or `pollard bt all`")
        in_cpp(lambda: print_backtraces(argument.strip()))


class HelpCommand(gdb.Command):
    """Says what there is."""

    def __init__(self):
        super().__init__("pollard help", gdb.COMMAND_STACK, gdb.COMPLETE_NONE)

    def invoke(self, argument, from_tty):
        say(usage())


def usage():
    return "\n".join(line.removeprefix("    ") for line in __doc__.splitlines() if line.startswith("    pollard "))


def load_skip_rules():
    if "pollard::" not in gdb.execute("info skip", to_string=True):
        gdb.execute(f"source {pathlib.Path(__file__).with_name('skip.gdb')}", to_string=True)


PollardCommand()
TasksCommand()
BacktraceCommand()
HelpCommand()
load_skip_rules()
