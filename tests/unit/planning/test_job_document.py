"""The planner and the pods of a job are two programs with one contract: what one writes, the other reads.

Layers keep them from importing one another, so it is held here.
"""

import json
from typing import Any

import pytest

from embedding_operator.api.job import EmbeddingJob
from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.planning.jobdoc import PROGRESS_PORT, Served, document, key_of
from embedding_operator.planning.jobreport import Finish, Page, Split, Work, indexes, page_of, said_by
from tests.unit.planning.jobs import job

JsonObject = dict[str, Any]
SERVED = Served(served_name="qwen", digest="sha256:" + "ab" * 32, space="sha256:5")


def read(obj: JsonObject, served: Served = SERVED) -> JobSpec:
    parsed = EmbeddingJob.from_dict(obj)
    return JobSpec.model_validate_json(json.dumps(document(parsed, served, key_of(parsed, served))))


def test_the_pods_understand_what_they_are_told() -> None:
    told = read(job(shardBytes="64Mi", maxErrors="0.1%", truncate=True))
    assert (told.name, told.namespace, told.task) == ("wiki", "search", "Embed")
    assert (told.input.root, told.input.files, told.input.id_field) == ("/input", ["wiki/*.parquet"], "id")
    assert (told.output.root, told.output.format, told.output.dtype) == ("/output/wiki", "Parquet", "Float32")
    assert (told.shard_bytes, told.truncate, told.progress_port) == (64 * 2**20, True, PROGRESS_PORT)
    assert (told.max_errors.percent, told.max_errors.count) == (0.1, None)
    assert (told.model.served_name, told.model.digest, told.model.space) == ("qwen", SERVED.digest, SERVED.space)


@pytest.mark.parametrize(
    ("written", "count", "percent"),
    [(None, 0, None), (7, 7, None), ("7", 7, None), ("0.5%", None, 0.5), ("100%", None, 100)],
)
def test_bad_rows_are_a_number_or_a_share(written: Any, count: int | None, percent: float | None) -> None:
    told = read(job(maxErrors=written)).max_errors
    assert (told.count, told.percent) == (count, percent)


def test_a_job_that_says_all_that_can_be_said_is_understood() -> None:
    told = read(
        job(
            task="Rerank",
            input={
                "url": "s3://corpus/x",
                "endpoint": "http://s3:9000",
                "region": "r",
                "files": ["*.jsonl", "more/*"],
                "format": "JsonLines",
                "idField": "id",
                "queryField": "q",
                "documentField": "d",
                "imageField": "i",
            },
            output={
                "url": "s3://out",
                "endpoint": "http://s3:9000",
                "format": "Npy",
                "dtype": "Float16",
                "dimensions": 8,
            },
        )
    )
    assert (told.input.query_field, told.input.document_field, told.input.image_field) == ("q", "d", "i")
    assert (told.output.dimensions, told.output.dtype, told.output.format) == (8, "Float16", "Npy")


CHANGES: list[JsonObject] = [
    {"task": "Rerank"},
    {"instruction": "x"},
    {"truncate": True},
    {"shardBytes": "1Mi"},
    {"serving": {"maxModelLen": 512}},
    {"serving": {"pooling": {"type": "Mean"}}},
    {"serving": {"multimodal": {"maxPixels": 7}}},
    {"output": {"claimName": "vectors", "dimensions": 8}},
    {"output": {"claimName": "vectors", "dtype": "Float16"}},
    {"output": {"claimName": "vectors", "format": "Npy"}},
    {"input": job()["spec"]["input"] | {"textField": "body"}},
]


def key(obj: JsonObject, served: Served = SERVED) -> str:
    parsed = EmbeddingJob.from_dict(obj)
    instruction = parsed.spec.instruction
    return key_of(parsed, Served(**{**{f: getattr(served, f) for f in served.__slots__}, "instruction": instruction}))


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_what_decides_what_becomes_of_a_row_is_in_the_key(change: JsonObject) -> None:
    assert key(job(**change)) != key(job())


@pytest.mark.parametrize(
    "change",
    [
        {"parallelism": 7},
        {"maxErrors": 9},
        {"output": {"claimName": "vectors", "path": "elsewhere"}},
        {"input": job()["spec"]["input"] | {"files": ["all/*"], "claimName": "other"}},
        {"runtime": {"profile": "cpu"}},
        {"serving": {"maxBatchedTokens": 7, "maxSequences": 7}},
        {"ttlSecondsAfterFinished": 7},
    ],
    ids=str,
)
def test_what_does_not_is_not_so_that_finished_shards_are_used_again(change: JsonObject) -> None:
    assert key(job(**change)) == key(job())


def test_other_weights_make_another_key() -> None:
    assert key(job(), Served(served_name="qwen", digest="sha256:x")) != key(job(), Served("qwen", "sha256:y"))


@pytest.mark.parametrize(
    ("ranges", "found"),
    [(None, set()), ("", set()), ("0-2,7", {0, 1, 2, 7}), ("5", {5}), ("x-3,4", {4}), ("3-", {3}), ("9-1", set())],
)
def test_ranges_are_those_of_a_jobs_status(ranges: str | None, found: set[int]) -> None:
    assert indexes(ranges) == found


@pytest.mark.parametrize("message", ["", "{", "[]", '{"shards": "x"}', "[" * 100_000])
@pytest.mark.parametrize("kind", [Split, Work, Finish])
def test_a_message_that_cannot_be_read_is_as_good_as_none(message: str, kind: Any) -> None:
    state = {"terminated": {"exitCode": 0, "message": message}}
    pod = {"metadata": {"name": "x"}, "status": {"containerStatuses": [{"name": "driver", "state": state}]}}
    assert said_by(pod, kind) is None


def test_a_page_may_have_rates_that_are_no_whole_numbers() -> None:
    assert page_of({"rows": 5, "rowsPerSecond": 12.6, "file": "a"}) == Page(rows=5, rows_per_second=13)
