#!/usr/bin/env python3
"""demos/gather_blocking takes the sum of its tasks where they block, and the longest of them where they wait.

    gather_blocking_test.py GATHER_BLOCKING
"""

import sys

from virtual_time import KERNELS, expect_output, expect_usage_error, expect_usual_complaints, explained, run, traced

PROGRAM = sys.argv[1]
OUTPUT = """\
Two tasks that block

  {0:4.1f} s  task 1 started
  {1:4.1f} s  task 1 completed
  {1:4.1f} s  task 2 started
  {2:4.1f} s  task 2 completed

  {2:.1f} s

Two tasks that wait

  {0:4.1f} s  task 1 started
  {0:4.1f} s  task 2 started
  {1:4.1f} s  task 1 completed
  {1:4.1f} s  task 2 completed

  {1:.1f} s

"""


def really_blocks_and_really_waits():
    """With the kernel's own clock, which only calls to the kernel move: each call that did is told by --explain."""
    expected = OUTPUT.format(0, 2, 4)
    told = explained(expected, PROGRAM, "--kernel", "simulated")
    blocking, waiting = told.split("Two tasks that wait")
    calls = [line.split()[1:] for line in told.splitlines() if line.endswith("after 2.000 s")]
    assert [call[0].split("(")[0] for call in calls] == ["poll", "poll", "wait"], told
    assert blocking.count("after 2.000 s") == 2 and waiting.count("after 2.000 s") == 1, told
    sleeps = traced(expected, PROGRAM, "--kernel", "simulated")
    assert sleeps == [("Waits#5", 4, 6), ("Waits#6", 4, 6)], sleeps


def blocking_is_what_the_debug_mode_reports():
    status, told, complaint = run(PROGRAM, "--kernel", "simulated", "--debug", "--seconds", "3")
    reports = complaint.splitlines()
    assert (status, told, len(reports)) == (0, OUTPUT.format(0, 3, 6), 2), complaint
    for report in reports:
        assert "Blocks ran for 3.000 s without letting others run" in report, report


def main():
    for kernel in KERNELS:
        expect_output(OUTPUT.format(0, 2, 4), PROGRAM, "--kernel", kernel)
        expect_output(OUTPUT.format(0, 3600, 7200), PROGRAM, "--kernel", kernel, "--seconds", "3600")
    # With nothing to wait for no kernel lets time pass: this is the order of the steps on real ones.
    expect_output(OUTPUT.format(0, 0, 0), PROGRAM, "--seconds", "0")
    really_blocks_and_really_waits()
    blocking_is_what_the_debug_mode_reports()
    expect_usual_complaints(PROGRAM)
    expect_usage_error(PROGRAM, "--seconds", "3601", saying="--seconds 3601: not a number from 0 to 3600")


if __name__ == "__main__":
    main()
