"""The servers of the world: HTTP, HTTPS, echo, ssh, rsync and the exits' name server.

Run as `origin.py DIRECTORY` inside the world's namespace; prints `ready` when all of them listen.
The directory's scripts `sshd` and `rsyncd` serve one connection each on their standard input.
"""

import functools
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import names

V4, V6, NAME_SERVER = "198.51.100.1", "2001:db8::1", "198.51.100.53"
# The onion service leads here.
ONION_BACKEND = "127.0.0.1"
# Where OpenPGP key servers listen.
KEY_SERVER = 11371
BLOCK = bytes(range(256))


class Pages(SimpleHTTPRequestHandler):
    """/ greets, /peer tells the client's address, /bytes/N gives N bytes, else files."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/":
            self._answer(b"hello from the world\n")
        elif self.path == "/peer":
            self._answer(f"{self.client_address[0]}\n".encode())
        elif self.path.startswith("/bytes/"):
            size = int(self.path.removeprefix("/bytes/"))
            self._answer((BLOCK * (size // len(BLOCK) + 1))[:size])
        else:
            super().do_GET()

    def _answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Echo(socketserver.BaseRequestHandler):
    """Sends back what it reads."""

    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Script(socketserver.BaseRequestHandler):
    """Hands each connection to a process of its own."""

    def __init__(self, path, *arguments):
        self.path = path
        super().__init__(*arguments)

    def handle(self):
        subprocess.run(["sh", self.path], stdin=self.request, stdout=self.request, check=False)


class PlainServer(socketserver.ThreadingTCPServer):
    """A thread for each connection, of either family."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, handler):
        self.address_family = family(address)
        super().__init__(address, handler)


class WebServer(ThreadingHTTPServer):
    """A thread for each connection, of either family."""

    request_queue_size = 128

    def __init__(self, address, handler):
        self.address_family = family(address)
        super().__init__(address, handler)


def family(address):
    """The socket family of an (address, port) pair."""
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def main(directory):
    pages = functools.partial(Pages, directory=str(directory / "files"))
    ssh, rsync = (functools.partial(Script, directory / name) for name in ("sshd", "rsyncd"))
    servers = []
    for address in (V4, V6, ONION_BACKEND):
        servers += [WebServer((address, port), pages) for port in (80, KEY_SERVER)]
        servers += [PlainServer((address, 7), Echo), PlainServer((address, 22), ssh),
                    PlainServer((address, 873), rsync)]
        secure = WebServer((address, 443), pages)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
        # The handshake belongs to the connection's thread, not to the accepting one.
        secure.socket = context.wrap_socket(secure.socket, server_side=True,
                                            do_handshake_on_connect=False)
        servers.append(secure)
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    names.serve(NAME_SERVER)
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
