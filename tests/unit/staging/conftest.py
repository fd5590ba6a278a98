"""A fresh hub with one model, and a fresh volume, for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from embedding_operator.staging.partial import PartialFile
from embedding_operator.staging.usage import ENDPOINT_VARIABLES, TOKEN_VARIABLES
from tests.cluster.certificates import Authority
from tests.standins.modelhub import ModelHub

from .kit import REPO, Volume, make_model


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in is on this machine; whatever proxy its user has is not asked."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in (*TOKEN_VARIABLES.values(), *ENDPOINT_VARIABLES.values()):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[ModelHub]:
    make_model(tmp_path / "hub" / REPO)
    with ModelHub(tmp_path / "hub") as running:
        yield running


@pytest.fixture
def volume(tmp_path: Path, hub: ModelHub) -> Volume:
    root = tmp_path / "volume"
    root.mkdir()
    return Volume(root=root, hub=hub, source=tmp_path / "hub" / REPO)


@pytest.fixture
def partial(tmp_path: Path) -> Iterator[PartialFile]:
    made = PartialFile(tmp_path / "partials" / "file.partial", tmp_path, 64 << 10)
    yield made
    made.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")
