"""What pods say about themselves, in words that stay the same while nothing changes."""

from typing import Any

import pytest

from embedding_operator.planning.pods import Trouble, last_message, serving_nodes, trouble, waiting_since
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


# ---- of serving pods, whose ModelCache has a name

OUT_OF_MEMORY = """(APIServer pid=1) INFO 11-25 22:36:13 [api_utils.py:286] non-default args: {}
(EngineCore pid=118) ERROR 11-25 22:38:31 [core.py:1510] RuntimeError: NPU out of memory. Tried to allocate 3.47 GiB
(EngineCore pid=118) Process EngineCore:
RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
"""
UNKNOWN_TAIL = (
    "(APIServer pid=1) INFO 11-25 22:36:13 [api.py:2] line\n" * 20
    + """(APIServer pid=1) Traceback (most recent call last):
(EngineCore pid=118) ERROR 11-25 22:38:31 [core.py:1510] ValueError: There is no parameter named 'x' in BertModel
(APIServer pid=1) sys:1: ResourceWarning: unclosed
"""
)


def ended(message: str = "", code: int = 1, reason: str = "Error", **container: Any) -> dict[str, Any]:
    end = {"exitCode": code, "reason": reason} | ({"message": message} if message else {})
    return {"state": {"running": {}}, "lastState": {"terminated": end}, "started": False, "restartCount": 1} | container


def explained(container: dict[str, Any], **status: Any) -> tuple[str, str] | None:
    found = trouble([given.pod("p", ready=False, containerStatuses=[container], **status)], "weights")
    return found and (str(found.reason), found.message)


def test_the_cause_of_a_crash_is_found_in_the_logs_tail_and_told_in_words_that_stay_the_same() -> None:
    told = explained(ended(OUT_OF_MEMORY, restartCount=2))
    assert told is not None
    assert told[0] == "CrashLooping"
    assert told[1].startswith(
        "pod p keeps ending: the device has not enough memory (NPU out of memory. Tried to allocate 3.47 GiB): lower "
    )
    assert told[1].endswith("; see `kubectl logs p -p`")
    again = OUT_OF_MEMORY.replace("pid=118", "pid=99").replace("22:38", "22:43")
    assert explained(ended(again, restartCount=9)) == told


def test_of_a_tail_that_nobody_knows_the_last_exception_is_told_without_times() -> None:
    told = explained(ended(UNKNOWN_TAIL, restartCount=2))
    words = "ValueError: There is no parameter named 'x' in BertModel"
    assert told == ("CrashLooping", f"pod p keeps ending: {words}; see `kubectl logs p -p`")


@pytest.mark.parametrize(
    "words",
    [
        "embedding-operator probe: gave up after 1800 s: the request to /v1/embeddings got HTTP 500: x",
        "embedding-operator live: hung: 3 requests in flight, none completed for 301 s",
    ],
)
def test_what_the_kubelet_ended_for_its_probes_is_told_at_once_until_it_has_started(words: str) -> None:
    """Another try may take half an hour before it ends the same way."""
    told = explained(ended(words, code=143))
    assert told is not None
    assert told[0] == "ProbeFailed"
    assert words.partition(": ")[2] in told[1]
    assert explained(ended(words, code=143, started=True)) is None


def test_a_container_killed_for_its_memory_says_which_limit() -> None:
    told = explained(ended(reason="OOMKilled", code=137, restartCount=2))
    assert told is not None
    assert "limits.memory" in told[1]


def test_a_scheduler_that_names_several_things_is_answered_for_each() -> None:
    words = "0/3 nodes are available: 1 Insufficient huawei.com/Ascend910, 2 node(s) were unschedulable."
    pod = given.pod("p", conditions=[{"type": "PodScheduled", "status": "False", "message": words}])
    found = trouble([pod], "weights")
    assert found is not None
    assert found.message.startswith(f"pod p: {words[:-1]}; free some of huawei.com/Ascend910, add nodes")
    assert "kubectl uncordon" in found.message


def test_a_pod_that_its_node_sent_away_is_told_unless_another_has_trouble() -> None:
    words = "Pod was rejected: Allocate failed due to no healthy devices, which is unexpected"
    rejected = given.pod("a", ready=False, phase="Failed", reason="UnexpectedAdmissionError", message=words)
    found = trouble([rejected], "weights")
    assert found is not None
    assert found.reason == "PodsRefused"
    assert found.message.startswith("pod a ended on node n1: the node's device plugin did not give the pod its d")
    pulling = given.pod("b", ready=False, containerStatuses=[waiting("ImagePullBackOff")])
    assert trouble([rejected, pulling], "weights") == trouble([pulling], "weights")
    assert trouble([rejected]) is None  # a staging Job's pod


SCHEDULED = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}
MOUNTING = {"type": "PodReadyToStartContainers", "status": "False"}


def test_a_pod_whose_volumes_do_not_come_says_so_once_it_took_longer_than_is_usual() -> None:
    creating = {"containerStatuses": [waiting("ContainerCreating")]}
    pod = given.pod("p", phase="Pending", conditions=[SCHEDULED, MOUNTING], **creating)
    assert waiting_since(pod) == SCHEDULED["lastTransitionTime"]
    assert trouble([pod], "weights") is None
    found = trouble([pod], "weights", {"p"})
    assert found is not None
    assert found.reason == "VolumesNotMounted"
    assert "pod p waits on node n1 for its volumes" in found.message
    mounted = given.pod("p", phase="Pending", conditions=[SCHEDULED, MOUNTING | {"status": "True"}], **creating)
    assert waiting_since(mounted) is None  # it pulls the image, which may take its time


def test_a_pod_that_no_scheduler_looks_at_says_so() -> None:
    pod = given.pod("p", node=None, phase="Pending", conditions=[])
    pod["metadata"]["creationTimestamp"] = "2026-01-02T03:04:05Z"
    assert waiting_since(pod) == "2026-01-02T03:04:05Z"
    found = trouble([pod], "weights", {"p"})
    assert found is not None
    assert found.reason == "Unschedulable"
    assert "no scheduler has looked at pod p" in found.message
    seen = given.pod("p", node=None, phase="Pending", conditions=[{"type": "PodScheduled", "status": "False"}])
    assert waiting_since(seen) is None
