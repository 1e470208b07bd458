#!/usr/bin/env python3
"""tools/scoreboard.py counts what there is: nothing of the template, all of a backend that works, and it outlives a crash.

    score_test.py SUITE_WITH_THE_TEMPLATE...

Read next: tools/scoreboard.py.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
sys.dont_write_bytecode = True
import scoreboard  # pylint: disable=wrong-import-position


def score(build, name):
    done = subprocess.run([sys.executable, ROOT / "tools" / "scoreboard.py", "--build", build, name],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def of_all_lines(output):
    """(passed, of how many) of the last line."""
    return tuple(map(int, re.search(r"(\d+) of (\d+)", output.splitlines()[-1]).groups()))


def the_template_has_nothing(build):
    status, output = score(build, "template")
    passed, tried = of_all_lines(output)
    assert status == 1 and passed == 0 and tried > 100, output
    assert "write open" in output and "read:  platform/poller.h" in output, output


def a_simulated_kernel_has_everything(build):
    status, output = score(build, "simulated")
    passed, tried = of_all_lines(output)
    assert status == 0 and passed == tried > 100, output


def a_name_that_is_none_is_a_mistake(build):
    status, output = score(build, "no_such_kernel")
    assert status == 2 and "no_such_kernel" in output and "simulated" in output, output


def what_a_copy_of_the_template_lacks_is_shown(_):
    case = scoreboard.Case("program", "Every/Port.X/x")
    report = {"testsuites": [{"testsuite": [{"result": "COMPLETED", "failures": [{"failure": "it fails"}]}]}]}
    case.judge(report, "running\npollard: write add: note the number: not supported\nended\n")
    assert case.said == "write add: note the number: not supported\nit fails", case.said


def a_crash_and_a_hang_are_failures(_):
    with tempfile.TemporaryDirectory() as scratch:
        program = pathlib.Path(scratch) / "program"
        program.write_text('#!/bin/sh\ncase $1 in *Crash*) kill -SEGV $$ ;; *) exec sleep 600 ;; esac\n')
        program.chmod(0o700)
        scoreboard.PATIENCE_SECONDS = 0.2
        for name, sentence in (("Every/Port.Crash/x", "It crashes: SIGSEGV"), ("Every/Port.Hang/x", "It hangs")):
            case = scoreboard.Case(program, name)
            case.run()
            assert case.state == "failed" and case.said.startswith(sentence), case.said


def every_file_of_the_suites_says_what_to_read(_):
    files = {place[0] for place in scoreboard.read_places()[0].values()}
    assert files == set(scoreboard.READING), files ^ set(scoreboard.READING)


def the_rules_name_tests_that_exist(_):
    text = (ROOT / "platform" / "README.md").read_text(encoding="utf-8")
    rules = text.split("## One rule each")[1].split("\n## ")[0]
    tests = {place.split(".")[1] for place in scoreboard.read_places()[0]}
    named = re.findall(r"`([A-Z]\w+)(\.\.\.)?`", rules)
    assert len(named) > 15, named
    for name, rest in named:
        assert any(test.startswith(name) if rest else test == name for test in tests), name


def main():
    # BUILD/tests/porting/EXECUTABLE
    build = pathlib.Path(sys.argv[1]).resolve().parents[2]
    for check in (the_template_has_nothing, a_simulated_kernel_has_everything, a_name_that_is_none_is_a_mistake,
                  what_a_copy_of_the_template_lacks_is_shown,
                  a_crash_and_a_hang_are_failures, every_file_of_the_suites_says_what_to_read, the_rules_name_tests_that_exist):
        check(build)
        print("ok:", check.__name__.replace("_", " "))


if __name__ == "__main__":
    main()
