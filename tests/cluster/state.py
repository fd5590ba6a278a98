"""What is known of every cluster on this machine, kept so that any later process can take it down.

It is written before anything that could be left behind is made, in /run because the things it tells of do
not survive a reboot either. Bulk data lives in the cache directory.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.cluster.cache import cache_dir
from tests.cluster.errors import ClusterError
from tests.cluster.processes import Program

REGISTRY = Path("/run/embedding-operator")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?")


@dataclass
class State:
    """One cluster: what was asked for, where it is, and every program started for it."""

    name: str
    index: int
    nodes: int
    npus: int
    kubernetes: str
    directory: str
    owner: Program | None = None
    complete: bool = False
    programs: list[Program] = field(default_factory=list)

    def record(self, program: Program) -> None:
        """Remember a program; an earlier one of the same name is forgotten."""
        self.programs = [each for each in self.programs if each.name != program.name] + [program]
        self.save()

    def save(self) -> None:
        REGISTRY.mkdir(mode=0o755, exist_ok=True)
        scratch = REGISTRY / f".{self.name}.part"
        scratch.write_text(json.dumps(asdict(self)))
        scratch.replace(_file(self.name))

    def forget(self) -> None:
        """Drop the record; the registry goes with its last cluster."""
        _file(self.name).unlink(missing_ok=True)
        try:
            REGISTRY.rmdir()
        except OSError:
            return  # other clusters are up

    def orphaned(self) -> bool:
        """Whether the process that was to take it down has died."""
        return self.owner is not None and not self.owner.alive()


def bulk_directory(name: str) -> Path:
    return cache_dir() / "clusters" / name


def check_name(name: str) -> None:
    """Raise for a name that would not fit into names of links, namespaces and files."""
    if not _NAME.fullmatch(name):
        raise ClusterError(f"cluster name {name!r}: use up to 20 small letters, digits and inner dashes")


def load(name: str) -> State | None:
    """The state of a cluster, up or crashed; None when there is none."""
    try:
        content = json.loads(_file(name).read_text())
    except FileNotFoundError:
        return None
    content["programs"] = [Program(**program) for program in content["programs"]]
    content["owner"] = Program(**content["owner"]) if content["owner"] else None
    return State(**content)


def load_all() -> list[State]:
    """All clusters of this machine."""
    states = [load(path.stem) for path in sorted(REGISTRY.glob("*.json"))]
    return [state for state in states if state]


def _file(name: str) -> Path:
    return REGISTRY / f"{name}.json"
