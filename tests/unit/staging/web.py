"""Weights on a web server, as lists of files and as archives: how tests put them there and have them staged."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.staging.errors import StageError
from embedding_operator.staging.result import StageResult
from embedding_operator.staging.settings import Settings
from embedding_operator.staging.spec import parse_spec
from embedding_operator.staging.stage import stage
from tests.standins.modelhub import ModelHub

from .kit import QUICK, REPO, Volume

MODEL = {
    "config.json": b'{"architectures": ["Tiny"]}',
    "1_Pooling/config.json": b"{}",
    "empty.txt": b"",
    "model.safetensors": random.Random(7).randbytes(300_000),
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def url(hub: ModelHub, name: str) -> str:
    """The hub's pages of files, which are a web server like any other: redirects, ranges, faults and all."""
    return f"{hub.url}/{REPO}/resolve/main/{name}"


def tar(members: dict[str, bytes], mode: str = "w", **special: bytes) -> bytes:
    """An archive; `special` adds members of a type of tarfile's."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, kind in special.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "config.json"
            archive.addfile(member)
    return out.getvalue()


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


async def staged(
    volume: Volume,
    http: dict[str, Any],
    digest: str | None = None,
    free: int | Callable[[Path], int] | None = None,
    **kwargs: Any,
) -> StageResult:
    spec = {"source": {"http": http}, "root": str(volume.root), "digest": digest, "progressPort": 0}
    room = {} if free is None else {"free_bytes": free if callable(free) else lambda path: free}
    return await stage(parse_spec(json.dumps(spec)), settings=Settings(**QUICK | room), **kwargs)


async def refused(volume: Volume, http: dict[str, Any], **kwargs: Any) -> StageError:
    with pytest.raises(StageError) as caught:
        await staged(volume, http, **kwargs)
    assert not (volume.root / "http").exists()
    return caught.value


def published(volume: Volume, result: StageResult) -> dict[str, bytes]:
    directory = volume.root / result.path
    found = {p.relative_to(directory).as_posix(): p.read_bytes() for p in directory.rglob("*") if p.is_file()}
    assert found.pop("manifest.json")
    return found


def put(volume: Volume, name: str, data: bytes) -> None:
    (volume.source / name).parent.mkdir(parents=True, exist_ok=True)
    (volume.source / name).write_bytes(data)


def listed(hub: ModelHub, members: dict[str, bytes]) -> dict[str, Any]:
    """The spec of a list of files, which lie on the server under other names than they get."""
    return {
        "files": [
            {"path": name, "url": url(hub, f"files/{number}.bin?download=1"), "sha256": sha256(data)}
            for number, (name, data) in enumerate(members.items())
        ]
    }


def serve_list(volume: Volume, hub: ModelHub) -> dict[str, Any]:
    for number, data in enumerate(MODEL.values()):
        put(volume, f"files/{number}.bin", data)
    return listed(hub, MODEL)


def archive(volume: Volume, hub: ModelHub, data: bytes, name: str = "tiny-model.tar.gz") -> dict[str, Any]:
    put(volume, name, data)
    return {"url": url(hub, name), "sha256": sha256(data)}
