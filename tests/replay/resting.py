"""What rest is: nothing is left to do, and all is as an operator makes it that nobody disturbs."""

from __future__ import annotations

import copy
from collections.abc import Set
from typing import Any

from embedding_operator.api.names import BENCHMARK_LABEL
from embedding_operator.kube.resources import Object, ObjectKey
from tests.replay.apiserver import ApiServer
from tests.replay.process import Process
from tests.replay.surroundings import steps
from tests.unit.kube.timeless import TimelessLoop

REVISION = "ControllerRevision"
CHILDREN = frozenset({"Deployment", "Service", "PodDisruptionBudget", "ConfigMap"})
BACKOFF = 400.0  # seconds: longer than the longest pause between two tries
POLLS = 12  # times in a row: those who look for a claim and for a stranger's end, in turns, leave no pause
OF_CHANCE = frozenset(
    {"uid", "resourceVersion", "generation", "creationTimestamp", "lastTransitionTime", "embedding-operator.io/applied"}
)


def settle(process: Process) -> None:
    """Everything is answered, told and done, until nothing is left to do; only little time passes."""
    version, waits = 0, 0
    for _ in range(2000):
        if sent := process.client.sent:
            process.answer(sent[0])
        elif streams := [*process.streams]:
            process.tell(streams[0])
        elif todo := steps(process.api):
            todo[0]()
        else:
            waits = waits + 1 if process.api.version == version else 0
            version = process.api.version
            if waits == POLLS:
                return
            process.wait(5.0)
            if process.api.version == version and not process.client.sent:
                return
    raise AssertionError(f"it never comes to rest: {process.api.writes[-6:]}")


def rest(process: Process) -> None:
    """Everything settles, and what would be tried again is tried again."""
    settle(process)
    process.wait(BACKOFF)
    settle(process)


def plain(api: ApiServer) -> dict[ObjectKey, Any]:
    """All objects, without what no two runs have in common."""
    state = {key: _without_chance(obj) for key, obj in sorted(api.objects.items(), key=lambda item: item[0])}
    for key in [key for key in state if key.kind == "Deployment"]:
        del state[key]["status"]["observedGeneration"]  # it counts edits
    kinds = {key.kind for key in state}
    for key in [key for key in state if key.kind == "ConfigMap" and kinds & {"EmbeddingService", "EmbeddingJob"}]:
        if not any(key.name in str(obj["data"]) for other, obj in state.items() if other.kind == REVISION):
            del state[key]  # kept for revisions to come as long as there is any service
    return state


def undisturbed(loop: TimelessLoop, disturbed: ApiServer, robbed: Set[str]) -> ApiServer:
    """Another world, in which an operator finds the users' objects, and makes all the rest.

    Of the services that were `robbed` of a revision, those that have none now keep what was made from it.
    """
    api = ApiServer()
    keeping = robbed - {_owner(obj).get("name") for key, obj in disturbed.objects.items() if key.kind == REVISION}
    api.version, api._uids = disturbed.version, disturbed._uids
    for key, obj in disturbed.objects.items():
        if not _is_child(obj) or (key.kind in CHILDREN and _owner(obj).get("name") in keeping):
            api.objects[key] = copy.deepcopy(obj)
            if key.kind == "EmbeddingService":
                api.objects[key].pop("status", None)
    process = Process(loop, api)
    rest(process)
    process.die()
    return api


def _without_chance(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: _without_chance(item) for name, item in value.items() if name not in OF_CHANCE}
        return {name: item for name, item in kept.items() if name != "annotations" or item}
    if isinstance(value, list):
        return [_without_chance(item) for item in value]
    return value


def _owner(obj: Object) -> Object:
    owners: list[Object] = obj["metadata"].get("ownerReferences") or [{}]
    return owners[0]


def _is_child(obj: Object) -> bool:
    """What the operator can make again from what users wrote."""
    metadata = obj["metadata"]
    if obj["kind"] == "Pod":
        return bool(_owner(obj)["kind"] == "Deployment")
    return obj["kind"] in CHILDREN and BENCHMARK_LABEL not in metadata.get("labels", {BENCHMARK_LABEL: ""})
