"""The comparison finds every difference that a fault could leave, and none between two undisturbed runs."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.state import Object, differences, normalised, volume


def run(number: int) -> list[Object]:
    """A namespace as run `number` would have left it: all of chance differs."""
    uid = [f"{number}0000000-0000-0000-0000-00000000000{each}" for each in range(5)]
    time = f"2030-01-0{number}T00:00:00Z"

    def metadata(name: str, own: int, owner: tuple[str, str, int] | None = None, **more: Any) -> Object:
        made: Object = {"name": name, "uid": uid[own], "namespace": f"op-{number}", "creationTimestamp": time}
        if owner:
            made["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "uid": uid[owner[2]]}]
        return made | {"resourceVersion": str(number), "generation": 1} | more

    pods: list[Object] = [
        {
            "kind": "Pod",
            "metadata": metadata(
                f"qwen-6c7-{end}{number}", own, ("ReplicaSet", "qwen-6c7", 4), generateName="qwen-6c7-"
            ),
            "spec": {"nodeName": f"node-{number}", "containers": [{"image": "vllm"}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        }
        for own, end in ((1, "abc"), (2, "def"))
    ]
    service = {
        "kind": "EmbeddingService",
        "metadata": metadata("qwen", 0, generation=3),
        "spec": {"replicas": 2},
        "status": {
            "endpoint": f"http://qwen.op-{number}.svc:8000/v1",
            "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": time, "message": f"2 on {number} nodes"}
            ],
        },
    }
    replica_set = {
        "kind": "ReplicaSet",
        "metadata": metadata("qwen-6c7", 4, ("EmbeddingService", "qwen", 0)),
        "spec": {"replicas": 2},
        "status": {"replicas": 2, "readyReplicas": 2, "observedGeneration": number},
    }
    endpoints = {
        "kind": "EndpointSlice",
        "metadata": metadata(f"qwen-x{number}", 3, generateName="qwen-"),
        "endpoints": [
            {
                "addresses": [f"10.0.{number}.{own}"],
                "conditions": {"ready": True},
                "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]},
            }
            for own, pod in enumerate(pods)
        ],
    }
    return [service, *pods, replica_set, endpoints]


def found(change: Callable[[list[Object]], object]) -> list[str]:
    disturbed = run(2)
    change(disturbed)
    return differences(normalised(run(1), "op-1"), normalised(disturbed, "op-2"))


def test_two_undisturbed_runs_are_equal() -> None:
    assert found(lambda objects: None) == []


def test_the_order_of_objects_does_not_matter() -> None:
    assert found(lambda objects: objects.reverse()) == []


CHANGES: dict[str, Callable[[list[Object]], object]] = {
    "a spec": lambda o: o[0]["spec"].update(replicas=3),
    "a condition": lambda o: o[0]["status"]["conditions"][0].update(status="False"),
    "a message": lambda o: o[0]["status"]["conditions"][0].update(message="0 on 2 nodes"),
    "a generation of ours": lambda o: o[0]["metadata"].update(generation=4),
    "a label": lambda o: o[1]["metadata"].update(labels={"a": "b"}),
    "an annotation": lambda o: o[3]["metadata"].update(annotations={"a": "b"}),
    "a finalizer": lambda o: o[0]["metadata"].update(finalizers=["x"]),
    "an owner that is gone": lambda o: o[3]["metadata"]["ownerReferences"][0].update(
        uid="99999999-0000-0000-0000-000000000000"
    ),
    "no owner": lambda o: o[3]["metadata"].pop("ownerReferences"),
    "another image": lambda o: o[1]["spec"]["containers"][0].update(image="other"),
    "a pod that is not ready": lambda o: o[1]["status"]["conditions"][0].update(status="False"),
    "a pod that ends": lambda o: o[1]["metadata"].update(deletionTimestamp="2030-01-01T00:00:00Z"),
    "a pod that failed": lambda o: o[1]["status"].update(phase="Failed"),
    "a pod too many": lambda o: o.append(_another(o[1], "qwen-6c7-zzz")),
    "a pod too few": lambda o: o.pop(1),
    "a replica less": lambda o: o[3]["status"].update(readyReplicas=1),
    "an endpoint that is not ready": lambda o: o[4]["endpoints"][0]["conditions"].update(ready=False),
    "an endpoint too few": lambda o: o[4]["endpoints"].pop(),
    "an endpoint of a pod that is gone": lambda o: o[4]["endpoints"][0]["targetRef"].update(
        uid="99999999-0000-0000-0000-000000000000"
    ),
    "an object left over": lambda o: o.append({"kind": "Job", "metadata": {"name": "old", "uid": "u"}}),
    "an object missing": lambda o: o.pop(3),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_a_fault_could_leave_is_found(what: str) -> None:
    assert found(CHANGES[what])


def test_attempts_of_a_job_count_once_and_their_leftovers_do_not_hide_others() -> None:
    def ended(name: str, phase: str, image: str = "stager") -> Object:
        metadata = {"name": f"stage-{name}", "uid": f"uid-{name}", "generateName": "stage-"}
        return {"kind": "Pod", "metadata": metadata, "spec": {"image": image}, "status": {"phase": phase}}

    once = normalised([ended("a", "Succeeded")], "x")
    assert differences(once, normalised([ended("b", "Failed"), ended("c", "Succeeded")], "x")) == []
    assert differences(once, normalised([ended("b", "Failed", "other"), ended("c", "Succeeded")], "x"))
    assert differences(once, normalised([ended("b", "Running"), ended("c", "Succeeded")], "x"))


def test_files_are_compared_by_content_and_what_staging_left_is_named(tmp_path: Path) -> None:
    for name in ("one", "three"):
        published = tmp_path / name / "modelscope/a--b/c"
        published.mkdir(parents=True)
        (tmp_path / name / ".staging").mkdir()
        (published / "config.json").write_text("{}")
        (published / "manifest.json").write_text(json.dumps({"at": f"2030-01-01T00:00:{len(name)}0+00:00"}))
    assert differences(volume(tmp_path / "one"), volume(tmp_path / "three")) == []
    (tmp_path / "three/modelscope/a--b/c/config.json").write_text("[]")
    (tmp_path / "three/.staging/x").mkdir()
    told = differences(volume(tmp_path / "one"), volume(tmp_path / "three"))
    assert [line.partition(":")[0] for line in told] == ["left over", "file modelscope/a--b/c/config.json[0]"]


def _another(obj: Object, name: str) -> Object:
    copied = copy.deepcopy(obj)
    copied["metadata"] |= {"name": name, "uid": "another"}
    return copied
