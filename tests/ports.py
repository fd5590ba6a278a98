"""Ports for servers of tests."""

import contextlib
import random
import socket

_SERVERS = range(20_000, 32_000)
_reserved: list[socket.socket] = []


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now, all different, and that nobody gets by chance as long as this process lives.

    A server that is started again would find its port taken by somebody's connection otherwise, or take that for one of
    its own. A socket that is bound and does not listen keeps a port from whoever asks the kernel for any; servers bind
    it with SO_REUSEADDR, which all of them set. The range is below that of clients where Linux has its default.
    """
    found: list[int] = []
    for port in random.sample(_SERVERS, len(_SERVERS)):
        with contextlib.suppress(OSError):
            found.append(_reserve(port))
        if len(found) == count:
            return found
    raise OSError(f"no {count} ports are free from {_SERVERS.start} to {_SERVERS.stop}")


def _reserve(port: int) -> int:
    reservation = socket.socket()
    try:
        reservation.bind(("127.0.0.1", port))  # without SO_REUSEADDR: not what another run has reserved
    except OSError:
        reservation.close()
        raise
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _reserved.append(reservation)
    return port
