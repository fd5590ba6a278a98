"""A real image registry (Debian's build of CNCF Distribution) that speaks plain HTTP, for the length of a block."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import packages, processes
from tests.cluster.cache import cache_dir
from tests.cluster.waiting import wait_until


@dataclass(frozen=True)
class Registry:
    """Where it listens, as HOST:PORT."""

    address: str

    def repositories(self) -> list[str]:
        """What was pushed to it."""
        with urllib.request.urlopen(f"http://{self.address}/v2/_catalog", timeout=10) as answer:
            names: list[str] = json.load(answer)["repositories"]
        return names

    def _answers(self) -> bool:
        try:
            return self.repositories() is not None
        except OSError:
            return False


@contextmanager
def serving(address: str, port: int, directory: Path) -> Iterator[Registry]:
    """Start one at an address of this machine; its images and log go to `directory`."""
    program = packages.unpacked("docker-registry", cache_dir() / "debian-packages") / "usr/bin/docker-registry"
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(directory / "images")}},
        "http": {"addr": f"{address}:{port}"},
    }
    (directory / "config.json").write_text(json.dumps(settings))  # JSON is YAML
    log = directory / "registry.log"
    running = processes.start("docker-registry", [str(program), "serve", str(directory / "config.json")], log)
    registry = Registry(f"{address}:{port}")
    try:

        def ready() -> bool:
            processes.check_alive(running, log)
            return registry._answers()

        wait_until("the registry answers", ready, timeout=30)
        yield registry
    finally:
        processes.stop([running])
