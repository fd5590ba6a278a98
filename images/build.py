"""Builds the images that tests and demo load: `python -m images.build operator standins vllm-cpu`.

Prints the path of each archive on stdout, progress on stderr. An archive that is there is not built again.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from images import buildah, models
from images.cache import REPOSITORY, build_once, cache_directory, content_key, prune
from images.host import BuildError, run, say
from images.python import download_locked
from images.vllm_cpu import recipe
from tests.cluster.archive import write_image
from tests.cluster.binaries import ensure_binaries
from tests.cluster.errors import ClusterError
from tests.cluster.packages import leaves_out_nodes
from tests.cluster.sources import DEVICE_PLUGIN

DOCKER_RECIPE = (
    REPOSITORY / ".dockerignore",
    REPOSITORY / "images/debian.py",
    REPOSITORY / "images/buildah.py",
)


@dataclass(frozen=True)
class Image:
    """One image: what it is called, what it is made of, and how."""

    reference: str
    inputs: tuple[Path, ...]
    build: Callable[[Path], None]


def _dockerfile_image(reference: str, dockerfile: str, inputs: Sequence[str]) -> Image:
    def build(archive: Path) -> None:
        buildah.build_archive(
            dockerfile=REPOSITORY / dockerfile,
            context=REPOSITORY,
            reference=reference,
            arguments=build_arguments(),
            archive=archive,
        )

    paths = tuple(REPOSITORY / name for name in (dockerfile, *inputs))
    return Image(reference, (*paths, *DOCKER_RECIPE), build)


def _device_plugin_archive(archive: Path) -> None:
    program = ensure_binaries([DEVICE_PLUGIN])["ascend-device-plugin"]
    write_image(archive, DEVICE_PLUGIN_REFERENCE, {"device-plugin": program}, ["/device-plugin"])


def build_arguments() -> dict[str, str]:
    """What a Dockerfile is told of where it is built, for its labels; a mirror of the package index, if one is named.

    The time is the commit's: the same content is the same image, whenever it is built.
    """
    arguments = {"VERSION": project_version()}
    if index := os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL"):
        arguments["INDEX"] = index
    git = ["git", "-C", str(REPOSITORY)]
    with contextlib.suppress(BuildError, FileNotFoundError):  # sources without their history
        arguments["REVISION"], arguments["CREATED"] = run([*git, "log", "-1", "--format=%H %cI"]).split()
    return arguments


def project_version() -> str:
    """The version of pyproject.toml."""
    document = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    return str(document["project"]["version"])


DEVICE_PLUGIN_REFERENCE = "docker.io/embedding-operator/device-plugin:test"
IMAGES = {
    "operator": _dockerfile_image(
        "docker.io/embedding-operator/operator:test",
        "Dockerfile",
        (
            "requirements.lock",
            "images/requirements-build.lock",
            "images/sbom.py",
            "pyproject.toml",
            "README.md",
            "LICENSE",
            "crds",
            "operator/embedding_operator",
        ),
    ),
    "standins": _dockerfile_image(
        "docker.io/embedding-operator/standins:test",
        "tests/standins/Dockerfile",
        (
            "images/requirements-models.lock",
            "images/models.py",
            "tests/__init__.py",
            "tests/standins/__init__.py",
            "tests/standins/load.py",
            "tests/standins/modelhub",
            "tests/standins/vllm",
        ),
    ),
    "device-plugin": Image(
        DEVICE_PLUGIN_REFERENCE,
        (REPOSITORY / "tests/standins/device_plugin", REPOSITORY / "tests/cluster/archive.py"),
        _device_plugin_archive,
    ),
    "vllm-cpu": Image(recipe.REFERENCE, recipe.IMAGE_INPUTS, recipe.build_archive),
}


def image_archive(name: str) -> Path:
    """The docker-archive file of an image, built when this content was not built before."""
    image = IMAGES[name]
    directory = cache_directory() / "images"
    target = directory / f"{name}-{content_key(image.inputs, image.reference)}.tar"
    if not target.exists():
        build_once(target, image.build)
        say(f"{name}: {target.stat().st_size / 1e6:.0f} MB")
        prune(directory, f"{name}-*.tar")
    return target


def vllm_cpu_environment() -> Path:
    """A virtual environment with the real vLLM for CPU: start <it>/bin/vllm with recipe.SERVER_ENV."""
    return recipe.environment()


def minilm_model() -> Path:
    """The files of a small real model (models.MINILM) in a directory of this machine, in the hub's layout."""
    lock = REPOSITORY / "images/requirements-models.lock"
    target = cache_directory() / "models" / content_key([lock, REPOSITORY / "images/models.py"])

    def build(partial: Path) -> None:
        with tempfile.TemporaryDirectory() as directory:
            models.unpack_minilm(download_locked(lock, Path(directory)), partial)

    return build_once(target, build) / models.MINILM


def main() -> int:
    """Build the named images and print where they are."""
    parser = argparse.ArgumentParser(prog="python -m images.build", description=__doc__)
    parser.add_argument(
        "names", nargs="*", default=["operator", "standins"], metavar="NAME", help=f"{', '.join(IMAGES)}"
    )
    parser.add_argument("--for-tests", action="store_true", help="as an ordinary user build nothing, and say so")
    options = parser.parse_args()
    for name in options.names:
        if name not in IMAGES:
            parser.error(f"there is no image {name!r}: choose from {', '.join(IMAGES)}")
    try:
        if options.for_tests and leaves_out_nodes("building the images that nodes load"):
            say(f"left out, as you are not root: the images {', '.join(options.names)} (debootstrap, chroot)")
            return 0
        for name in options.names:
            print(image_archive(name), flush=True)
    except (BuildError, ClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
