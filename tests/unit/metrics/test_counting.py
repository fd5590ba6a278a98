"""Calls and the process, counted."""

import os
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from embedding_operator.metrics.calls import Calls
from embedding_operator.metrics.process import PROCESS, process
from embedding_operator.metrics.text import Metric


@pytest.mark.parametrize(
    ("status", "code", "failed"),
    [(200, "200", False), (404, "404", False), (409, "409", False), (429, "429", True), (503, "503", True)],
)
def test_a_call_is_counted_by_its_answer(status: int, code: str, failed: bool) -> None:
    calls = Calls(clock=lambda: 7.0)
    with calls.timed("apply", "deployments") as call:
        call.status = status
    assert calls.counts == {("apply", "deployments", code): 1}
    assert calls.seconds["apply"].count == 1
    assert (calls.unanswered_at == 7.0) is failed


@pytest.mark.parametrize("status", [429, 500])
def test_a_budget_that_is_against_an_eviction_is_an_answer(status: int) -> None:
    calls = Calls(clock=lambda: 7.0)
    with calls.timed("evict", "pods") as call:
        call.status = status
    assert calls.unanswered_at < 7.0


def test_a_call_without_an_answer_is_counted_as_such() -> None:
    calls = Calls(clock=lambda: 7.0)
    with pytest.raises(ConnectionError), calls.timed("get", "pods"):
        raise ConnectionError
    assert calls.counts == {("get", "pods", "none"): 1}
    assert calls.unanswered_at == 7.0


def measured() -> dict[Metric, float]:
    found: dict[Metric, float] = {}
    for metric, samples in process():
        ((_, value),) = samples
        assert isinstance(value, float | int)
        found[metric] = value
    return found


def test_a_process_tells_its_cpu_memory_files_and_start() -> None:
    before = measured()
    assert tuple(before) == PROCESS
    with ExitStack() as held:
        for _ in range(10):
            held.enter_context(Path("/dev/null").open())
        cpu, resident, virtual, opened, most, started = measured().values()
    assert opened == [*before.values()][3] + 10 < most
    assert 1e6 < resident < virtual
    assert abs(cpu - sum(os.times()[:2])) < 1
    assert 0 < started < time.time()


def test_nothing_is_told_where_there_is_no_proc(tmp_path: Path) -> None:
    assert list(process(tmp_path)) == []
