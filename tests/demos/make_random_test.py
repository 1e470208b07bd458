#!/usr/bin/env python3
"""demos/make_random prints what a Python program with the same seed would, in virtual time.

    make_random_test.py MAKE_RANDOM
"""

import random
import sys

from virtual_time import (KERNELS, VirtualTime, expect_output, expect_usage_error, expect_usual_complaints, explained,
                          traced)

PROGRAM = sys.argv[1]
COLOURS = ("\033[36m", "\033[91m", "\033[35m")
PUBLISHED_DRAWS = [4, 4, 0, 4, 7, 4, 4, 8, 10, 7, 8, 4, 7, 1, 6, 9, 3, 9, 7, 10, 0, 1, 0, 1, 9, 0, 5, 10, 5, 8, 2, 5]
PUBLISHED_END = "\n\nr1: 10, r2: 10, r3: 9\nmake_random executed in 12.00 seconds.\n"


def model(seed, coloured=False):
    """The output, and the numbers in the order in which they were drawn."""
    random.seed(seed)
    loop, lines, draws, results = VirtualTime(), [], [], {}

    def say(index, what):
        line = f"{loop.now:6.2f} s  make_random({index}) {what}"
        lines.append(f"{COLOURS[index]}{line}\033[0m" if coloured else line)

    def make_random(index):
        threshold, pause = 9 - index, 1 + index
        say(index, f"begins, and wants more than {threshold}")
        while True:
            drawn = random.randint(0, 10)
            draws.append(drawn)
            if drawn > threshold:
                break
            say(index, f"drew {drawn}: too low, again in {pause} s")
            yield pause
        say(index, f"drew {drawn}: content")
        results[index] = drawn

    for index in range(3):
        loop.begin(make_random(index))
    loop.run()
    lines += ["", f"r1: {results[0]}, r2: {results[1]}, r3: {results[2]}",
              f"make_random executed in {loop.now:.2f} seconds."]
    return "\n".join(lines) + "\n", draws


def reproduces_the_published_run():
    expected, draws = model(444)
    assert draws == PUBLISHED_DRAWS[: len(draws)] and expected.endswith(PUBLISHED_END), expected
    for kernel in KERNELS:
        for form in ([], ["--co-await"]):
            expect_output(expected, PROGRAM, "--plain", "--kernel", kernel, *form)


def agrees_with_python_for_any_seed():
    for seed in [*range(60), 2**32 - 1, 2**32, 2**40 + 7, 2**63 - 1]:
        expect_output(model(seed)[0], PROGRAM, "--plain", "--kernel", "simulated", "--seed", str(seed))


def has_three_colours_unless_told_not_to():
    simulated = ("--kernel", "simulated", "--seed", "5")
    expect_output(model(5, coloured=True)[0], PROGRAM, *simulated)
    expect_output(model(5)[0], PROGRAM, *simulated, environment={"NO_COLOR": "1"})


def tells_and_draws_its_story():
    expected = model(444)[0]
    told = explained(expected, PROGRAM, "--plain", "--kernel", "simulated")
    assert "awaits gather(MakeRandom{" in told and "MakeRandom#4     is done: success" in told, told
    sleeps = traced(expected, PROGRAM, "--plain", "--kernel", "simulated")
    assert {(task, end - begin) for task, begin, end in sleeps} == {
        ("MakeRandom#2", 1), ("MakeRandom#3", 2), ("MakeRandom#4", 3)}, sleeps
    assert max(end for _, _, end in sleeps) == 12, sleeps


def complains():
    expect_usual_complaints(PROGRAM)
    for seed in ("-1", "x", "", "9223372036854775808", "1.5"):
        expect_usage_error(PROGRAM, "--seed", seed, saying=f"--seed {seed}: not a number from 0 to")


if __name__ == "__main__":
    reproduces_the_published_run()
    agrees_with_python_for_any_seed()
    has_three_colours_unless_told_not_to()
    tells_and_draws_its_story()
    complains()
