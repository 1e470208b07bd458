"""What a demo should do, in virtual time: an event loop in a few lines of Python to compare it with.

Not a test: the tests beside it import this.
"""

import heapq
import itertools
import os
import subprocess

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
