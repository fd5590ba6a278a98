"""The operator's image as it is built: what is in it, what is not, and that it runs without a place to write."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from images.build import image_archive, project_version
from images.contents import configuration, files, layers, read
from images.sbom import problems

pytestmark = pytest.mark.cluster
SBOM = "usr/share/sbom/embedding-operator.cdx.json"


@pytest.fixture(scope="module")
def archive() -> Path:
    return image_archive("operator")


@pytest.fixture(scope="module")
def root(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a container of it sees, unpacked."""
    directory = tmp_path_factory.mktemp("root")
    directory.chmod(0o755)
    for layer in layers(archive):
        layer.extractall(directory, numeric_owner=True, filter="fully_trusted")
    return directory


def run_read_only(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the image as its user, with nothing writable, no capability and no way to gain one."""
    inner = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec setpriv --no-new-privs "$@"'
    become = ["chroot", "--userspec=65532:65532", "--groups=", str(root)]
    environment = ["/usr/bin/env", "-i", "PYTHONSAFEPATH=1", "PYTHONDONTWRITEBYTECODE=1", "HOME=/nonexistent"]
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", inner, str(root), *become, *environment, *command],
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_says_what_it_is_and_from_what_it_was_made(archive: Path) -> None:
    config = configuration(archive)["config"]
    assert config["User"] == "65532:65532"
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in config["Labels"].items()}
    assert (labels["title"], labels["licenses"], labels["version"]) == (
        "embedding-operator",
        "Apache-2.0",
        project_version(),
    )
    assert labels["description"]
    assert labels["base.name"].endswith("debian:trixie-slim")
    assert re.fullmatch("sha256:[0-9a-f]{64}", labels["base.digest"])
    assert re.fullmatch("[0-9a-f]{40}|", labels["revision"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)|", labels["created"])
    assert {"source", "documentation"} < labels.keys()  # of whoever publishes it


def test_nothing_in_it_installs_packages_or_becomes_another_user(archive: Path) -> None:
    found = files(archive)
    assert [name for name, entry in found.items() if entry.isreg() and entry.mode & 0o6000] == []
    names = {"pip", "uv", "uvx", "ensurepip", "hatchling", "setuptools", "cyclonedx", "gcc", "cc"}
    assert [name for name in found if Path(name).name in names and not name.startswith("usr/share/")] == []
    assert [name for name in found if name.startswith(("opt/build/", "src/", "wheels"))] == []


def test_its_list_of_parts_is_complete_and_as_the_standard_has_it(archive: Path) -> None:
    text = read(archive, SBOM).decode()
    assert problems(text) == ""
    document = json.loads(text)
    described = document["metadata"]["component"]
    assert (described["name"], described["version"]) == ("embedding-operator", project_version())
    listed = {part["purl"].partition("?")[0] for part in document["components"] if "purl" in part}
    installed = {
        f"pkg:pypi/{re.sub('[-_.]+', '-', found[1]).lower()}@{found[2]}"
        for name in files(archive)
        if (found := re.fullmatch(r"opt/venv/.*/site-packages/([^/]+)-([^/-]+)\.dist-info/METADATA", name))
    }
    installed.discard(f"pkg:pypi/embedding-operator@{project_version()}")
    assert len(installed) > 20
    assert {part for part in listed if part.startswith("pkg:pypi/")} == installed
    status = read(archive, "var/lib/dpkg/status").decode()
    packages = set(
        re.findall(
            r"^Package: (\S+)\n(?:Essential: yes\n|Protected: yes\n)*Status: install ok installed$", status, flags=re.M
        )
    )
    assert {unquote(re.split("[/@]", part)[2]) for part in listed if part.startswith("pkg:deb/")} == packages
    assert "python3" in packages


def test_a_broken_list_of_parts_would_be_refused() -> None:
    assert "colour" in problems('{"bomFormat": "CycloneDX", "specVersion": "1.6", "colour": "red"}')


def test_it_runs_with_nothing_writable_as_a_user_without_a_name(root: Path) -> None:
    helped = run_read_only(root, "/opt/venv/bin/embedding-operator", "--help")
    assert helped.returncode == 0, helped.stderr
    assert "usage: embedding-operator" in helped.stdout
    wrote = run_read_only(root, "/usr/bin/touch", "/tmp/file")
    assert "Read-only file system" in wrote.stderr
    assert run_read_only(root, "/usr/bin/id", "-u").stdout == "65532\n"
    assert run_read_only(root, "/opt/venv/bin/python", "-m", "pip").returncode != 0


def test_what_most_releases_change_is_the_small_end_of_it(archive: Path) -> None:
    packages, product, parts = list(layer_sizes(archive))[-3:]
    assert product < 8e6 < packages
    assert parts < 1e6


def layer_sizes(archive: Path) -> Iterator[int]:
    for layer in layers(archive):
        yield sum(entry.size for entry in layer)
