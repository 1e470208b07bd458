#!/usr/bin/env python3
"""The work behind tools/score: runs the conformance suites for one subject and lays out what passed.

    scoreboard.py --build DIR NAME         the scoreboard of one subject
    scoreboard.py --build DIR --list       all subjects
    scoreboard.py --build DIR --targets    what must be built first, as names of Ninja's

It needs nothing from the suites but their names and sources: an executable whose name ends with `conformance_test` is a
suite, the end of a test's name is its subject, and the headings in the sources (`// --- time-outs ---`) are the groups.

Read next: tests/conformance/harness.h.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 60

# In the order in which a port grows, with what to read when a test of that file fails. (A file that is missing here
# comes last.)
READING = {
    "poller_wake_test.cc": 'platform/poller.h, wait and wake; platform/README.md, "Threads"',
    "poller_registration_test.cc": 'platform/poller.h, add and remove; platform/README.md, "Contract 1"',
    "poller_readiness_test.cc": 'platform/poller.h, arm; platform/README.md, "Contract 1" and "Where kernels differ"',
    "operations_test.cc": 'platform/completion_port.h; platform/README.md, "Contract 2"',
    "streams_test.cc": 'platform/README.md, "One rule each": end of stream, reset, datagrams',
    "sending_test.cc": 'platform/README.md, "One rule each": partial sends, sending to nobody',
    "connections_test.cc": 'platform/README.md, "One rule each": refusal; platform/attempt/attempts.h, connect',
    "borrowed_buffers_test.cc": "platform/buffer_pool.h; the end of platform/operation.h",
    "cancel_test.cc": 'platform/README.md, "One rule each": cancellation',
    "files_test.cc": 'platform/operation.h, "FileOperation"',
    "close_test.cc": 'platform/README.md, "One rule each": closing, a reused number',
    "faults_test.cc": 'platform/README.md, "Errors"; platform/interposed_kernel.h',
}


class Case:
    """One test of one subject, and how it went."""

    def __init__(self, executable, name):
        self.executable = executable
        self.name = name
        # Every/PollerWake.WakesCoalesce/epoll; a test without subjects has no slash.
        self.plain_name, _, self.subject = re.sub(r"^\w+/", "", name).partition("/")
        self.state = "not run"
        self.said = ""
        self.file = self.group = self.comment = ""
        self.line = 0

    def run(self):
        with tempfile.TemporaryDirectory() as scratch:
            report = pathlib.Path(scratch) / "report.json"
            command = [self.executable, f"--gtest_filter={self.name}", f"--gtest_output=json:{report}"]
            try:
                done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                      errors="replace", timeout=PATIENCE_SECONDS, check=False)
            except subprocess.TimeoutExpired:
                self.state, self.said = "failed", f"It hangs: nothing happened for {PATIENCE_SECONDS} seconds."
                return
            if report.exists():
                self.judge(json.loads(report.read_text(encoding="utf-8")), done.stdout)
            else:
                self.state, self.said = "failed", how_it_ended(done.returncode) + "\n" + done.stdout[-600:].strip()

    def judge(self, report, printed):
        case = report["testsuites"][0]["testsuite"][0]
        failures = case.get("failures", [])
        self.said = failures[0]["failure"] if failures else ""
        # What a copy of platform/template/ lacks, it says on the terminal, with nobody else to tell.
        unwritten = re.search(r"^pollard: (write [\w\[\]]+: .+)$", printed, re.MULTILINE)
        if failures and unwritten:
            self.said = f"{unwritten[1]}\n{self.said}"
        self.state = "failed" if failures else "skipped" if case["result"] == "SKIPPED" else "passed"

    def find_in(self, places):
        self.file, self.line, self.group, self.comment = places.get(self.plain_name, ("", 0, "", ""))


def how_it_ended(returncode):
    return f"It crashes: {signal.Signals(-returncode).name}." if returncode < 0 else f"It ends with {returncode}."


def read_places():
    """Of each test by its name: the file, the line, the heading above it, its own comment. And each file's first line."""
    places, titles = {}, {}
    for source in sorted((ROOT / "tests" / "conformance").glob("*_test.cc")):
        text = source.read_text(encoding="utf-8")
        if "tested_ports()" not in text and "tested_pollers()" not in text:
            continue  # about one subject only
        lines = text.split("\n")
        titles[source.name] = lines[0].removeprefix("// ").split(". ")[0].rstrip(".:")
        group, comment = "", []
        for number, line in enumerate(lines, start=1):
            if heading := re.fullmatch(r"// --- (.+) ---", line):
                group = heading.group(1)
            elif test := re.match(r"TEST(?:_P)?\((\w+), (\w+)\)", line):
                places[".".join(test.groups())] = (source.name, number, group, " ".join(comment))
            comment = comment + [line[3:]] if line.startswith("// ") and not line.startswith("// ---") else []
    return places, titles


def suites_of(build):
    """The executables, below the build directory."""
    with open(build / "meson-info" / "intro-targets.json", encoding="utf-8") as file:
        targets = json.load(file)
    return [pathlib.Path(target["filename"][0]) for target in targets
            if target["type"] == "executable" and target["name"].endswith("conformance_test")]


def cases_of(executable):
    listed = subprocess.run([executable, "--gtest_list_tests"], stdout=subprocess.PIPE, text=True, check=True).stdout
    suite = ""
    for line in listed.splitlines():
        if not line.startswith(" "):
            suite = line.split()[0]
        else:
            yield Case(executable, suite + line.split()[0])


def run_all(cases):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(Case.run, cases):
            pass


def growing(case):
    files = list(READING)
    return (files.index(case.file) if case.file in files else len(files), case.line)


def count(cases):
    tried = [case for case in cases if case.state != "skipped"]
    skipped = len(cases) - len(tried)
    passed = sum(case.state == "passed" for case in tried)
    return f"{passed} of {len(tried)}" + (f", {skipped} skipped" if skipped else "")


def grouped(cases, key):
    groups = {}
    for case in cases:
        groups.setdefault(key(case), []).append(case)
    return groups.items()


def print_suite(executable, cases, titles):
    print(f"{executable.name.removesuffix('_test')}: {count(cases)}")
    for file, of_file in grouped(cases, lambda case: case.file):
        print(f"\n  {file:30} {titles.get(file, '')}")
        for group, of_group in grouped(of_file, lambda case: case.group):
            failing = next((case.plain_name for case in of_group if case.state == "failed"), "")
            line = f"    {group:44} {count(of_group):22}" + (f" first: {failing}" if failing else "")
            print(line.rstrip())
    print()
    failing = next((case for case in cases if case.state == "failed"), None)
    if failing:
        print_next(failing)


def print_next(case):
    print(f"next:  {case.plain_name}")
    print(f"       tests/conformance/{case.file}:{case.line}" + (f"  {case.comment}" if case.comment else ""))
    print("says:  " + "\n       ".join(case.said.strip().splitlines()[:8]))
    print(f"read:  {READING.get(case.file, 'tests/conformance/harness.h')}")
    print(f"again: {case.executable} --gtest_filter={case.name}\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--targets", action="store_true")
    parser.add_argument("name", nargs="?")
    options = parser.parse_args()
    suites = suites_of(options.build)
    if options.targets:
        print(*(suite.relative_to(options.build.resolve()) for suite in suites))
        return 0
    places, titles = read_places()
    every_case = [case for suite in suites if suite.exists() for case in cases_of(suite)]
    for case in every_case:
        case.find_in(places)
    subjects = sorted({case.subject for case in every_case if case.file in READING and case.subject})
    if options.list:
        print(*subjects, sep="\n")
        return 0
    chosen = [case for case in every_case if case.subject == options.name and options.name in subjects]
    if not chosen:
        print(f"tools/score: no suite has a subject '{options.name}'; there are: {', '.join(subjects)}",
              file=sys.stderr)
        return 2
    run_all(chosen)
    for executable, cases in grouped(chosen, lambda case: case.executable):
        print_suite(executable, sorted(cases, key=growing), titles)
    print(f"{options.name}: {count(chosen)}")
    return 1 if any(case.state == "failed" for case in chosen) else 0


if __name__ == "__main__":
    sys.exit(main())
