"""Which pods have waited too long, and when to look again."""

from datetime import UTC, datetime, timedelta
from typing import Any

from embedding_operator.controllers.stuck import stuck, until_stuck
from tests.unit.planning import given


def mounting(name: str, seconds: int) -> dict[str, Any]:
    since = (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": since}
    return given.pod(
        name, phase="Pending", conditions=[scheduled, {"type": "PodReadyToStartContainers", "status": "False"}]
    )


def test_only_a_pod_that_waited_for_longer_than_is_usual_is_stuck() -> None:
    pods = [mounting("old", 3600), mounting("new", 5), given.pod("serving")]
    assert stuck(pods) == {"old"}
    left = until_stuck(pods)
    assert left is not None
    assert 0 < left < 60


def test_a_pod_of_a_lost_node_is_stuck_when_it_should_have_been_gone_for_long() -> None:
    now, pods = datetime.now(UTC), []
    for name, seconds in (("lost", -100), ("draining", 100)):
        pods.append(given.pod(name))
        pods[-1]["metadata"]["deletionTimestamp"] = (now + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert stuck(pods) == {"lost"}
    assert until_stuck(pods) == 60


def test_where_nobody_waits_there_is_nothing_to_look_for() -> None:
    assert until_stuck([mounting("old", 3600), given.pod("serving")]) is None
    assert until_stuck([]) is None
