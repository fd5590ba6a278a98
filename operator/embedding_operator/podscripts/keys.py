"""Part of the middleware: lets in only who has an API key (vLLM's own `--api-key` guards /v1 and few paths more).

The keys are the files of a mounted Secret, each of which holds one; several are valid at once, so that clients change
theirs one after the other. The kubelet replaces all files in one step, by pointing the link `..data` elsewhere: that is
looked at once a second, and again before a key is refused, so a key counts as soon as it is in the pod, and another one
no more a second after it has gone. Without any key nobody is let in.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from embedding_operator.podscripts.asgi import App, Message, Receive, Send, own_path, refuse

DIRECTORY = "EMBEDDING_OPERATOR_API_KEYS"  # where the Secret is mounted; absent where no key is asked for
LOOK_AGAIN = 1.0  # seconds
OURS = "/-/"
OPEN = frozenset({"/health", "/metrics"})  # the kubelet and Prometheus have no key
KEY = re.compile(rb"[!-~]+")  # what can be sent in a header; nothing is no key
POLICY_VIOLATION = 1008  # of WebSockets


class KeyFiles:
    """The keys as they are mounted now; only their digests are kept."""

    def __init__(self, directory: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.directory, self.clock = directory, clock
        self.version, self.digests = "", frozenset[bytes]()
        self.looked = clock()
        self.told = ""
        self.look()

    def hold(self, key: bytes) -> bool:
        if self.clock() - self.looked >= LOOK_AGAIN:
            self.look()
        return self.match(key) or (self.look() and self.match(key))

    def match(self, key: bytes) -> bool:
        """In the same time whatever is wrong with the key."""
        digest, found = hashlib.sha256(key).digest(), False
        for known in self.digests:
            found |= hmac.compare_digest(known, digest)
        return found

    def look(self) -> bool:
        """Read the keys if they have changed; whether they have."""
        self.looked = self.clock()
        try:
            version = str((self.directory / "..data").readlink())
            if version == self.version:
                return False
            folder = self.directory / version
            keys = {key for key in (path.read_bytes().strip() for path in folder.iterdir()) if KEY.fullmatch(key)}
        except OSError as error:  # also in the middle of a replacement: what was read before counts until the next look
            self.tell(f"cannot read the API keys in {self.directory}: {error.strerror}")
            return False
        self.version, self.digests = version, frozenset(hashlib.sha256(key).digest() for key in keys)
        if keys:
            self.tell(f"{len(keys)} API keys count")
        else:
            self.tell(f"no API key in {self.directory}, so nobody is let in: put one into the Secret")
        return True

    def tell(self, what: str) -> None:
        """Each news once."""
        if what != self.told:
            print(f"embedding-operator middleware: {what}", file=sys.stderr, flush=True)
            self.told = what


class Keys:
    def __init__(self, app: App) -> None:
        self.app = app
        directory = os.environ.get(DIRECTORY)
        self.files = KeyFiles(Path(directory)) if directory else None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if self.files is None or is_open(scope) or self.files.hold(key := key_of(scope)):
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            known = "this API key is not one of the server's" if key else "the server wants an API key"
            told = f"{known}: send the header `Authorization: Bearer KEY`"
            await refuse(receive, send, 401, "AuthenticationError", told, (b"www-authenticate", b"Bearer"))
        else:
            await receive()
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})


def is_open(scope: Message) -> bool:
    if scope["type"] == "lifespan":
        return True
    # a browser asks with OPTIONS what it may send, and has no key then; nothing is served by it
    path = own_path(scope)
    return path in OPEN or path.startswith(OURS) or scope.get("method") == "OPTIONS"


def key_of(scope: Message) -> bytes:
    """What stands after `Bearer`, or nothing, which is no key."""
    for name, value in scope.get("headers") or ():
        if name.lower() == b"authorization":
            scheme, _, key = value.partition(b" ")
            return bytes(key).strip() if scheme.lower() == b"bearer" else b""
    return b""
