"""A control connection to one tor (torspec control-spec.txt)."""

import socket
import time


class ControlError(Exception):
    """tor refused a command, or hung up."""


class Control:
    """Commands, their replies, and the events that came meanwhile."""

    def __init__(self, path, timeout=20):
        self.events = []
        deadline = time.monotonic() + timeout
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(path))
                break
            except OSError:
                connection.close()
                if time.monotonic() > deadline:
                    raise ControlError(f"tor did not open {path}") from None
                time.sleep(0.02)
        connection.settimeout(timeout)
        self.reader = connection.makefile("r", encoding="latin-1", newline="\r\n")
        self.connection = connection
        self.command("AUTHENTICATE")

    def command(self, line):
        """Sends one command; returns the reply's lines, data blocks joined by newlines."""
        self.connection.sendall(f"{line}\r\n".encode("latin-1"))
        reply = []
        while True:
            code, separator, text = self._line()
            if code == "650":
                self.events.append(text)
                continue
            reply.append(text)
            if separator == " ":
                if not code.startswith("2"):
                    raise ControlError(f"{line}: {code} {text}")
                return reply

    def getinfo(self, key):
        """The value of one GETINFO key."""
        return self.command(f"GETINFO {key}")[0].partition("=")[2]

    def take_events(self):
        """The events so far, oldest first; a round trip makes sure that none is under way."""
        self.getinfo("version")
        events, self.events = self.events, []
        return events

    def _line(self):
        line = self.reader.readline()
        if not line:
            raise ControlError("tor hung up")
        line = line.rstrip("\r\n")
        code, separator, text = line[:3], line[3], line[4:]
        if separator == "+":
            block = []
            while (data := self.reader.readline().rstrip("\r\n")) != ".":
                block.append(data)
            text += "\n".join(block)
        return code, separator, text
