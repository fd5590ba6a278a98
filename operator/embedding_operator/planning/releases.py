"""What each vLLM release understands, as far as we say it: rendering never emits what a release lacks.

A new release is one new entry. Sources: the argument parsers of vLLM's own releases; `--shutdown-timeout` and
`--disable-access-log-for-endpoints` came with 0.18.0, `prefetch` as a load strategy too.
"""

import re
from dataclasses import dataclass

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
_WHOLE = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_MARKED = re.compile(r"(?<![A-Za-z])v(\d+)\.(\d+)\.(\d+)")


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


def release_for(version: str) -> Release | None:
    """The newest known release that is not newer than `version`, or None (older than all, or no version)."""
    found = _VERSION.match(version)
    wanted = (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)
    return next((release for release in reversed(RELEASES) if release.version <= wanted), None)


def version_of_image(image: str) -> str | None:
    """The version that an image's tag tells, or None (a digest or a tag without one)."""
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    # what is marked as a version goes before other software's, as in `cann8.5.0-py3.11-v0.23.0`
    found = _MARKED.search(tag) or _WHOLE.search(tag)
    return ".".join(found.groups()) if found else None


def retag(image: str, old: str, new: str) -> str:
    """The image with version `old` in its tag replaced by `new`; suffixes such as `-a3` stay."""
    name, separator, tag = image.rpartition(":")
    return f"{name}{separator}{tag.replace(old, new)}" if old in tag else image
