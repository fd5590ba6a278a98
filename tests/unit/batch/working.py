"""Jobs with a corpus for the double, and what must become of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.batch.records import write_shards
from embedding_operator.batch.work import Task
from tests.standins.vllm.model import Model

from .given import Volume
from .serving import QUICK, Double

ROWS = 300


def corpus(rows: int, first: int = 0, bad: tuple[int, ...] = ()) -> bytes:
    lines = [
        b"no JSON" if number in bad else json.dumps({"id": number, "text": f"text number {number}"}).encode()
        for number in range(first, first + rows)
    ]
    return b"".join(line + b"\n" for line in lines)


def given(volume: Volume, *, shard_bytes: int = 2000, **fields: Any) -> JobSpec:
    """A job whose input is cut into shards."""
    spec = volume.job(idField="id", shard_bytes=shard_bytes, output={"dimensions": None}, **fields)
    spec = spec.model_copy(update={"model": spec.model.model_copy(update={"served_name": "tiny"})})
    write_shards(spec, volume.shards(spec))
    return spec


def task(double: Double, **fields: Any) -> Task:
    return Task(**({"index": 0, "indexes": 1, "server": double.url, "patience": QUICK} | fields))


def written(volume: Volume) -> list[dict[str, Any]]:
    """All rows of the output, shard after shard."""
    files = sorted(place for place in volume.output.rglob("*.jsonl") if ".embedding-job" not in place.parts)
    return [json.loads(line) for place in files for line in place.read_text().splitlines()]


def assert_embedded(volume: Volume, double: Double, ids: list[int]) -> None:
    """Each row is there once, in its place, with the vector of its own text."""
    assert_vectors(volume, double.model, ids)


def assert_vectors(volume: Volume, model: Model, ids: list[int]) -> None:
    """The same, of a server with this model."""
    lines = written(volume)
    assert [line["id"] for line in lines] == ids
    for line in lines:
        expected = model.embed(model.tokenize(f"text number {line['id']}"))
        assert line["vector"] == pytest.approx(expected, abs=1e-6)
