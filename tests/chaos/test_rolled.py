"""The operator's Deployment is rolled, as an upgrade does it, while services are made and scaled."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import pytest

from tests.chaos.conftest import Undisturbed
from tests.chaos.faults import InstalledOperator
from tests.chaos.scene import Scene, report
from tests.cluster.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(1800)]

_POD = "authentication.kubernetes.io/pod-name"


class Write(NamedTuple):
    """One of a replica's, and whether it was of the Lease."""

    at: float
    pod: str
    is_lease: bool


def test_a_rolling_upgrade_of_the_operator_misses_nothing(
    scene: Scene, operator: InstalledOperator, undisturbed: Undisturbed
) -> None:
    since = max(write.at for write in writes(scene.cluster))
    other = Scene(scene.product)
    with scene.trickle() as trickle:
        operator.roll()
        other.serve()
        scene.scale(3)
        scene.until_serving(3)
        other.until_serving(2)
        operator.rolled()
        operator.roll()
        scene.scale(2)
        scene.until_serving(2)
        operator.rolled()
        scene.settles(undisturbed.scaled)
        other.settles(undisturbed.served)
        scene.answers_rightly(undisturbed.vectors)
    assert trickle.failed == 0, trickle.told()
    seen = [write for write in writes(scene.cluster) if write.at > since]
    handovers = list(gaps(seen))
    assert handovers
    assert is_one_after_the_other(seen)
    report("rolled", handovers=len(handovers), longest=f"{max(handovers):.2f} s", **trickle.told())


def writes(cluster: Cluster) -> list[Write]:
    """What the operator's pods wrote, by the audit log, in the order in which it came."""
    found = []
    for line in cluster.kubeconfig.with_name("audit.log").read_text().splitlines():
        entry = json.loads(line)
        pod = (entry["user"].get("extra") or {}).get(_POD, [""])[0]
        code = (entry.get("responseStatus") or {}).get("code", 0)
        if pod.startswith("embedding-operator-") and entry["verb"] not in ("get", "list", "watch") and code < 300:
            at = datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp()
            found.append(Write(at, pod, entry["objectRef"]["resource"] == "leases"))
    return sorted(found)


def gaps(seen: list[Write]) -> Iterator[float]:
    """How long nobody led, each time that the Lease went from one pod to another."""
    for before, after in itertools.pairwise(write for write in seen if write.is_lease):
        if before.pod != after.pod:
            yield after.at - before.at


def is_one_after_the_other(seen: list[Write]) -> bool:
    """Whether no pod wrote anything once another had the Lease."""
    return len([pod for pod, _ in itertools.groupby(write.pod for write in seen)]) == len({write.pod for write in seen})
