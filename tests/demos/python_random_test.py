#!/usr/bin/env python3
"""demos/python_random.h draws what Python draws.

    python_random_test.py PYTHON_RANDOM_DRAWS

Seeds of one word and of two, ranges of one number up to nearly 2^32, more draws than the 624 words of the state.
"""

import random
import subprocess
import sys

PUBLISHED = "4 4 0 4 7 4 4 8 10 7 8 4 7 1 6 9 3 9 7 10 0 1 0 1 9 0 5 10 5 8 2 5"
SEEDS = [0, 1, 2, 444, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**63 - 1, 2**64 - 1]
RANGES = [(0, 10), (0, 0), (1, 6), (-7, 8), (0, 15), (0, 16), (0, 2**31), (-2**31, 2**31 - 2), (2**63 - 3, 2**63 - 1)]


def questions():
    yield 444, 0, 10, 32
    for seed in SEEDS:
        for low, high in RANGES:
            yield seed, low, high, 2000
    for seed in range(500):
        yield seed * 0x9E3779B97F4A7C15 % 2**64, 0, 10, 20


def python_draws(seed, low, high, count):
    random.seed(seed)
    return " ".join(str(random.randint(low, high)) for _ in range(count))


def main():
    asked = list(questions())
    lines = "".join(f"{seed} {low} {high} {count}\n" for seed, low, high, count in asked)
    drawn = subprocess.run(sys.argv[1], input=lines, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    answers = drawn.stdout.splitlines()
    assert len(answers) == len(asked), f"{len(answers)} lines for {len(asked)} questions"
    assert answers[0] == PUBLISHED, answers[0]
    for question, answer in zip(asked, answers):
        assert answer == python_draws(*question), f"seed {question[0]}, {question[1]} to {question[2]}: {answer[:80]}"
    print(len(asked), "rows of draws agree with Python's")


if __name__ == "__main__":
    main()
