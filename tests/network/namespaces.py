"""The two network namespaces, the link between them and the trap.

The application's namespace holds loopback, the tor client, the link on which the client reaches
the relays, and the trap: both default routes lead into it, and nobody answers there.
"""

import ctypes
import os
import subprocess

CLONE_NEWNET = 0x40000000
TARGETS = ("198.51.100.1", "198.51.100.9", "198.51.100.53")
TARGETS_V6 = ("2001:db8::1", "2001:db8::9")
# Beyond the trap: only a leak asks it.
TRAPPED_RESOLVER = "192.0.2.53"

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    """Raises the OSError of a libc call that returned -1."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Namespaces:
    """Descriptors of both namespaces; the calling process ends up in the application's."""

    def __init__(self):
        self.world = os.open("/proc/self/ns/net", os.O_RDONLY)
        checked(libc.unshare(CLONE_NEWNET))
        self._build()

    def spawn(self, argv, world=False, **options):
        """Starts a program in the world or in the application's namespace."""
        return subprocess.Popen(argv, preexec_fn=self._enter(world), **options)

    def _enter(self, world):
        return (lambda: checked(libc.setns(self.world, CLONE_NEWNET))) if world else None

    def _build(self):
        self._ip(False, "link add to-tor type veth peer name to-app",
                 "link add trap type veth peer name trap-end",
                 *(f"link set {end} netns /proc/self/fd/{self.world}"
                   for end in ("to-app", "trap-end")),
                 *silent("trap"), *link("to-tor", "10.99.0.2"),
                 "address add 203.0.113.2/32 dev trap",
                 "address add 2001:db8:ffff::2/128 dev trap nodad",
                 "route add 0.0.0.0/0 dev trap", "route add ::/0 dev trap")
        self._ip(True, *silent("trap-end"), *link("to-app", "10.99.0.1"),
                 *(f"address add {target} dev lo" for target in TARGETS),
                 *(f"address add {target} dev lo nodad" for target in TARGETS_V6),
                 *(local_route(target, "lo") for target in TARGETS))

    def _ip(self, world, *commands):
        """One `ip -batch`."""
        subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True,
                       pass_fds=(self.world,), preexec_fn=self._enter(world))


def silent(interface):
    """Commands that set an interface up on which the kernel says nothing of its own accord."""
    return (f"link set {interface} arp off", f"link set {interface} multicast off",
            f"link set {interface} addrgenmode none", f"link set {interface} up")


def link(interface, address):
    """Commands that set loopback and one end of the link up.

    quickack: tor leaves Nagle on, and each delayed acknowledgement would cost 40 ms.
    """
    return ("link set lo up", local_route("127.0.0.1", "lo"),
            f"link set {interface} addrgenmode none", f"link set {interface} up",
            f"address add {address}/24 dev {interface}", local_route(address, interface),
            f"route change 10.99.0.0/24 dev {interface} src {address} quickack 1")


def local_route(address, interface):
    """The command that makes the kernel acknowledge at once what this machine sends itself."""
    return f"route change local {address} dev {interface} table local src {address} quickack 1"
