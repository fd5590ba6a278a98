"""Given news from the cluster, who must look again. Nothing is sent to any API server here."""

from __future__ import annotations

from typing import Any, cast

import pytest

from embedding_operator.controllers import routing
from embedding_operator.controllers.context import Context, Settings
from embedding_operator.kube.cache import INDEXED_LABELS
from embedding_operator.kube.resources import Object, ObjectKey
from embedding_operator.planning.stagejob import StagingSite
from tests.unit.planning import given

SERVICE = ObjectKey("EmbeddingService", "search", "qwen")
OURS = {"embedding-operator.io/service": "qwen"}


@pytest.fixture
def context() -> Context:
    nobody = cast(Any, None)  # news reach the cache, the queue and the users, and nothing else
    return Context(
        settings=Settings(staging=StagingSite("x")), client=nobody, applier=nobody, recorder=nobody, http=nobody
    )


async def woken(context: Context) -> set[ObjectKey]:
    keys = set()
    while len(context.queue):
        key = await context.queue.get()
        keys.add(key)
        context.queue.done(key)
    return keys


def service(uid: str, version: int, **status: Any) -> Object:
    obj = given.service()
    obj["metadata"] |= {"uid": uid, "resourceVersion": str(version)}
    return obj | {"status": status}


def child(kind: str, version: int, labels: dict[str, str]) -> Object:
    metadata = {"name": "qwen", "namespace": "search", "uid": "c", "resourceVersion": str(version), "labels": labels}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata}


async def test_a_service_made_again_is_not_forgotten_when_its_forerunners_end_is_told_late(context: Context) -> None:
    routing.observed(context, service("old", 5))
    (cache,) = context.users.caches_of(SERVICE)
    routing.observed(context, service("new", 8))
    routing.deleted(context, service("old", 7))
    assert context.users.of(cache) == [SERVICE]
    assert SERVICE in await woken(context)


async def test_a_child_that_loses_the_label_of_its_service_wakes_that_service(context: Context) -> None:
    routing.observed(context, child("Deployment", 5, OURS))
    await woken(context)
    routing.observed(context, child("Deployment", 6, {}))
    assert await woken(context) == {SERVICE}


@pytest.mark.parametrize("kind", ["Deployment", "Service", "PodDisruptionBudget", "ControllerRevision", "Pod"])
async def test_a_child_wakes_its_service(context: Context, kind: str) -> None:
    routing.observed(context, child(kind, 5, OURS))
    assert await woken(context) == {SERVICE}


@pytest.mark.parametrize("kind", ["Job", "Pod"])
async def test_a_staging_child_wakes_its_cache(context: Context, kind: str) -> None:
    routing.observed(context, child(kind, 5, {"embedding-operator.io/cache": "weights"}))
    assert await woken(context) == {ObjectKey("ModelCache", "search", "weights")}


def test_nobody_searches_all_children_of_a_namespace_for_those_of_one_parent() -> None:
    assert {label for _, label in routing._PARENTS} <= set(INDEXED_LABELS)


async def test_a_claim_wakes_the_cache_that_its_service_waits_for(context: Context) -> None:
    routing.observed(context, service("u", 5))
    await woken(context)
    routing.observed(context, child("PersistentVolumeClaim", 6, OURS))
    assert await woken(context) == {SERVICE, *context.users.caches_of(SERVICE)}


async def test_a_service_whose_spec_is_mended_wakes_the_cache_that_could_not_be_made_for_it(context: Context) -> None:
    wrong, mended = service("u", 5), service("u", 6)
    wrong["spec"]["runtime"] = {"profile": "none-such"}
    routing.observed(context, wrong)
    await woken(context)
    routing.observed(context, mended)
    assert await woken(context) == {SERVICE, *context.users.caches_of(SERVICE)}


async def test_once_a_service_serves_from_another_cache_the_old_one_hears_of_it(context: Context) -> None:
    routing.observed(context, service("u", 5, model={"cache": "old"}))
    old = ObjectKey("ModelCache", "search", "old")
    assert old in context.users.caches_of(SERVICE)
    (new,) = context.users.caches_of(SERVICE) - {old}
    await woken(context)
    context.cache.upsert(service("u", 6, model={"cache": new.name}))  # our own write: the watch brings no news
    routing.users_changed(context, SERVICE)
    assert context.users.of(old) == []
    assert await woken(context) == {old}


@pytest.mark.parametrize(("reason", "wakes"), [("Retrying", True), ("Downloading", False)])
async def test_other_words_of_a_cache_wake_its_services_unless_they_only_count_bytes(
    context: Context, reason: str, wakes: bool
) -> None:
    routing.observed(context, service("u", 5))
    (cache,) = context.users.caches_of(SERVICE)

    def said(message: str, version: int) -> Object:
        metadata = {"name": cache.name, "namespace": "search", "uid": "m", "resourceVersion": str(version)}
        conditions = [{"type": "Ready", "status": "False", "reason": reason, "message": message}]
        return {"kind": "ModelCache", "metadata": metadata, "status": {"conditions": conditions}}

    routing.observed(context, said("one", 6))
    await woken(context)
    routing.observed(context, said("two", 7))
    assert await woken(context) == ({cache, SERVICE} if wakes else {cache})


async def test_a_service_whose_spec_changes_has_its_weights_looked_at_again(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may want another stager, or another end for them."""
    monkeypatch.setattr(routing, "USERS_SETTLE", 0.0)
    routing.observed(context, service("u", 5))
    (cache,) = context.users.caches_of(SERVICE)
    context.cache.upsert({"kind": "ModelCache", "metadata": {"name": cache.name, "namespace": "search", "uid": "m"}})
    await woken(context)
    routing.observed(context, service("u", 6, readyReplicas=1))
    assert await woken(context) == {SERVICE}
    changed = service("u", 7)
    changed["metadata"]["generation"] = 9
    routing.observed(context, changed)
    assert await woken(context) == {SERVICE, cache}


def pod_of(cache: str, version: int = 5, labels: dict[str, str] = OURS) -> Object:
    metadata = child("Pod", version, labels)["metadata"] | {"annotations": {"embedding-operator.io/cache": cache}}
    return child("Pod", version, labels) | {"metadata": metadata}


OLD = ObjectKey("ModelCache", "search", "old")


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
async def test_a_staging_pod_that_ends_makes_no_user_of_a_cache_that_is_called_as_a_service_is(
    context: Context, phase: str
) -> None:
    """Nobody would ever say that it uses the weights no more, and their files would never be removed."""
    routing.observed(context, service("u", 5))
    routing.observed(context, pod_of("old"))
    staging = child("Pod", 6, {"embedding-operator.io/cache": SERVICE.name})
    staging["metadata"] |= {"name": "stage-qwen", "uid": "s"}
    routing.observed(context, staging | {"status": {"phase": "Running"}})
    staging = staging | {"metadata": staging["metadata"] | {"resourceVersion": "7"}, "status": {"phase": phase}}
    routing.observed(context, staging)
    routing.deleted(context, staging)
    assert context.users.of(OLD) == [SERVICE]


@pytest.mark.parametrize("end", ["deleted", "label"])
async def test_weights_that_live_pods_of_a_former_revision_read_are_used(context: Context, end: str) -> None:
    routing.observed(context, service("u", 5))
    routing.observed(context, pod_of("old"))
    assert context.users.of(OLD) == [SERVICE]
    await woken(context)
    if end == "deleted":
        routing.deleted(context, pod_of("old", 6))
    else:
        routing.observed(context, pod_of("old", 6, labels={}))
    assert context.users.of(OLD) == []
    assert OLD in await woken(context)


@pytest.mark.parametrize("pods_first", [True, False])
async def test_a_service_that_is_gone_uses_its_weights_until_its_last_pod_is_gone(
    context: Context, pods_first: bool
) -> None:
    first, second = (pod_of("old"), service("u", 5)) if pods_first else (service("u", 5), pod_of("old"))
    routing.observed(context, first)
    routing.observed(context, second)
    routing.deleted(context, service("u", 6))
    assert context.users.of(OLD) == [SERVICE]
    routing.deleted(context, pod_of("old", 7))
    assert context.users.of(OLD) == []


async def test_pods_that_begin_to_run_wake_no_weights(context: Context) -> None:
    routing.observed(context, service("u", 5))
    routing.observed(context, pod_of("old"))
    await woken(context)
    routing.observed(context, pod_of("old", 6) | {"status": {"phase": "Running"}})
    assert OLD not in await woken(context)


async def test_a_revision_that_is_kept_no_longer_wakes_the_weights_it_was_served_from(context: Context) -> None:
    former = child("ControllerRevision", 5, OURS)
    former["metadata"]["annotations"] = {"embedding-operator.io/cache": "old"}
    context.cache.upsert({"kind": "ModelCache", "metadata": {"name": "old", "namespace": "search", "uid": "m"}})
    for news in (routing.observed, routing.deleted):
        news(context, former)
        assert OLD in await woken(context)


async def test_scripts_that_come_wake_no_service_and_scripts_that_go_wake_all_of_their_namespace(
    context: Context,
) -> None:
    routing.observed(context, service("u", 5))
    await woken(context)
    scripts, collecting = child("ConfigMap", 6, {}), ObjectKey("Scripts", "search", "")
    routing.observed(context, scripts)
    assert await woken(context) == {collecting}
    routing.deleted(context, scripts)
    assert await woken(context) == {collecting, SERVICE}


@pytest.mark.parametrize(("claim", "woken_too"), [("model-weights", True), ("another", False)])
async def test_a_pod_that_waits_for_a_claim_of_one_node_hears_of_those_that_have_it(
    context: Context, claim: str, woken_too: bool
) -> None:
    def pod(name: str, phase: str, on: str, version: int = 5) -> Object:
        labels = {"embedding-operator.io/service": name, "embedding-operator.io/claim": on}
        made = child("Pod", version, labels)
        made["metadata"] |= {"name": name, "uid": name}
        return made | {"status": {"phase": phase}}

    routing.observed(context, pod("waiting", "Pending", "model-weights"))
    routing.observed(context, pod("running", "Running", claim))
    await woken(context)
    waiting = ObjectKey("EmbeddingService", "search", "waiting")
    routing.observed(context, pod("running", "Succeeded", claim, version=6))
    assert (waiting in await woken(context)) is woken_too
    routing.deleted(context, pod("running", "Succeeded", claim, version=7))
    assert (waiting in await woken(context)) is woken_too


def ended(word: str, field: str = "state", labels: dict[str, str] = OURS) -> Object:
    pod = given.pod("qwen-1", containerStatuses=[{"name": "vllm", field: {"terminated": {"message": word}}}])
    pod["metadata"] |= {"uid": "p", "resourceVersion": "7", "labels": labels}
    return {"apiVersion": "v1"} | pod


CUT_OFF = "embedding-operator drain: gave up after 60.2 s: 12 requests in flight, 14 connections open"


async def test_a_drain_that_was_cut_off_is_told_with_how_many_requests_it_left(context: Context) -> None:
    routing.deleted(context, ended(CUT_OFF))
    assert SERVICE in await woken(context)
    assert context.untold.take(SERVICE) == [
        "pod qwen-1 ended with 12 requests unanswered, as its drain was over after 60 s: where requests take longer, "
        "write a longer rollout.drainTimeout"
    ]
    routing.deleted(context, ended(CUT_OFF.replace("12", "an unknown number of")))
    (note,) = context.untold.take(SERVICE)
    assert "with an unknown number of requests unanswered" in note


async def test_the_last_word_of_a_sidecar_hides_no_drain_that_was_cut_off(context: Context) -> None:
    pod = ended(CUT_OFF)
    sidecar = {"name": "mesh", "state": {"terminated": {"message": "bye"}}}
    pod["status"]["containerStatuses"].insert(0, sidecar)
    routing.deleted(context, pod)
    (note,) = context.untold.take(SERVICE)
    assert "12 requests unanswered" in note


@pytest.mark.parametrize(
    "pod",
    [
        ended("embedding-operator drain: drained in 3.1 s"),
        ended("x" + CUT_OFF),
        ended(CUT_OFF, "lastState"),
        ended(CUT_OFF, labels={}),
        ended(CUT_OFF) | {"status": {}},
    ],
)
async def test_other_ends_of_pods_are_nothing_to_tell(context: Context, pod: Object) -> None:
    routing.deleted(context, pod)
    assert context.untold.take(SERVICE) == []
