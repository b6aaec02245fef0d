"""Owns the private Tor network of one test run.

Started by the first test that needs the network, as process 1 of a pid namespace, so that nothing
of the network outlives it. Descriptors: 0 is the listening socket that tests connect to, 1 a pidfd
of the test runner, 2 a log. Each connection is greeted, once the network is up, with one line of
JSON: {"ready": {...}} or {"failed": "..."}. Then it may send lines:

    serve NAME      start a service of services.py, once: {} or {"failed": "..."}
    begin [lenient] wait for its turn, then start a record; tor then takes names that were looked up
                    before, too (SafeSocks 0)
    wait SECONDS    return when a packet has leaked, or after SECONDS
    end             {"leaks": [...], "asked": [...]} of the time since `begin`

Records exclude one another: a packet is always of the test that holds the record.
"""

import argparse
import fcntl
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import fixtures
import services
from daemons import Daemons
from namespaces import TRAPPED_RESOLVER, Namespaces
from streams import requests
from trap import Trap

# Time for which the network waits for the next client while the runner lives, and after it has gone
# (seconds).
GRACE, GRACE_WITHOUT_RUNNER = 60, 0.5
# Time limit of one attempt to reach the world (seconds).
ECHO_LIMIT = 5
ONION_PORTS = tuple((port, f"127.0.0.1:{port}") for port in (
    80, 443, 7, 22, 873, 11371, *services.FTP_DATA, *sorted(set(services.PORTS.values()))))


class Network:
    """The running network and the one record at a time."""

    def __init__(self, directory, user_namespace, namespaces):
        self.directory = directory
        self.turn = threading.Lock()
        self.served = {}
        self.lenient = False

        def spawn(argv, world, **options):
            return namespaces.spawn(argv, world, stdin=subprocess.DEVNULL, **options)
        self.spawn = spawn
        self._start_origins(spawn, user_namespace)
        shadow_resolver(directory)
        self.trap = Trap()
        daemons = Daemons(directory, spawn, ONION_PORTS)
        try:
            self.client, onion = daemons.start()
            wait_for_echo(directory, ("198.51.100.1", onion))
        except Exception:
            daemons.print_logs()
            raise
        self.facts = {
            "pid": outer_pid(), "user_namespace": user_namespace, "onion": onion,
            "directory": str(directory)}

    def _start_origins(self, spawn, user_namespace):
        directory = self.directory
        (directory / "files").mkdir()
        (directory / "exit-resolv.conf").write_text("nameserver 198.51.100.53\n")
        for make in (fixtures.make_certificate, fixtures.make_repository, fixtures.make_packages,
                     fixtures.make_key_server, fixtures.make_pages, fixtures.make_keys):
            make(directory)
        for prepare in (fixtures.prepare_sshd, fixtures.prepare_rsyncd):
            prepare(directory, user_namespace)
        program = Path(__file__).with_name("origin.py")
        origin = spawn([sys.executable, program, directory], True, stdout=subprocess.PIPE)
        if origin.stdout.readline() != b"ready\n":
            raise RuntimeError("the origin servers did not start")

    def serve(self, name):
        """Starts a service unless it has been; the reason why it can't run, or `ready`."""
        with self.turn:
            if name not in self.served:
                program = Path(__file__).with_name("services.py")
                # What the daemons keep must be open to their users; the run's directory is not.
                script = 'mount -t tmpfs -o mode=755 tmpfs /srv && exec "$@"'
                service = self.spawn(
                    ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, program, name,
                     self.directory], True, stdout=subprocess.PIPE)
                self.served[name] = service.stdout.readline().decode().strip()
        return self.served[name]

    def begin(self, lenient):
        """Starts a record: what came before belongs to nobody."""
        if lenient != self.lenient:
            self.client.command(f"SETCONF SafeSocks={0 if lenient else 1}")
            self.lenient = lenient
        self.trap.take()
        self.client.take_events()

    def end(self):
        """Returns what happened since `begin`."""
        return {"leaks": self.trap.take(), "asked": requests(self.client.take_events())}


def shadow_resolver(directory):
    """Makes libc's resolver ask beyond the trap, and nothing else, at once and once."""
    for path, text in (
            ("/etc/resolv.conf", f"nameserver {TRAPPED_RESOLVER}\noptions timeout:1 attempts:1\n"),
            ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")):
        shadow = directory / Path(path).name
        shadow.write_text(text)
        subprocess.run(["mount", "--bind", shadow, path], check=True)


def wait_for_echo(directory, hosts, timeout=30):
    """Returns when bytes come back from each host through tor."""
    deadline = time.monotonic() + timeout
    for host in hosts:
        start = time.monotonic()
        while not echoes(directory / "client/socks", host):
            if time.monotonic() > deadline:
                raise TimeoutError(f"no echo from {host} within {timeout} s")
            time.sleep(0.1)
        print(f"{time.monotonic() - start:.1f} s for an echo from {host}", flush=True)


def echoes(socks, host):
    """Tells whether one attempt to reach the echo server of `host` succeeds (RFC 1928, by name)."""
    name = host.encode()
    with socket.socket(socket.AF_UNIX) as connection, connection.makefile("rb") as stream:
        connection.settimeout(ECHO_LIMIT)
        connection.connect(str(socks))
        connection.sendall(b"\5\1\0" + b"\5\1\0\3" + bytes([len(name)]) + name + b"\0\7")
        # A unix SocksPort answers with 2 bytes and then 22 (ATYP 4).
        try:
            reply = stream.read(24)
            if len(reply) < 24 or reply[3] != 0:
                return False
            connection.sendall(b"echo")
            return stream.read(4) == b"echo"
        except TimeoutError:
            return False


def outer_pid():
    """This process's id as the tests see it: /proc is still that of their pid namespace."""
    return int(os.readlink("/proc/self"))


class Lobby:
    """Greets clients and counts them."""

    def __init__(self, listener):
        self.listener = listener
        self.counting = threading.Lock()
        self.clients = 0
        self.last_left = time.monotonic()
        self.greeting = None
        self.network = None
        self.up = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def open(self, network, greeting):
        """Lets the clients in, with a network or with the reason why there is none."""
        self.network, self.greeting = network, greeting
        self.up.set()

    def idle(self):
        """Seconds since the last client has left; 0 while there is one."""
        return 0 if self.clients else time.monotonic() - self.last_left

    def _accept(self):
        while True:
            connection, _ = self.listener.accept()
            self._count(1)
            threading.Thread(target=self._attend, args=(connection,), daemon=True).start()

    def _attend(self, connection):
        try:
            with connection, connection.makefile("rw") as stream:
                while not self.up.wait(0.5):
                    if hung_up(connection):
                        return
                say(stream, self.greeting)
                if self.network:
                    serve(stream, self.network)
        except OSError:
            pass
        finally:
            self._count(-1)

    def _count(self, change):
        with self.counting:
            self.last_left = time.monotonic()
            self.clients += change


def hung_up(connection):
    """Tells whether the peer has closed."""
    return bool(select.select([connection], [], [], 0)[0]) and \
        connection.recv(1, socket.MSG_PEEK) == b""


def serve(stream, network):
    """Carries out a client's commands until it hangs up."""
    while line := stream.readline():
        command, _, argument = line.strip().partition(" ")
        if command == "serve":
            outcome = network.serve(argument)
            say(stream, {} if outcome == "ready" else {"failed": outcome})
            continue
        with network.turn:
            network.begin(argument == "lenient")
            say(stream, {})
            while line := stream.readline():
                command, _, argument = line.strip().partition(" ")
                if command == "end":
                    say(stream, network.end())
                    break
                network.trap.wait(float(argument))
                say(stream, {})


def say(stream, message):
    """Sends one line of JSON."""
    stream.write(json.dumps(message) + "\n")
    stream.flush()


def close(run, lobby, grace):
    """Removes the run's directory unless a client has come; says whether it did.

    A client joins with the lock held, so none can be on its way meanwhile.
    """
    with open(run / "lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if lobby.idle() <= grace:
            return False
        subprocess.run(["umount", "--lazy", run / "world"], check=False)
        shutil.rmtree(run)
        return True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="the run's directory")
    parser.add_argument("--user-namespace", action="store_true")
    arguments = parser.parse_args()
    listener, runner = socket.socket(fileno=os.dup(0)), os.dup(1)
    os.dup2(os.open("/dev/null", os.O_RDWR), 0)
    os.dup2(2, 1)
    lobby = Lobby(listener)
    world = arguments.directory / "world"
    world.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", world], check=True)
    # Here, not in the thread: a thread that changes its namespace changes nobody else's.
    namespaces = Namespaces()

    def build():
        try:
            network = Network(world, arguments.user_namespace, namespaces)
            lobby.open(network, {"ready": network.facts})
        except Exception as error:  # pylint: disable=broad-except
            traceback.print_exc()
            lobby.open(None, {"failed": f"{type(error).__name__}: {error}"})
    threading.Thread(target=build, daemon=True).start()
    while True:
        gone = bool(select.select([runner], [], [], 1)[0])
        grace = GRACE_WITHOUT_RUNNER if gone else GRACE
        if lobby.idle() > grace and close(arguments.directory, lobby, grace):
            return
        if gone:
            time.sleep(0.1)


if __name__ == "__main__":
    main()
