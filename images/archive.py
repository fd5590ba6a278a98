"""Writes container images as docker-archive files without a container tool.

The result is deterministic: sorted names, owner 0:0, time 0, so that the same trees give the same bytes.
Byte code in a tree must therefore be compiled with unchecked hashes, or Python would not believe it.
"""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any


@dataclass(frozen=True)
class Layer:
    """One directory tree, placed at a prefix of the image; links that differ in the image are given apart."""

    tree: Path
    prefix: str = "/"
    links: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


class _Hashed:
    """A file that hashes what is written to it, for a layer is named by the hash of its bytes."""

    def __init__(self, raw: IO[bytes]) -> None:
        self.raw = raw
        self.digest = hashlib.sha256()

    def write(self, body: bytes) -> int:
        self.digest.update(body)
        return self.raw.write(body)


def write_archive(
    archive: Path, *, reference: str, config: Mapping[str, Any], architecture: str, layers: Sequence[Layer]
) -> None:
    """Write an image of those layers; each is a file of its own first, because tar asks for sizes."""
    layer_files = [archive.with_name(f"{archive.name}.layer{number}") for number in range(len(layers))]
    try:
        digests = [_write_layer(layer, file) for layer, file in zip(layers, layer_files, strict=True)]
        _write_image(archive, reference, _configuration(config, architecture, digests), layer_files)
    finally:
        for file in layer_files:
            file.unlink(missing_ok=True)


def _configuration(config: Mapping[str, Any], architecture: str, digests: Sequence[str]) -> bytes:
    document = {
        "architecture": architecture,
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created_by": "images/archive.py"} for _ in digests],
    }
    return json.dumps(document, sort_keys=True).encode()


def _write_image(archive: Path, reference: str, configuration: bytes, layer_files: Sequence[Path]) -> None:
    config_name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    layer_names = [f"layer{number}.tar" for number in range(len(layer_files))]
    manifest = json.dumps([{"Config": config_name, "RepoTags": [reference], "Layers": layer_names}]).encode()
    with tarfile.open(archive, "w") as image:
        for name, body in (("manifest.json", manifest), (config_name, configuration)):
            _add_bytes(image, name, body)
        for name, file in zip(layer_names, layer_files, strict=True):
            entry = tarfile.TarInfo(name)
            entry.size = file.stat().st_size
            with file.open("rb") as body_file:
                image.addfile(entry, body_file)


def _write_layer(layer: Layer, file: Path) -> str:
    with file.open("wb") as raw:
        hashed = _Hashed(raw)
        # the stream mode only calls write()
        with tarfile.open(fileobj=hashed, mode="w|", format=tarfile.GNU_FORMAT) as tar:  # type: ignore[call-overload]
            prefix = PurePosixPath(layer.prefix.strip("/"))
            for parent in reversed([prefix, *prefix.parents]):
                if str(parent) != ".":
                    _add_directory(tar, str(parent))
            for path in _entries(layer.tree):
                name = path.relative_to(layer.tree).as_posix()
                if name not in layer.links and name not in layer.files:
                    _add_path(tar, path, str(prefix / name))
            for name, target in sorted(layer.links.items()):
                _add_link(tar, str(prefix / name), target)
            for name, body in sorted(layer.files.items()):
                _add_bytes(tar, str(prefix / name), body)
    return hashed.digest.hexdigest()


def _entries(tree: Path) -> Iterator[Path]:
    for directory, directories, files in os.walk(tree):
        directories.sort()
        for name in sorted(directories + files):
            yield Path(directory) / name


def _add_path(tar: tarfile.TarFile, path: Path, name: str) -> None:
    entry = tar.gettarinfo(path, name)
    if entry.islnk():  # a second name of a file: written whole, so that no entry depends on another
        entry.type, entry.linkname, entry.size = tarfile.REGTYPE, "", path.stat().st_size
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    if entry.isreg():
        with path.open("rb") as body:
            tar.addfile(entry, body)
    else:
        tar.addfile(entry)


def _add_directory(tar: tarfile.TarFile, name: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    tar.addfile(entry)


def _add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry)


def _add_bytes(tar: tarfile.TarFile, name: str, body: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(body)
    tar.addfile(entry, io.BytesIO(body))
