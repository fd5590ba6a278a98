"""How images get from archives on this machine to the nodes of a cluster: one class for each way.

`deliver` puts one there and returns the name by which pods pull it. The tag of a pushed image is the hash of its
content, so that a node which keeps an older one under its name never runs that by mistake.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from images import buildah
from images.host import BuildError


class Delivery(Protocol):
    """A way to the nodes."""

    @property
    def way(self) -> str:
        """The way in words, for people."""

    def check(self) -> None:
        """Raise BuildError where the way is closed, before anything is built."""

    def deliver(self, archive: Path, reference: str) -> str:
        """Put the image of a docker-archive file on the nodes, or where they pull; returns its name there."""


@dataclass(frozen=True)
class Kind:
    """`kind load`, into all nodes of a kind cluster."""

    cluster: str
    way: str = "kind load image-archive"

    def check(self) -> None:
        _require("kind", f"the cluster is kind's, and images get into it by `{self.way}`")

    def deliver(self, archive: Path, reference: str) -> str:
        _run(["kind", "load", "image-archive", str(archive), "--name", self.cluster])
        return reference


@dataclass(frozen=True)
class Minikube:
    """`minikube image load`, into all nodes of a minikube profile."""

    profile: str
    way: str = "minikube image load"

    def check(self) -> None:
        _require("minikube", f"the cluster is minikube's, and images get into it by `{self.way}`")

    def deliver(self, archive: Path, reference: str) -> str:
        _run(["minikube", "image", "load", str(archive), "--profile", self.profile])
        return reference


@dataclass(frozen=True)
class Registry:
    """A registry to push to, from which the nodes pull; `prefix` is HOST[:PORT]/PATH."""

    prefix: str
    plain_http: bool = False

    @property
    def way(self) -> str:
        return f"push to {self.prefix}{' over plain HTTP' if self.plain_http else ''}"

    def check(self) -> None:
        host, _, path = self.prefix.partition("/")
        if "://" in self.prefix or not host or not path.strip("/"):
            raise BuildError(
                f"registry {self.prefix!r}: write HOST/PREFIX without a scheme, such as registry.example.com/team"
            )

    def deliver(self, archive: Path, reference: str) -> str:
        destination = pushed_name(self.prefix, archive, reference)
        buildah.push_archive(archive, destination, plain_http=self.plain_http)
        return destination


def pushed_name(prefix: str, archive: Path, reference: str) -> str:
    """Where an image is pushed to: its own last name below the prefix, tagged with its content."""
    name = reference.rpartition("/")[2].partition(":")[0]
    return f"{prefix.strip('/')}/{name}:{content_of(archive)}"


def content_of(archive: Path) -> str:
    """The hash of what an image was made of, as a tag (and never a number, which YAML would make of some hashes)."""
    return f"sha-{archive.stem.rpartition('-')[2]}"


def _require(program: str, why: str) -> None:
    if shutil.which(program) is None:
        raise BuildError(f"{program} is not on the PATH: {why}; put it there, or write REGISTRY=HOST/PREFIX")


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    if done.returncode:
        raise BuildError(f"{' '.join(command)}: {' '.join((done.stderr or done.stdout).split())[-2000:]}")
