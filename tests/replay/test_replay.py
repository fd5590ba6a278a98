"""A recorded run, shown to the operator in every way that an API server could show it; see replaying.py."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding_operator.kube.resources import ObjectKey
from tests.replay.effort import effort
from tests.replay.recording import happen_to
from tests.replay.replaying import (
    CHANCE,
    ENDS,
    HISTORY,
    Replay,
    any_prefix_in_any_order,
    any_share_of_the_news_lost,
    every_moment_of_it,
)
from tests.replay.telling import KINDS

TestReplay = Replay.TestCase
TestReplay.settings = effort(examples=20, steps=25)


@effort(examples=20)
@given(ENDS, CHANCE, st.floats(0, 0.5))
def test_any_prefix_in_any_order_between_objects_with_old_news_in_between(
    end: int, chance: random.Random, again: float
) -> None:
    any_prefix_in_any_order(end, chance, again)


@effort(examples=20)
@given(ENDS, CHANCE, st.floats(0, 1))
def test_whatever_share_of_the_news_is_lost_the_next_lists_heal_it(
    end: int, chance: random.Random, share: float
) -> None:
    any_share_of_the_news_lost(end, chance, share)


@pytest.mark.parametrize("seed", [2, 4])  # which tell of more defects than others do
def test_at_every_moment_whoever_would_decide_otherwise_is_in_the_queue(seed: int) -> None:
    every_moment_of_it(random.Random(seed))


def test_the_recording_holds_what_a_busy_run_is_made_of() -> None:
    """So that a recording made anew, and poorer, does not make the other tests easy."""
    shown: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for event in HISTORY:
        shown[event.key.kind].add(event.type)
    everything = {"ADDED", "MODIFIED", "DELETED"}
    unedited = {"ConfigMap", "ControllerRevision", "NetworkPolicy"}  # the first two are immutable
    unasked = {"HTTPRoute", "PodMonitor"}  # that cluster has none; to the loop they are as a NetworkPolicy is
    for kind in set(KINDS) - unedited - unasked - {"RuntimeProfile", "PersistentVolumeClaim"}:
        assert shown[kind] == everything, kind
    assert all(shown[kind] >= {"ADDED", "DELETED"} for kind in unedited)
    assert shown["RuntimeProfile"] == {"ADDED", "MODIFIED"}
    assert {event.watched for event in HISTORY if event.key.kind == "PersistentVolumeClaim"} == {True, False}
    assert _made_again("EmbeddingService")
    assert _made_again("ModelCache")
    assert _made_again("EmbeddingJob")
    assert len(happen_to({}, HISTORY)) > 10
    assert _reasons("ModelCache") >= {"ClaimNotFound", "Retrying", "NotFound", "Verified"}
    assert _reasons("EmbeddingService") >= {"CacheNotFound", "CacheStalled", "Suspended", "CrashLooping", "Serving"}
    phases = {"WaitingForWeights", "Splitting", "Embedding", "Finishing", "Completed"}
    assert _reasons("EmbeddingJob") >= phases | {"ServiceNotFound", "Suspended", "Retrying", "NoFiles"}
    turns = {"ServiceNotFound", "WaitingForService", "WaitingForTurn", "Measuring", "Measured"}
    assert _reasons("EmbeddingBenchmark") >= turns | {"Retrying", "BenchmarkFailed"}


def _made_again(kind: str) -> set[ObjectKey]:
    """Names that more than one object had."""
    uids: dict[ObjectKey, set[str]] = {}
    for event in HISTORY:
        uids.setdefault(event.key, set()).add(event.uid)
    return {key for key, known in uids.items() if key.kind == kind and len(known) > 1}


def _reasons(kind: str) -> set[str]:
    return {
        condition["reason"]
        for event in HISTORY
        if event.key.kind == kind
        for condition in (event.object.get("status") or {}).get("conditions") or ()
        if condition["type"] == "Ready"
    }
