"""Nothing that is done to a service on purpose costs a request, with two hundred of them in flight."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.chaos import busy
from tests.chaos.busy import Busy, Outcome, Over, undergo
from tests.e2e.product import Product

pytestmark = pytest.mark.cluster


def assert_nothing_was_lost(outcome: Outcome) -> None:
    print(outcome)
    assert outcome.told["requests"] > 4 * outcome.clients
    assert outcome.failed == 0, outcome


def test_without_a_free_device_two_replicas_are_replaced_one_by_one_and_no_request_is_lost(product: Product) -> None:
    service = Busy(product, replicas=2)
    service.leave_no_device_free()
    assert_nothing_was_lost(undergo(service, "flag", busy.another_flag))


CHANGES: dict[str, tuple[Callable[[Busy], Over], ...]] = {
    "spec": (busy.another_image, busy.another_flag, busy.other_weights),
    "kubectl": (busy.restart, busy.scale_up, busy.scale_down, busy.one_pod_deleted, busy.a_node_drained),
}


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", CHANGES)
def test_with_a_free_device_no_change_costs_a_request(product: Product, kind: str) -> None:
    service = Busy(product, replicas=2)
    for change in CHANGES[kind]:
        assert_nothing_was_lost(undergo(service, change.__name__, change))


@pytest.mark.long
def test_a_single_replica_beside_a_free_device_loses_nothing(product: Product) -> None:
    service = Busy(product, replicas=1)
    assert_nothing_was_lost(undergo(service, "flag", busy.another_flag))


@pytest.mark.long
def test_a_drain_that_is_cut_off_is_told_with_how_many_requests_it_left(product: Product) -> None:
    service = Busy(product, replicas=2, rollout={"drainTimeout": "4s"})
    outcome = undergo(service, "cut off", busy.one_pod_deleted)
    events = service.place.items("events.events.k8s.io")
    notes = [event["note"] for event in events if event["reason"] == "DrainCutOff"]
    print(outcome, notes)
    (told,) = [int(number) for note in notes for number in re.findall(r"with ([0-9]+) requests unanswered", note)]
    assert 0 < outcome.failed <= told, "some may have been answered in the last moment"


@pytest.mark.long
def test_a_server_that_is_killed_loses_what_it_had_in_flight_and_nothing_else(product: Product) -> None:
    service = Busy(product, replicas=2)
    held: list[int] = []

    def killed(service: Busy) -> Over:
        held.append(service.in_flight())
        return busy.a_server_killed(service)

    outcome = undergo(service, "killed", killed)
    print(outcome, held)
    errors = dict(outcome.told["errors"])
    # nothing was sent on a connection that was refused: any client may try that again
    refused = errors.pop("ConnectionRefusedError", 0)
    assert sum(errors.values()) + refused == outcome.failed
    assert 0 < sum(errors.values()) <= held[0] + outcome.clients / 10, "it may have been given some more meanwhile"
