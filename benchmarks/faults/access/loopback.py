"""Requests to a server on this machine, with whatever headers: what a browser sends for whoever makes it."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

HOST = "127.0.0.1"
_SECONDS = 30.0


class Answer(NamedTuple):
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str]


def ask(port: int, method: str, target: str, headers: Mapping[str, str], body: str = "") -> Answer:
    """Send a request as it stands, its target and Host header included.

    Args:
        port: that the server listens on.
        method: of the request.
        target: path and query; nothing in it is encoded or tidied.
        headers: names and values; without a Host there is the right one.
        body: JSON.
    """
    connection = http.client.HTTPConnection(HOST, port, timeout=_SECONDS)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": f"{HOST}:{port}", "Content-Type": "application/json", **headers}.items():
            connection.putheader(name, value)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body.encode() or None)
        response = connection.getresponse()
        return Answer(response.status, response.read(), dict(response.headers))
    finally:
        connection.close()


def listening(port: int) -> list[str]:
    """Return the addresses, as hexadecimal digits, on which some process of this machine listens to a port."""
    found = []
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            fields = line.split()
            address, _, number = fields[1].rpartition(":")
            if fields[3] == "0A" and int(number, 16) == port:
                found.append(address)
    return found


def other_addresses() -> list[str]:
    """Return addresses of this machine beside 127.0.0.1: IPv6's loopback, another one of IPv4's, those of its name."""
    try:
        named = {str(entry[4][0]) for entry in socket.getaddrinfo(socket.gethostname(), None)}
    except OSError:
        named = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent: it only chooses a way out
        named.add(str(probe.getsockname()[0]))
    return sorted({"::1", "127.0.0.2", *named} - {HOST})


def is_answered(address: str, port: int) -> bool:
    """Say whether anybody answers at an address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(_SECONDS)
        try:
            return probe.connect_ex((address, port)) == 0
        except OSError:  # there is no IPv6
            return False


def free_port() -> int:
    """Return a port that nobody listens to just now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
