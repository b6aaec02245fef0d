"""Starts curl in every way that subprocess has, while a connection is open; prints how many
children fetched the greeting, and whether the connection is still what it was."""

import os
import shutil
import socket
import subprocess

CURL = ["curl", "-sS", "http://v4only.test/"]
connection = socket.create_connection(("198.51.100.1", 7))
WAYS = (
    {},  # vfork
    {"close_fds": False, "executable": shutil.which("curl")},  # posix_spawn
    {"pass_fds": (connection.fileno(),)},
    {"preexec_fn": lambda: None},  # fork
    {"start_new_session": True, "env": {"PATH": os.environ["PATH"]}},
)
whole = 0
for way in WAYS:
    child = subprocess.run(CURL, stdout=subprocess.PIPE, check=False, **way)
    whole += child.stdout == b"hello from the world\n"
print(whole, "children")
connection.sendall(b"echo")
print(*connection.getpeername(), connection.recv(4, socket.MSG_WAITALL).decode())
