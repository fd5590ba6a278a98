"""What users do with jobs and benchmarks, whose names are those of services: a part of the loop in converging.py."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from embedding_operator.api import names
from embedding_operator.kube.resources import ObjectKey
from tests.replay.apiserver import ApiServer
from tests.replay.people import NAMES, benchmarks, jobs, new_object
from tests.replay.recording import Object

KINDS = st.sampled_from([names.EMBEDDING_JOB, names.EMBEDDING_BENCHMARK])
UNDER_WAY = frozenset({"Splitting", "Embedding", "Finishing", "Measuring", "Retrying"})


class Offline(RuleBasedStateMachine):
    """Rules alone: the world is whose part this is."""

    api: ApiServer

    @rule(name=st.sampled_from(NAMES), spec=jobs())
    def job_is_written(self, name: str, spec: Object) -> None:
        self._is_written(names.EMBEDDING_JOB, name, spec)

    @rule(name=st.sampled_from([*NAMES, "c"]), spec=benchmarks())
    def benchmark_is_written(self, name: str, spec: Object) -> None:
        self._is_written(names.EMBEDDING_BENCHMARK, name, spec)

    def _is_written(self, kind: str, name: str, spec: Object) -> None:
        key = ObjectKey(kind, "search", name)
        if key not in self.api.objects:  # they do not change
            self.api.create(new_object(key, spec=spec))

    @rule(name=st.sampled_from(NAMES), suspend=st.booleans(), parallelism=st.integers(1, 3))
    def job_is_changed(self, name: str, suspend: bool, parallelism: int) -> None:
        key = ObjectKey(names.EMBEDDING_JOB, "search", name)
        if key in self.api.objects:
            self.api.change(key, lambda obj: obj["spec"].update(suspend=suspend, parallelism=parallelism))

    @rule(kind=KINDS, name=st.sampled_from([*NAMES, "c"]), again=st.booleans())
    def job_or_benchmark_is_deleted(self, kind: str, name: str, again: bool) -> None:
        key = ObjectKey(kind, "search", name)
        if key in self.api.objects:
            spec = self.api.objects[key]["spec"]
            self.api.delete(key)
            if again:
                self.api.create(new_object(key, spec=spec))

    def assert_none_is_under_way(self) -> None:
        """At rest: they are over, suspended, or wait for what is not there."""
        for key, obj in self.api.objects.items():
            if key.kind in (names.EMBEDDING_JOB, names.EMBEDDING_BENCHMARK):
                told = {one["type"]: one["reason"] for one in obj["status"]["conditions"]}
                assert told["Ready"] not in UNDER_WAY, f"{key} stands still: {obj['status']}"
