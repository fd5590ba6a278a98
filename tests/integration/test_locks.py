"""The locks hold on arm64, which most Ascend hosts are: each package has a wheel for it among the hashes.

Asks the package index, by uv, which wheels there are of what a lock names; nothing is downloaded.
"""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename
from uv import find_uv_bin

from images.cache import REPOSITORY
from images.host import certificate_bundle

PYTHONS = [(3, 11), (3, 12), (3, 13)]  # as pyproject.toml has them; the image's is the last
MACHINES = {"aarch64": "arm64", "x86_64": "amd64"}


def lines(lock: Path) -> Iterator[tuple[Requirement, set[str]]]:
    """What a lock asks for, and the hashes that it takes."""
    for block in re.findall(r"^[a-z0-9].*?(?=^[a-z0-9#]|\Z)", lock.read_text(), flags=re.M | re.S):
        yield Requirement(block.splitlines()[0].rstrip(" \\")), set(re.findall(r"sha256:([0-9a-f]{64})", block))


def wheels(lock: Path, directory: Path) -> dict[str, dict[str, set[Tag]]]:
    """The package index's wheels of each package of a lock: tags by hash."""
    found = directory / "pylock.toml"
    options = ["--universal", "--no-deps", "--python-version", "3.11", "--quiet", "--output-file", str(found)]
    command = [find_uv_bin(), "pip", "compile", *options, str(lock)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | mirror())
    assert done.returncode == 0, done.stderr
    packages: list[dict[str, Any]] = tomllib.loads(found.read_text())["packages"]
    return {package["name"]: dict(map(_tags, package.get("wheels", ()))) for package in packages}


def mirror() -> dict[str, str]:
    """What pip knows of the package index that this machine reaches, in uv's words."""
    known = {"UV_DEFAULT_INDEX": os.environ.get("PIP_INDEX_URL"), "SSL_CERT_FILE": certificate_bundle()}
    return {name: str(value) for name, value in known.items() if value and name not in os.environ}


def _tags(wheel: dict[str, Any]) -> tuple[str, set[Tag]]:
    name = wheel.get("name") or wheel["url"].rsplit("/", 1)[-1]
    return wheel["hashes"]["sha256"], set(parse_wheel_filename(name)[3])


def lacking(
    lock: Path, machine: str, python: tuple[int, int], glibc: int, known: dict[str, dict[str, set[Tag]]]
) -> list[str]:
    """The packages of a lock that such a machine cannot install from a wheel that the lock takes."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(glibc, 4, -1)]
    platforms += [f"{old}_{machine}" for old in ("manylinux2014", "manylinux2010", "manylinux1")]
    takes = {
        *cpython_tags(python, platforms=platforms),
        *compatible_tags(python, f"cp{python[0]}{python[1]}", platforms),
    }
    where = {
        "platform_machine": machine,
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "python_version": f"{python[0]}.{python[1]}",
        "python_full_version": f"{python[0]}.{python[1]}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    return [
        str(wanted)
        for wanted, hashes in lines(lock)
        if wanted.marker is None or wanted.marker.evaluate(where)
        if not any(takes & tags for digest, tags in known[wanted.name].items() if digest in hashes)
    ]


def test_every_package_of_the_operator_has_a_wheel_for_arm64_and_amd64(tmp_path: Path) -> None:
    lock = REPOSITORY / "requirements.lock"
    known = wheels(lock, tmp_path)
    assert len(known) > 20
    for python in PYTHONS:
        for machine in MACHINES:
            assert lacking(lock, machine, python, 28, known) == []


def test_a_lock_without_the_wheel_for_arm64_would_be_found(tmp_path: Path) -> None:
    lock = REPOSITORY / "requirements.lock"
    known = wheels(lock, tmp_path)
    for_arm = {digest for digest, tags in known["awscrt"].items() if any("aarch64" in tag.platform for tag in tags)}
    poor = tmp_path / "requirements.lock"
    poor.write_text("".join(line for line in lock.open() if not any(digest in line for digest in for_arm)))
    (missing,) = lacking(poor, "aarch64", (3, 13), 28, known)
    assert missing.startswith("awscrt==")
    assert lacking(poor, "x86_64", (3, 13), 28, known) == []


def test_what_builds_the_image_has_a_wheel_for_both_machines_too(tmp_path: Path) -> None:
    lock = REPOSITORY / "images/requirements-build.lock"
    known = wheels(lock, tmp_path)
    for machine in MACHINES:
        assert lacking(lock, machine, PYTHONS[-1], 28, known) == []


ASCEND = sorted((REPOSITORY / "images/ascend").glob("*/requirements.lock"))


@pytest.mark.parametrize("lock", ASCEND, ids=lambda path: path.parent.name)
def test_every_package_of_the_sets_for_ascend_has_a_wheel_for_both_machines(lock: Path, tmp_path: Path) -> None:
    known = wheels(lock, tmp_path)
    for machine in MACHINES:
        assert lacking(lock, machine, (3, 11), 34, known) == []
