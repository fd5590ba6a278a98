"""What each vLLM release understands, as far as we say it: rendering never emits what a release lacks.

A new release is one new entry. Sources: the argument parsers of vLLM's own releases; `--shutdown-timeout` and
`--disable-access-log-for-endpoints` came with 0.18.0, `prefetch` as a load strategy too.
"""

import re
from dataclasses import dataclass

from embedding_operator.api.conditions import Reason
from embedding_operator.planning.errors import PlanError

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Release:
    """One vLLM release and what may be said to it."""

    version: tuple[int, int, int]
    shutdown_timeout: bool = False  # --shutdown-timeout: leftovers fail fast instead of hanging until SIGKILL
    quiet_endpoints: bool = False  # --disable-access-log-for-endpoints
    prefetch: bool = False  # --safetensors-load-strategy prefetch: read shared file systems in order

    def __str__(self) -> str:
        return ".".join(map(str, self.version))


RELEASES = (
    Release((0, 11, 0)),
    Release((0, 13, 0)),
    Release((0, 18, 0), shutdown_timeout=True, quiet_endpoints=True, prefetch=True),
    Release((0, 23, 0), shutdown_timeout=True, quiet_endpoints=True, prefetch=True),
    Release((0, 32, 0), shutdown_timeout=True, quiet_endpoints=True, prefetch=True),
)


def parse_version(text: str) -> tuple[int, int, int] | None:
    """The version inside a version string or an image tag (`v0.23.0-a3`), or None."""
    found = _VERSION.search(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def release_for(version: str) -> Release:
    """The newest known release that is not newer than `version`.

    Raises PlanError where the version is unreadable or older than all known ones.
    """
    wanted = parse_version(version)
    known = [release for release in RELEASES if wanted and release.version <= wanted]
    if not known:
        raise PlanError(
            Reason.INVALID_SPEC,
            f"vLLM {version!r} is not supported: set runtime.version to {RELEASES[0]} or newer, like {RELEASES[-2]}",
        )
    return known[-1]


def version_of_image(image: str) -> str | None:
    """The version that an image's tag tells, or None (a digest or a tag without one)."""
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    found = parse_version(tag)
    return ".".join(map(str, found)) if found else None


def retag(image: str, old: str, new: str) -> str:
    """The image with version `old` in its tag replaced by `new`; suffixes such as `-a3` stay."""
    name, separator, tag = image.rpartition(":")
    return f"{name}{separator}{tag.replace(old, new)}" if old in tag else image
