"""Builds the cluster's executables from pinned Go modules and keeps them by content hash.

A caller names the groups that it needs and gets a mapping of tool name to path; only what is missing is
built, so this is cheap to call at the start of every test run. It never downloads an executable.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster import packages
from tests.cluster.cache import cache_dir, locked
from tests.cluster.errors import ClusterError
from tests.cluster.pause import ensure_pause
from tests.cluster.progress import ticking
from tests.cluster.sources import ALL_GROUPS, NODES, Module, chosen_version, modules


def ensure_binaries(groups: Iterable[str] = ALL_GROUPS, kubernetes_version: str = "") -> dict[str, Path]:
    """Paths of all tools of ``groups``, building those that no cache holds yet."""
    kubernetes_version = kubernetes_version or chosen_version()
    wanted = set(groups)
    packages.require("go", hint="install Go 1.26 or newer (https://go.dev/dl)")
    if NODES in wanted:
        packages.ensure_for_nodes()
    version = _go(["env", "GOVERSION"]).strip()
    store = cache_dir() / "bin"
    found: dict[str, Path] = {}
    for module in modules(kubernetes_version):
        tools = sorted(name for name, tool in module.tools.items() if tool.group in wanted)
        if tools:
            target = store / f"{module.name}-{module.fingerprint(version)}"
            _ensure(module, tools, target)
            found |= {name: target / name for name in tools}
    if NODES in wanted:
        found["pause"] = ensure_pause(store)
    return found


def _ensure(module: Module, tools: list[str], target: Path) -> None:
    """Have ``tools`` in ``target``; of several processes at once, one builds and the others wait for it."""
    if all((target / name).exists() for name in tools):
        return
    lock = target.parent / f".lock-{module.name}"
    with locked(lock, waiting=f"  another process is building {module.name}; waiting for it"):
        for leftover in target.parent.glob(f".building-{module.name}@*"):  # of a killed build
            shutil.rmtree(leftover, ignore_errors=True)
        missing = [name for name in tools if not (target / name).exists()]
        if missing:
            _build(module, missing, target)


def _build(module: Module, tools: list[str], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    packages_ = [module.tools[name].package for name in tools]
    scratch = Path(tempfile.mkdtemp(prefix=f".building-{module.name}@", dir=target.parent))
    try:
        build = _Build(module)
        with ticking(f"building {module.name} ({', '.join(tools)})", build.describe):
            build.count(packages_)
            build.run(packages_, scratch)
        # One package makes a file named after its path (etcd's is "server"); several are named as we name them.
        for name in tools:
            made = scratch / name if len(tools) > 1 else next(scratch.iterdir())
            made.replace(target / name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@dataclass
class _Build:
    """One run of the Go compiler, watched through what it prints."""

    module: Module
    total: int = 0
    compiled: int = 0
    fetched: int = 0
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=12))

    def describe(self) -> str:
        if self.compiled or not self.fetched:
            return f"{self.compiled} of at most {self.total} packages compiled"
        return f"{self.fetched} modules fetched"

    def count(self, packages_: list[str]) -> None:
        """Learn how many packages there are, which also fetches their sources."""
        arguments = ["list", "-deps", "-f", "{{.ImportPath}}", *self._tags(), *packages_]
        self.total = len(self._stream(arguments, listing=True))

    def run(self, packages_: list[str], output: Path) -> None:
        flags = ["-trimpath", "-buildvcs=false", "-v", "-ldflags", self.module.ldflags, *self._tags()]
        self._stream(["build", *flags, "-o", f"{output}/", *packages_], listing=False)

    def _tags(self) -> list[str]:
        return ["-tags", ",".join(self.module.tags)] if self.module.tags else []

    def _stream(self, arguments: list[str], listing: bool) -> list[str]:
        lines: list[str] = []
        with subprocess.Popen(
            ["go", *arguments],
            cwd=self.module.directory,
            env=_environment(self.module.cgo),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                self.tail.append(line.rstrip())
                if line.startswith("go: downloading"):
                    self.fetched += 1
                elif listing:
                    lines.append(line)
                elif not line.startswith(("#", "\t", " ")):
                    self.compiled += 1
        if process.returncode:
            reason = " | ".join(self.tail)
            raise ClusterError(f"go {arguments[0]} failed for {self.module.name}: {reason}")
        return lines


def _environment(cgo: bool) -> Mapping[str, str]:
    """The person's environment, without settings that would change the bytes or the cache keys."""
    return os.environ | {"CGO_ENABLED": "1" if cgo else "0", "GOFLAGS": "", "GOWORK": "off"}


def _go(arguments: list[str]) -> str:
    return subprocess.run(["go", *arguments], check=True, capture_output=True, text=True).stdout
