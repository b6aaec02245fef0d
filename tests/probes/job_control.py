"""Job control of a command in a shell on a terminal: `job_control.py COMMAND...`.

Prints what the shell tells of a program that is stopped, brought back, interrupted, and that changes size.
"""

import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios

# It forks nothing: a child of vfork that is stopped before its exec keeps its parent from stopping.
PROGRAM = """
import os, signal, sys
def tell(*words):
    # Handlers may interrupt each other, which print does not bear.
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
signal.signal(signal.SIGWINCH, lambda *_: tell("size", *os.get_terminal_size()))
signal.signal(signal.SIGCONT, lambda *_: tell("goes on"))
signal.signal(signal.SIGINT, signal.SIG_DFL)
tell("is-up")
while True:
    signal.pause()
"""


def main():
    signal.alarm(60)
    shell, terminal = pty.fork()
    if shell == 0:
        os.environ.update(PS1="ready> ", PATH="/usr/bin:/bin", PROGRAM=PROGRAM)
        os.execv("/bin/bash", ["bash", "--norc", "--noprofile", "-i"])
    seen = ""

    def until(pattern):
        nonlocal seen
        while not (found := re.search(pattern, seen)):
            seen += os.read(terminal, 4096).decode(errors="replace")
        seen = seen[found.end() :]
        return found

    def type_in(text):
        os.write(terminal, text.encode())

    until("ready> ")
    quoted = " ".join(f"'{word}'" for word in sys.argv[1:])
    type_in(quoted + ' python3 -c "$PROGRAM"\n')
    until("\nis-up|\ris-up")
    type_in("\x1a")
    until("Stopped")
    print("stopped", flush=True)
    type_in("fg\n")
    until("goes on")
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    print(until("size 99 33")[0], flush=True)
    type_in("\x03")
    until("ready> ")
    type_in("echo sta\"\"tus $?\n")
    print(until(r"status \d+")[0], flush=True)
    os.kill(shell, signal.SIGKILL)


main()
