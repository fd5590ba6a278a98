"""Packs files into a one-layer docker-archive, for images so small that a builder would be more work.

Deterministic: the same files give the same bytes. Images with a Dockerfile are built elsewhere.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_image(
    target: Path, tag: str, files: Mapping[str, Path], entrypoint: Sequence[str], links: Mapping[str, str] | None = None
) -> Path:
    """Write ``target`` with executables ``files`` (name in the image to path here) and symbolic ``links``."""
    layer = _tar(
        [_file(name, path.read_bytes(), 0o755) for name, path in sorted(files.items())]
        + [_link(name, to) for name, to in sorted((links or {}).items())]
    )
    layer_digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": list(entrypoint), "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [tag], "Layers": [f"{layer_digest}/layer.tar"]}]
    image = _tar(
        [
            _file(config_name, config, 0o644),
            _file(f"{layer_digest}/layer.tar", layer, 0o644),
            _file("manifest.json", json.dumps(manifest).encode(), 0o644),
        ]
    )
    scratch = target.with_name(f".{target.name}.part")
    scratch.write_bytes(image)
    scratch.replace(target)
    return target


def _file(name: str, content: bytes, mode: int) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    return info, content


def _link(name: str, to: str) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, to
    return info, b""


def _tar(entries: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
