"""Sees every packet that the application sends anywhere but to tor."""

import select
import socket
import struct

ETH_P_ALL = 3
SOL_PACKET, PACKET_STATISTICS = 263, 6
PROTOCOLS = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmp6"}


class Trap:
    """A packet socket on the trap's interface; the kernel queues to it before `send` returns."""

    def __init__(self, interface="trap"):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.bind((interface, ETH_P_ALL))
        self.socket.setblocking(False)

    def take(self):
        """One line for each packet since the last call."""
        leaks = []
        while True:
            try:
                frame, address = self.socket.recvfrom(2048)
            except BlockingIOError:
                break
            if address[2] == socket.PACKET_OUTGOING:
                leaks.append(describe(frame))
        _, dropped = struct.unpack(
            "II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        return leaks + ["a packet too many to keep"] * dropped

    def wait(self, seconds):
        """Returns when a packet has come, or after `seconds`."""
        select.select([self.socket], [], [], seconds)


def describe(frame):
    """Protocol, destination and port of one Ethernet frame."""
    kind, packet = frame[12:14], frame[14:]
    if kind == b"\x08\x00" and len(packet) >= 20:
        header = (packet[0] & 15) * 4
        protocol, destination = packet[9], socket.inet_ntop(socket.AF_INET, packet[16:20])
    elif kind == b"\x86\xdd" and len(packet) >= 40:
        header, protocol = 40, packet[6]
        destination = socket.inet_ntop(socket.AF_INET6, packet[24:40])
    else:
        return f"ethernet type {kind.hex()}"
    name = PROTOCOLS.get(protocol, f"protocol {protocol}")
    ports = packet[header:header + 4]
    if protocol in (6, 17) and len(ports) == 4:
        return f"{name} {destination} port {struct.unpack('>HH', ports)[1]}"
    return f"{name} {destination}"
