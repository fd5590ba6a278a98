"""Part of the middleware: a pod that gives other vectors than the ones before it is not ready, and says why.

The startup probe has embedded a few fixed texts (probe.py) and left their vectors in a file. The vectors that the
service gave before are in a mounted ConfigMap, which the operator writes; it may be absent, or come and change at any
time. Both are read again when they have changed, whenever `/-/ready` is asked for.

A pod that was ready once stays so: vectors that are recorded or accepted later must not take the pods away that serve
the ones of before. `/-/space` has all of it, and every answer names its space in the header `Embedding-Space`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import struct
from typing import Any

from embedding_operator.podscripts.asgi import App, Message, Receive, Send, answer, own_path
from embedding_operator.podscripts.state import VECTORS

REFERENCE = "/etc/embedding-operator/space/space.json"
READY = "/-/ready"
SPACE = "/-/space"
STRETCH = 0.05  # by how much of its length a vector may be longer or shorter
MAX_FILE = 1 << 20


class Space:
    def __init__(self, app: App) -> None:
        self.app = app
        self.measured = File(os.environ.get("EMBEDDING_OPERATOR_VECTORS", VECTORS))
        self.reference = File(os.environ.get("EMBEDDING_OPERATOR_SPACE", REFERENCE))
        self.was_ready = False
        self.id: str | None = None
        self.compared: dict[str, Any] = {"same": True}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = own_path(scope)
        if path in (READY, SPACE):
            self.look()
        send = self.naming(send)
        if path == SPACE:
            measured = self.measured.content
            await answer(send, 200, {"id": self.id, **self.compared, "texts": measured and measured.get("texts")})
        elif path == READY and not self.admits():
            await answer(send, 503, {"ready": False, "embeddingSpace": self.compared})
        else:
            await self.app(scope, receive, send)

    def look(self) -> None:
        """Compare again where one of the two files is another one now."""
        changed = [self.measured.read(), self.reference.read()]
        if not any(changed):
            return
        measured, reference = self.measured.content, self.reference.content
        if reference is None:
            self.compared = {"same": True, "why": "no vectors were recorded yet"}
        elif measured is None:
            self.compared = {"same": False, "why": "the probe texts are not embedded yet"}
        else:
            self.compared = compared(reference, measured)
            self.id = self.compared["reference" if self.compared["same"] else "own"]

    def admits(self) -> bool:
        """Whether the pod may be ready; once it may have been, with vectors of its own, it may for good."""
        policy = (self.reference.content or {}).get("policy", "Off")
        admitted = self.was_ready or policy != "Enforce" or bool(self.compared["same"])
        self.was_ready = self.was_ready or (admitted and self.measured.content is not None)
        return admitted

    def naming(self, send: Send) -> Send:
        """`send`, with the header on the start of a response."""
        if self.id is None:
            return send
        header = (b"embedding-space", self.id.encode())

        async def naming_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*(message.get("headers") or ()), header]}
            await send(message)

        return naming_send


class File:
    """A JSON object in a file that another process writes: None where there is none that can be read."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.content: dict[str, Any] | None = None
        self._seen: object = ()

    def read(self) -> bool:
        """Whether it is another one now, which `content` is from now on."""
        seen: object = None
        try:
            about = os.stat(self.path)  # noqa: PTH116  (the cheap form)
            seen = (about.st_ino, about.st_mtime_ns, about.st_size)
        except OSError:
            pass
        if seen == self._seen:
            return False
        self._seen = seen
        self.content = None
        try:
            with open(self.path, "rb") as file:  # noqa: PTH123
                content = json.loads(file.read(MAX_FILE))
            vectors_of(content)
            float(content.get("threshold", 1.0))
            self.content = content
        except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error, RecursionError):
            pass
        return True


def vectors_of(record: dict[str, Any]) -> dict[str, tuple[tuple[float, ...], float]]:
    """Of each text its direction (half-precision numbers in Base64) and its length."""
    found = {}
    for name, text in record["texts"].items():
        packed = base64.b64decode(text["vector"], validate=True)
        found[name] = (struct.unpack(f"<{len(packed) // 2}e", packed), float(text["length"]))
    return found


def id_of(record: dict[str, Any]) -> str:
    """What names these very vectors; the operator computes the same (planning/space.py)."""
    canonical = json.dumps(record["texts"], sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def compared(reference: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    """The text whose vectors differ most, by their cosine and by how much longer the measured one is."""
    threshold = float(reference.get("threshold", 1.0))
    before, now = vectors_of(reference), vectors_of(measured)
    pairs = {name: (before[name], now[name]) for name in sorted(before) if name in now}
    found = [(cosine(one[0], other[0]), name) for name, (one, other) in pairs.items()]
    stretch = max((abs(other[1] / one[1] - 1) for one, other in pairs.values() if one[1]), default=0.0)
    smallest, text = min(found, default=(1.0, ""))
    return {
        "same": smallest >= threshold and stretch <= STRETCH,
        "cosine": round(smallest, 6),
        "text": text,
        "stretch": round(stretch, 6),
        "threshold": threshold,
        "reference": id_of(reference),
        "own": id_of(measured),
    }


def cosine(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """0 for vectors of different sizes, which nothing can compare."""
    squares = sum(a * a for a in one) * sum(b * b for b in other)
    if len(one) != len(other) or not squares:
        return 0.0
    return sum(a * b for a, b in zip(one, other)) / math.sqrt(squares)  # noqa: B905  (Python 3.9)
