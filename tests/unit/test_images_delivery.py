"""Images go to kind and minikube by these programs' own commands, and to a registry under a name by content.

kind and minikube need Docker and cannot run on a test machine: programs of their names write down what they are told.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from images.delivery import Kind, Minikube, Registry, content_of, pushed_name
from images.host import BuildError

ARCHIVE = Path("/cache/images/operator-52d000b58333.tar")
REFERENCE = "docker.io/embedding-operator/operator:test"


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with a kind and a minikube that write their names and words to the returned file."""
    record = tmp_path / "told"
    for name in ("kind", "minikube"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {record}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return record


def test_kind_loads_the_archive_into_the_cluster_of_that_name(told: Path) -> None:
    way = Kind("dev")
    way.check()
    assert way.deliver(ARCHIVE, REFERENCE) == REFERENCE
    assert told.read_text() == f"kind load image-archive {ARCHIVE} --name dev\n"


def test_minikube_loads_the_archive_into_the_profile(told: Path) -> None:
    way = Minikube("second")
    way.check()
    assert way.deliver(ARCHIVE, REFERENCE) == REFERENCE
    assert told.read_text() == f"minikube image load {ARCHIVE} --profile second\n"


@pytest.mark.parametrize("way", [Kind("dev"), Minikube("dev")])
def test_a_program_that_is_missing_is_named_before_anything_is_built(
    way: Kind | Minikube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    name = type(way).__name__.lower()
    with pytest.raises(BuildError, match=f"^{name} is not on the PATH: .* or write REGISTRY=HOST/PREFIX$"):
        way.check()


def test_what_the_program_complains_of_is_passed_on(told: Path) -> None:
    (told.parent / "kind").write_text("#!/bin/sh\necho 'ERROR: no nodes found for cluster' >&2\nexit 1\n")
    with pytest.raises(BuildError, match=r"^kind load image-archive .*: ERROR: no nodes found for cluster$"):
        Kind("dev").deliver(ARCHIVE, REFERENCE)


def test_a_pushed_image_is_named_by_its_content_below_the_prefix() -> None:
    assert pushed_name("registry.example.com/team/", ARCHIVE, REFERENCE) == (
        "registry.example.com/team/operator:sha-52d000b58333"
    )


def test_a_hash_of_digits_only_is_still_no_number() -> None:
    assert content_of(Path("operator-123456789012.tar")) == "sha-123456789012"


@pytest.mark.parametrize("prefix", ["https://registry.example.com/team", "registry.example.com", "registry:5000/"])
def test_a_registry_without_a_prefix_or_with_a_scheme_is_refused(prefix: str) -> None:
    with pytest.raises(BuildError, match="write HOST/PREFIX without a scheme"):
        Registry(prefix).check()


@pytest.mark.parametrize("prefix", ["registry.example.com/team", "10.0.0.1:5000/x", "localhost:5000/a/b"])
def test_a_registry_with_a_prefix_will_do(prefix: str) -> None:
    Registry(prefix).check()
