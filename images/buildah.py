"""Builds Dockerfiles and pushes images with Debian's buildah, in a store of its own inside the cache.

The Dockerfiles are ordinary: `docker build .` makes the same images. Only the base image is special here:
it is made by debootstrap under the name that the Dockerfiles use, because the machine may reach no registry.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from images.cache import cache_directory, content_key, locked
from images.debian import root_file_system
from images.host import BuildError, certificate_bundle, require_packages, require_root, run, say

BASE = "docker.io/library/debian:trixie-slim"
# chroot isolation asks little of the kernel, so that this also works inside a container
ENVIRONMENT = {"BUILDAH_ISOLATION": "chroot"}
# each changed build leaves about ten behind, most of them without a layer of their own
IMAGES_KEPT = 100


def build_archive(
    *, dockerfile: Path, context: Path, reference: str, arguments: Mapping[str, str], archive: Path
) -> None:
    """Build a Dockerfile and write the image as a docker-archive file."""
    require_root(f"building {reference}")
    require_packages({"buildah": "buildah"})
    store = cache_directory() / "buildah"
    with locked(store):
        _forget_old_builds(store)
        _ensure_base(store)
        say(f"building {reference} from {dockerfile.name} (about a minute when nothing is cached)")
        options: list[str | Path] = [
            "--pull-never",
            "--network",
            "host",
            "--layers",
            "--file",
            dockerfile,
            "--tag",
            reference,
        ]
        digest = _buildah(store, "inspect", "--type", "image", "--format", "{{.FromImageDigest}}", BASE).strip()
        for name, value in ({"BASE_DIGEST": digest} | dict(arguments)).items():
            options += ["--build-arg", f"{name}={value}"]
        _buildah(store, "bud", *options, *_certificates(), context)
        _buildah(store, "push", "--quiet", reference, f"docker-archive:{archive}:{reference}")


def push_archive(archive: Path, destination: str, *, plain_http: bool) -> None:
    """Push a docker-archive file to a registry, with the credentials of the person's own auth file."""
    require_packages({"buildah": "buildah"})
    store = cache_directory() / "buildah"
    with locked(store):
        image = _buildah(store, "pull", "--quiet", f"docker-archive:{archive}").split()[-1]
        verify = [] if not plain_http else ["--tls-verify=false"]
        _buildah(store, "push", "--quiet", *verify, image, f"docker://{destination}")


def _forget_old_builds(store: Path) -> None:
    """Empty the store now and then; the build after that takes a minute longer, and the disk stays usable."""
    if len(_buildah(store, "images", "--all", "--quiet").splitlines()) > IMAGES_KEPT:
        _buildah(store, "rmi", "--all", "--force")


def _ensure_base(store: Path) -> None:
    """Tag the debootstrap tree under the base image's public name, once per content."""
    root = root_file_system("trixie")
    tag = f"localhost/base:{content_key([], root.name)}"
    try:
        _buildah(store, "inspect", "--type", "image", tag)
    except BuildError:
        say("making the base image from the root file system")
        with tempfile.TemporaryDirectory() as directory:
            context = Path(directory)
            run(["tar", "--numeric-owner", "-C", root, "-cf", context / "root.tar", "."])
            (context / "Dockerfile").write_text('FROM scratch\nADD root.tar /\nCMD ["/bin/bash"]\n')
            _buildah(store, "bud", "--quiet", "--tag", tag, context)
    _buildah(store, "tag", tag, BASE)


def _certificates() -> list[str]:
    bundle = certificate_bundle()
    return ["--secret", f"id=certificates,src={bundle.resolve()}"] if bundle else []


def _buildah(store: Path, command: str, *arguments: str | Path) -> str:
    place: list[str | Path] = ["--root", store / "root", "--runroot", store / "run"]
    return run(["buildah", *place, command, *arguments], env=ENVIRONMENT)
