"""What an image holds once it is built: `python -m images.contents operator etc/os-release`.

Reads docker-archive files; the file that is named goes to stdout.
"""

import argparse
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from images.build import IMAGES, image_archive
from images.host import BuildError
from tests.cluster.errors import ClusterError

WHITEOUT = ".wh."


def configuration(archive: Path) -> dict[str, Any]:
    """The image's configuration: architecture, user, environment, labels, layers."""
    with tarfile.open(archive) as image:
        found: dict[str, Any] = json.loads(_read(image, _manifest(image)["Config"]))
    return found


def layers(archive: Path) -> Iterator[tarfile.TarFile]:
    """The layers, from the lowest to the highest; each open while it is looked at."""
    with tarfile.open(archive) as image:
        for name in _manifest(image)["Layers"]:
            with tarfile.open(fileobj=image.extractfile(name)) as layer:
                yield layer


def files(archive: Path) -> dict[str, tarfile.TarInfo]:
    """All that a container sees, by path: what a higher layer has or removes hides what a lower one has."""
    seen: dict[str, tarfile.TarInfo] = {}
    for layer in layers(archive):
        for entry in layer:
            path = Path(entry.name)
            if path.name.startswith(WHITEOUT):
                gone = str(path.with_name(path.name.removeprefix(WHITEOUT)))
                seen = {name: kept for name, kept in seen.items() if name != gone and not name.startswith(f"{gone}/")}
            else:
                seen[str(path)] = entry
    return seen


def read(archive: Path, name: str) -> bytes:
    """One file, as the highest layer that has it."""
    bodies = [_read(layer, name) for layer in layers(archive) if name in layer.getnames()]
    if not bodies:
        raise BuildError(f"{archive.name} holds no {name}")
    return bodies[-1]


def _manifest(image: tarfile.TarFile) -> dict[str, Any]:
    (found,) = json.loads(_read(image, "manifest.json"))
    return dict(found)


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    try:
        body = tar.extractfile(name)
    except KeyError:  # of a link
        raise BuildError(f"{name} leads out of its layer: name the file that it leads to") from None
    if body is None:
        raise BuildError(f"{name} is no file")
    return body.read()


def main() -> int:
    """Print one file of one image, which is built if it is not there."""
    parser = argparse.ArgumentParser(prog="python -m images.contents", description=__doc__)
    parser.add_argument("image", choices=IMAGES)
    parser.add_argument("path", help="without the leading slash")
    options = parser.parse_args()
    try:
        sys.stdout.buffer.write(read(image_archive(options.image), options.path))
    except (BuildError, ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
