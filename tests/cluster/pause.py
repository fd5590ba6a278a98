"""The pause image: a static C program in an image of its own, built once into the cache."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path

from tests.cluster.archive import write_image
from tests.cluster.errors import ClusterError

PAUSE_IMAGE = "docker.io/embedding-operator/pause:1"
_SOURCE = Path(__file__).parent / "programs" / "pause.c"


def ensure_pause(store: Path) -> Path:
    """The archive of the pause image in ``store``."""
    content = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    target = store / f"pause-{content}.tar"
    if not target.exists():
        store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=store, prefix=".building-pause-") as scratch:
            program = Path(scratch) / "pause"
            command = ["gcc", "-static", "-Os", "-s", "-o", str(program), str(_SOURCE)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise ClusterError(f"gcc cannot build the pause program: {done.stderr.strip()}")
            write_image(target, PAUSE_IMAGE, {"pause": program}, ["/pause"])
    return target
