"""Runs inside gdb: breaks at a line, steps into whatever comes, and prints each place until the system call.

run_gdb_test.py starts it and judges. The environment says where: POLLARD_STEP_FROM=FILE:LINE.
"""

import linecache
import os

import gdb

MOST_STEPS = 120


def place():
    """The source line that comes next: file, line, text, and the function's name; None where there is no source."""
    frame = gdb.selected_frame()
    where = frame.find_sal()
    if where.symtab is None:
        return None
    text = linecache.getline(where.symtab.fullname(), where.line).strip()
    return where.symtab.fullname(), where.line, text, frame.name() or "?"


def arrived(here):
    if here is None:
        return (gdb.selected_frame().name() or "").endswith("recv")
    return "::recv(" in here[2]


def walk():
    # As a user does it: the breakpoint stays, and whoever steps over code of that line stops there once more.
    gdb.execute(f"break {os.environ['POLLARD_STEP_FROM']}")
    gdb.execute("run")
    for step in range(MOST_STEPS):
        if not gdb.selected_inferior().threads():
            gdb.write("the program has ended\n")
            return
        here = place()
        if here is not None:
            file, line, text, function = here
            gdb.write(f"at|{step}|{file}|{line}|{function}|{text}\n")
        if arrived(here):
            gdb.write(f"arrived|{step}\n")
            return
        gdb.execute("step", to_string=True)


walk()
