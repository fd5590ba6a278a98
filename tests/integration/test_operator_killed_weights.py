"""The operator killed after its calls while weights are staged, served, read again, mended, left and cleaned up."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import state
from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.installed import operator_of
from tests.integration.killing import dies, forget_who_led
from tests.integration.kinds import install_kinds
from tests.integration.operating import DIGEST, Namespace, end, until

MOST = 250  # calls that the life of one ModelCache could ever need
AT_ONCE = 25  # lives for one heir: what is over in each is removed by Kubernetes after ten minutes
STEP = 24  # calls in one life of an operator that gets on: its first lists and the Lease take half of them
PUBLISHED = {"digest": DIGEST, "path": "modelscope/Qwen--X/abc", "revision": "abc", "files": 3, "bytes": 100}
RESULTS: dict[str, tuple[dict[str, Any], int]] = {
    "model-scrub": ({"result": "Failed", "reason": "ChecksumMismatch", "message": "x: expected a, got b"}, 3),
    "model-mending": ({"result": "Staged", "digest": DIGEST, "path": PUBLISHED["path"], "mended": 1}, 0),
    "model-cleanup": ({"result": "Removed", "message": "it is removed"}, 0),
}
"""What each Job's pod leaves in its turn; there is no kubelet."""
_CLEANUP = re.compile(r"\bclean-modelscope-[a-z0-9.-]+-[0-9a-f]{8}\b")
_SIGNATURE = re.compile(r"\b[0-9a-f]{8}_op-[0-9a-f]{8}_[0-9a-f-]{36}\b")


@pytest.fixture
def expected(control_plane: ControlPlane, tmp_path: Path) -> state.State:
    """What is left after a life in which nobody was killed."""
    install_kinds(control_plane.kubectl)
    undisturbed = given(control_plane)
    with operator_of(control_plane, tmp_path, name="undisturbed"):
        until(lambda: goes_on(undisturbed) or is_over(undisturbed))
    left = state_of(control_plane, undisturbed)
    work = [
        name for name in left if name.startswith(("Job/", "Pod/", "ModelCache/", "Deployment/", "EmbeddingService/"))
    ]
    assert work == ["Job/CLEANUP", "Pod/CLEANUP-*"]
    return left


def test_killed_again_and_again_it_comes_to_the_same_end(control_plane: ControlPlane, expected: state.State) -> None:
    namespace = given(control_plane)
    kills = 0
    while dies(control_plane, namespace, calls=STEP, go_on=goes_on, is_over=is_over):
        kills += 1
        assert kills < 60, f"no headway: what its start asks leaves too few of {STEP} calls (19 kills are usual)"
        forget_who_led(namespace)
    assert kills > 3
    print(f"killed again and again in one life of a ModelCache: {kills} kills")
    assert state.differences(expected, state_of(control_plane, namespace)) == []


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_killed_after_each_of_its_calls_it_comes_to_the_same_end(
    control_plane: ControlPlane, expected: state.State, tmp_path: Path
) -> None:
    killed, is_done = 0, False
    while not is_done and killed < MOST:
        some: list[Namespace] = []
        while not is_done and len(some) < AT_ONCE:
            some.append(given(control_plane))
            is_done = not dies(control_plane, some[-1], calls=killed + len(some), go_on=goes_on, is_over=is_over)
        with operator_of(control_plane, tmp_path, name="heir") as heir:
            for calls, namespace in enumerate(some, start=killed + 1):
                until(lambda namespace=namespace: goes_on(namespace) or is_over(namespace))
                told = state.differences(expected, state_of(control_plane, namespace))
                assert not told, f"killed after call {calls}: {told}"
        assert "Traceback" not in heir.log.read_text()
        killed += len(some)
    assert is_done, "the operator comes to an end"
    assert killed > 60, "it makes more calls than that"
    print(f"killed after each of its calls in the life of a ModelCache: {killed - 1} kills")


def given(control_plane: ControlPlane) -> Namespace:
    namespace = Namespace(control_plane.kubectl)
    namespace.claim()
    namespace.service(cache={"claimName": "model-weights", "deletionPolicy": "Delete", "ttlAfterUnused": "1s"})
    return namespace


def goes_on(namespace: Namespace) -> bool:
    """Do what is next for everybody but the operator; gives False, so that `until` looks again."""
    for task, (message, code) in RESULTS.items():
        if any(pod["status"].get("phase") == "Pending" for pod in living(namespace, task)):
            end(namespace, task, message, code)
    caches, services = living_all(namespace, "modelcache"), namespace.items("emb")
    for cache in caches:
        name, status = cache["metadata"]["name"], cache.get("status") or {}
        if not status.get("digest") and namespace.items("job", "app.kubernetes.io/name=model-staging"):
            patch(namespace, name, {"status": PUBLISHED}, "--subresource=status")
        elif not cache["spec"].get("verify") and len(namespace.children()) == 5:
            patch(namespace, name, {"spec": {"verify": {"interval": "24h"}}})
        elif services and status.get("verifiedAt") and reason_of(cache) == "Verified":
            namespace.kubectl("delete", "emb", "qwen", "--wait=false")
    return False


def is_over(namespace: Namespace) -> bool:
    """Whether the service, its weights and all of theirs are gone, but for the Job that removed the files."""
    if namespace.items("emb") or namespace.items("modelcache"):
        return False
    jobs, pods = namespace.items("job"), namespace.items("pod")
    return (
        not namespace.children()
        and len(jobs) == len(pods) == 1
        and bool((jobs[0].get("status") or {}).get("succeeded"))
    )


def living(namespace: Namespace, task: str) -> list[dict[str, Any]]:
    return living_all(namespace, "pod", f"app.kubernetes.io/name={task}")


def living_all(namespace: Namespace, kind: str, selector: str = "") -> list[dict[str, Any]]:
    return [one for one in namespace.items(kind, selector) if not one["metadata"].get("deletionTimestamp")]


def reason_of(cache: dict[str, Any]) -> str:
    return next((c["reason"] for c in cache["status"].get("conditions") or () if c["type"] == "Ready"), "")


def patch(namespace: Namespace, cache: str, change: dict[str, Any], *options: str) -> None:
    try:
        namespace.kubectl("patch", "modelcache", cache, "--type=merge", "-p", json.dumps(change), *options)
    except ClusterError as error:
        if "not found" not in str(error):  # it went away in between
            raise


def state_of(control_plane: ControlPlane, namespace: Namespace) -> state.State:
    """Names and signatures that a uid went into are no two lives' own."""
    objects = json.dumps(state.read(control_plane.kubectl, namespace.name))
    told = _SIGNATURE.sub("SIGNATURE", _CLEANUP.sub("CLEANUP", objects))
    return state.normalised(json.loads(told), namespace.name)
