"""The tor daemons: an authority, three relays, an onion service and the application's client.

The order of the start is what makes it quick: the authority holds its first vote back until it
knows every relay, and whoever needs the consensus is started, or told, once it exists.
"""

import subprocess
import time

from control import Control

RELAY_ADDRESS = "10.99.0.1"
EXIT_ADDRESSES = ("198.51.100.9", "2001:db8::9")
AUTHORITY_DIR_PORT = 7000
FIRST_OR_PORT = 5000
RELAYS = 3
# The shortest that tor takes, and the delays that fit into it (seconds).
VOTING_INTERVAL, VOTE_DELAY, DIST_DELAY = 5, 2, 2
# For the client and the onion service. Guards leave too few paths through so small a network: now
# and then none at all to an onion service.
FEW_NODES = ("FetchDirInfoEarly 1", "VanguardsLiteEnabled 0", "UseEntryGuards 0")


class Daemons:
    """Starts every tor; `spawn(argv, world)` runs one in the world or beside the application."""

    def __init__(self, directory, spawn, service_ports):
        self.directory = directory
        self.spawn = spawn
        self.service_ports = service_ports
        self.authority_line = None
        # The machine's own configuration must not count.
        self.empty = directory / "empty"
        self.empty.touch()

    def start(self):
        """Returns the client's control connection and the onion service's name."""
        self._start_authority()
        names = [f"relay{n}" for n in range(1, RELAYS + 1)]
        for number, name in enumerate(names, start=1):
            self._start(name, self._relay(number), world=True)
        authority, *relays = map(self._control, ["authority", *names])
        wait("the relays' descriptors", lambda: known_relays(authority) > RELAYS)
        vote_now(authority)
        wait("a consensus", lambda: has_consensus(authority))
        for relay in relays:
            relay.command("SIGNAL HUP")
        self._start("service", self._service(), world=True)
        self._start("client", self._client(), world=False)
        client, service = self._control("client"), self._control("service")
        service.command("SETEVENTS HS_DESC")
        for control in (client, service):
            wait("the bootstrap", lambda: bootstrapped(control))
        # A client that asks for the descriptor too early does not ask again for a while.
        wait("the onion service's descriptor", published(service))
        client.command("SETEVENTS STREAM")
        return client, (self.directory / "onion" / "hostname").read_text().strip()

    def print_logs(self, lines=15):
        """The end of every tor's log, for whoever has to find out what is wrong."""
        for log in sorted(self.directory.glob("*/log")):
            print(f"--- {log.parent.name}", *log.read_text().splitlines()[-lines:], sep="\n")

    def _start_authority(self):
        home = self._home("authority")
        keys = home / "keys"
        keys.mkdir(mode=0o700)
        certificate = keys / "authority_certificate"
        subprocess.run(
            ["tor-gencert", "--create-identity-key", "-m", "1", "--passphrase-fd", "0",
             "-a", f"{RELAY_ADDRESS}:{AUTHORITY_DIR_PORT}", "-i", keys / "authority_identity_key",
             "-s", keys / "authority_signing_key", "-c", certificate],
            input=b"test\n", check=True, capture_output=True)
        v3ident = next(line.split()[1] for line in certificate.read_text().splitlines()
                       if line.startswith("fingerprint "))
        # Needs a DirAuthority line of the right form only: the real one names this fingerprint.
        self.authority_line = f"authority orport={FIRST_OR_PORT} v3ident={v3ident} " \
            f"{RELAY_ADDRESS}:{AUTHORITY_DIR_PORT}"
        listed = subprocess.run(
            ["tor", "--list-fingerprint", "-f", self.empty, "--DataDirectory", home,
             "--Nickname", "authority", "--ORPort", "1", "--quiet", "--TestingTorNetwork", "1",
             "--DirAuthority", f"{self.authority_line} {'0' * 40}"],
            check=True, capture_output=True, text=True).stdout
        self.authority_line += " " + "".join(listed.split()[1:])
        self._start("authority", [
            "AuthoritativeDirectory 1", "V3AuthoritativeDirectory 1",
            f"DirPort {RELAY_ADDRESS}:{AUTHORITY_DIR_PORT}",
            "TestingDirAuthVoteGuard *", "TestingDirAuthVoteExit *", "TestingDirAuthVoteHSDir *",
            "TestingMinExitFlagThreshold 0",
            "TestingV3AuthInitialVotingInterval 1800",
            f"TestingV3AuthInitialVoteDelay {VOTE_DELAY}",
            f"TestingV3AuthInitialDistDelay {DIST_DELAY}",
            *self._relay(0),
        ], world=True)

    def _relay(self, number):
        return [
            f"ORPort {RELAY_ADDRESS}:{FIRST_OR_PORT + number}", f"Address {RELAY_ADDRESS}",
            "SocksPort 0", "ContactInfo none", "AssumeReachable 1", "ExitRelay 1", "IPv6Exit 1",
            "ExitPolicy accept *:*", "ExitPolicyRejectPrivate 0",
            *(f"OutboundBindAddressExit {address}" for address in EXIT_ADDRESSES),
            f"ServerDNSResolvConfFile {self.directory / 'exit-resolv.conf'}",
            "ServerDNSDetectHijacking 0", "ServerDNSTestAddresses",
        ]

    def _service(self):
        return [
            f"HiddenServiceDir {self.directory / 'onion'}",
            *(f"HiddenServicePort {port} {target}" for port, target in self.service_ports),
            "SocksPort 0", *FEW_NODES,
        ]

    def _client(self):
        return [
            "SocksPort 127.0.0.1:9050", "SocksPort [::1]:9050",
            "SocksPort 127.0.0.1:9051 ExtendedErrors",
            # Refuses what looks like a DNS leak.
            "SafeSocks 1",
            f"SocksPort unix:{self.directory / 'client' / 'socks'}", *FEW_NODES,
        ]

    def _home(self, name):
        home = self.directory / name
        home.mkdir(mode=0o700, exist_ok=True)
        return home

    def _start(self, name, settings, world):
        home = self._home(name)
        torrc = home / "torrc"
        torrc.write_text("\n".join([
            "TestingTorNetwork 1", f"DirAuthority {self.authority_line}",
            f"Nickname {name}", f"DataDirectory {home}", f"ControlSocket {home / 'control'}",
            "ShutdownWaitLength 0", "NumCPUs 1", "Schedulers Vanilla",
            f"Log notice file {home / 'log'}", *settings]) + "\n")
        self.spawn(["tor", "--hush", "--defaults-torrc", self.empty, "-f", torrc], world)

    def _control(self, name):
        return Control(self.directory / name / "control")


def vote_now(authority):
    """Puts the authority's first vote as near as its delays permit."""
    offset = (int(time.time()) + VOTE_DELAY + DIST_DELAY + 1) % VOTING_INTERVAL
    authority.command(f"SETCONF TestingV3AuthInitialVotingInterval={VOTING_INTERVAL} "
                      f"TestingV3AuthVotingStartOffset={offset}")


def known_relays(authority):
    """Number of relays' descriptors that the authority holds, its own among them."""
    return sum(line.startswith("router ") for line in
               authority.getinfo("desc/all-recent").splitlines())


def has_consensus(authority):
    """Tells whether the authority has published a consensus."""
    return authority.getinfo("consensus/valid-after") != ""


def bootstrapped(tor):
    """Tells whether a tor has built its first circuit."""
    return "PROGRESS=100" in tor.getinfo("status/bootstrap-phase")


def published(service):
    """Tells whether every upload of a descriptor that has begun is over, and one was done."""
    actions = []

    def ready():
        actions.extend(event.split(" ")[1] for event in service.take_events())
        begun, done, failed = map(actions.count, ("UPLOAD", "UPLOADED", "FAILED"))
        return done > 0 and begun == done + failed
    return ready


def wait(what, ready, timeout=30):
    """Asks `ready` until it says yes."""
    start = time.monotonic()
    deadline = start + timeout
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {timeout} s")
        time.sleep(0.05)
    print(f"{time.monotonic() - start:.1f} s for {what}", flush=True)
