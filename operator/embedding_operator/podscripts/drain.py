"""The preStop hook: holds SIGTERM back until the server has nothing left to lose.

It raises the drain flag (the middleware then closes connections after their response), waits a moment for the
endpoint's removal to reach the nodes, then until no request is in flight and nobody is connected. "Nothing in
flight" alone is not enough: a keep-alive client's next request may be on the wire already.

It must never outlast its deadline, and never fail: a failing preStop stops nothing, it only logs an event. It
ends with status 0 and one line that says what happened; where requests were left, that is the container's last word.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

DRAIN_FLAG = "/var/run/embedding-operator/draining"
TERMINATION_LOG = "/dev/termination-log"
SOCKET_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
ESTABLISHED = "01"
POLL_TIMEOUT = 5.0
UNANSWERED_LIMIT = 3  # polls; a liveness probe would have called the server dead as well
QUIET_LIMIT = 2  # polls in a row, since one may fall between two requests


class ServerGoneError(Exception):
    """Nobody listens, or nobody has answered for long: there is nothing to wait for."""


class Server(NamedTuple):
    """The server in this pod."""

    host: str
    port: int
    tls: bool = False

    def poll(self, timeout: float) -> tuple[int | None, int]:
        """(requests in flight, the local port of this question). None: the middleware is not there."""
        connection = connect(self.host, self.port, timeout, self.tls)
        try:
            connection.connect()
            own_port = connection.sock.getsockname()[1]
            connection.request("GET", "/-/inflight", headers={"Connection": "close"})
            response = connection.getresponse()
            body = response.read(4096)
            return (int(json.loads(body)["inflight"]) if response.status == 200 else None), own_port
        finally:
            connection.close()

    def is_live(self, timeout: float) -> bool:
        """False only where the server itself says so: that its engine is dead, or hangs."""
        connection = connect(self.host, self.port, timeout, self.tls)
        try:
            connection.request("GET", "/-/live", headers={"Connection": "close"})
            return connection.getresponse().status != 503
        except (OSError, http.client.HTTPException):
            return True  # the next poll tells
        finally:
            connection.close()


def connect(host: str, port: int, timeout: float, tls: bool) -> http.client.HTTPConnection:
    if not tls:
        return http.client.HTTPConnection(host, port, timeout=timeout)
    import ssl  # where it is needed only: it takes its time

    # nothing to verify: the certificate has the Service's name, and whoever answers on the pod's own loopback is in it
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)


def connected(tables: list[str], port: int, own_port: int) -> int:
    """Established connections to the port in /proc/net/tcp texts, but for the one this script asked with.

    One from loopback counts: `kubectl port-forward` and sidecars come from there.
    """
    count = 0
    for table in tables:
        for line in table.splitlines()[1:]:
            fields = line.split()
            local, remote, state = fields[1], fields[2], fields[3]
            if state == ESTABLISHED and port_of(local) == port and port_of(remote) != own_port:
                count += 1
    return count


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def read_tables() -> list[str]:
    """The sockets of the whole pod: with several API server processes, each counts only its own requests.

    Where a sandbox hides them, the requests in flight decide alone: a hook that fails would drain nothing.
    """
    tables = []
    for table in SOCKET_TABLES:
        with contextlib.suppress(OSError):
            tables.append(Path(table).read_text())
    return tables


def raise_flag(flag: Path) -> str:
    """Touch the flag; returns what is wrong, if it is."""
    try:
        flag.parent.mkdir(parents=True, exist_ok=True)
        flag.touch()
    except OSError as error:
        return f" (without closing connections: cannot write {flag}: {error.strerror})"
    return ""


def leave_words(path: Path, words: str) -> None:
    """Into what the kubelet puts into the pod's status once the container has ended, where the operator finds it."""
    with contextlib.suppress(OSError), path.open("r+") as log:  # no new file: nobody would read it
        log.truncate()
        log.write(words)


class Watch:
    """Polls the server and remembers what it saw last."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.inflight: int | None = 0
        self.connections = 0
        self.unanswered = 0
        self.gave_up = False

    def is_idle(self, deadline: float) -> bool:
        try:
            timeout = min(POLL_TIMEOUT, max(0.1, deadline - time.monotonic()))
            self.inflight, own_port = self.server.poll(timeout)
        except ConnectionRefusedError:
            raise ServerGoneError(f"nothing listens on port {self.server.port}") from None
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            self.unanswered += 1
            if self.unanswered == UNANSWERED_LIMIT:
                raise ServerGoneError(f"no answer on port {self.server.port}") from None
            return False
        self.unanswered = 0
        if self.inflight and not self.server.is_live(timeout):
            raise ServerGoneError(f"{self.inflight} requests are in flight, but the engine hangs or is dead")
        self.connections = connected(read_tables(), self.server.port, own_port)
        return not self.inflight and not self.connections

    def __str__(self) -> str:
        requests = "an unknown number of" if self.inflight is None else str(self.inflight)
        return f"{requests} requests in flight, {self.connections} connections open"


def drain(watch: Watch, timeout: float, settle: float, interval: float) -> str:
    """Wait, all times in seconds, and return in words how it ended."""
    start = time.monotonic()
    deadline = start + timeout
    try:
        watch.is_idle(deadline)  # a server that never came up, or died, is not worth the wait
        time.sleep(max(0.0, min(settle, deadline - time.monotonic())))
        quiet = 0
        while True:
            quiet = quiet + 1 if watch.is_idle(deadline) else 0
            elapsed = time.monotonic() - start
            if quiet == QUIET_LIMIT:
                return f"drained in {elapsed:.1f} s"
            if time.monotonic() + interval > deadline:
                watch.gave_up = True
                return f"gave up after {elapsed:.1f} s: {watch}"
            time.sleep(interval)
    except ServerGoneError as gone:
        return f"nothing to drain: {gone}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls", action="store_true", help="the server speaks HTTPS")
    parser.add_argument("--timeout", type=float, required=True, help="seconds for all of it")
    parser.add_argument("--settle", type=float, default=3.0, help="seconds for the endpoint's removal")
    parser.add_argument("--interval", type=float, default=0.5, help="seconds between two looks")
    options = parser.parse_args()
    flag = Path(os.environ.get("EMBEDDING_OPERATOR_DRAIN_FLAG", DRAIN_FLAG))
    trouble = raise_flag(flag)
    watch = Watch(Server(options.host, options.port, options.tls))
    outcome = f"embedding-operator drain: {drain(watch, options.timeout, options.settle, options.interval)}"
    if watch.gave_up and watch.inflight != 0:
        leave_words(Path(os.environ.get("EMBEDDING_OPERATOR_TERMINATION_LOG", TERMINATION_LOG)), outcome)
    print(f"{outcome}{trouble}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
