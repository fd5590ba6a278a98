"""Ports for servers of tests."""

import contextlib
import random
import socket

_SERVERS = range(20_000, 32_000)


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now, all different. None of those that Linux gives to clients, by default from 32768 on: a
    server that is started again would find its port taken by somebody's connection, or take that for one of its own."""
    found: list[int] = []
    for port in random.sample(_SERVERS, len(_SERVERS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"no {count} ports are free from {_SERVERS.start} to {_SERVERS.stop}")
