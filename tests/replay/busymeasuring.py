"""What users do with EmbeddingBenchmarks while the recording runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from embedding_operator.api import names
from tests.integration.kinds import benchmark
from tests.integration.operating import Namespace, until
from tests.replay.kubelet import Kubelet
from tests.replay.lastwords import LOST


def _measured_in_turns(search: Namespace, shop: Namespace, kubelet: Kubelet) -> None:
    """Two runs, figures that are lost, one that waits for its turn, and two that are deleted: waiting, and running."""
    kubelet.ends[_subject("table")] = [LOST]
    kubelet.held |= {_subject("table"), _subject("second")}
    _benchmark(search, "table", "qwen", sweep={"maxConcurrency": [1, 8]})
    until(lambda: _running(search, "table"))
    for name in ("second", "third", "fourth"):
        _benchmark(search, name, "qwen")
        until(_says(search, name, "WaitingForTurn"))
    search.kubectl("delete", "embbench", "third")
    kubelet.held.discard(_subject("table"))
    until(_says(search, "table", "Measured"))
    until(lambda: _running(search, "second"))
    search.kubectl("delete", "embbench", "second", "--wait=false")
    until(_says(search, "fourth", "Measured"))


def _measured_again(search: Namespace, shop: Namespace, kubelet: Kubelet) -> None:
    """One that fails until a person has mended it, and one whose service changes under it."""
    kubelet.ends[_subject("failing")] = ["BadRequest"]
    kubelet.held.add(_subject("disturbed"))
    _benchmark(search, "failing", "gte")
    until(_says(search, "failing", "BenchmarkFailed"))
    _benchmark(search, "disturbed", "gte")
    until(lambda: _running(search, "disturbed"))
    search.kubectl("delete", "job", "-l", f"{names.BENCHMARK_LABEL}=failing")
    until(_says(search, "failing", "WaitingForTurn"))
    search.service("gte", replicas=2)
    until(lambda: len(search.items("pod", f"{names.SERVICE_LABEL}=gte")) == 2)
    kubelet.held.discard(_subject("disturbed"))
    until(_says(search, "disturbed", "Measured"))
    until(_says(search, "failing", "Measured"))


def _measured_when_it_serves(search: Namespace, shop: Namespace, kubelet: Kubelet) -> None:
    _benchmark(shop, "awaiting", "sleeper")
    until(_says(shop, "awaiting", "ServiceNotFound"))
    shop.service("sleeper", replicas=2, suspend=True)
    until(_says(shop, "awaiting", "WaitingForService"))
    shop.service("sleeper", replicas=2, suspend=False)
    until(_says(shop, "awaiting", "Measured"))


MEASURED = (_measured_in_turns, _measured_again, _measured_when_it_serves)


def _subject(name: str) -> str:
    return f"{names.BENCHMARK_TASK}/{name}"


def _benchmark(namespace: Namespace, name: str, service: str, **spec: Any) -> None:
    namespace.apply(benchmark(serviceRef={"name": service}, **spec) | {"metadata": {"name": name}})


def _says(namespace: Namespace, name: str, reason: str) -> Callable[[], bool]:
    return lambda: bool(namespace.condition("embbench", name)["reason"] == reason)


def _running(namespace: Namespace, name: str) -> bool:
    pods = namespace.items("pod", f"{names.BENCHMARK_LABEL}={name}")
    return any((pod.get("status") or {}).get("phase") == "Running" for pod in pods)
