"""The name server that only the exits can ask."""

import ipaddress
import socket
import struct
import threading

A, PTR, AAAA = 1, 12, 28
NOERROR, NXDOMAIN = 0, 3
V4, V6 = "198.51.100.1", "2001:db8::1"
ADDRESSES = {
    "v4only.test": (V4, None),
    "v6only.test": (None, V6),
    "dual.test": (V4, V6),
    "secure.test": (V4, None),
}
# Every name below it is the IPv4 target: for names of any length and look.
WILDCARD = ".wild.test"
POINTERS = {ipaddress.ip_address(V4).reverse_pointer: "v4only.test",
            ipaddress.ip_address(V6).reverse_pointer: "v6only.test"}


def serve(address):
    """Answers on UDP port 53 of `address` from a thread of its own."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))

    def loop():
        while True:
            query, client = server.recvfrom(1500)
            try:
                server.sendto(answer(query), client)
            except (IndexError, struct.error, UnicodeDecodeError):
                continue
    threading.Thread(target=loop, daemon=True).start()


def answer(query):
    """The reply to one query (RFC 1035, section 4)."""
    name, end = read_name(query, 12)
    kind, = struct.unpack(">H", query[end:end + 2])
    question = query[12:end + 4]
    code, record = look_up(name.lower(), kind)
    flags = 0x8580 | code
    header = query[:2] + struct.pack(">HHHHH", flags, 1, 1 if record else 0, 0, 0)
    body = b"" if record is None else \
        b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(record)) + record
    return header + question + body


def look_up(name, kind):
    """Response code and record data of one question."""
    if name in POINTERS:
        return NOERROR, encode_name(POINTERS[name]) if kind == PTR else None
    if name.endswith(WILDCARD):
        v4, v6 = V4, None
    elif name in ADDRESSES:
        v4, v6 = ADDRESSES[name]
    else:
        return NXDOMAIN, None
    address = {A: v4, AAAA: v6}.get(kind)
    return NOERROR, ipaddress.ip_address(address).packed if address else None


def read_name(message, position):
    """The name at `position` and where it ends; questions are never compressed."""
    labels = []
    while length := message[position]:
        labels.append(message[position + 1:position + 1 + length].decode("ascii"))
        position += 1 + length
    return ".".join(labels), position + 1


def encode_name(name):
    """A name in wire form."""
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
