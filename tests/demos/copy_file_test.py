#!/usr/bin/env python3
"""The demo copy_file copies: nothing, a byte, a block, and what is no whole number of blocks, on every kernel with files.

    copy_file_test.py PROGRAM
"""

import pathlib
import subprocess
import sys
import tempfile

PROGRAM = sys.argv[1]
BLOCK = 64 * 1024
SIZES = (0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 17)


def run(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=60, check=False)


def kernels_with_files():
    """Those that this machine has, but the simulated ones."""
    complaint = run("a", "b", "--kernel", "no such").stderr
    names = complaint.partition("this machine has: ")[2].strip().split(", ")
    return [name for name in names if not name.startswith("simulated")]


def copies_every_size(scratch, kernel):
    for size in SIZES:
        original, copy = scratch / "original", scratch / "copy"
        original.write_bytes(bytes(i * i % 251 for i in range(size)))
        copy.unlink(missing_ok=True)
        done = run(original, copy, "--kernel", kernel)
        assert done.returncode == 0, (kernel, size, done.stderr)
        assert done.stdout == f"copied {size} bytes\n", (kernel, size, done.stdout)
        assert copy.read_bytes() == original.read_bytes(), (kernel, size)


def complains(scratch):
    done = run(scratch / "none", scratch / "copy")
    assert done.returncode == 1 and "not found" in done.stderr and "none" in done.stderr, done
    original = (scratch / "original").read_bytes()
    (scratch / "link").symlink_to(scratch / "original")
    for there in (scratch, scratch / "original", scratch / "link", scratch / "copy"):
        done = run(scratch / "original", there)
        assert done.returncode == 1 and there.name[-10:] in done.stderr, done
    assert (scratch / "original").read_bytes() == original, "what was there is lost"
    done = run(scratch / "original", scratch / "other", "--kernel", "simulated")
    assert done.returncode == 1 and "not supported" in done.stderr, done


def main():
    kernels = kernels_with_files()
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder)
        assert kernels, "no kernel has files"
        for kernel in kernels:
            copies_every_size(scratch, kernel)
        complains(scratch)


if __name__ == "__main__":
    main()
