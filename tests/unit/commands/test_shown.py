"""Services and jobs are told of in the same words."""

from typing import Any

import pytest

from embedding_operator.commands.picture import Scene
from embedding_operator.commands.shown import model_of
from tests.unit.commands.test_status import job, service, shown


@pytest.mark.parametrize(
    ("model", "called"),
    [
        ({"source": {"modelScope": {"repo": "Qwen/Qwen3-Embedding-8B"}}}, "Qwen/Qwen3-Embedding-8B"),
        ({"source": {"s3": {"bucket": "models", "prefix": "bge"}}}, "models"),
        ({"source": {"path": {"path": "bge-m3"}}, "servedName": "embed"}, "embed"),
        ({"cacheRef": {"name": "bge"}, "servedName": "embed"}, "embed"),
        ({"cacheRef": {"name": "bge"}}, "cache bge"),
    ],
)
def test_a_model_is_called_as_people_call_it(model: dict[str, Any], called: str) -> None:
    assert model_of({"model": model}) == called
    of_job = job("a", "True", "Completed") | {"spec": {"model": model}}
    assert shown(Scene([], [], jobs=[of_job]))[1].endswith(f"  {called}")


def test_what_is_on_its_way_out_says_so() -> None:
    both = [service("a"), job("a", "True", "Completed")]
    for one in both:
        one["metadata"]["deletionTimestamp"] = "2026-03-04T11:58:00Z"
    assert shown(Scene(both[:1], [], jobs=both[1:])).count("  is being deleted") == 2
