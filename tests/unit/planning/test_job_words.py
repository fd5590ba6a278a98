"""What is said of a job names fields that jobs have, though it is found by what speaks of services."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from embedding_operator import batch
from embedding_operator.batch.errors import WORTH_ANOTHER_TRY
from embedding_operator.planning.crashes import CRASHES
from embedding_operator.planning.jobreport import Failure
from embedding_operator.planning.jobservice import in_words_of_job
from embedding_operator.planning.obstacles import PULLS, REJECTIONS, SCHEDULING, STARTS
from tests.unit.planning import given
from tests.unit.planning.jobs import Cluster, job
from tests.unit.test_crds import schema_of

TABLES = (SCHEDULING, PULLS, STARTS, REJECTIONS, CRASHES)
SPEC = schema_of("EmbeddingJob")["properties"]["spec"]


def exists(path: str) -> bool:
    """Whether a job's spec has such a field; what is below an object that takes anything is not looked at."""
    field: dict[str, Any] = SPEC
    for name in path.split("."):
        if "properties" not in field:
            return field["type"] == "object"
        if name not in field["properties"]:
            return False
        field = field["properties"][name]
    return True


def unknown(text: str) -> list[str]:
    """The fields that it names, and that no job has."""
    return [path for path in re.findall(r"\bspec\.([A-Za-z]+(?:\.[A-Za-z]+)*)", text) if not exists(path)]


@pytest.mark.parametrize("cause", [cause for table in TABLES for cause in table], ids=lambda cause: cause.name)
def test_a_cure_is_one_that_a_job_can_be_given(cause: Any) -> None:
    assert unknown(in_words_of_job(f"{cause.what}: {cause.cure}")) == []


def test_workers_that_find_no_device_are_cured_by_fewer_workers() -> None:
    cluster = Cluster(job())
    cluster.embed()
    words = "0/2 nodes are available: 2 Insufficient huawei.com/Ascend910."
    waits = [{"type": "PodScheduled", "status": "False", "message": words}]
    cluster.pod("embed", phase="Pending", index=0, conditions=waits)
    cluster.step(pages={})
    assert cluster.message().endswith("free some of huawei.com/Ascend910, add nodes, or lower spec.parallelism")


PAIRS: dict[str, Any] = {"type": "Ascend", "resourceName": "huawei.com/Ascend910", "allowedCounts": [2, 4]}


@pytest.mark.parametrize(
    ("spec", "profile", "words"),
    [
        ({}, {"accelerator": PAIRS}, "the number of devices of a worker is 1, but profile ascend-910b allows 2, 4"),
        (
            {"runtime": {"profile": "ascend-910b", "resources": {"limits": {"huawei.com/Ascend910": "2"}}}},
            {},
            "holds no second kind: remove it, for a worker has one",
        ),
    ],
)
def test_a_refusal_says_what_to_write_in_a_job(spec: dict[str, Any], profile: dict[str, Any], words: str) -> None:
    cluster = Cluster(job(**spec), profiles=given.profiles(**profile))
    cluster.step()
    assert words in cluster.message()
    assert unknown(cluster.message()) == []


DRIVER = [ast.parse(file.read_text()) for file in sorted(Path(batch.__file__).parent.glob("*.py"))]


def test_every_end_that_a_pod_may_tell_of_is_a_reason_of_its_own() -> None:
    """What cannot be mended by another try is not told as a defect of the operator's."""
    raised = {
        str(call.args[0].value)
        for tree in DRIVER
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "BatchError"
        if call.args and isinstance(call.args[0], ast.Constant)
    }
    assert {"BadInput", "InvalidSpec", "ModelChanged", "Refused"} <= raised
    assert {one for one in raised - WORTH_ANOTHER_TRY if Failure(one, "words").known_reason is None} == set()


def test_a_pod_names_fields_that_a_job_or_its_service_has() -> None:
    words = [str(one.value) for tree in DRIVER for one in ast.walk(tree) if isinstance(one, ast.Constant)]
    told = [word.replace("the service's spec.", "") for word in words if "spec." in word]
    assert any("spec.serving.promptFormat" in word for word in told)
    assert [path for word in told for path in unknown(word)] == []
