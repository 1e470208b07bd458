#!/usr/bin/env python3
"""demos/chained prints what a Python program with the same seed and arguments would, in virtual time.

    chained_test.py CHAINED
"""

import random
import sys

from virtual_time import (KERNELS, VirtualTime, expect_output, expect_usage_error, expect_usual_complaints, explained,
                          traced)

PROGRAM = sys.argv[1]


def model(seed, chains):
    random.seed(seed)
    loop, lines = VirtualTime(), []

    def part(name, result):
        seconds = random.randint(0, 10)
        lines.append(f"{name} sleeps for {seconds} seconds.")
        yield seconds
        lines.append(f"{name} gives {result}.")
        return result

    def chain(n):
        began = loop.now
        first = yield from part(f"part1({n})", f"result{n}-1")
        second = yield from part(f"part2({n}, {first})", f"result{n}-2 derived from {first}")
        lines.append(f"--> chained result{n}: {second} (took {loop.now - began:.2f} seconds).")

    for n in chains:
        loop.begin(chain(n))
    loop.run()
    lines.append(f"chained executed in {loop.now:.2f} seconds.")
    return "\n".join(lines) + "\n"


def reproduces_the_published_run():
    expected = model(444, [1, 2, 3])
    ends = [line.split("(")[-1] for line in expected.splitlines() if line.startswith("-->")]
    assert ends == ["took 4.00 seconds).", "took 8.00 seconds).", "took 11.00 seconds)."], ends
    for kernel in KERNELS:
        expect_output(expected, PROGRAM, "--kernel", kernel)
        expect_output(expected, PROGRAM, "1", "2", "3", "--kernel", kernel)


def agrees_with_python_for_any_seed_and_any_chains():
    for seed in range(40):
        chains = random.Random(seed).choices(range(10_000), k=1 + seed * 3 % 100)
        expect_output(model(seed, chains), PROGRAM, "--kernel", "simulated", "--seed", str(seed), *map(str, chains))
    expect_output(model(7, range(100)), PROGRAM, "--kernel", "simulated", "--seed", "7", *map(str, range(100)))
    # Options may stand between the numbers; the longest of all results has room.
    expect_output(model(7, [9999, 3]), PROGRAM, "9999", "--seed", "7", "3", "--kernel=simulated")


def tells_and_draws_its_story():
    expected = model(444, [1, 2, 3])
    told = explained(expected, PROGRAM, "--kernel", "simulated")
    assert "awaits Part2{.program = program, .n = n, .argument = *result}" in told, told
    sleeps = traced(expected, PROGRAM, "--kernel", "simulated")
    assert sorted(sleeps) == [("Chain#2", 0, 4), ("Chain#2", 4, 11), ("Chain#3", 0, 4), ("Chain#3", 4, 8),
                              ("Chain#4", 0, 0), ("Chain#4", 0, 4)], sleeps


def complains():
    expect_usual_complaints(PROGRAM)
    expect_usage_error(PROGRAM, "1", "two", saying="N two: not a number from 0 to 9999")
    expect_usage_error(PROGRAM, "10000", saying="N 10000: not a number from 0 to 9999")
    expect_usage_error(PROGRAM, *["1"] * 100, "17", saying="17: one number too many; 100 is the limit")


if __name__ == "__main__":
    reproduces_the_published_run()
    agrees_with_python_for_any_seed_and_any_chains()
    tells_and_draws_its_story()
    complains()
