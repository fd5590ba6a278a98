"""The operator killed right after each of its API calls in turn: what a fresh one makes of it is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.chaos import state
from tests.cluster.controlplane import ControlPlane
from tests.installed import operator_of
from tests.integration.killing import dies
from tests.integration.kinds import install_kinds
from tests.integration.operating import STAGED, Namespace, until

A_WHILE = 240.0  # seconds: after one minute a pod that no scheduler has looked at is told
MOST = 150  # calls that one service could ever need
KINDS = "emb,modelcache,job,deployment,service,pdb,controllerrevision,configmap"
OWN = frozenset({"EmbeddingService", "ModelCache"})
MADE = OWN | {"Job", "Deployment", "Service", "PodDisruptionBudget", "ControllerRevision", "ConfigMap"}
VERIFIED = "Verified: 3 files, 100 B, every byte verified"
Object = dict[str, Any]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_killed_after_each_of_its_calls_it_ends_where_it_would_have_ended(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    install_kinds(control_plane.kubectl)
    with operator_of(control_plane, tmp_path):
        undisturbed = _given(control_plane)
        _stage_when_asked(undisturbed)
        until(lambda: _is_at_rest(undisturbed), A_WHILE)
        expected = _state(control_plane, undisturbed)
    killed: list[Namespace] = []
    while len(killed) < MOST:
        namespace = _given(control_plane)
        killed.append(namespace)
        if not dies(control_plane, namespace, calls=len(killed), go_on=_stage_if_asked, is_over=_is_settled):
            break
    assert 30 < len(killed) < MOST, "the operator makes more calls than that, and comes to an end"
    with operator_of(control_plane, tmp_path, name="heir") as heir:
        for namespace in killed:
            _stage_when_asked(namespace)
        for calls, namespace in enumerate(killed, start=1):
            until(lambda namespace=namespace: _is_at_rest(namespace), A_WHILE)
            told = state.differences(expected, _state(control_plane, namespace))
            assert not told, f"killed after call {calls}: {told}"
    assert "Traceback" not in heir.log.read_text()
    print(f"killed after each of its calls: {len(killed) - 1} kills")


def _given(control_plane: ControlPlane) -> Namespace:
    namespace = Namespace(control_plane.kubectl)
    namespace.claim()
    namespace.service()
    return namespace


def _stage_when_asked(namespace: Namespace) -> None:
    until(lambda: _stage_if_asked(namespace))


def _stage_if_asked(namespace: Namespace) -> bool:
    """Say that the weights are there, once their Job is; a Job without a node never says so itself."""
    objects = _objects(namespace)
    cache = next((obj for obj in objects if obj["kind"] == "ModelCache"), None)
    if cache is None or not any(obj["kind"] == "Job" for obj in objects):  # kinds are listed one after the other
        return False
    if not (cache.get("status") or {}).get("digest"):
        namespace.write_status("modelcache", cache["metadata"]["name"], STAGED)
    return True


def _is_settled(namespace: Namespace) -> bool:
    """Whether all is made, and there is no more to do."""
    return _says(namespace) == {"Starting: 0 of 2 replicas serving, 2 of the newest revision", VERIFIED}


def _is_at_rest(namespace: Namespace) -> bool:
    """Whether all is said, too: what it waits for in vain, as there is no scheduler."""
    words = {"Unschedulable: 0 of 2 replicas serving; no scheduler has looked at pod", VERIFIED}
    return {text.partition(" qwen-")[0] for text in _says(namespace)} == words


def _says(namespace: Namespace) -> set[str]:
    """What the service and its ModelCache say, once all kinds of objects are there."""
    objects = _objects(namespace)
    return {_ready(obj) for obj in objects if obj["kind"] in OWN} if {obj["kind"] for obj in objects} >= MADE else set()


def _ready(obj: Object) -> str:
    found = [c for c in (obj.get("status") or {}).get("conditions") or () if c["type"] == "Ready"]
    return f"{found[0]['reason']}: {found[0]['message']}" if found else ""


def _objects(namespace: Namespace) -> list[Object]:
    return [obj for obj in namespace.items(KINDS) if obj["metadata"]["name"] != "kube-root-ca.crt"]


def _state(control_plane: ControlPlane, namespace: Namespace) -> state.State:
    return state.normalised(state.read(control_plane.kubectl, namespace.name), namespace.name)
