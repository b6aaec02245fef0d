"""local_ports.py COMMAND...: runs the command beside a SOCKS server on Tor's port, which answers what it is asked and
sends back what comes by a connection. The kernel has sixteen local ports to give."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

RESOLVE = 0xF0


def serve(connection):
    """One request, without authentication (RFC 1928; torspec socks-extensions)."""
    with connection, connection.makefile("rb") as stream:
        stream.read(3)
        connection.sendall(b"\5\0")
        _, command, _, kind = stream.read(4)
        stream.read({1: 4, 3: 0, 4: 16}[kind] or stream.read(1)[0])
        stream.read(2)
        connection.sendall(b"\5\0\0\1" + socket.inet_aton("198.51.100.1") + b"\0\0")
        while command != RESOLVE and (data := connection.recv(4)):
            connection.sendall(data)


def main():
    """The program's exit status is the command's."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40015", encoding="ascii")
    tor = socket.create_server(("127.0.0.1", 9050), backlog=64)

    def accept():
        while True:
            threading.Thread(target=serve, args=(tor.accept()[0],), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    sys.exit(subprocess.run(sys.argv[1:], check=False).returncode)


if __name__ == "__main__":
    main()
