"""One table of vLLM releases: what it says is what was read of each release's own source."""

from typing import Any

import pytest

from embedding_operator.planning.releases import (
    RELEASES,
    VOCABULARY,
    Release,
    having,
    lacks,
    release_for,
    retag,
    version_of_image,
)
from tests.releases.read import recorded, versions

DIGEST = f"sha256:{'0' * 64}"
TOLD = {word for word in VOCABULARY if not word.startswith("load.") and word != "score-template"}


def read(release: Release) -> set[str]:
    """All words that a release was read to understand."""
    record: dict[str, Any] = recorded(str(release))
    fields = {f"{task}.{field}" for task, names in record["requestFields"].items() for field in names}
    return {*record["flags"], *(f"pooler.{key}" for key in record["poolerKeys"]), *fields}


def test_every_release_was_read_and_none_is_recorded_in_vain() -> None:
    assert sorted(versions()) == sorted(map(str, RELEASES))


@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_the_table_is_what_was_read_and_the_record_says_where(release: Release) -> None:
    assert release.words & TOLD == read(release) & TOLD
    assert f"{release}" in recorded(str(release))["origin"]


def test_releases_are_in_order_and_none_is_there_twice() -> None:
    numbers = [release.version for release in RELEASES]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    ("version", "word", "known"),
    [
        ("0.13.0", "load.prefetch", False),
        ("0.18.0", "load.prefetch", True),
        ("0.13.0", "pooler.normalize", True),
        ("0.18.0", "pooler.normalize", False),
        # between two releases, only what both know is certain
        ("0.14.1", "pooler.normalize", False),
        ("0.14.1", "pooler.use_activation", True),
        ("0.14.1", "--shutdown-timeout", False),
        ("0.40.0", "--shutdown-timeout", True),
    ],
)
def test_what_is_certain_of_a_version(version: str, word: str, known: bool) -> None:
    release = release_for(version)
    assert release is not None
    assert release.knows(word) is known


@pytest.mark.parametrize(
    ("version", "flag", "certain"),
    [
        ("0.13.0", "--task", True),
        ("0.13.0", "--shutdown-timeout", True),
        ("0.18.0rc1", "--shutdown-timeout", False),
        ("0.14.1", "--task", True),
        ("0.14.1", "--shutdown-timeout", False),  # it came somewhere on the way to 0.18
        ("0.14.1", "--swap-space", False),  # it went somewhere on the way to 0.18
        ("0.40.0", "--task", True),
        ("0.40.0", "--invented-in-a-fork", False),
        ("0.9.1", "--shutdown-timeout", True),
    ],
)
def test_only_what_a_version_certainly_lacks_is_called_lacking(version: str, flag: str, certain: bool) -> None:
    assert lacks(version, flag) is certain


def test_who_has_a_flag() -> None:
    assert [str(release) for release in having("--disable-frontend-multiprocessing")] == ["0.11.0", "0.13.0", "0.18.0"]


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("0.11.0", "0.11.0"),
        ("0.18.1", "0.18.0"),
        ("0.18", "0.18.0"),
        ("0.31.9rc1+cpu", "0.23.0"),
        ("0.32", "0.32.0"),
        ("9.0.0", "0.33.0"),
        ("0.10.2", None),
        ("main", None),
        ("", None),
    ],
)
def test_a_version_is_served_as_the_newest_release_that_is_not_newer(version: str, release: str | None) -> None:
    found = release_for(version)
    assert (str(found) if found else None) == release


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("quay.io/ascend/vllm-ascend:v0.23.0", "0.23.0"),
        ("quay.io/ascend/vllm-ascend:v0.23.0-a3", "0.23.0"),
        ("example.com/vllm:0.18.0rc1", "0.18.0"),
        ("example.com/vllm:cann8.5.0-py3.11-v0.23.0", "0.23.0"),
        (f"example.com/vllm:v0.23.0@{DIGEST}", "0.23.0"),
        (f"example.com/vllm-1.2.3@{DIGEST}", None),
        ("example.com:5000/vllm", None),
        ("example.com/vllm:main", None),
    ],
)
def test_a_tag_tells_the_version_of_vllm(image: str, version: str | None) -> None:
    assert version_of_image(image) == version


@pytest.mark.parametrize(
    ("image", "new"),
    [
        ("example.com:5000/a:v0.23.0-a3", "example.com:5000/a:v0.18.0-a3"),
        ("example.com/0.23.0/a:main", "example.com/0.23.0/a:main"),
        (f"example.com/a@{DIGEST}", f"example.com/a@{DIGEST}"),
        # another version, whose rest would stay
        ("example.com/a:v0.23.0rc1", "example.com/a:v0.23.0rc1"),
        ("example.com/a:v0.23.0.post1", "example.com/a:v0.23.0.post1"),
        ("example.com/a:v10.23.0", "example.com/a:v10.23.0"),
    ],
)
def test_another_version_replaces_that_of_the_tag_alone(image: str, new: str) -> None:
    assert retag(image, "0.23.0", "0.18.0") == new
