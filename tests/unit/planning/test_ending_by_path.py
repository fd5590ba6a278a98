"""Whether weights that are to be removed are somebody else's by their path."""

from typing import Any

import pytest

from embedding_operator.api.modelcache import ModelCache
from embedding_operator.planning.ending import reads_files_of
from tests.unit.planning import given

PATH = "modelscope/Qwen--Qwen3-VL-Embedding-8B/9c3d"


@pytest.mark.parametrize(
    ("path", "storage", "reads"),
    [
        (PATH, {}, True),
        (f"{PATH}/sub", {}, True),
        ("modelscope", {}, True),
        ("Qwen--Qwen3-VL-Embedding-8B/9c3d", {"subPath": "modelscope"}, True),
        (f"{PATH}2", {}, False),
        ("modelscope/other", {}, False),
        (PATH, {"subPath": "models"}, False),
        (PATH, {"claimName": "another"}, False),
    ],
)
def test_who_reads_the_files_by_their_path(path: str, storage: dict[str, Any], reads: bool) -> None:
    by_path = given.cache().to_dict()
    by_path["spec"] = {"source": {"path": {"path": path}}, "storage": {"claimName": "model-weights"} | storage}
    assert reads_files_of(ModelCache.from_dict(by_path), given.cache()) is reads
    assert not reads_files_of(given.cache(), given.cache())
    assert not reads_files_of(ModelCache.from_dict(by_path), given.cache(staged=False))
