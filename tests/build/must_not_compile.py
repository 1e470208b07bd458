#!/usr/bin/env python3
"""Mistakes that the compiler must find, each for the right reason.

    must_not_compile.py --compiler GCC|CLANG [CASE.cc...] -- COMPILER FLAGS...

A case is one small program with one mistake. Lines in its header say what the compiler must answer, as regular
expressions that all have to be found: `// EXPECT: ...`, or `// EXPECT-GCC: ...` and `// EXPECT-CLANG: ...` where the
two say it differently. The same file with -DFIXED has the mistake mended and must compile without a warning: so what
is rejected is the mistake, and not a header that has moved or a word misspelt. Without CASE: all in the folder
must_not_compile/ beside this file.

Read next: the cases, then core/co_macros.h, which says how the rules are enforced.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

COMPILED_AT_ONCE = 2


def read_expectations(case, compiler):
    marks = f"EXPECT(?:-{compiler})?"
    return re.findall(rf"^// {marks}: (.+)$", case.read_text(encoding="utf-8"), re.MULTILINE)


def compile_case(command, case, *more):
    # The messages are compared: in English, with the compiler's plain quotes.
    environment = dict(os.environ, LC_ALL="C")
    return subprocess.run([*command, "-fsyntax-only", *more, str(case)], env=environment, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def find_faults(command, compiler, case):
    """What is wrong with a case; nothing if it is rejected as expected."""
    expectations = read_expectations(case, compiler)
    if not expectations:
        return [f"it has no line `// EXPECT: ...` for {compiler}"]
    faults = []
    rejected = compile_case(command, case)
    if rejected.returncode == 0:
        faults.append("the compiler accepts it")
    else:
        missing = [regex for regex in expectations if not re.search(regex, rejected.stdout)]
        faults += [f"rejected, but without saying: {regex}\n{rejected.stdout}" for regex in missing]
    mended = compile_case(command, case, "-DFIXED")
    if mended.returncode != 0:
        faults.append(f"with -DFIXED it must compile, and does not:\n{mended.stdout}")
    return faults


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--compiler", choices=["GCC", "CLANG"], required=True)
    arguments.add_argument("cases", nargs="*", type=pathlib.Path)
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options = arguments.parse_args(sys.argv[1:split])
    command = sys.argv[split + 1:]
    cases = options.cases or sorted((pathlib.Path(__file__).parent / "must_not_compile").glob("*.cc"))
    if not command or not cases:
        arguments.error("needs a compiler's command behind `--`, and at least one case")

    failed = 0
    with ThreadPoolExecutor(COMPILED_AT_ONCE) as pool:
        results = pool.map(lambda case: find_faults(command, options.compiler, case), cases)
        for case, faults in zip(cases, results):
            print(f"{'FAILED' if faults else 'ok    '} {case.stem}", *faults, sep="\n    ", flush=True)
            failed += bool(faults)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
