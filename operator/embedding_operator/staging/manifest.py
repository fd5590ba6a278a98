"""manifest.json: what a published directory holds, and the digest that names it.

The digest covers paths, sizes and sha256 sums only, so that the same bytes give the same digest whoever staged
them, whenever, and from where. The manifest is written last; a directory without one is not published.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .layout import MANIFEST, fsync_path, open_up, unsafe_path
from .select import RemoteFile

FORMAT = "embedding-operator.io/manifest/v1"
MAX_BYTES = 64 << 20

_SHA256 = re.compile(r"[0-9a-f]{64}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class BadManifestError(Exception):
    """A file called manifest.json that is ours by its format and still makes no sense."""


@dataclass(frozen=True, order=True)
class ManifestFile:
    """A file whose bytes have been hashed."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The content of a published directory and where it came from."""

    source: str
    repo: str
    requested_revision: str
    revision: str
    files: tuple[ManifestFile, ...]
    tool: str
    staged_at: str

    @property
    def digest(self) -> str:
        return files_digest(self.files)

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)


def files_digest(files: Iterable[ManifestFile]) -> str:
    rows = [{"path": file.path, "size": file.size, "sha256": file.sha256} for file in sorted(files)]
    return f"sha256:{hashlib.sha256(_canonical(rows)).hexdigest()}"


def listing_id(files: Iterable[RemoteFile]) -> str:
    """A stand-in for the commit, for a hub that does not tell it: another listing is another revision."""
    rows = [
        [file.path, file.size, file.sha256 or file.git_sha1 or file.version or ""]
        for file in sorted(files, key=lambda file: file.path)
    ]
    return f"listing-{hashlib.sha256(_canonical(rows)).hexdigest()[:40]}"


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write and sync the manifest, then sync every directory: after this only the rename is missing."""
    document = {
        "format": FORMAT,
        "source": manifest.source,
        "repo": manifest.repo,
        "requestedRevision": manifest.requested_revision,
        "revision": manifest.revision,
        "digest": manifest.digest,
        "bytes": manifest.bytes,
        "files": [{"path": f.path, "size": f.size, "sha256": f.sha256} for f in sorted(manifest.files)],
        "tool": manifest.tool,
        "stagedAt": manifest.staged_at,
    }
    target = directory / MANIFEST
    with target.open("w", encoding="utf-8") as handle:
        json.dump(document, handle, indent=1, ensure_ascii=False)
        handle.write("\n")
        handle.flush()
        open_up(target)
        os.fsync(handle.fileno())
    for parent, _, _ in os.walk(directory):
        fsync_path(Path(parent))


def read_manifest(directory: Path) -> Manifest | None:
    """The directory's manifest; None if there is none of ours (a model may bring a file of that name)."""
    target = directory / MANIFEST
    try:
        if not target.is_file() or target.stat().st_size > MAX_BYTES:
            return None
        document = json.loads(target.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return None
    return _parse(document)


def _parse(document: dict[str, Any]) -> Manifest:
    try:
        files = tuple(ManifestFile(row["path"], row["size"], row["sha256"]) for row in document["files"])
        manifest = Manifest(
            source=str(document["source"]),
            repo=str(document["repo"]),
            requested_revision=str(document["requestedRevision"]),
            revision=str(document["revision"]),
            files=files,
            tool=str(document["tool"]),
            staged_at=str(document["stagedAt"]),
        )
        for file in files:
            if unsafe_path(file.path) or not isinstance(file.size, int) or not _SHA256.fullmatch(file.sha256):
                raise BadManifestError(f"{file.path!r} is no sensible entry")
        if not _REVISION.fullmatch(manifest.revision):
            raise BadManifestError("its revision makes no sense")
        told = document["digest"]
    except (KeyError, TypeError, AttributeError) as error:
        raise BadManifestError(f"{error!r}") from error
    if told != manifest.digest:
        raise BadManifestError("its digest does not fit its file list")
    return manifest


def _canonical(rows: object) -> bytes:
    return json.dumps(rows, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
