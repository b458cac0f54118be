"""Ports for servers that cannot choose their own."""

from __future__ import annotations

import random
import socket
from pathlib import Path

FIRST = 20_000  # Ray's own workers have those below
LAST = 65_535


def free_port() -> int:
    """One that the kernel gives to no client by itself.

    A client that knocks until a server is up would else be given that very port as its own some time: TCP connects it
    to itself, and the server can no longer listen there.
    """
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    candidates = [port for port in range(FIRST, LAST + 1) if not low <= port <= high]
    while True:
        port = random.choice(candidates)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
