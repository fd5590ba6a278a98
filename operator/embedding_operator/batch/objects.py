"""Input and output in a bucket. There is no rename there: an object appears when it is put, or its upload completed."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from .bucket import Bucket
from .errors import BatchError
from .globs import Glob, InputFile, chosen
from .jobspec import Place
from .ranges import opened, version_of

PART = 16 << 20
"""Bytes of an upload's part, of which there may be 10,000."""
_CHECK = ".embedding-job/.check"


class ObjectInput:
    """A prefix that is read."""

    def __init__(self, place: Place) -> None:
        self._bucket = Bucket(place, "spec.input")

    def listed(self, globs: Sequence[str]) -> list[InputFile]:
        meant = [Glob(glob) for glob in globs]
        starts = sorted({glob.prefix for glob in meant})
        starts = [one for one in starts if not any(one != other and one.startswith(other) for other in starts)]
        files = (InputFile(*found) for start in starts for found in self._bucket.objects(start))
        return chosen(_without_outputs(list(files)), meant, self._bucket.name)

    def opened(self, file: InputFile, offset: int = 0) -> AbstractContextManager[BinaryIO]:
        return opened(file, offset, partial(self._bucket.read, file.path))

    def image(self, path: str, limit: int) -> bytes:
        if path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"{path} leads out of the input")
        answer = self._bucket.read(path, 0, limit + 1)
        if answer is None:
            raise ValueError(f"{path} is not in {self._bucket.name}")
        if len(answer.body) > limit:
            raise ValueError(f"{path} is bigger than {limit >> 20} MiB")
        return answer.body


class ObjectOutput:
    """A prefix that is written to."""

    scratch: Path | None = None

    def __init__(self, place: Place) -> None:
        self._bucket = Bucket(place, "spec.output")

    def check(self) -> None:
        """By an upload that is given up, and a look at others: the rights that `clean` needs at the end, too."""
        self._bucket.abort(_CHECK, self._bucket.begin(_CHECK))
        self._bucket.uploads(_CHECK)

    def create(self, path: str) -> ObjectSink:
        return ObjectSink(self._bucket, path)

    def read(self, path: str, limit: int) -> bytes | None:
        answer = self._bucket.read(path, 0, limit)
        return answer.body if answer else None

    def opened(self, path: str) -> AbstractContextManager[BinaryIO]:
        head = self._bucket.read(path, 0, 1)
        if head is None:
            raise BatchError("Unfinished", f"{self._bucket.name}{path} is gone")
        if head.status != 206:  # an empty object has no ranges
            return io.BytesIO()
        size = int(head.headers["Content-Range"].rpartition("/")[2])
        file = InputFile(path, size, version_of(head.headers))
        return opened(file, 0, partial(self._bucket.read, path))

    def size(self, path: str) -> int | None:
        return self._bucket.size(path)

    def clean(self, paths: Sequence[str]) -> int:
        ours = set(paths)
        left = [(key, upload) for key, upload in self._bucket.uploads("") if key in ours]
        for key, upload in left:
            self._bucket.abort(key, upload)
        return len(left)


class ObjectSink:
    """One object, in parts where it is big."""

    def __init__(self, bucket: Bucket, path: str) -> None:
        self.size = 0
        self._bucket = bucket
        self._path = path
        self._hash = hashlib.sha256()
        self._waiting = bytearray()
        self._upload: str | None = None
        self._tags: list[str] = []

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, data: bytes | memoryview) -> int:
        self._waiting += data
        self._hash.update(data)
        self.size += len(data)
        while len(self._waiting) >= PART:
            self._part(bytes(self._waiting[:PART]))
            del self._waiting[:PART]
        return len(data)

    def commit(self) -> None:
        if self._upload is None:
            self._bucket.put(self._path, bytes(self._waiting))
            return
        if self._waiting:
            self._part(bytes(self._waiting))
        self._bucket.complete(self._path, self._upload, self._tags)
        self._upload = None

    def abandon(self) -> None:
        self._waiting.clear()
        if self._upload is not None:
            with suppress(BatchError):  # what is left is removed when the job is finished
                self._bucket.abort(self._path, self._upload)
            self._upload = None

    def _part(self, data: bytes) -> None:
        if self._upload is None:
            self._upload = self._bucket.begin(self._path)
        self._tags.append(self._bucket.part(self._path, self._upload, len(self._tags) + 1, data))


def _without_outputs(files: Sequence[InputFile]) -> list[InputFile]:
    """Nothing that a job has written below the input."""
    marked = {file.path.partition(".embedding-job/")[0] for file in files if "/.embedding-job/" in file.path}
    return [file for file in files if not any(file.path.startswith(mark) for mark in marked)]
