"""The vectors of the first pod are recorded, and a later one that gives others stops the rollout."""

import json
from typing import Any

import pytest

from embedding_operator.planning.plan import Plan
from embedding_operator.planning.revision import Revision
from embedding_operator.planning.space import Measured
from embedding_operator.planning.vectors import Record, compare, read
from tests.unit.planning import given

JsonObject = dict[str, Any]
OTHER = Record({"short": {"vector": "zTjNOA==", "length": 1.0}})  # (0.6, 0.6)
ACCEPT = "embedding-operator.io/accept-embedding-space"


def rolled(*specs: JsonObject) -> list[Revision]:
    """The revisions of specs that came one after the other."""
    revisions: list[Revision] = []
    for spec in specs:
        seen = given.seen(cache=given.cache(), revisions=revisions)
        new = given.stored(given.plan(given.service(**spec), seen))
        revisions = [*(old for old in revisions if old.name != new[0].name), *new]
    return revisions


def space_of(revision: Revision) -> str:
    return str(revision.template["metadata"]["annotations"]["embedding-operator.io/embedding-space"])


def pod_of(revision: Revision, name: str, *, ready: bool = True) -> JsonObject:
    made = given.pod(name, ready=ready)
    annotations = revision.template["metadata"]["annotations"]
    return made | {"metadata": made["metadata"] | {"annotations": annotations}}


def gives(record: Record, recorded: Record | None = None) -> Measured:
    return Measured(record.id, record, compare(recorded, record) if recorded else None)


def recorded(planned: Plan) -> dict[str, JsonObject]:
    """What the plan keeps, by the name of its ConfigMap."""
    maps = [one for one in planned.apply if one["kind"] == "ConfigMap" and "space.json" in one["data"]]
    return {one["metadata"]["name"]: json.loads(one["data"]["space.json"]) for one in maps}


def stopped(spec: JsonObject, metadata: JsonObject | None = None) -> tuple[Plan, Revision]:
    """A rollout in which the new pod gives other vectors than the two before it."""
    old, new = rolled({}, {"runtime": {"profile": "ascend-910b", "env": [{"name": "X", "value": "1"}]}} | spec)
    pods = [pod_of(old, "a"), pod_of(old, "b"), pod_of(new, "c", ready=False)]
    measured = {"a": gives(given.RECORD, given.RECORD), "c": gives(OTHER, given.RECORD)}
    service = given.service(**{"runtime": {"profile": "ascend-910b", "env": [{"name": "X", "value": "1"}]}} | spec)
    service["metadata"] |= metadata or {}
    seen = given.seen(
        cache=given.cache(),
        revisions=[old, new],
        spaces={space_of(new): given.RECORD},
        measured=measured,
        pods=pods,
        deployment=given.deployment(replicas=4, ready=3, updated=1),
    )
    return given.plan(service, seen), new


@pytest.mark.parametrize("ready", [True, False])
def test_the_vectors_of_the_first_pod_that_is_ready_are_recorded(ready: bool) -> None:
    (current,) = rolled({})
    pods = [pod_of(current, "a", ready=False), pod_of(current, "b", ready=ready)]
    measured = {"a": gives(OTHER), "b": gives(given.RECORD)}
    seen = given.seen(cache=given.cache(), revisions=[current], pods=pods, measured=measured)
    wanted = {"policy": "Enforce", "threshold": "0.999", "texts": given.RECORD.texts}
    planned = given.plan(given.service(), seen)
    assert recorded(planned) == ({space_of(current): wanted} if ready else {})
    assert planned.status.embedding_space.to_dict() == {}  # said once it is stored


def test_what_is_recorded_is_kept_as_it_is_and_told() -> None:
    (current,) = rolled({})
    spaces = {space_of(current): given.RECORD}
    pods = [pod_of(current, "a")]
    seen = given.seen(
        cache=given.cache(), revisions=[current], pods=pods, spaces=spaces, measured={"a": gives(OTHER, given.RECORD)}
    )
    planned = given.plan(given.service(), seen)
    assert recorded(planned)[space_of(current)]["texts"] == given.RECORD.texts
    assert planned.status.embedding_space.to_dict() == {"id": given.RECORD.id, "dimensions": 2}


@pytest.mark.parametrize(
    "change",
    [
        {"runtime": {"profile": "ascend-910b", "version": "0.18.0"}},
        {"runtime": {"profile": "ascend-a3"}},
        {"runtime": {"profile": "ascend-910b", "args": ["--enforce-eager"]}},
        {"serving": {"dtype": "Float16"}},
        {"serving": {"maxModelLen": 512}},
        {"serving": {"promptFormat": "Raw"}},
        {"parallelism": {"tensor": 2}},
    ],
)
def test_what_must_not_change_vectors_leads_to_the_same_record(change: JsonObject) -> None:
    old, new = rolled({}, change)
    assert (old.name != new.name, space_of(old)) == (True, space_of(new))


@pytest.mark.parametrize(
    "serving",
    [
        {"dimensions": 512},
        {"pooling": {"type": "Mean"}},
        {"promptFormat": "Model"},
        {"promptFormat": "Model", "instruction": "Find it."},
    ],
    ids=str,
)
def test_what_must_change_vectors_leads_to_another_record(serving: JsonObject) -> None:
    before = {"serving": {"promptFormat": "Model"}} if "instruction" in serving else {}
    old, new = rolled(before, {"serving": serving})
    assert space_of(old) != space_of(new)


def test_other_weights_lead_to_another_record_and_the_former_stays_for_who_goes_back() -> None:
    (old,) = rolled({})
    other = given.cache(digest="sha256:" + "cd" * 32)
    (new,) = given.stored(given.plan(given.service(), given.seen(cache=other, revisions=[old])))
    assert space_of(old) != space_of(new)
    pods = [pod_of(old, "a"), pod_of(new, "b")]
    measured = {"a": gives(given.RECORD, given.RECORD), "b": gives(OTHER)}
    spaces = {space_of(old): given.RECORD, "space-qwen-gone": OTHER}
    seen = given.seen(cache=other, revisions=[old, new], pods=pods, spaces=spaces, measured=measured)
    planned = given.plan(given.service(), seen)
    assert {name: one["texts"] for name, one in recorded(planned).items()} == {
        space_of(old): given.RECORD.texts,
        space_of(new): OTHER.texts,
    }
    assert planned.delete == (("ConfigMap", "space-qwen-gone"),)


@pytest.mark.parametrize("task", ["Rerank", "Classify"])
def test_a_server_without_vectors_is_held_against_nothing(task: str) -> None:
    planned = given.plan(given.service(task=task), given.seen(cache=given.cache()))
    assert given.space(planned) == ""
    pod = given.child(planned, "Deployment")["spec"]["template"]["spec"]
    assert "space" not in [volume["name"] for volume in pod["volumes"]]
    assert "--measure" not in pod["containers"][0]["startupProbe"]["exec"]["command"]


def test_pods_with_a_certificate_say_how_they_are_asked() -> None:
    exposure = {"tls": {"secretRef": {"name": "embedding-tls"}}}
    plain, secured = (rolled(spec)[0].template["metadata"]["annotations"] for spec in ({}, {"exposure": exposure}))
    schemes = [one.get("embedding-operator.io/scheme") for one in (plain, secured)]
    assert schemes == [None, "HTTPS"]


def test_policy_and_threshold_reach_the_pods_without_a_new_revision() -> None:
    (current,) = rolled({})
    asked = {"embeddingSpace": {"policy": "Warn", "threshold": "0.99"}}
    seen = given.seen(cache=given.cache(), revisions=[current], spaces={space_of(current): given.RECORD})
    planned = given.plan(given.service(rollout=asked), seen)
    assert [one.name for one in given.stored(planned)] == [current.name]
    (told,) = recorded(planned).values()
    assert (told["policy"], told["threshold"]) == ("Warn", "0.99")


def test_other_vectors_stop_the_rollout_with_numbers_and_cure() -> None:
    planned, new = stopped({})
    told = given.conditions(planned)
    assert told["Ready"] == ("False", *told["Stalled"][1:])
    assert told["Stalled"][:2] == ("True", "EmbeddingSpaceChanged")
    assert told["Stalled"][2] == (
        "3 of 4 replicas serving; pod c gives other vectors than this service did before: the smallest cosine is "
        "0.707107 (of the probe text 'short'), the threshold 0.999 (a change that is not in status.resolved); it is "
        "kept out and nothing else is replaced: go back to the former spec or, with an index that is built anew, "
        f"accept them: `kubectl annotate emb qwen --overwrite {ACCEPT}={OTHER.id}`"
    )
    assert recorded(planned)[space_of(new)]["texts"] == given.RECORD.texts
    assert told["Available"][0] == "True"


def test_the_message_says_what_is_different() -> None:
    image = {"profile": "ascend-910b", "image": "example.com/mine:v0.18.0", "args": ["--enforce-eager"]}
    message = given.conditions(stopped({"runtime": image})[0])["Stalled"][2]
    changes = (
        "(image quay.io/ascend/vllm-ascend:v0.23.0 -> example.com/mine:v0.18.0, vllm 0.23.0 -> 0.18.0, other args)"
    )
    assert changes in message


def test_with_warn_it_is_let_in_and_told() -> None:
    told = given.conditions(stopped({"rollout": {"embeddingSpace": {"policy": "Warn"}}})[0])
    assert "Stalled" not in told
    assert told["Degraded"][:2] == ("True", "EmbeddingSpaceChanged")
    assert told["Degraded"][2].startswith(
        "pod c gives other vectors than those recorded: the smallest cosine is 0.7071"
    )
    assert "rollout.embeddingSpace.policy is Warn" in told["Degraded"][2]


@pytest.mark.parametrize("asked", [{"policy": "Off"}, {"threshold": "0.7"}])
def test_off_or_a_lower_threshold_lets_it_pass(asked: JsonObject) -> None:
    told = given.conditions(stopped({"rollout": {"embeddingSpace": asked}})[0])
    assert told.keys() & {"Stalled", "Degraded"} == set()


@pytest.mark.parametrize(("named", "accepted"), [(OTHER.id, True), ("sha256:0", False)])
def test_an_annotation_that_names_the_new_vectors_accepts_them(named: str, accepted: bool) -> None:
    planned, new = stopped({}, {"annotations": {ACCEPT: named}})
    assert recorded(planned)[space_of(new)]["texts"] == (OTHER if accepted else given.RECORD).texts


def test_pods_of_before_that_serve_on_are_told_of_until_they_are_replaced() -> None:
    old, new = rolled({}, {"serving": {"dtype": "Float16"}})
    pods = [pod_of(old, "a"), pod_of(old, "b"), pod_of(new, "c")]
    seen = given.seen(
        cache=given.cache(),
        revisions=[old, new],
        spaces={space_of(new): OTHER},
        measured={"a": gives(given.RECORD, OTHER), "b": gives(given.RECORD, OTHER), "c": gives(OTHER, OTHER)},
        pods=pods,
        deployment=given.deployment(replicas=4, ready=3, updated=1),
    )
    told = given.conditions(given.plan(given.service(serving={"dtype": "Float16"}), seen))
    assert "Stalled" not in told
    assert told["Degraded"][2].startswith("pod a and 1 more gives other vectors than those recorded")


NO_RECORD: list[Any] = [
    None,
    [],
    {},
    {"texts": []},
    {"texts": {"a": 1}},
    {"texts": {"a": {"vector": "ADwAAA=="}}},
    {"texts": {"a": {"vector": "ADwAAA==", "length": "1"}}},
    {"texts": {"a": {"vector": "ADwAAA==", "length": True}}},
    {"texts": {"a": {"vector": "ADwAAA==", "length": 0}}},
    {"texts": {"a": {"vector": "ADwAAA==", "length": float("nan")}}},
    {"texts": {"a": {"vector": "ADwAAA==", "length": 10**400}}},
    {"texts": {"a": {"vector": "%%%%", "length": 1}}},
    {"texts": {"a": {"vector": "ADw", "length": 1}}},
    {"texts": {"a": {"vector": "ADwA", "length": 1}}},
    {"texts": {"a": {"vector": "", "length": 1}}},
    {"texts": {"a": {"vector": "AAAAAA==", "length": 1}}},
    {"texts": {"ä": {"vector": "ADwAAA==", "length": 1}}},
    {"texts": {str(number): {"vector": "ADwAAA==", "length": 1} for number in range(65)}},
]


@pytest.mark.parametrize("found", NO_RECORD)
def test_what_is_no_record_of_vectors_is_none(found: Any) -> None:
    assert read(found) is None


def test_a_vector_of_another_size_is_told_as_that() -> None:
    shorter = Record({"short": {"vector": "ADw=", "length": 1.0}})
    assert str(compare(given.RECORD, shorter)) == "1 numbers a vector instead of 2"


def test_another_length_is_told_beside_the_cosine() -> None:
    longer = Record({"short": {"vector": "ADwAAA==", "length": 13.0}})
    found = compare(given.RECORD, longer)
    assert not found.is_same(0.999)
    assert str(found) == "the smallest cosine is 1.000000 (of the probe text 'short'), and lengths differ by 1200%"
