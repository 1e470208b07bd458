#!/usr/bin/env python3
"""demos/kernels tells its story on every kernel that is here, and on the simulated ones always the same.

    kernels_test.py PROGRAM

Virtual time makes the whole output of the simulated kernels repeat to the letter. Of the others it is checked that the
story came to its end: a column with every chapter in it.
"""

import subprocess
import sys

SIMULATED = """\
simulated              readiness    is here

                           simulated
contract                   readiness
an answer that is there    told at once
a wait of 0.100 ms takes   0.100 ms
system calls an echo       3.01

  simulated
a completion port is opened
  -
the server waits for a connection, and nobody is there yet
  accept4(3, null, null, NONBLOCK|CLOEXEC) = EAGAIN
a client has connected
  wait(for ever) = 1
  accept4(3, null, null, NONBLOCK|CLOEXEC) = 5
the server waits for its words, and there are none yet
  recv(5, .., 64, 0) = EAGAIN
the words have come
  wait(for ever) = 1
  recv(5, .., 64, 0) = 13
the server answers
  send(5, .., 13, NOSIGNAL) = 13
it waits for more, and there is none
  -
the client has closed: the end
  wait(for ever) = 1
  recv(5, .., 64, 0) = 0
the server closes
  close(5) = 0

"""


def run(*arguments):
    done = subprocess.run([sys.argv[1], *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def main():
    status, told, complaint = run("--kernel", "simulated")
    assert (status, told, complaint) == (0, SIMULATED, ""), told + complaint

    status, told, complaint = run()
    assert status == 0 and complaint == "", complaint
    here = [line.split()[0] for line in told.split("\n\n", maxsplit=1)[0].splitlines() if " is here" in line]
    assert "simulated" in here and "simulated_completion" in here, told
    for kernel in here:
        status, story, complaint = run("--kernel", kernel)
        assert status == 0 and complaint == "", complaint
        assert f"\n  {kernel}\n" in story and "\nthe server closes\n" in story, story
        assert story.rstrip().splitlines()[-1].strip() != "-", f"{kernel}: the server closes by no call\n{story}"

    status, told, complaint = run("--kernel", "no_such_kernel")
    assert status == 2 and "no_such_kernel" in complaint and not told, complaint
    print("told on:", *here)


if __name__ == "__main__":
    main()
