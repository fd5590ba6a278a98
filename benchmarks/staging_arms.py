"""Who fetches a model from the hub, each as its users start it, and the limits that nobody can pass."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.staging_hub import REPO, Hub

STAGER = "this stager"
AGAIN = "this stager, the same weights again"
CP = "cp"
CURL_PARALLEL = "curl, in parallel"
ARIA2 = "aria2c -x8"
HUB_TOOLS = ("modelscope download", "hf download")

_BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Task:
    """What an arm is given: from where, to where."""

    hub: Hub
    scheme: str
    to: Path
    home: Path
    """For caches and settings of the tools."""
    digest: str | None = None

    @property
    def urls(self) -> list[str]:
        return [f"{self.hub.url(self.scheme)}/files/{file.name}" for file in self.hub.files]

    @property
    def sources(self) -> list[str]:
        return [str(self.hub.files_directory / file.name) for file in self.hub.files]


@dataclass(frozen=True)
class Command:
    """A program to run."""

    arguments: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)

    def variables(self, task: Task) -> dict[str, str]:
        """A bare environment: no proxy, no settings of whoever runs the benchmark."""
        ca_file = str(task.hub.ca_file)
        trusted = {"SSL_CERT_FILE": ca_file, "REQUESTS_CA_BUNDLE": ca_file} if task.scheme == "https" else {}
        return {"PATH": os.environ["PATH"], "HOME": str(task.home), **trusted, **self.environment}


@dataclass(frozen=True)
class Arm:
    """One way to have the files."""

    name: str
    command: Callable[[Task], Command]
    verifies: str = ""
    downloads: bool = True
    writes: bool = True


def _stager(task: Task) -> Command:
    spec = {
        "source": {"modelScope": {"repo": REPO, "endpoint": task.hub.url(task.scheme)}},
        "root": str(task.to),
        "digest": task.digest,
        "progressPort": 0,
    }
    log = str(task.home / "termination-log")
    return Command([str(_BIN / "embedding-operator"), "stage", "--spec", json.dumps(spec)], {"TERMINATION_LOG": log})


def _aria2(task: Task) -> Command:
    urls = task.home / "urls"
    urls.write_text("\n".join(task.urls))
    options = ["--quiet", "-x8", "-s8", "-j8", "--file-allocation=none", f"--ca-certificate={task.hub.ca_file}"]
    return Command(["aria2c", *options, f"--dir={task.to}", f"--input-file={urls}"])


def _curl(task: Task, *extra: str) -> Command:
    options = ["--silent", "--show-error", "--fail", "--cacert", str(task.hub.ca_file), *extra]
    return Command(["curl", *options, "--remote-name-all", "--output-dir", str(task.to), *task.urls])


def _modelscope(task: Task) -> Command:
    return Command(
        [str(_BIN / "modelscope"), "download", REPO, "--local-dir", str(task.to), "--max-workers", "8"],
        {"MODELSCOPE_ENDPOINT": task.hub.url(task.scheme), "MODELSCOPE_DOWNLOAD_INTRA_CLOUD": "false"},
    )


def _hf(task: Task) -> Command:
    switched_off = dict.fromkeys(("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_XET", "HF_HUB_DISABLE_UPDATE_CHECK"), "1")
    return Command(
        [str(_BIN / "hf"), "download", REPO, "--local-dir", str(task.to)],
        {"HF_ENDPOINT": task.hub.url(task.scheme), **switched_off},
    )


ARMS = (
    Arm(STAGER, _stager, verifies="every byte"),
    Arm(ARIA2, _aria2, verifies="nothing"),
    Arm(CURL_PARALLEL, lambda task: _curl(task, "--parallel"), verifies="nothing"),
    Arm("curl, one by one", _curl, verifies="nothing"),
    Arm(HUB_TOOLS[0], _modelscope, verifies="every byte"),
    Arm(HUB_TOOLS[1], _hf, verifies="sizes"),
    Arm(CP, lambda task: Command(["cp", *task.sources, str(task.to)]), downloads=False),
    Arm("sha256sum", lambda task: Command(["sha256sum", *task.sources]), downloads=False, writes=False),
)
