"""The startup probe: one real request of the server's task against the server in this pod.

`/health` of vLLM answers 200 before anybody knows whether the model gives vectors, so a pod becomes Ready
only after one came back (or scores of documents, or probabilities of classes). Exit 0 for finite numbers, of a vector
not all zero, else 1 and one line on stderr, which kubelet shows in the pod's events. It must never change the server's
state, and never print more than that line.

With `--measure FILE` it then embeds a few texts that are the same for ever, one by one since a batch may round another
way, and leaves their vectors in that file, for the middleware to hold against those of before (space.py).
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import math
import os
import re
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TEXT = "Is this model ready?"
DOCUMENTS = ["It answers this question.", "Something else."]
MAX_ANSWER = 8 << 20  # a vector of 4096 numbers is about 80 KiB of JSON
KEY = re.compile(rb"[!-~]+")  # what can be sent in a header
MAX_LINE = 300
TIMEOUT = 10.0  # seconds; below the probe's timeoutSeconds, or kubelet's own words take the place of ours


# Vectors of before are those of these very texts: another text needs another name, and none is ever changed.
MEASURED = {
    "short": "hello",
    "question": "How do I return a pair of shoes that I bought last week?",
    "code": "SELECT name, price FROM items WHERE price > 19.99 ORDER BY price DESC LIMIT 10;",
    "chinese": "如何在多个节点上部署向量模型。",
    "scripts": "Привет, мир! こんにちは世界 안녕하세요 مرحبا بالعالم नमस्ते 😀",
    "long": (
        "The lighthouse stood at the end of a narrow road that the sea took back twice a year. In winter its keeper "
        "counted ships, wrote the weather into a ledger, and repaired what the wind had loosened. In summer visitors "
        "climbed the 142 steps, asked how far one could see, and were told: as far as you have patience for. When the "
        "lamp was replaced by a machine, nobody noticed at first. Then the ledger ended, in the middle of a line."
    ),
}
REFUSED = (400, 413, 422)  # as a text is that is too long for this server
MEASURING = 12.0  # seconds; with the first request below the probe's timeoutSeconds, and the next probe goes on
TERMINATION_LOG = "/dev/termination-log"
SAID = "embedding-operator probe: gave up after "
LAST_MINUTE = 60.0  # of the time that a start may take


class NotReadyError(Exception):
    """What is missing, in one line."""


class Task:
    """One request, and where its numbers are in the answer."""

    def __init__(self, path: str, fields: dict[str, Any], numbers: Callable[[Any], Any], name: str) -> None:
        self.path, self.fields, self.numbers, self.name = path, fields, numbers, name


TASKS = {
    "embed": Task(
        "/v1/embeddings",
        {"input": TEXT, "encoding_format": "float"},
        lambda answer: answer["data"][0]["embedding"],
        "vector",
    ),
    "rerank": Task(
        "/v1/rerank",
        {"query": TEXT, "documents": DOCUMENTS},
        lambda answer: [result["relevance_score"] for result in answer["results"]],
        "list of scores",
    ),
    "classify": Task("/classify", {"input": TEXT}, lambda answer: answer["data"][0]["probs"], "list of probabilities"),
}


def first_key(directory: str) -> str:
    """One of the server's API keys, each a file of a mounted Secret; NotReadyError where there is none."""
    try:
        files = sorted(path for path in Path(directory).iterdir() if not path.name.startswith(".."))
        keys = [path.read_bytes().strip() for path in files]
    except OSError as error:
        raise NotReadyError(f"the API keys in {directory} cannot be read: {error.strerror}") from None
    key = next((key for key in keys if KEY.fullmatch(key)), None)
    if key is None:
        raise NotReadyError(f"no API key in {directory}, so nobody is let in: put one into the Secret")
    return key.decode("ascii")


def connect(host: str, port: int, timeout: float, tls: bool) -> http.client.HTTPConnection:
    if not tls:
        return http.client.HTTPConnection(host, port, timeout=timeout)
    import ssl  # where it is needed only: it takes its time

    # nothing to verify: the certificate has the Service's name, and whoever answers on the pod's own loopback is in it
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)


def request(connection: http.client.HTTPConnection, model: str, task: Task, key: str = "") -> tuple[int, bytes]:
    """(HTTP status, body), or NotReadyError where there is no answer."""
    body = json.dumps({"model": model, **task.fields})
    headers = {"Content-Type": "application/json", "Connection": "close"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    try:
        connection.request("POST", task.path, body, headers)
        response = connection.getresponse()
        return response.status, response.read(MAX_ANSWER)
    except ConnectionRefusedError:
        # vLLM listens only once the engine is ready; until then there is no "503 loading".
        raise NotReadyError(f"port {connection.port} refuses connections: the model is still loading") from None
    except socket.timeout:  # noqa: UP041  (TimeoutError is another class before Python 3.10)
        raise NotReadyError(f"no answer to a request to {task.path} within {connection.timeout:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        told = f"{type(error).__name__}: {error}".rstrip(": ")
        raise NotReadyError(f"the request to {task.path} failed: {told}") from None
    finally:
        connection.close()


def error_message(body: bytes) -> str:
    """What the server says is wrong: vLLM's error object, else the start of the text."""
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return body[:MAX_LINE].decode("utf-8", "replace")


def check(status: int, body: bytes, model: str, task: Task) -> int:
    """How many numbers came back, or NotReadyError."""
    if status == 404:
        raise NotReadyError(f"no {task.path} for the model {model!r} (HTTP 404): {error_message(body)}")
    if status != 200:
        raise NotReadyError(f"the request to {task.path} got HTTP {status}: {error_message(body)}")
    try:
        numbers = task.numbers(json.loads(body))
    except (ValueError, KeyError, IndexError, TypeError):
        raise NotReadyError(f"the answer holds no {task.name}: {body[:100].decode('utf-8', 'replace')}") from None
    if not isinstance(numbers, list) or not numbers:
        raise NotReadyError(f"the {task.name} is empty or not a list")
    if not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
        raise NotReadyError(f"the {task.name} holds values that are not finite numbers")
    if task is TASKS["embed"] and not any(numbers):
        raise NotReadyError(f"all {len(numbers)} numbers of the vector are zero")
    return len(numbers)


def measure(file: Path, model: str, ask: Callable[[Task, float], tuple[int, bytes]]) -> None:
    """Embed the texts that no earlier probe of this start has embedded; NotReadyError if some are still to come."""
    left = read(file)
    if "texts" in left:
        return
    embed, end = TASKS["embed"], time.monotonic() + MEASURING
    begun: dict[str, Any] = left.get("begun", {})
    for name in [name for name in MEASURED if name not in begun]:
        seconds = end - time.monotonic()
        if seconds <= 0:
            raise NotReadyError(f"{len(begun)} of {len(MEASURED)} probe texts are embedded")
        task = Task(embed.path, {**embed.fields, "input": MEASURED[name]}, embed.numbers, embed.name)
        status, body = ask(task, min(seconds, TIMEOUT))
        if status in REFUSED:
            begun[name] = None  # the others tell as well
        else:
            check(status, body, model, task)
            begun[name] = packed(embed.numbers(json.loads(body)))
        write(file, {"begun": begun})
    write(file, {"texts": {name: vector for name, vector in begun.items() if vector}})


def read(file: Path) -> dict[str, Any]:
    try:
        left = json.loads(file.read_bytes())
        return left if isinstance(left, dict) else {}
    except (OSError, ValueError):
        return {}


def write(file: Path, content: dict[str, Any]) -> None:
    """In one go: the middleware may be reading."""
    unfinished = file.with_name(file.name + ".new")
    try:
        unfinished.write_text(json.dumps(content), encoding="utf-8")
        os.replace(unfinished, file)  # noqa: PTH105
    except OSError as error:
        raise NotReadyError(f"the vectors of the probe texts cannot be kept: {error}") from None


def packed(numbers: list[float]) -> dict[str, Any]:
    """A vector as its direction, in half precision, which is far finer than any threshold, and its length."""
    length = math.sqrt(sum(number * number for number in numbers))
    halves = struct.pack(f"<{len(numbers)}e", *(number / length for number in numbers))
    return {"vector": base64.b64encode(halves).decode(), "length": float(f"{length:.6g}")}


def running_seconds(pid: int) -> float:
    """For how long a process has run; 0 where that cannot be known."""
    try:
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        up = Path("/proc/uptime").read_text().split()[0]
        return max(0.0, float(up) - int(started) / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return 0.0


def tell_the_end(error: str, budget: float, pid: int) -> None:
    """The kubelet is about to end this container, and tells nobody why; what is put here reaches the pod's status."""
    running = running_seconds(pid)
    if budget and running >= budget - LAST_MINUTE:
        with contextlib.suppress(OSError):
            last_words().write_text(f"{SAID}{running:.0f} s: {error}")


def take_back() -> None:
    """It has started after all."""
    with contextlib.suppress(OSError):
        if last_words().read_text().startswith(SAID):
            last_words().write_text("")


def last_words() -> Path:
    return Path(os.environ.get("EMBEDDING_OPERATOR_TERMINATION_LOG", TERMINATION_LOG))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True, help="the served name")
    parser.add_argument("--task", choices=sorted(TASKS), default="embed")
    parser.add_argument("--tls", action="store_true", help="the server speaks HTTPS")
    parser.add_argument("--api-keys", metavar="DIR", help="a mounted Secret with the server's API keys")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds for the answer")
    parser.add_argument("--measure", type=Path, metavar="FILE", help="where to leave the vectors of the probe texts")
    parser.add_argument("--budget", type=float, default=0.0, help="seconds that a start may take; 0 if unknown")
    parser.add_argument("--pid", type=int, default=1, help="the server, whose start began it")
    options = parser.parse_args()
    task = TASKS[options.task]
    try:
        key = first_key(options.api_keys) if options.api_keys else ""

        def ask(task: Task, timeout: float) -> tuple[int, bytes]:
            return request(connect(options.host, options.port, timeout, options.tls), options.model, task, key)

        length = check(*ask(task, options.timeout), options.model, task)
        if options.measure:
            measure(options.measure, options.model, ask)
    except NotReadyError as error:
        line = " ".join(str(error).split())[:MAX_LINE]
        tell_the_end(line, options.budget, options.pid)
        print(line, file=sys.stderr)
        return 1
    take_back()
    print(f"{options.model}: a {task.name} of {length} numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
