"""What pods say about themselves, in words that stay the same while nothing changes."""

from typing import Any

import pytest

from embedding_operator.planning.pods import Trouble, last_message, serving_nodes, trouble
from tests.unit.planning import given

IMAGE = "example.com/vllm:v0.23.0"
NO_ANSWER = 'failed to pull and unpack image "example.com/vllm:v0.23.0": no answer'
ENDED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}


def waiting(reason: str, message: str | None = None, **container: Any) -> dict[str, Any]:
    state = {"reason": reason} | ({"message": message} if message else {})
    return {"state": {"waiting": state}, **container}


def told(container: dict[str, Any], *, where: str = "containerStatuses") -> tuple[str, str] | None:
    found = trouble([given.pod("p", ready=False, **{where: [container]})])
    return found and (str(found.reason), found.message)


@pytest.mark.parametrize(
    ("container", "reason", "message"),
    [
        (waiting("ErrImagePull", NO_ANSWER), "ImagePullFailed", f"pod p: {NO_ANSWER}"),
        (waiting("RegistryUnavailable", "no registry"), "ImagePullFailed", "pod p: no registry"),
        (waiting("ImagePullBackOff"), "ImagePullFailed", "pod p: ImagePullBackOff"),
        (waiting("InvalidImageName", "bad\nname"), "ImagePullFailed", "pod p: bad name"),
        (
            waiting("CreateContainerConfigError", 'secret "hub" not found'),
            "CrashLooping",
            'pod p cannot start: secret "hub" not found',
        ),
        (
            waiting("CrashLoopBackOff", "back-off 10s", lastState=ENDED),
            "CrashLooping",
            "pod p keeps ending: OOMKilled (exit code 137); see `kubectl logs p -p`",
        ),
        (
            waiting("CrashLoopBackOff", lastState={"terminated": {"exitCode": 1, "message": "no\nmemory"}}),
            "CrashLooping",
            "pod p keeps ending: no memory; see `kubectl logs p -p`",
        ),
    ],
)
def test_a_container_that_does_not_start_is_told_in_one_line(
    container: dict[str, Any], reason: str, message: str
) -> None:
    assert told(container) == (reason, message)


def test_pulling_and_backing_off_are_told_in_the_same_words() -> None:
    """A kubelet goes to and fro between them for ever; a status that followed would be written for ever."""
    back_off = waiting("ImagePullBackOff", f'Back-off pulling image "{IMAGE}": ErrImagePull: {NO_ANSWER}')
    assert told(back_off) == told(waiting("ErrImagePull", NO_ANSWER))


RUNNING = {"state": {"running": {}}, "lastState": ENDED, "started": False}


def test_a_container_that_tries_once_more_still_keeps_ending() -> None:
    """Else the status would go to and fro with every try, and tell half of the time that all is well."""
    back_off = waiting("CrashLoopBackOff", lastState=ENDED, started=False, restartCount=2)
    assert told(RUNNING | {"restartCount": 2}) == told(back_off)
    assert told({"state": ENDED, "lastState": ENDED, "started": False, "restartCount": 2}) == told(back_off)


@pytest.mark.parametrize(
    "container",
    [
        RUNNING | {"restartCount": 1},  # once is no habit
        RUNNING | {"restartCount": 9, "started": True},  # it came up
        {"state": {"running": {}}, "started": False, "restartCount": 0},
        {"state": {"terminated": {"exitCode": 0}}, "lastState": ENDED, "started": False, "restartCount": 2},
        waiting("ContainerCreating"),
        waiting("PodInitializing"),
        {},
    ],
)
def test_what_is_on_its_way_is_no_trouble(container: dict[str, Any]) -> None:
    assert told(container) is None


def test_an_init_container_that_somebody_put_in_is_told_too() -> None:
    found = told(waiting("ImagePullBackOff"), where="initContainerStatuses")
    assert found == ("ImagePullFailed", "pod p: ImagePullBackOff")


def test_a_pod_that_no_node_takes_is_told_in_the_schedulers_words() -> None:
    words = "0/2 nodes are available: 2 Insufficient huawei.com/Ascend910."
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words}
    assert trouble([given.pod("p", conditions=[unscheduled])]) == Trouble("Unschedulable", f"pod p: {words}")  # type: ignore[arg-type]


def test_the_first_pod_by_name_speaks_and_one_that_is_deleted_does_not() -> None:
    sick = {"containerStatuses": [waiting("ImagePullBackOff")]}
    pods = [given.pod(name, ready=False, **sick) for name in ("c", "b", "a")]
    pods[2]["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    found = trouble(pods)
    assert found is not None
    assert found.message == "pod b: ImagePullBackOff"


def test_somebody_elses_long_message_is_cut() -> None:
    found = told(waiting("ErrImagePull", "x" * 5000))
    assert found is not None
    assert len(found[1]) == len("pod p: ") + 600
    assert found[1].endswith("…")


def test_nodes_are_counted_once_and_only_while_their_pods_serve() -> None:
    pods = [given.pod("a", node="n1"), given.pod("b", node="n1"), given.pod("c", node="n2")]
    leaving, starting = given.pod("d", node="n3"), given.pod("e", node="n4", ready=False)
    leaving["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    assert serving_nodes([*pods, leaving, starting]) == 2


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"state": {"terminated": {"message": "now"}}, "lastState": {"terminated": {"message": "then"}}}, "now"),
        ({"state": {"running": {}}, "lastState": {"terminated": {"message": "then"}}}, "then"),
        ({"state": {"terminated": {"exitCode": 1}}}, None),
        ({}, None),
    ],
)
def test_the_last_words_are_those_of_the_last_end(container: dict[str, Any], message: str | None) -> None:
    assert last_message(given.pod("p", containerStatuses=[container])) == message
