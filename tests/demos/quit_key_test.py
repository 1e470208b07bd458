#!/usr/bin/env python3
"""A demo whose quit key is pressed says who waits for whom, and goes on.

    quit_key_test.py REVERSE_SERVER
"""

import re
import signal
import socket
import subprocess
import sys

LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")
TREE = """\
epoll: 2 tasks
Serve<Session>#1 awaits listener.accept(): accept on fd N
Session#2 awaits peer.recv(bytes): recv on fd N
"""


def without_what_varies(line):
    line = re.sub(r", turn \d+:", ":", line)
    return re.sub(r" at \S+:\d+,", "", re.sub(r"fd \d+", "fd N", re.sub(r", since turn \d+", "", line)))


def press_quit_key(server):
    server.send_signal(signal.SIGQUIT)
    lines = [server.stderr.readline() for _ in TREE.splitlines()]
    return "".join(map(without_what_varies, lines))


def talk(peer, said):
    peer.sendall(said)
    return peer.recv(100)


def main():
    server = subprocess.Popen(
        [sys.argv[1], "--port", "0", "--kernel", "epoll"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        port = int(LISTENING.search(server.stdout.readline()).group(1))
        with socket.create_connection(("127.0.0.1", port)) as peer:
            assert talk(peer, b"abc") == b"cba"
            for _ in range(3):
                assert press_quit_key(server) == TREE
            assert talk(peer, b"still here") == b"ereh llits"
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=10) == 0
        assert server.stderr.read() == ""
    finally:
        server.kill()
        server.communicate()


if __name__ == "__main__":
    main()
