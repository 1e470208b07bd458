#!/usr/bin/env python3
"""The rules of the house that no other tool checks.

    tidy_test.py ROOT

Each rule below is a function that yields (line number or 0, sentence) for what breaks it, and a line in RULES says
which files it is for. The formatter and the linter have the rest: .clang-format and .clang-tidy at the top.

Read next: RULES, at the end.
"""

import functools
import pathlib
import re
import sys

MAX_COLUMNS = 124
LIBRARY = ("core", "platform", "demos")

# What may be included in angle brackets: headers without a compiled part, and the C library's own in C++ clothes.
ALLOWED_STANDARD_HEADERS = set("""
    algorithm array atomic bit bitset charconv climits compare concepts coroutine cerrno cinttypes cmath cstdarg
    cstddef cstdint cstdio cstdlib cstring ctime expected initializer_list iterator limits new numeric optional
    ranges source_location span string_view tuple type_traits utility variant version
""".split())

# Folders of platform/ that may talk to the system itself; what is directly in platform/ is the same everywhere.
SYSTEM_HEADER = re.compile(r"[\w/]+\.h")

MADE_BY_THE_BUILD = ("backends.inc",)
PATH_IN_TEXT = re.compile(r"(?<![\w/.~-])(?:core|platform|demos|tests|tools)/[\w./-]*\w")


# --- Reading -----------------------------------------------------------------------------------------------------------

class Source:
    """One file: `lines` as they are, `code` with comments and literals blanked out, line for line."""

    def __init__(self, root, path):
        self.root = root
        self.path = path
        self.name = path.relative_to(root).as_posix()
        self.top = self.name.split("/", maxsplit=1)[0]
        self.text = path.read_text(encoding="utf-8")
        self.lines = self.text.split("\n")

    @functools.cached_property
    def code(self):
        return blank_comments_and_literals(self.text).split("\n")

    @functools.cached_property
    def includes(self):
        """(line number, what stands between the brackets or quotes, with them)."""
        found = ((number, re.match(r'\s*#\s*include\s*([<"].*[>"])', line)) for number, line in numbered(self.lines))
        return [(number, match.group(1)) for number, match in found if match]


def numbered(lines):
    return enumerate(lines, start=1)


def blank_comments_and_literals(text):
    tokens = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'""", re.DOTALL)
    return tokens.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def find_sources(root):
    """What belongs to the project: not what building leaves behind, nor what stands in hidden folders."""
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        hidden = any(part.startswith(".") and part not in (".ci",) for part in parts[:-1])
        if hidden or parts[0].startswith("build") or "__pycache__" in parts or not path.is_file():
            continue
        if path.suffix in (".h", ".cc", ".c", ".py", ".sh", ".inc", ".build", ".md") or is_script(path):
            yield Source(root, path)


def is_script(path):
    if path.suffix:
        return False
    with path.open("rb") as file:
        return file.read(2) == b"#!"


# --- Rules for every file ----------------------------------------------------------------------------------------------

def begins_with_what_it_is(source):
    first = source.lines[1] if source.lines[0].startswith("#!") else source.lines[0]
    if not first.startswith(("// ", "# ", '"""', "/* ")):
        yield 1, "begins without a comment that says what it is"


def has_clean_white_space(source):
    for number, line in numbered(source.lines):
        if "\t" in line:
            yield number, "has a tab"
        if line != line.rstrip():
            yield number, "ends with a space"
    if not source.text.endswith("\n") or source.text.endswith("\n\n"):
        yield len(source.lines), "must end with one newline"


def names_files_that_exist(source):
    for number, line in numbered(source.lines):
        for path in PATH_IN_TEXT.findall(line):
            if not names_something(source.root, path):
                yield number, f"names {path}, which does not exist"


def names_something(root, path):
    # Capitals stand for any name: demos/NAME.cc. `demos/chess` may be the program, and `core/timers` both its files.
    place = root / path
    return (place.exists() or place.stem.isupper() or any(place.parent.glob(place.name + ".*"))
            or place.name in MADE_BY_THE_BUILD)


# --- Rules for C++ -----------------------------------------------------------------------------------------------------

def has_short_lines(source):
    for number, line in numbered(source.lines):
        if len(line) > MAX_COLUMNS:
            yield number, f"has {len(line)} columns; the limit is {MAX_COLUMNS}"


def is_built(source):
    """A source that no meson.build names is never compiled, a header that none names is never installed."""
    if not any(is_named_in(build.read_text(encoding="utf-8"), source) for build in build_files_above(source)):
        yield 0, "stands in no meson.build"


def build_files_above(source):
    folder = source.path.parent
    while folder != source.root.parent:
        if (folder / "meson.build").is_file():
            yield folder / "meson.build"
        folder = folder.parent


def is_named_in(build_text, source):
    stem = source.path.stem
    names = "|".join(re.escape(name) for name in (source.path.name, stem, stem.removesuffix("_test")))
    return re.search(rf"'(?:[\w/]+/)?(?:{names})'", build_text) is not None


# --- Rules for the library and the demos -------------------------------------------------------------------------------

def includes_what_it_may(source):
    for number, include in source.includes:
        name = include[1:-1]
        if include.startswith("<"):
            if name in ALLOWED_STANDARD_HEADERS:
                continue
            if not SYSTEM_HEADER.fullmatch(name):
                yield number, f"includes {include}: its compiled part would need the C++ runtime"
            elif not may_talk_to_the_system(source):
                yield number, f"includes {include}: the system's headers belong into a folder of platform/"
        elif not may_include(source.top, name.split("/")[0]):
            yield number, f"includes {include}: {source.top}/ knows nothing of that floor"


def may_talk_to_the_system(source):
    return source.top == "platform" and source.name.count("/") >= 2


def may_include(from_floor, floor):
    floors = ("platform", "core", "demos")
    return floor in floors and floors.index(floor) <= floors.index(from_floor)


def needs_no_runtime(source):
    banned = {
        r"\bvirtual\b": "`virtual`: use a table of function pointers",
        r"\bdynamic_cast\b": "`dynamic_cast`: there is no RTTI",
        r"\btypeid\b": "`typeid`: there is no RTTI",
        r"\bthrow\b": "`throw`: errors are values",
        r"\btry\b(?=\s*\{)": "`try`: errors are values",
        r"(?<!operator )\bnew\b(?!\s*\((?!std::nothrow))": "`new`: memory comes from platform/memory.h",
        r"(?<!operator )(?<!= )\bdelete\b": "`delete`: memory goes back to platform/memory.h",
        r"\bstd::(string|vector|map|function|thread|mutex|unique_ptr|shared_ptr|cout|cerr)\b": "the C++ runtime",
    }
    for number, line in numbered(source.code):
        if line.lstrip().startswith("#include"):
            continue
        for regex, why in banned.items():
            if re.search(regex, line):
                yield number, f"uses {why}"


def is_guarded(source):
    if "#pragma once" not in source.lines:
        yield 0, "has no `#pragma once`"


# --- Which rule is for which files -------------------------------------------------------------------------------------

def everything(_):
    return True


def is_cpp(source):
    return source.path.suffix in (".h", ".cc", ".c")


def is_program_text(source):
    return source.path.suffix != ".md"


def is_of_library(source):
    return source.top in LIBRARY and source.path.suffix in (".h", ".cc")


def is_header(source):
    return source.path.suffix == ".h"


def must_be_named(source):
    return source.path.suffix in (".cc", ".c")


RULES = [
    (has_clean_white_space, everything),
    (names_files_that_exist, everything),
    (begins_with_what_it_is, is_program_text),
    (has_short_lines, is_cpp),
    (is_guarded, is_header),
    (is_built, must_be_named),
    (includes_what_it_may, is_of_library),
    (needs_no_runtime, is_of_library),
]


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    sources = list(find_sources(root))
    faults = 0
    for source in sources:
        for rule, concerns in RULES:
            if not concerns(source):
                continue
            for number, sentence in rule(source):
                print(f"{source.name}:{number}: {sentence}")
                faults += 1
    print(f"{len(sources)} files, {faults} faults")
    return 1 if faults or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
