#!/usr/bin/env python3
"""The promise of the images on Windows: the system's own DLLs and nothing else.

    windows_images.py --objdump OBJDUMP PROGRAM...

What the compiler brings (libstdc++, libgcc, winpthread) is linked in statically, or not needed at all. Read next:
image_check.py, which holds the other systems to more.
"""

import argparse
import re
import subprocess
import sys

ALLOWED = {"kernel32.dll", "msvcrt.dll", "ntdll.dll", "ws2_32.dll"}


def imports_of(objdump, program):
    headers = subprocess.run([objdump, "-p", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    return re.findall(r"DLL Name: (\S+)", headers)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--objdump", required=True)
    arguments.add_argument("programs", nargs="+")
    options = arguments.parse_args()

    faults = 0
    for program in options.programs:
        imports = imports_of(options.objdump, program)
        foreign = [library for library in imports if library.lower() not in ALLOWED]
        print(f"{program}: {' '.join(imports)}")
        if not imports or foreign:
            print(f"  must not need {' '.join(foreign)}" if foreign else "  needs nothing, which cannot be")
            faults += 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
