#!/usr/bin/env python3
"""The template must fail, and say why.

    template_test.py EXECUTABLE...

Each executable is a conformance suite with the template as its subject. Every test of it must fail, and its report must
hold a sentence of the template that says what to write ("write add: ..."): a test that a bare template passes would
ask for nothing, a crash or a hang would be the end of a porter's first evening, and a sentence that is never seen is
one that has rotted. So every sentence of the sources must be seen, too.

Read next: platform/template/template_poller.cc, tests/porting/template_subjects.cc.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

TEMPLATE = pathlib.Path(__file__).resolve().parents[2] / "platform" / "template"
# (`wake` has nobody to answer to: its sentence goes to the standard error.)
SENTENCE = re.compile(r"\bwrite ([\w\[\]]+): ")


def sentences_of_the_template():
    return {name for source in TEMPLATE.iterdir() for name in SENTENCE.findall(source.read_text(encoding="utf-8"))}


def run(executable, report):
    """(tests by name with what each said, standard error)."""
    done = subprocess.run([executable, f"--gtest_output=json:{report}"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, timeout=240, check=False)
    if done.returncode != 1:  # what GoogleTest leaves with when tests have failed
        sys.exit(f"{executable} ended with {done.returncode} instead of 1\n{done.stderr[-2000:]}")
    suites = json.loads(report.read_text(encoding="utf-8"))["testsuites"]
    said = {f"{case['classname']}.{case['name']}": "\n".join(one["failure"] for one in case.get("failures", []))
            for suite in suites for case in suite["testsuite"]}
    return said, done.stderr


def main():
    seen = set()
    faults = []
    tests = 0
    with tempfile.TemporaryDirectory() as scratch:
        for executable in sys.argv[1:]:
            said, standard_error = run(executable, pathlib.Path(scratch) / "report.json")
            tests += len(said)
            seen |= set(SENTENCE.findall(standard_error))
            for name, failures in said.items():
                found = SENTENCE.findall(failures)
                seen |= set(found)
                if not failures:
                    faults.append(f"{name} does not fail")
                elif not found:
                    faults.append(f"{name} fails without a sentence that says what to write")
    expected = sentences_of_the_template()
    faults += [f"no test brings out \"write {name}: ...\"" for name in sorted(expected - seen)]
    print(*faults, sep="\n")
    print(f"{tests} tests, {len(expected)} sentences, {len(faults)} faults")
    return 1 if faults or not tests or not expected else 0


if __name__ == "__main__":
    sys.exit(main())
