"""What a new child or reason has to be told to, held in one place: forget a step, and a test here says which."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from embedding_operator.api.conditions import Reason
from embedding_operator.api.service import EmbeddingService
from embedding_operator.controllers import routing
from embedding_operator.controllers.context import Context, Settings
from embedding_operator.kube.compact import compact, unpacked
from embedding_operator.kube.resources import CHILD_KINDS, OWN_KINDS, Resource, by_kind
from embedding_operator.planning.profiles import BUILT_IN
from embedding_operator.planning.stagejob import StagingSite, job
from embedding_operator.planning.weights import model_cache
from tests.rights import granted
from tests.unit.planning import given

SOURCES = Path(__file__).resolve().parents[2] / "operator" / "embedding_operator"


def made() -> Iterator[dict[str, Any]]:
    """All that plans make, one of each kind."""
    exposure = {
        "service": {"type": "LoadBalancer", "loadBalancerClass": "a/b", "loadBalancerSourceRanges": ["10.0.0.0/8"]},
        "gateway": {"parentRefs": [{"name": "public"}]},
        "networkPolicy": {"from": [{"podSelector": {}}]},
    }
    monitoring = {"podMonitor": True}
    service = given.service(cache={"claimTemplate": {"size": "1Gi"}}, exposure=exposure, monitoring=monitoring)
    planned = given.plan(service, given.seen(cache=given.cache()))
    yield from (*planned.create, *planned.apply, BUILT_IN[0])
    yield job(given.cache(staged=False), StagingSite("example.com/operator:1"))
    yield model_cache(EmbeddingService.from_dict(service), given.profiles()["ascend-910b"].spec.pod)


MADE = {one["kind"]: one for one in made()}


def verbs(resource: Resource) -> set[str]:
    """What install.yaml allows the operator to do with a kind."""
    return {right.verb for right in granted() if right[:2] == (resource.group, resource.plural)}


@pytest.mark.parametrize("kind", MADE)
def test_a_kind_that_is_made_is_watched_by_its_label_and_may_be_made(kind: str) -> None:
    resource = by_kind(kind)
    assert resource in (*OWN_KINDS, *CHILD_KINDS)
    assert MADE[kind]["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "embedding-operator"
    assert verbs(resource) >= {"create"}


@pytest.mark.parametrize("resource", CHILD_KINDS, ids=lambda resource: resource.kind)
def test_a_watched_kind_may_be_read(resource: Resource) -> None:
    assert verbs(resource) >= {"list", "watch"}


@pytest.mark.parametrize("resource", CHILD_KINDS, ids=lambda resource: resource.kind)
def test_news_of_a_watched_kind_wake_somebody(resource: Resource) -> None:
    nobody = cast(Any, None)  # news reach the cache and the queue, and nothing else
    context = Context(
        settings=Settings(staging=StagingSite("x")), client=nobody, applier=nobody, recorder=nobody, http=nobody
    )
    labels = {"embedding-operator.io/service": "qwen", "embedding-operator.io/cache": "weights"}
    metadata = {"name": "x", "namespace": "search", "uid": "u", "resourceVersion": "1", "labels": labels}
    routing.observed(context, {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata})
    assert len(context.queue) > 0


@pytest.mark.parametrize("kind", sorted(set(MADE) - {"Job", "PersistentVolumeClaim"}))
def test_the_cache_keeps_all_that_is_applied_so_that_a_restart_can_tell_what_is_in_force(kind: str) -> None:
    kept = unpacked(compact(MADE[kind]))
    assert {name: kept.get(name) for name in MADE[kind] if name != "metadata"} == {
        name: value for name, value in MADE[kind].items() if name != "metadata"
    }


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_written_by_somebody(reason: Reason) -> None:
    """By the operator as Reason.NAME, by the stager as the word itself."""
    wanted = re.compile(rf'\bReason\.{reason.name}\b|"{reason.value}"')
    writers = [path for path in SOURCES.rglob("*.py") if path.name != "conditions.py"]
    assert [path.name for path in writers if wanted.search(path.read_text())] != []
