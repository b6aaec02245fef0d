"""Requests that tor got, from its STREAM events (torspec control-spec, section 4.1.2)."""

import re

FIELD = re.compile(r'([A-Z_]+)=("(?:[^"\\]|\\.)*"|\S*)')
# A stream that begins, and one that has been given its circuit.
BEGINS = {"NEW": "connect", "NEWRESOLVE": "resolve"}
ATTACHED = ("SENTCONNECT", "SENTRESOLVE")
# tor's own streams (directory, onion descriptors) have other purposes.
PURPOSES = ("USER", "DNS_REQUEST")


def requests(events):
    """One record for each stream of the application, in the order of their beginning."""
    streams = {}
    for event in events:
        kind, *words = event.split(" ")
        if kind != "STREAM":
            continue
        number, status, circuit, target = words[:4]
        fields = {key: unquote(value) for key, value in FIELD.findall(" ".join(words[4:]))}
        if status in BEGINS and fields.get("PURPOSE") in PURPOSES:
            host, port = split_target(target)
            streams[number] = {
                "kind": BEGINS[status], "host": host, "port": port,
                "username": fields.get("SOCKS_USERNAME"),
                "password": fields.get("SOCKS_PASSWORD"), "circuit": None}
        elif status in ATTACHED and number in streams:
            streams[number]["circuit"] = circuit
    return list(streams.values())


def split_target(target):
    """Host and port; tor cuts both short where the name is of the greatest length."""
    host, separator, port = target.rpartition(":")
    if not separator:
        return target, 0
    return host.strip("[]"), int(port or 0)


def unquote(value):
    """A QuotedString's content."""
    if not value.startswith('"'):
        return value
    return re.sub(r"\\(.)", r"\1", value[1:-1])
