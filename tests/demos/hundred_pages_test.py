#!/usr/bin/env python3
"""demos/hundred_pages takes the sum of its waits in turn, and one of them at once, and asks for no real time by itself.

    hundred_pages_test.py HUNDRED_PAGES
"""

import sys

from virtual_time import KERNELS, expect_output, expect_usage_error, expect_usual_complaints, explained, traced

PROGRAM = sys.argv[1]
OUTPUT = """\
{pages} pages of {seconds} s each

One after the other

  time passed                    {sum:7.1f} s
  sum of all waiting             {sum:7.1f} s
  pages on their way at a time       1 at most

All at once

  time passed                    {seconds:7.1f} s
  sum of all waiting             {sum:7.1f} s
  pages on their way at a time   {pages:5} at most

All at once is {pages} times as fast.
"""


def output(pages, seconds):
    return OUTPUT.format(pages=pages, seconds=seconds, sum=pages * seconds)


def draws_a_staircase_and_a_wall():
    sleeps = [(begin, end) for _, begin, end in traced(output(20, 2), PROGRAM, "--pages", "20", "--seconds", "2")]
    assert sleeps == [(2 * i, 2 * i + 2) for i in range(20)] + [(40, 42)] * 20, sleeps


def main():
    expect_output(output(100, 1), PROGRAM)
    expect_output(output(100, 1), PROGRAM, environment={"POLLARD_KERNEL": "poll"})
    for kernel in KERNELS:
        for pages, seconds in ((100, 1), (1000, 1), (2, 3600), (37, 11)):
            expect_output(output(pages, seconds), PROGRAM, "--kernel", kernel, "--pages", str(pages), "--seconds",
                          str(seconds))
    expect_output(output(1, 5).replace("1 pages of", "1 page of"), PROGRAM, "--pages", "1", "--seconds", "5")
    told = explained(output(3, 1), PROGRAM, "--pages", "3")
    assert told.count("awaits sleep_ns(pages->page_ns)") == 6, told
    draws_a_staircase_and_a_wall()
    expect_usual_complaints(PROGRAM)
    for pages in ("0", "1001", "-1", "many"):
        expect_usage_error(PROGRAM, "--pages", pages, saying=f"--pages {pages}: not a number from 1 to 1000")
    expect_usage_error(PROGRAM, "--seconds", "0", saying="--seconds 0: not a number from 1 to 3600")


if __name__ == "__main__":
    main()
