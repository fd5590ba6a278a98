"""The whole loop in a world of its own: what users do and what goes wrong, in any order; then it must come to rest.

At rest, after all news were told: nothing is written any more, a restarted operator writes nothing either, and what
there is equals what an operator makes that finds the users' objects alone (with the revisions and the results of
staging, which are memory by design) and is disturbed by nobody. A service whose last revision somebody deleted while
its next one waits for weights keeps what it has: there is nothing to make it from, and nothing to replace it with.

The API server is a model (apiserver.py), because a real one cannot be stopped between any two events; operator,
client, applier and workers are the real ones. Strangers' objects and drift are in it; field managers are not.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from embedding_operator.kube.resources import ObjectKey
from tests.replay.apiserver import ApiServer
from tests.replay.gated import Request
from tests.replay.lastwords import DONE
from tests.replay.offline import Offline
from tests.replay.people import benchmarks, edit_label, edit_spec, jobs, new_object, remove_label, remove_mark, specs
from tests.replay.process import RESYNC, Process
from tests.replay.recording import Object
from tests.replay.resting import CHILDREN, plain, rest, settle, undisturbed
from tests.replay.surroundings import ENDS, steps
from tests.replay.telling import KINDS
from tests.unit.kube.timeless import TimelessLoop

NAMES = st.sampled_from(["a", "b"])
CLOCK = "embedding_operator.controllers.status.clock"
BEGINNING = datetime(2026, 12, 1, tzinfo=UTC)
CHANCE = st.integers(0, 2**32).map(random.Random)


class Converge(Offline):
    """Users, controllers, strangers, faults and the operator, one small step at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = TimelessLoop()
        self.clock = pytest.MonkeyPatch()  # with the machine's, a slow run of the same steps would be another one
        self.clock.setattr(CLOCK, lambda: BEGINNING + timedelta(seconds=self.loop.now))
        self.api = ApiServer()
        self.robbed: set[str] = set()  # services that had a revision taken from them

    @initialize(
        claim=st.sampled_from([True, True, False]), first=specs(), second=specs(), job=jobs(), load=benchmarks()
    )
    def start(self, claim: bool, first: Object, second: Object, job: Object, load: Object) -> None:
        if claim:
            self.claim_is_made()
        self.service_is_written("a", first)
        self.service_is_written("b", second)
        self.job_is_written("a", job)
        self.benchmark_is_written("a", load)
        self.benchmark_is_written("b", load)
        self.process = Process(self.loop, self.api)
        settle(self.process)
        self.process.wait(20.0)  # the lists that follow a start are over, and heal nothing any more
        settle(self.process)

    # ---- users

    @rule(name=NAMES, spec=specs())
    def service_is_written(self, name: str, spec: Object) -> None:
        key = ObjectKey("EmbeddingService", "search", name)
        if key in self.api.objects:
            self.api.change(key, lambda obj: obj.update(spec=spec))
        else:
            self.api.create(new_object(key, spec=spec))

    @rule(name=NAMES, replicas=st.integers(0, 3))
    def service_is_scaled(self, name: str, replicas: int) -> None:
        key = ObjectKey("EmbeddingService", "search", name)
        if key in self.api.objects:
            self.api.change(key, lambda obj: obj["spec"].update(replicas=replicas))

    @rule(name=NAMES, again=st.booleans())
    def service_is_deleted(self, name: str, again: bool) -> None:
        key = ObjectKey("EmbeddingService", "search", name)
        if key in self.api.objects:
            spec = self.api.objects[key]["spec"]
            self.api.delete(key)
            self.robbed.discard(name)
            if again:
                self.api.create(new_object(key, spec=spec))

    @rule()
    def claim_is_made(self) -> None:
        key = ObjectKey("PersistentVolumeClaim", "search", "weights")
        if key not in self.api.objects:
            self.api.create(new_object(key, "v1", spec={}))

    @rule(value=st.sampled_from(["1", "2"]))
    def profile_is_changed(self, value: str) -> None:
        key = ObjectKey("RuntimeProfile", "", "cpu")
        if key in self.api.objects:
            env = [{"name": "VLLM_CPU_KVCACHE_SPACE", "value": value}]
            self.api.change(key, lambda obj: obj["spec"]["pod"].update(env=env))

    # ---- people who meddle

    @rule(
        chance=CHANCE,
        kind=st.sampled_from([*sorted(CHILDREN), "ModelCache", "Job", "Pod", "ControllerRevision"]),
        at_rest=st.booleans(),
    )
    def child_is_deleted(self, chance: random.Random, kind: str, at_rest: bool) -> None:
        if at_rest:
            self.everything_settles()
        if keys := [key for key in self.api.objects if key.kind == kind]:
            self._child_is_deleted(chance.choice(keys))
        if at_rest:
            self.everything_settles()

    def _child_is_deleted(self, key: ObjectKey) -> None:
        if key.kind == "ControllerRevision":
            self.robbed.add(self.api.objects[key]["metadata"]["ownerReferences"][0]["name"])
        self.api.delete(key)

    @rule(chance=CHANCE, kind=st.sampled_from(["Deployment", "Service", "PodDisruptionBudget"]), at_rest=st.booleans())
    def child_is_edited(self, chance: random.Random, kind: str, at_rest: bool) -> None:
        if at_rest:
            self.everything_settles()
        if keys := [key for key in self.api.objects if key.kind == kind]:
            edits = [edit_spec, edit_label, remove_label]
            if kind != "PodDisruptionBudget":  # who takes our mark off one that is not wanted any more has it for good
                edits.append(remove_mark)
            edit = chance.choice(edits)
            self.api.change(chance.choice(keys), edit)
        if at_rest:
            self.everything_settles()

    @rule(name=NAMES)
    def stranger_has_the_name(self, name: str) -> None:
        key = ObjectKey("Service", "search", name)
        if key not in self.api.objects:
            self.api.create(new_object(key, "v1", spec={"ports": []}))

    @rule(name=NAMES)
    def stranger_goes(self, name: str) -> None:
        self._stranger_goes(name)

    def _stranger_goes(self, name: str) -> None:
        key = ObjectKey("Service", "search", name)
        if key in self.api.objects and "labels" not in self.api.objects[key]["metadata"]:
            self.api.delete(key)

    # ---- controllers and time

    @rule(chance=CHANCE, count=st.integers(1, 8), end=st.sampled_from([*ENDS, DONE, DONE]))
    def controllers_work(self, chance: random.Random, count: int, end: str) -> None:
        for _ in range(count):
            if todo := steps(self.api, end):
                chance.choice(todo)()

    @rule(full=st.booleans())
    def nodes_fill_up(self, full: bool) -> None:
        self.api.nodes_are_full = full

    @rule(seconds=st.sampled_from([0.5, 5.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.process.wait(seconds)

    # ---- the wire

    @precondition(lambda self: self.process.client.sent)
    @rule(chance=CHANCE, count=st.integers(1, 10))
    def requests_are_answered(self, chance: random.Random, count: int) -> None:
        for _ in range(count):
            if sent := self.process.client.sent:
                self.process.answer(chance.choice(sent))

    @precondition(lambda self: self.process.client.sent)
    @rule(chance=CHANCE)
    def server_acts_and_the_answer_is_slow(self, chance: random.Random) -> None:
        self._act(chance.choice(self.process.client.sent))

    @precondition(lambda self: self.process.client.sent)
    @rule(chance=CHANCE, acted=st.booleans(), status=st.sampled_from([0, 429, 500]))
    def request_fails(self, chance: random.Random, acted: bool, status: int) -> None:
        request = chance.choice(self.process.client.sent)
        if acted:
            self._act(request)
        self.process.fail(request, status)

    @precondition(lambda self: len(self.process.streams))
    @rule(chance=CHANCE, count=st.integers(1, 10), skip=st.integers(0, 2))
    def watches_tell(self, chance: random.Random, count: int, skip: int) -> None:
        for _ in range(count):
            if streams := [*self.process.streams]:
                self.process.tell(chance.choice(streams), skip)

    @rule(kind=st.sampled_from(KINDS))
    def watch_is_cut(self, kind: str) -> None:
        self.process.cut(kind)

    @rule()
    def everything_settles(self) -> None:
        """Then to look again at everything changes nothing: nobody has missed any news."""
        rest(self.process)
        if not self.process.deletions_lost:
            self.process.look_again()
            self._assert_silent("nobody was woken for this")

    @rule(chance=CHANCE)
    def operator_is_killed(self, chance: random.Random) -> None:
        """What it had sent may still be done."""
        for request in self.process.client.sent:
            if chance.random() < 0.5:
                self._act(request)
        self.process.die()
        self.process = Process(self.loop, self.api)

    def _act(self, request: Request) -> None:
        if request.answer is None:
            self.process.act(request)

    # ---- the end

    def teardown(self) -> None:
        try:
            if hasattr(self, "process"):
                self._end()
                self.process.die()
        finally:
            self.loop.close()
            self.clock.undo()

    def _end(self) -> None:
        """Strangers go first: what was made before they came stays, and a fresh operator would not make it."""
        self.api.nodes_are_full = False
        for name in ("a", "b"):
            self._stranger_goes(name)
        rest(self.process)
        if self.process.deletions_lost:
            self.process.wait(3 * RESYNC)
            settle(self.process)
        state = plain(self.api)
        self.assert_none_is_under_way()
        self._assert_silent("at rest")
        self.process.die()
        self.process = Process(self.loop, self.api)
        self._assert_silent("after a restart")
        assert plain(undisturbed(self.loop, self.api, self.robbed)) == state

    def _assert_silent(self, when: str) -> None:
        self.api.writes.clear()
        rest(self.process)
        assert self.api.writes == [], when
