"""What a demo should do, in virtual time: an event loop in a few lines of Python to compare it with.

Not a test: the tests beside it import this.
"""

import heapq
import itertools
import json
import os
import pathlib
import subprocess
import tempfile

KERNELS = ("simulated", "simulated_completion")


def run(program, *arguments, environment=None):
    """Exit status, standard output, standard error."""
    surroundings = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "POLLARD_KERNEL")}
    done = subprocess.run([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60,
                          check=False, env={**surroundings, **(environment or {})})
    return done.returncode, done.stdout, done.stderr


def expect_output(expected, program, *arguments, environment=None):
    """It prints exactly that, and nothing on standard error."""
    status, told, complaint = run(program, *arguments, environment=environment)
    assert (status, complaint) == (0, ""), f"{arguments}: {complaint}"
    assert told == expected, f"{arguments}: printed\n{told}\nnot\n{expected}"


def expect_usage_error(program, *arguments, saying):
    """One line on standard error that says what is wrong; status 2."""
    status, told, complaint = run(program, *arguments)
    assert (status, told, complaint.count("\n")) == (2, "", 1) and saying in complaint, f"{arguments}: {told}{complaint}"


def explained(expected, program, *arguments):
    """What it prints with --explain: all that was expected, in this order, and more in between."""
    status, told, complaint = run(program, "--explain", *arguments)
    assert (status, complaint) == (0, ""), complaint
    lines = iter(told.splitlines())
    for line in filter(None, expected.splitlines()):
        assert line in lines, f"--explain lost or moved: {line}\n{told}"
    return told


def traced(expected, program, *arguments):
    """The sleeps in the timeline that it writes with --trace: (task, from second, to second), as they ended."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "run.json")
        expect_output(expected, program, "--trace", str(path), *arguments)
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    lanes = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    begun, sleeps = {}, []
    for event in events:
        if event.get("cat") == "await" and event["name"].startswith("sleep_ns"):
            second = event["ts"] / 1e6
            if event["ph"] == "b":
                begun[event["id"]] = second
            else:
                sleeps.append((lanes[event["tid"]], begun.pop(event["id"]), second))
    assert not begun, f"never ended: {begun}"
    return sleeps


def expect_usual_complaints(program):
    """What is wrong on any demo's command line; and a trace that cannot be written."""
    for arguments in (["--no-such-option"], ["no_such_argument"], ["--kernel", "no_such_kernel"], ["--kernel"],
                      ["--explain=yes"]):
        expect_usage_error(program, *arguments, saying=arguments[-1])
    status, told, complaint = run(program, "--trace", "/no such folder/run.json")
    assert (status, told, complaint.count("\n")) == (1, "", 1) and "cannot write the trace" in complaint, complaint


class VirtualTime:
    """Runs generators as tasks, each of which yields for how many seconds it sleeps; equal deadlines as they were set."""

    def __init__(self):
        self.now = 0
        self.numbers = itertools.count()
        self.sleepers = []

    def begin(self, generator):
        self.sleep(0, generator)

    def sleep(self, seconds, generator):
        heapq.heappush(self.sleepers, (self.now + seconds, next(self.numbers), generator))

    def run(self):
        while self.sleepers:
            self.now, _, generator = heapq.heappop(self.sleepers)
            for seconds in generator:
                self.sleep(seconds, generator)
                break
