"""What the staging tests share: a model's files, quick settings, and a staging run in this process or another."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import embedding_operator
from embedding_operator.staging.manifest import ManifestFile, files_digest
from embedding_operator.staging.result import StageResult
from embedding_operator.staging.settings import Settings
from embedding_operator.staging.spec import parse_spec
from embedding_operator.staging.stage import stage
from tests.standins.modelhub import ModelHub

REPO = "Acme/Tiny-Embedding"
QUICK: dict[str, Any] = {
    "attempts": 4,
    "backoff_base": 0.01,
    "backoff_cap": 0.05,
    "idle_timeout": 5.0,
    "claim_beat": 0.05,
    "claim_stale": 0.5,
    "chunk": 64 << 10,
    "log_every": 0.2,
}

BIG = "model-00001-of-00002.safetensors"
SECOND = "model-00002-of-00002.safetensors"
LEFT_OUT = {"pytorch_model.bin", "onnx/model.onnx", ".gitattributes"}


def make_model(directory: Path, seed: int = 1, size: int = 1 << 20) -> None:
    """A repository as they are: sharded safetensors, small files, and formats that nobody here reads."""
    content = random.Random(seed)
    files = {
        "config.json": b'{"architectures": ["Tiny"]}',
        "1_Pooling/config.json": b'{"pooling_mode_mean_tokens": true}',
        "empty.txt": b"",
        BIG: content.randbytes(2 * size),
        SECOND: content.randbytes(size),
        "pytorch_model.bin": content.randbytes(4000),
        "onnx/model.onnx": content.randbytes(3000),
        ".gitattributes": b"*.safetensors lfs",
    }
    for name, data in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)


def selected_files(directory: Path) -> list[ManifestFile]:
    """What the default selection of make_model should come to, computed from the source."""
    found = []
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_file() and name not in LEFT_OUT:
            data = path.read_bytes()
            found.append(ManifestFile(name, len(data), hashlib.sha256(data).hexdigest()))
    return found


def wait_for(reached: Callable[[], bool], process: subprocess.Popen[Any] | None = None) -> None:
    """Until it is so, or the process has ended (the test's own time limit is pytest's)."""
    while not reached() and (process is None or process.poll() is None):
        time.sleep(0.002)


def left(root: Path) -> list[str]:
    """All that is on a volume, but for the directory of what is being staged."""
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.name != ".staging")


class Killed(BaseException):
    """The process ends here."""


def killed_at_each_step(
    volume: Volume, scratch: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[Volume], object]
) -> Iterator[Volume]:
    """Copies of a volume on which the work was killed before its first change of the disk, its second, and so on until
    it came to its end."""
    steps, finished = 0, False
    while not finished:
        copy = replace(volume, root=scratch / f"killed-{steps}")
        shutil.copytree(volume.root, copy.root, symlinks=True)
        with monkeypatch.context() as patch:
            finished = _runs_through(partial(work, copy), steps, patch)
        yield copy
        steps += 1
    assert steps > 8


def _runs_through(work: Callable[[], object], steps: int, patch: pytest.MonkeyPatch) -> bool:
    left_over = [steps]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            left_over[0] -= 1
            if left_over[0] < 0:
                raise Killed
            return real(*arguments, **options)

        return call

    for name in ("rename", "unlink", "rmdir", "mkdir"):
        patch.setattr(os, name, counted(getattr(os, name)))
    try:
        work()
    except Killed:
        return False
    return True


@dataclass(frozen=True)
class Volume:
    """A volume to stage into, from one hub."""

    root: Path
    hub: ModelHub
    source: Path
    """The repository's files at the hub."""
    kind: str = "modelScope"
    """Which of the hub's two APIs is used."""

    def spec(self, digest: str | None = None, parallelism: int = 4, user: str | None = None, **fields: object) -> str:
        source = {"repo": REPO, "endpoint": self.hub.url, **fields}
        return json.dumps(
            {
                "source": {self.kind: source},
                "root": str(self.root),
                "digest": digest,
                "user": user,
                "parallelism": parallelism,
                "progressPort": 0,
            }
        )

    async def stage(
        self,
        *,
        digest: str | None = None,
        parallelism: int = 4,
        token: str | None = None,
        user: str | None = None,
        settings: dict[str, object] | None = None,
        **fields: object,
    ) -> StageResult:
        text = self.spec(digest, parallelism, user, **fields)
        chosen = Settings(**{**QUICK, **(settings or {})})
        return await stage(parse_spec(text), token=token, settings=chosen)

    def process(self, log: Path, settings: dict[str, object] | None = None, **environ: str) -> subprocess.Popen[bytes]:
        """A stager of its own, to be killed."""
        code = (
            "import json, sys\n"
            "from embedding_operator.staging.main import main_stage\n"
            "from embedding_operator.staging.settings import Settings\n"
            "sys.exit(main_stage(sys.argv[1], settings=Settings(**json.loads(sys.argv[2]))))\n"
        )
        python_path = str(Path(embedding_operator.__file__).parent.parent)
        with log.with_suffix(".err").open("ab") as errors:
            return subprocess.Popen(
                [sys.executable, "-c", code, self.spec(), json.dumps({**QUICK, **(settings or {})})],
                env={**os.environ, "PYTHONPATH": python_path, "TERMINATION_LOG": str(log), **environ},
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )

    def bytes_present(self) -> int:
        """File bytes in the staging directory, checked or not."""
        total = 0
        for path in (self.root / ".staging").glob("*/*/**/*"):  # notes lie higher up
            with suppress(FileNotFoundError):  # renamed while we look
                total += path.stat().st_size if path.is_file() and path.name != "manifest.json" else 0
        return total

    def listed(self) -> list[ManifestFile]:
        """The files that are staged, if nothing else is said."""
        return selected_files(self.source)

    @property
    def total(self) -> int:
        return sum(file.size for file in selected_files(self.source))

    @property
    def digest(self) -> str:
        return files_digest(selected_files(self.source))

    def assert_published(self, result_path: str) -> None:
        """The published files are those of the source, and nothing else is there."""
        directory = self.root / result_path
        expected = {file.path for file in selected_files(self.source)} | {"manifest.json"}
        found = {p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file()}
        assert found == expected
        for name in expected - {"manifest.json"}:
            assert (directory / name).read_bytes() == (self.source / name).read_bytes(), name
