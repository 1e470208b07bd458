#!/usr/bin/env python3
"""The promise of the images: the C library and nothing else, and small.

    image_check.py [--max-bytes N] --library libpollard.a [PROGRAM...]

For images of any system: ELF (Linux, the BSDs), Mach-O (macOS), PE (Windows).

- The library refers to nothing that lives in the C++ runtime: no `new`, no exceptions, no type information, no
  compiled part of the C++ library, no global object with a destructor.
- A program needs no shared library but its system's C library. (The dynamic loader may stand beside it: it is the same
  thing. A program that is linked statically needs none.)
- A program, stripped, is smaller than --max-bytes. Only an optimized build is held to that.

Exit status 77, "skipped", for a build with sanitizers or coverage: those bring a runtime of their own. The tools are
those of LLVM, which read every format, or else of binutils. Read next: meson.build at the top, for the flags that keep
this so.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
# What is the C library on each system. The dynamic loader is named on some processors only.
ALLOWED_LIBRARIES = re.compile(
    r"libc\.so\.6|ld-linux.*\.so\.\d+"  # Linux
    r"|lib(c|thr|pthread)\.so(\.\d+)*"  # musl, and the BSDs, where its half for threads is a file of its own
    r"|/usr/lib/libSystem\.B\.dylib"  # macOS
    r"|(?i:kernel32|ws2_32|ntdll|msvcrt|ucrtbase|api-ms-win-crt-.*)\.dll")  # Windows
INSTRUMENTATION = re.compile(r"__(asan|ubsan|tsan|msan|lsan|gcov|llvm_prof)\w*")
# Mangled names: std::*, what is virtual in it, operators new and delete, the ABI's type information; then the plain
# names of the ABI: destructors at exit, exceptions, guards of local statics, unwinding.
CPP_RUNTIME = re.compile(r"_ZSt|_ZNK?St|_ZN?K?9__gnu_cxx|_ZT[IVS]|_Zn[aw]|_Zd[al]|_ZN10__cxxabiv1|"
                         r"__cxa_|__gxx_|__dynamic_cast|__once_proxy|_Unwind_")


def tool(name, of_binutils):
    """LLVM's tool of that name, with or without a version behind it, else the one of binutils."""
    for candidate in [f"llvm-{name}", *(f"llvm-{name}-{version}" for version in range(25, 15, -1))]:
        if shutil.which(candidate):
            return candidate
    return of_binutils


def output_of(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def undefined_symbols(archive):
    """(object file, symbol) of all that the archive's objects leave to others."""
    # Each line: ARCHIVE[OBJECT]: SYMBOL U
    lines = output_of(tool("nm", "nm"), "-A", "-P", "-u", archive).splitlines()
    # Mach-O puts an underscore before each name.
    prefix = "_" if any(line.split()[1].startswith("__ZN7pollard") for line in lines) else ""
    return [(re.search(r"\[?([^\[\]:]+)\]?:$", where).group(1), symbol.removeprefix(prefix))
            for where, symbol in (line.split()[:2] for line in lines)]


def check_library(archive):
    undefined = undefined_symbols(archive)
    if any(INSTRUMENTATION.match(symbol) for _, symbol in undefined):
        print("an instrumented build: it brings a runtime of its own, so there is nothing to check")
        sys.exit(SKIPPED)
    if not undefined:
        return [f"{archive}: nm finds no symbol that is undefined, which cannot be: there are system calls in it"]
    return [f"{where} needs the C++ runtime: {demangle(symbol)}"
            for where, symbol in undefined if CPP_RUNTIME.match(symbol)]


def demangle(symbol):
    return output_of(tool("cxxfilt", "c++filt"), symbol).strip()


def check_program(program, max_bytes):
    needed = needed_libraries(program)
    faults = [f"{program}: needs {library}" for library in needed if not ALLOWED_LIBRARIES.fullmatch(library)]
    size = stripped_size(program)
    if max_bytes is not None and size >= max_bytes:
        faults.append(f"{program}: {size} bytes when stripped; the limit is {max_bytes}")
    print(f"{size:8} bytes stripped, needs {' '.join(needed) or 'nothing'}: {program}")
    return faults


def needed_libraries(program):
    reader = tool("readobj", "readelf")
    if reader == "readelf":
        return re.findall(r"\(NEEDED\).*\[(.+)\]", output_of(reader, "--wide", "--dynamic", program))
    listing = output_of(reader, "--needed-libs", program)
    return re.search(r"NeededLibraries \[(.*)\]", listing, re.DOTALL).group(1).split()


def stripped_size(program):
    with tempfile.TemporaryDirectory() as scratch:
        copy = pathlib.Path(scratch) / "stripped"
        shutil.copyfile(program, copy)
        output_of(tool("strip", "strip"), str(copy))
        return copy.stat().st_size


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--library", required=True)
    arguments.add_argument("--max-bytes", type=int)
    arguments.add_argument("programs", nargs="*")
    options = arguments.parse_args()

    faults = check_library(options.library)
    for program in options.programs:
        faults += check_program(program, options.max_bytes)
    print(*faults, sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
