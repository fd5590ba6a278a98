"""A model's family, by its name."""

import pytest

from embedding_operator.api.profile import Accelerator
from embedding_operator.api.source import ModelSource
from embedding_operator.planning.devices import chip_of
from embedding_operator.planning.families import family_of


@pytest.mark.parametrize(
    ("repo", "family"),
    [
        ("Qwen/Qwen3-VL-Embedding-8B", "Qwen3-VL-Embedding"),
        ("mirror/qwen3_vl_embedding_2b", "Qwen3-VL-Embedding"),
        ("Qwen/Qwen3-VL-Reranker-2B", "Qwen3-VL-Reranker"),
        ("Qwen/Qwen3-Embedding-0.6B", "Qwen3-Embedding"),
        ("Qwen/Qwen3-Reranker-4B", "Qwen3-Reranker"),
        ("BAAI/bge-m3", "BERT"),
        ("BAAI/bge-small-zh-v1.5", "BERT"),
        ("intfloat/multilingual-e5-large", "BERT"),
        ("intfloat/e5-mistral-7b-instruct", None),
        ("sentence-transformers/all-MiniLM-L6-v2", "BERT"),
        ("cross-encoder/ms-marco-MiniLM-L-6-v2", "BERT-Reranker"),
        ("BAAI/bge-reranker-v2-m3", "BERT-Reranker"),
        ("BAAI/bge-reranker-v2-gemma", None),
        ("BAAI/bge-multilingual-gemma2", None),
        ("acme/encoder", None),
    ],
)
def test_the_repository_tells_the_family(repo: str, family: str | None) -> None:
    found = family_of(ModelSource.from_dict({"modelScope": {"repo": repo}}), None)
    assert (found.name if found else None) == family


def test_the_served_name_tells_where_the_folder_does_not() -> None:
    source = ModelSource.from_dict({"path": {"path": "weights/v3"}})
    found = family_of(source, "Qwen3-VL-Embedding-8B")
    assert found is not None
    assert found.name == "Qwen3-VL-Embedding"
    assert family_of(source, "embed") is None


@pytest.mark.parametrize(
    ("chip", "resource", "known"),
    [
        ("910B", "huawei.com/Ascend910", "910B"),
        ("910B3", "huawei.com/Ascend910", "910B"),
        ("Ascend910C", "huawei.com/Ascend910", "A3"),
        ("310P3", "example.com/npu", "310P"),
        (None, "huawei.com/Ascend310P", "310P"),
        (None, "huawei.com/Ascend910B4", "910B"),
        (None, "huawei.com/Ascend910", ""),
        ("Ascend950PR", "huawei.com/npu", "950"),
        (None, None, ""),
    ],
)
def test_the_profile_tells_the_chip(chip: str | None, resource: str | None, known: str) -> None:
    assert chip_of(Accelerator("Ascend", chip, resource)) == known
