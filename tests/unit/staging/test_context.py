"""The context of a checkpoint is what vLLM would derive of its files, or less; what cannot be read is not known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.staging import context
from embedding_operator.staging.context import context_length
from embedding_operator.staging.main import main_stage
from embedding_operator.staging.settings import Settings

from .kit import QUICK


@pytest.mark.parametrize(
    ("files", "length"),
    [
        ({}, None),
        ({"config.json": {"architectures": ["X"]}}, None),
        ({"config.json": {"max_position_embeddings": 40960}}, 40960),
        ({"config.json": {"max_position_embeddings": 8192, "max_sequence_length": 2048}}, 2048),
        ({"config.json": {"text_config": {"max_position_embeddings": 262144}, "vision_config": {}}}, 262144),
        ({"config.json": {"max_position_embeddings": 1, "text_config": {"max_position_embeddings": 4096}}}, 4096),
        ({"config.json": {"max_position_embeddings": 512}, "sentence_bert_config.json": {"max_seq_length": 256}}, 256),
        ({"config.json": {"max_position_embeddings": 512}, "sentence_bert_config.json": {"max_seq_length": None}}, 512),
        (
            {
                "config.json": {"max_position_embeddings": 514, "position_embedding_type": "absolute"},
                "tokenizer_config.json": {"model_max_length": 512},
            },
            512,
        ),
        (
            {
                "config.json": {"max_position_embeddings": 514, "position_embedding_type": "absolute"},
                "tokenizer_config.json": {"model_max_length": 10**30},
            },
            514,
        ),
        (
            {"config.json": {"max_position_embeddings": 32768}, "tokenizer_config.json": {"model_max_length": 8192}},
            32768,
        ),
        ({"config.json": {"max_position_embeddings": "8192"}}, None),
        ({"config.json": {"max_position_embeddings": True}}, None),
        ({"config.json": {"max_position_embeddings": -1, "text_config": None}}, None),
        ({"config.json": [1]}, None),
    ],
)
def test_the_smallest_limit_is_taken(tmp_path: Path, files: dict[str, Any], length: int | None) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert context_length(tmp_path) == length


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"\xff", b'{"max_position_embeddings": 1e400}'])
def test_a_file_that_makes_no_sense_is_no_failure(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    assert context_length(tmp_path) is None


def test_a_file_of_any_size_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 512}')
    monkeypatch.setattr(context, "MAX_BYTES", 10)
    assert context_length(tmp_path) is None


def test_a_directory_in_its_place_is_none(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    assert context_length(tmp_path) is None


def test_the_result_of_a_staging_run_tells_it(tmp_path: Path) -> None:
    model = tmp_path / "root" / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text('{"max_position_embeddings": 512}')
    log = tmp_path / "log"
    spec = {"root": str(tmp_path / "root"), "source": {"path": {"path": "model"}}}
    assert main_stage(json.dumps(spec), {"TERMINATION_LOG": str(log)}, Settings(**QUICK)) == 0
    assert json.loads(log.read_text())["context"] == 512
