"""Ports for servers that tests start."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_LOWEST = 20_000  # below are those that Ray gives its workers


def free_port() -> int:
    """A port that nobody uses, below those that the system hands out: Ray takes many of those, and gRPC would share one."""
    own = Path("/proc/sys/net/ipv4/ip_local_port_range")
    highest = int(own.read_text().split()[0]) if own.exists() else 32_768
    while True:
        port = random.SystemRandom().randrange(_LOWEST, highest)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        return port
