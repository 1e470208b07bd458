#!/usr/bin/env python3
"""Pollard as others use it: installed, and as a subproject of theirs.

    install_test.py --source DIRECTORY -- COMPILER...

1. A release build is installed into an empty directory. Each of the installed headers compiles by itself, and finds
   all that it includes among the installed ones.
2. The program in consumer/ is built with what `pkg-config --cflags --libs pollard` says, and runs.
3. The same as a Meson project, with this source tree as its subprojects/pollard.

The consumers have exceptions and RTTI. Exit status 77, "skipped", where there is no pkg-config.
Read next: consumer/consumer.cc; meson.build at the top.
"""

import argparse
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

SKIPPED = 77
JOBS = 2
HERE = pathlib.Path(__file__).resolve().parent
WARNINGS = ["-std=c++20", "-Wall", "-Wextra", "-Werror"]
EXPECTED_OUTPUT = "42 bytes echoed\n"


class Failure(Exception):
    """A step that failed, and what it printed."""


def run(*command, **environment):
    done = subprocess.run([str(word) for word in command], env={**os.environ, **environment}, check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise Failure(f"{shlex.join(str(word) for word in command)}\n{done.stdout}exit status {done.returncode}")
    return done.stdout


def install(source, meson, scratch):
    """Gives the directory that stands for the system's `/`."""
    build, root = scratch / "build", scratch / "root"
    run(*meson, "setup", build, source, "--buildtype=release", "--prefix=/usr", "-Dtests=disabled", "-Ddemos=disabled")
    run(*meson, "compile", "-C", build, "-j", JOBS)
    run(*meson, "install", "-C", build, "--no-rebuild", "--destdir", root)
    return root


def check_headers(compiler, root):
    include = root / "usr/include/pollard"
    headers = sorted(include.rglob("*.h"))
    if not headers:
        raise Failure(f"no header was installed below {include}")
    with ThreadPoolExecutor(JOBS) as pool:
        list(pool.map(lambda header: run(*compiler, *WARNINGS, f"-I{include}", "-fsyntax-only", "-x", "c++",
                                         "-include", header, os.devnull), headers))
    return len(headers)


def ask_pkg_config(root):
    """The flags for `pollard`, as a system would say that had it installed."""
    where = [str(path.parent) for path in root.rglob("pollard.pc")]
    if not where:
        raise Failure("no pollard.pc was installed")
    flags = run("pkg-config", "--cflags", "--libs", "pollard", PKG_CONFIG_PATH=where[0],
                PKG_CONFIG_SYSROOT_DIR=str(root))
    return shlex.split(flags)


def build_with_pkg_config(compiler, root, scratch):
    program = scratch / "consumer"
    run(*compiler, *WARNINGS, HERE / "consumer/consumer.cc", "-o", program, *ask_pkg_config(root))
    return program


def build_as_subproject(source, meson, scratch):
    project = scratch / "project"
    shutil.copytree(HERE / "consumer", project)
    (project / "subprojects").mkdir()
    (project / "subprojects/pollard").symlink_to(source)
    # Without this, a pollard that this machine has installed would be taken.
    run(*meson, "setup", project / "build", project, "--wrap-mode=forcefallback")
    run(*meson, "compile", "-C", project / "build", "-j", JOBS)
    return project / "build/consumer"


def expect_output(program):
    output = run(program)
    if output != EXPECTED_OUTPUT:
        raise Failure(f"{program} printed {output!r}, not {EXPECTED_OUTPUT!r}")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--source", type=pathlib.Path, required=True)
    arguments.add_argument("--meson", default="meson", help="Meson's command, as one string")
    arguments.add_argument("compiler", nargs="+")
    options = arguments.parse_args()
    source, meson, compiler = options.source.resolve(), shlex.split(options.meson), options.compiler
    if shutil.which("pkg-config") is None:
        print("there is no pkg-config here")
        return SKIPPED
    os.environ["CXX"] = shlex.join(compiler)

    with tempfile.TemporaryDirectory() as directory:
        scratch = pathlib.Path(directory)
        try:
            root = install(source, meson, scratch)
            print(f"installed {check_headers(compiler, root)} headers, each of which compiles by itself", flush=True)
            expect_output(build_with_pkg_config(compiler, root, scratch))
            print("built against the installed library, with pkg-config", flush=True)
            expect_output(build_as_subproject(source, meson, scratch))
            print("built with the library as a subproject")
        except Failure as failure:
            print(f"FAILED: {failure}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
