"""Where the tool keeps what it builds and what its clusters write, outside the repository.

Never touched: the directories of other programs, Go's own caches included.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.errors import ClusterError


def cache_dir() -> Path:
    """``$EMBEDDING_OPERATOR_CACHE``, else the XDG cache directory; made if missing."""
    chosen = os.environ.get("EMBEDDING_OPERATOR_CACHE")
    xdg = os.environ.get("XDG_CACHE_HOME")
    path = Path(chosen) if chosen else (Path(xdg) if xdg else Path.home() / ".cache") / "embedding-operator"
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ClusterError(f"cannot use {path} as cache: {error.strerror}; set EMBEDDING_OPERATOR_CACHE") from error
    return path.absolute()


@contextmanager
def locked(path: Path, waiting: str = "") -> Iterator[None]:
    """Hold an exclusive lock on ``path``; the kernel lets go of it when this process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                print(waiting, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
