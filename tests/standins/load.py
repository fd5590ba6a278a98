"""A load of keep-alive clients that counts every lost request: what a rollout must survive.

Each client sends one embedding request after the other on a connection that it keeps, reconnects when told
`connection: close`, and never retries: a request that got no good answer is a failed one. Runs from a test or
as a pod's command: `python -m tests.standins.load --url http://svc:8000/v1/embeddings --model NAME`, which
prints one JSON summary, also when it is stopped by SIGTERM. Stdlib only.
"""

import argparse
import asyncio
import json
import signal
import ssl
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

SHOWN_FAILURES = 20


class RequestFailedError(Exception):
    """The reason, short enough to be counted by."""


@dataclass
class Result:
    """What came of a load."""

    requests: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, Any]] = field(default_factory=list)  # the first few, with their time
    connections: int = 0
    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failed(self) -> int:
        return self.errors.total()

    def percentile(self, percent: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0

    def summary(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "ok": self.requests - self.failed,
            "failed": self.failed,
            "errors": dict(self.errors),
            "failures": self.failures,
            "connections": self.connections,
            "seconds": round(self.seconds, 3),
            "latency_ms": {
                name: round(self.percentile(percent) * 1000, 1)
                for name, percent in (("p50", 50), ("p90", 90), ("p99", 99), ("max", 100))
            },
        }


class Client:
    """One keep-alive connection at a time."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.message = b""
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def disconnect(self) -> None:
        if self.streams:
            self.streams[1].close()
            self.streams = None

    async def request(self) -> None:
        """One request; the connection that failed is not used again."""
        try:
            await self.exchange()
        except RequestFailedError:
            self.disconnect()
            raise
        except asyncio.IncompleteReadError as error:
            self.disconnect()
            raise RequestFailedError("connection closed before the answer") from error
        except OSError as error:
            self.disconnect()
            raise RequestFailedError(type(error).__name__) from error
        except (LookupError, TypeError, ValueError) as error:
            self.disconnect()
            raise RequestFailedError("unreadable answer") from error
        except BaseException:
            self.disconnect()
            raise

    async def connect(self) -> None:
        """Ask the load where to go each time, as a client of a Service is sent on each time."""
        url, body = urlsplit(self.load.url), self.load.body
        head = (
            f"POST {url.path or '/'} HTTP/1.1\r\nHost: {url.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        )
        if self.load.key:
            head += f"Authorization: Bearer {self.load.key}\r\n"
        self.message = head.encode() + b"\r\n" + body
        self.streams = await asyncio.open_connection(url.hostname, url.port or 80, ssl=self.load.tls)
        self.load.result.connections += 1

    async def exchange(self) -> None:
        if self.streams and self.streams[0].at_eof():  # closed while idle, as any pool would see
            self.disconnect()
        if not self.streams:
            await self.connect()
        assert self.streams
        reader, writer = self.streams
        writer.write(self.message)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
        body = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.disconnect()
        status = int(head[0].split()[1])
        if status != 200:
            raise RequestFailedError(f"HTTP {status}")
        if not json.loads(body)["data"][0]["embedding"]:
            raise RequestFailedError("no vector")


class Load:
    """N clients in a closed loop; `stop` ends it early, after the requests that are under way.

    `url` may be changed while it runs: new connections go there. They begin one after the other, within `ramp` seconds,
    so that not all of them wait for the same moment.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        clients: int = 12,
        seconds: float = 60.0,
        requests: int | None = None,
        timeout: float = 30.0,
        text: str = "What is the capital of China?",
        pause: float = 0.0,
        key: str = "",
        ca: str = "",
        ramp: float = 0.0,
    ) -> None:
        self.url, self.clients, self.seconds, self.limit = url, clients, seconds, requests
        self.timeout, self.pause, self.key, self.ramp = timeout, pause, key, ramp
        self.tls = ssl.create_default_context(cadata=ca) if ca else None
        self.body = json.dumps({"model": model, "input": text}).encode()
        self.result = Result()
        self.stopped = asyncio.Event()

    def stop(self) -> None:
        self.stopped.set()

    def wants_more(self) -> bool:
        return not self.stopped.is_set() and (self.limit is None or self.result.requests < self.limit)

    async def run(self) -> Result:
        start = time.monotonic()
        timer = asyncio.get_running_loop().call_later(self.seconds, self.stop)
        await asyncio.gather(*(self.client(start, self.ramp * nth / self.clients) for nth in range(self.clients)))
        timer.cancel()
        self.result.seconds = time.monotonic() - start
        return self.result

    async def client(self, start: float, delay: float) -> None:
        await asyncio.sleep(delay)
        client = Client(self)
        while self.wants_more():
            self.result.requests += 1
            sent = time.monotonic()
            try:
                async with asyncio.timeout(self.timeout):
                    await client.request()
            except TimeoutError:
                self.lost(f"no answer within {self.timeout:g} s", sent - start)
            except RequestFailedError as error:
                self.lost(str(error), sent - start)
                await asyncio.sleep(0.05)  # a refusing server must not turn the loop into a storm
            self.result.latencies.append(time.monotonic() - sent)
            await asyncio.sleep(self.pause)
        client.disconnect()

    def lost(self, reason: str, at: float) -> None:
        self.result.errors[reason] += 1
        if len(self.result.failures) < SHOWN_FAILURES:
            self.result.failures.append({"at": round(at, 3), "reason": reason})


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--url", required=True, help="http://host:port/v1/embeddings")
    parser.add_argument("--model", required=True)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--requests", type=int, help="at most so many")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds for one request")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between a client's requests")
    parser.add_argument("--key", default="", help="sent as Authorization: Bearer")
    parser.add_argument("--ca", default="", help="PEM of who signed the server's certificate; the URL is https then")
    load = Load(**vars(parser.parse_args()))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, load.stop)
    result = await load.run()
    print(json.dumps(result.summary()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
