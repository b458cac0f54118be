"""A port that stays free until a server listens there: Ray takes seconds to start, and meanwhile the system hands out
ports of its ephemeral range to whoever connects, Ray's own processes among them; even to a client that knocks at that
very port, which TCP then connects to itself."""

from __future__ import annotations

import random
import socket
from pathlib import Path

LOWEST = 20_000  # above those of Ray's workers, 10002 to 19999
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
USUAL_EPHEMERAL = 32_768
TRIES = 64


def bound(family: int, address: tuple[object, ...]) -> int:
    """The port, which can be listened to; the system's choice where 0 is asked for.

    Raises:
        OSError: it cannot.
    """
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        return int(probe.getsockname()[1])


def free_port(family: int = socket.AF_INET, address: tuple[object, ...] = ("127.0.0.1", 0)) -> int:
    """A free port of the address (host, port, ...) below the ephemeral range; one of that range if none is found.

    Raises:
        OSError: the host cannot be listened to.
    """
    host, _, *rest = address
    try:
        highest = int(EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        highest = USUAL_EPHEMERAL
    for _ in range(TRIES if highest > LOWEST else 0):
        try:
            return bound(family, (host, random.randrange(LOWEST, highest), *rest))
        except OSError:
            continue
    return bound(family, address)
