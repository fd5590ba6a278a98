"""The whole loop in a world of its own: what users do and what goes wrong, in any order; then it must come to rest.

At rest, after all news were told: nothing is written any more, a restarted operator writes nothing either, and what
there is equals what an operator makes that finds the users' objects alone (with the revisions and the results of
staging, which are memory by design) and is disturbed by nobody.

The API server is a model (apiserver.py), because a real one cannot be stopped between any two events; operator,
client, applier and workers are the real ones. Strangers' objects and drift are in it; field managers are not.
"""

from __future__ import annotations

import copy
import random
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from embedding_operator.kube.resources import ObjectKey, key_of
from tests.replay.apiserver import ApiServer
from tests.replay.process import RESYNC, Process, Request
from tests.replay.recording import Object
from tests.replay.surroundings import ENDS, steps
from tests.replay.telling import KINDS
from tests.unit.kube.timeless import TimelessLoop

NAMES = st.sampled_from(["a", "b"])
CHANCE = st.integers(0, 2**32).map(random.Random)
REPOS = ("org/one", "org/two")
CHILDREN = frozenset({"Deployment", "Service", "PodDisruptionBudget", "ConfigMap"})
BACKOFF = 400.0  # seconds: longer than the longest pause between two tries
OF_CHANCE = frozenset(
    {"uid", "resourceVersion", "generation", "creationTimestamp", "lastTransitionTime", "embedding-operator.io/applied"}
)


def specs() -> st.SearchStrategy[Object]:
    """What users write."""
    return st.builds(
        _spec,
        repo=st.sampled_from(REPOS),
        replicas=st.integers(0, 3),
        length=st.sampled_from([None, 1024, 2048]),
        made_claim=st.booleans(),
        suspend=st.booleans(),
        profile=st.sampled_from(["cpu", "cpu", "cpu", "none-such"]),
    )


def _spec(repo: str, replicas: int, length: int | None, made_claim: bool, suspend: bool, profile: str) -> Object:
    spec: Object = {
        "model": {"source": {"modelScope": {"repo": repo, "revision": "master"}}},
        "cache": {"claimTemplate": {"size": "1Gi"}} if made_claim else {"claimName": "weights"},
        "runtime": {"profile": profile},
        "replicas": replicas,
    }
    return spec | ({"serving": {"maxModelLen": length}} if length else {}) | ({"suspend": True} if suspend else {})


class Converge(RuleBasedStateMachine):
    """Users, controllers, strangers, faults and the operator, one small step at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = TimelessLoop()
        self.api = ApiServer()

    @initialize(claim=st.sampled_from([True, True, False]), first=specs(), second=specs())
    def start(self, claim: bool, first: Object, second: Object) -> None:
        if claim:
            self.claim_is_made()
        self.service_is_written("a", first)
        self.service_is_written("b", second)
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
            self.api.create(_object(key, spec=spec))

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
            if again:
                self.api.create(_object(key, spec=spec))

    @rule()
    def claim_is_made(self) -> None:
        key = ObjectKey("PersistentVolumeClaim", "search", "weights")
        if key not in self.api.objects:
            self.api.create(_object(key, "v1", spec={}))

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
            self.api.delete(chance.choice(keys))
        if at_rest:
            self.everything_settles()

    @rule(chance=CHANCE, kind=st.sampled_from(["Deployment", "Service", "PodDisruptionBudget"]), at_rest=st.booleans())
    def child_is_edited(self, chance: random.Random, kind: str, at_rest: bool) -> None:
        if at_rest:
            self.everything_settles()
        if keys := [key for key in self.api.objects if key.kind == kind]:
            edits = [_edit_spec, _edit_label, _remove_label]
            if kind != "PodDisruptionBudget":  # who takes our mark off one that is not wanted any more has it for good
                edits.append(_remove_mark)
            edit = chance.choice(edits)
            self.api.change(chance.choice(keys), edit)
        if at_rest:
            self.everything_settles()

    @rule(name=NAMES)
    def stranger_has_the_name(self, name: str) -> None:
        key = ObjectKey("Service", "search", name)
        if key not in self.api.objects:
            self.api.create(_object(key, "v1", spec={"ports": []}))

    @rule(name=NAMES)
    def stranger_goes(self, name: str) -> None:
        self._stranger_goes(name)

    def _stranger_goes(self, name: str) -> None:
        key = ObjectKey("Service", "search", name)
        if key in self.api.objects and "labels" not in self.api.objects[key]["metadata"]:
            self.api.delete(key)

    # ---- controllers and time

    @rule(chance=CHANCE, count=st.integers(1, 8), end=st.sampled_from([*ENDS, "Staged", "Staged"]))
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
        settle(self.process)
        self.process.wait(BACKOFF)
        settle(self.process)
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
        if hasattr(self, "process"):
            self._end()
            self.process.die()
        self.loop.close()

    def _end(self) -> None:
        """Strangers go first: what was made before they came stays, and a fresh operator would not make it."""
        self.api.nodes_are_full = False
        for name in ("a", "b"):
            self._stranger_goes(name)
        settle(self.process)
        self.process.wait(BACKOFF)
        settle(self.process)
        if self.process.deletions_lost:
            self.process.wait(3 * RESYNC)
            settle(self.process)
        state = plain(self.api)
        self._assert_silent("at rest")
        self.process.die()
        self.process = Process(self.loop, self.api)
        self._assert_silent("after a restart")
        assert plain(self._undisturbed()) == state

    def _assert_silent(self, when: str) -> None:
        self.api.writes.clear()
        settle(self.process)
        self.process.wait(BACKOFF)
        settle(self.process)
        assert self.api.writes == [], when

    def _undisturbed(self) -> ApiServer:
        """Another world, in which an operator finds the users' objects, and makes all the rest."""
        api = ApiServer()
        api.version, api._uids = self.api.version, self.api._uids
        for key, obj in self.api.objects.items():
            if not _is_child(obj):
                api.objects[key] = copy.deepcopy(obj)
                if key.kind == "EmbeddingService":
                    api.objects[key].pop("status", None)
        process = Process(self.loop, api)
        settle(process)
        process.wait(BACKOFF)
        settle(process)
        process.die()
        return api


def settle(process: Process) -> None:
    """Everything is answered, told and done, until nothing is left to do; only little time passes."""
    for _ in range(2000):
        if sent := process.client.sent:
            process.answer(sent[0])
        elif streams := [*process.streams]:
            process.tell(streams[0])
        elif todo := steps(process.api):
            todo[0]()
        else:
            version = process.api.version
            process.wait(5.0)
            if process.api.version == version and not process.client.sent:
                return
    raise AssertionError(f"it never comes to rest: {process.api.writes[-6:]}")


def plain(api: ApiServer) -> dict[ObjectKey, Any]:
    """All objects, without what no two runs have in common."""
    state = {key: _without_chance(obj) for key, obj in sorted(api.objects.items(), key=lambda item: item[0])}
    for key in [key for key in state if key.kind == "Deployment"]:
        del state[key]["status"]["observedGeneration"]  # it counts edits
    kinds = {key.kind for key in state}
    for key in [key for key in state if key.kind == "ConfigMap" and "EmbeddingService" in kinds]:
        if not any(key.name in str(obj["data"]) for other, obj in state.items() if other.kind == "ControllerRevision"):
            del state[key]  # kept for revisions to come as long as there is any service
    return state


def _without_chance(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: _without_chance(item) for name, item in value.items() if name not in OF_CHANCE}
        return {name: item for name, item in kept.items() if name != "annotations" or item}
    if isinstance(value, list):
        return [_without_chance(item) for item in value]
    return value


def _is_child(obj: Object) -> bool:
    """What the operator can make again from what users wrote."""
    metadata = obj["metadata"]
    if obj["kind"] == "Pod":
        return bool(metadata["ownerReferences"][0]["kind"] == "Deployment")
    return obj["kind"] in CHILDREN and "labels" in metadata


def _object(key: ObjectKey, version: str = "embedding-operator.io/v1alpha1", **fields: Any) -> Object:
    metadata = {"name": key.name, "namespace": key.namespace}
    made = {"apiVersion": version, "kind": key.kind, "metadata": metadata, **copy.deepcopy(fields)}
    assert key_of(made) == key
    return made


def _edit_spec(obj: Object) -> None:
    spec = obj["spec"]
    if "replicas" in spec:
        spec["replicas"] += 1
    elif spec.get("ports"):
        spec["ports"][0]["port"] += 1
    elif "maxUnavailable" in spec:
        spec["maxUnavailable"] = 2


def _edit_label(obj: Object) -> None:
    if "labels" in obj["metadata"]:
        obj["metadata"]["labels"]["app.kubernetes.io/name"] = "other"


def _remove_label(obj: Object) -> None:
    obj["metadata"].get("labels", {}).pop("embedding-operator.io/service", None)


def _remove_mark(obj: Object) -> None:
    obj["metadata"].get("labels", {}).pop("app.kubernetes.io/managed-by", None)
