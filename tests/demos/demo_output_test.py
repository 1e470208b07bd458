#!/usr/bin/env python3
"""A demo prints, in virtual time, exactly what is written down beside this file.

    demo_output_test.py PROGRAM EXPECTED.txt

Virtual time makes the whole output repeat to the letter, on both simulated kernels, with --trace as without; and with
--explain it says the same lines, in this order, between others.
"""

import pathlib
import sys

from virtual_time import KERNELS, expect_output, expect_usual_complaints, explained, traced

PROGRAM = sys.argv[1]


def main():
    expected = pathlib.Path(sys.argv[2]).read_text(encoding="utf-8")
    for kernel in KERNELS:
        expect_output(expected, PROGRAM, "--kernel", kernel)
    told = explained(expected, PROGRAM, "--kernel", "simulated")
    assert told.count("\n") > expected.count("\n"), "--explain explains nothing"
    assert traced(expected, PROGRAM, "--kernel", "simulated"), "no sleep in the timeline"
    expect_usual_complaints(PROGRAM)


if __name__ == "__main__":
    main()
