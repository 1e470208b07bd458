#!/usr/bin/env python3
"""A server and a client of the demos, two processes on the loopback of Windows (Wine's), and the interrupt key.

    windows_talk.py SERVER CLIENT

The server says where it listens; the client talks to it; SIGINT, which Wine hands on as the interrupt key, ends the
server, which then has no error to tell.
"""

import signal
import subprocess
import sys

PATIENCE_S = 60


def main():
    server_program, client_program = sys.argv[1:]
    server = subprocess.Popen(["wine", server_program, "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True)
    try:
        place = server.stdout.readline().split()[-1]
        print(f"the server listens on {place}")
        client = subprocess.run(["wine", client_program, "--port", place.rsplit(":", 1)[1]], stdout=subprocess.PIPE,
                                text=True, timeout=PATIENCE_S, check=False)
        print(client.stdout)
        server.send_signal(signal.SIGINT)
        _, errors = server.communicate(timeout=PATIENCE_S)
    finally:
        server.kill()
    print(f"client: {client.returncode}, server: {server.returncode} {errors}")
    understood = "!revreS olleH" in client.stdout
    return 0 if understood and client.returncode == 0 and server.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
