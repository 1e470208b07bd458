#!/usr/bin/env python3
"""Tests tools/gdb: the tasks of a stopped program and of a core file, and the steps from a CO_AWAIT to the kernel.

    run_gdb_test.py tasks PROGRAM                         PROGRAM is gdb_subject
    run_gdb_test.py step PROGRAM SOURCE TEXT [ARG...]     from the first line of SOURCE that contains TEXT; if an ARG
                                                          contains {port}, a client connects there and sends a line

Exit status: 0 passed, 1 failed (then it prints what was expected and what was seen), 77 skipped.

Read next: gdb_subject.cc, which is the program; step_path.py, which steps.
"""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
SCRIPTS = HERE.parent.parent / "tools" / "gdb"
MOST_STEPS, MOST_FILES = 25, 7
GDB_TIMEOUT_S = 120

failures = 0


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


# --- gdb ---


def environment(**more):
    """The loop's own choice of kernel; no leak check, which fails in a debugger; plain English."""
    env = {name: value for name, value in os.environ.items() if name != "POLLARD_KERNEL"}
    return {**env, "LC_ALL": "C", "ASAN_OPTIONS": "detect_leaks=0", **more}


def run_gdb(arguments, env=None):
    command = ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-iex", "set width 0", *arguments]
    done = subprocess.run(command, env=env or environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=GDB_TIMEOUT_S, encoding="utf-8", errors="replace")
    return done.stdout


def require_gdb(program):
    if shutil.which("gdb") is None:
        skip("there is no gdb here")
    if "python works" not in run_gdb(["-ex", "python print('python works')"]):
        skip("this gdb has no Python")
    started = run_gdb(["-ex", "break main", "-ex", "run", "-ex", "info threads", program])
    if "Breakpoint 1, " not in started and re.search(r"ptrace|not permitted|Don't know how to run", started):
        skip(f"gdb cannot run a program here: {' '.join(started.split())[-300:]}")


class Session:
    """One run of gdb: commands under headings, and then the output under each heading."""

    def __init__(self, *what_to_debug):
        self.what_to_debug = what_to_debug
        self.commands = []

    def under(self, heading, *commands):
        self.commands += [f"echo === {heading}\\n", *commands]
        return self

    def run(self):
        arguments = ["-x", str(SCRIPTS / "pollard.py")]
        for command in self.commands:
            arguments += ["-ex", command]
        output = run_gdb([*arguments, *self.what_to_debug])
        forbid(r"Traceback|Python Exception|Error occurred in Python", output, "no output of Python's own anywhere")
        parts = re.split(r"^=== (.*)\n", output, flags=re.MULTILINE)
        return dict(zip(parts[1::2], parts[2::2], strict=True))


# --- expectations ---


def fail(what, expected, seen):
    global failures
    failures += 1
    print(f"FAILED: {what}\n  expected: {expected}\n  seen:")
    print("\n".join(f"    {line}" for line in seen.splitlines()) or "    (nothing)")


def expect(lines, seen, what):
    """Each line, a regular expression for a whole one or for several, in this order."""
    position = 0
    for line in lines:
        found = re.compile(rf"^{line}$", re.MULTILINE).search(seen, position)
        if found is None:
            return fail(what, line, seen)
        position = found.end()
    print(f"passed: {what}")
    return None


def forbid(pattern, seen, what):
    if re.search(pattern, seen):
        fail(what, f"nothing like: {pattern}", seen)


SINCE = r"since turn \d+ \((now|1 turn ago|\d+ turns ago)\)"
SUBJECT = r"(.*/)?gdb_subject\.cc:\d+"
ACCEPTING = r"listener\.accept\(\): accept on fd \d+"
RECEIVING = r"peer\.recv\(bytes\): recv on fd \d+"
UNTIL = r"until \d+\.\d{3} s on the loop's clock, 3\d{3}\.\d{3} s after its last look"
SLEEPING = rf"sleep_ns\(3600 \* second_ns\): {UNTIL}"


def expect_tasks(seen, what):
    expect(
        [
            r"loop on \w+: turn \d+, running, 8 tasks",
            rf"  Serve<Echo>#1: waiting {SINCE}\n      at (.*/)?core/io/serve\.h:\d+ for {ACCEPTING}",
            rf"  Main#2: waiting {SINCE}\n      Session at {SUBJECT} for {RECEIVING}",
            rf"  Sleeper#3: waiting {SINCE}\n      at {SUBJECT} for {SLEEPING}",
            rf"  Co<void>#4: waiting {SINCE}\n      Co<void> at {SUBJECT} for co_await in pause: {UNTIL}",
            rf"  Follower#5: waiting {SINCE}\n      at {SUBJECT} for leader: task Main#2",
            rf"  Cancelled#6: ready, has waited {SINCE}, 2 cancel requests\n      at {SUBJECT} for "
            r"sleep_ns\(7200 \* second_ns\): a sleep that was cancelled",
            rf"  Echo#7: waiting {SINCE}\n      at {SUBJECT} for peer\.recv\(\): recv_borrowed on fd \d+",
            r"  Late#8: ready, has not begun, made in turn \d+ \(now\)",
        ],
        seen,
        f"{what}: pollard tasks",
    )


MAIN_CHAIN = [
    rf"Main#2: waiting {SINCE}",
    rf"#0  Session at {SUBJECT}, waits for {RECEIVING}, {SINCE}",
    rf"#1  Main at {SUBJECT}, waits for Session\{{.*\}}: Session, {SINCE}",
]


def expect_backtraces(seen, what):
    """`pollard bt` of a hand-written chain, of a task that waits for it, and of a compiler's coroutine."""
    expect(MAIN_CHAIN, seen["bt #2"], f"{what}: pollard bt #2")
    expect(MAIN_CHAIN, seen["bt 2"], f"{what}: pollard bt 2")
    expect(
        [
            rf"Follower#5: waiting {SINCE}",
            rf"#0  Follower at {SUBJECT}, waits for leader: task Main#2, {SINCE}",
            r"waits for task Main#2 ->",
            *MAIN_CHAIN,
        ],
        seen["bt Follower#5"],
        f"{what}: pollard bt Follower#5",
    )
    everything = [
        rf"Co<void>#4: waiting {SINCE}",
        rf"#0  Co<void> at {SUBJECT}, waits for co_await in pause: {UNTIL}, {SINCE}",
        rf"#1  Between at {SUBJECT}, waits for pause\(\): Co<void>, {SINCE}",
        rf"#2  Co<void> at {SUBJECT}, waits for co_await in written_with_co_await: Between, {SINCE}",
        rf"Echo#7: waiting {SINCE}",
    ]
    expect([*MAIN_CHAIN, *everything], seen["bt all"], f"{what}: pollard bt all")


def ask_everything(session):
    session.under("tasks", "pollard tasks")
    for wanted in ("#2", "2", "Follower#5", "all"):
        session.under(f"bt {wanted}", f"pollard bt {wanted}")
    return session


# --- the tests of tasks ---


def test_live(program, core):
    session = Session(program).under("no process", "pollard tasks")
    session.under("no loop", "break main", "run", "pollard tasks", "pollard bt 1")
    session.under("running", "break session_begins", "continue", "pollard tasks", "pollard bt Main")
    ask_everything(session.under("stopped", "break stopped_here", "continue"))
    session.under("core", f"generate-core-file {core}")
    session.under("mistakes", "pollard bt Nobody", "pollard bt", "pollard nonsense")
    session.under("help", "pollard help")
    session.under("closed", "break loop_is_closed", "continue", "pollard tasks")
    seen = session.run()
    expect([r"pollard: there is no process: .*"], seen["no process"], "without a process")
    expect([r"no event loop is open", r"no event loop is open"], seen["no loop"], "before a loop is open")
    expect(
        [
            r"loop on \w+: turn \d+, running, 7 tasks",
            rf"  Serve<Echo>#1: waiting {SINCE}",
            r"  Main#2: running now\n      in Session",
            rf"  Follower#5: waiting {SINCE}",
            r"  Echo#7: ready, has not begun, made in turn \d+ \(now\)",
            r"Main#2: running now",
            r"#0  Session, which waits for nothing",
            rf"#1  Main at {SUBJECT}, waits for Session\{{.*\}}: Session, {SINCE}",
        ],
        seen["running"],
        "inside of a body",
    )
    expect_tasks(seen["tasks"], "live")
    expect_backtraces(seen, "live")
    expect(
        [
            r"no task Nobody is running, ready or waiting",
            r"pollard: which task\? .*",
            r'pollard: no command "nonsense": .*',
        ],
        seen["mistakes"],
        "what cannot be answered",
    )
    expect([r"pollard tasks .*", r"pollard bt TASK .*", r"pollard help .*"], seen["help"], "pollard help")
    expect([r"no event loop is open"], seen["closed"], "after the loop was closed")


def test_core(program, core, what):
    seen = ask_everything(Session("-core", core, program)).run()
    expect_tasks(seen["tasks"], what)
    expect_backtraces(seen, what)


def test_core_of_abort(program, core):
    """Stopped inside the C library, where gdb may take the language for another than C++."""
    Session("--args", program, "--abort").under("abort", "run", f"generate-core-file {core}").run()
    test_core(program, core, "core of an abort")


def test_damage(program):
    """A frame, then the list of tasks, overwritten: one line each, and the rest is still shown."""
    session = Session(program).under("before", "break stopped_here", "run")
    session.under(
        "a frame",
        "set language c++",
        "set var $task = (pollard::TaskState*)pollard::all_loops->tasks.next->next",
        "set var $frame = (pollard::Frame*)((char*)$task + $task->type->root_offset)",
        "set var $frame->site = (pollard::Site*)16",
        "pollard tasks",
        "pollard bt all",
    )
    session.under("the list", "set var $task->in_all_tasks.next = 0", "pollard tasks")
    session.under("the loops", "set var pollard::all_loops = (pollard::EventLoop*)16", "pollard tasks", "pollard bt 1")
    seen = session.run()
    unreadable = r"cannot be read: Cannot access memory at address 0x[0-9a-f]+"
    expect(
        [
            rf"  Serve<Echo>#1: waiting {SINCE}",
            rf"  #2: {unreadable}",
            rf"  Sleeper#3: waiting {SINCE}",
            rf"  Follower#5: waiting {SINCE}",
            rf"Serve<Echo>#1: waiting {SINCE}",
            rf"#2: {unreadable}",
            rf"Sleeper#3: waiting {SINCE}",
        ],
        seen["a frame"],
        "a damaged frame",
    )
    expect(
        [
            r"  \(the list of tasks cannot be read any further: a list is damaged behind 0x[0-9a-f]+\)",
            rf"  Serve<Echo>#1: waiting {SINCE}",
        ],
        seen["the list"],
        "a damaged list of tasks",
    )
    expect([r"pollard: Cannot access memory at address 0x[0-9a-f]+"] * 2, seen["the loops"], "a damaged list of loops")


def test_tasks(program):
    require_gdb(program)
    with tempfile.TemporaryDirectory() as folder:
        test_live(program, f"{folder}/core")
        test_core(program, f"{folder}/core", "core")
        test_core_of_abort(program, f"{folder}/core_of_abort")
    test_damage(program)


# --- the test of steps ---


def line_of(source, text):
    for number, line in enumerate(pathlib.Path(source).read_text(encoding="utf-8").splitlines(), 1):
        if text in line:
            return number
    sys.exit(f"{source}: no line contains {text}")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def connect_and_send(port, over):
    """Tries until the program listens, sends a line, and stays."""
    while not over.is_set():
        try:
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(b"Hello Server!\n")
                over.wait()
        except OSError:
            time.sleep(0.02)


def without_arguments(function):
    """`AwaitingFrame::start_await` of pollard::AwaitingFrame<..., Awaits<...> >::start_await<...>."""
    before = None
    while before != function:
        before, function = function, re.sub(r"<[^<>]*>", "", function)
    function = re.sub(r"[(]anonymous namespace[)]::|\bpollard::", "", function)
    return re.sub(r"(?<!^operator)[(].*", "", function)


def steps_of(program, source, text, arguments):
    """gdb's output, with a client beside it where the arguments ask for one."""
    from_here = f"{pathlib.Path(source).name}:{line_of(source, text)}"
    port = free_port()
    command = ["-x", str(SCRIPTS / "pollard.py"), "-x", str(HERE / "step_path.py"), "--args", program]
    command += [argument.replace("{port}", str(port)) for argument in arguments]
    over = threading.Event()
    if any("{port}" in argument for argument in arguments):
        threading.Thread(target=connect_and_send, args=(port, over), daemon=True).start()
    try:
        return run_gdb(command, environment(POLLARD_STEP_FROM=from_here))
    finally:
        over.set()


def test_steps(program, source, text, *arguments):
    require_gdb(program)
    output = steps_of(program, source, text, arguments)
    places = [line.split("|", 5)[1:] for line in output.splitlines() if line.startswith("at|")]
    arrived = re.search(r"^arrived\|(\d+)$", output, re.MULTILINE)
    files = {file: None for _, file, _, _, _ in places}
    for step, file, line, function, source_line in places:
        print(f"{step:>3}  {pathlib.Path(file).name}:{line}  {without_arguments(function)}\n         {source_line}")
    if arrived is None:
        return fail("the way to the system call", "to arrive at ::recv(", output)
    steps = int(arrived.group(1))
    summary = f"{steps} steps through {len(files)} files: " + ", ".join(pathlib.Path(file).name for file in files)
    if steps > MOST_STEPS or len(files) > MOST_FILES:
        return fail("the way to the system call", f"at most {MOST_STEPS} steps through {MOST_FILES} files", summary)
    print(f"passed: {summary}")
    return None


def main():
    match sys.argv[1:]:
        case ["tasks", program]:
            test_tasks(program)
        case ["step", program, source, text, *arguments]:
            test_steps(program, source, text, *arguments)
        case _:
            sys.exit(__doc__)
    sys.exit(1 if failures else 0)


main()
