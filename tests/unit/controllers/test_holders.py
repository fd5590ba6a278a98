"""Whose pods are looked at where one node at a time can mount a claim: those of all services and Jobs on it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from embedding_operator.api import names
from embedding_operator.api.service import EmbeddingService
from embedding_operator.controllers.context import Context, Settings
from embedding_operator.controllers.services import observe
from embedding_operator.kube.resources import Object
from embedding_operator.planning.stagejob import StagingSite
from tests.unit.planning import given

SERVICE = EmbeddingService.from_dict(given.service(model={"cacheRef": {"name": "modelscope-qwen"}}, cache=None))
ON_CLAIM = names.claim_labels("model-weights")


@pytest.fixture
def context() -> Context:
    nobody = cast(Any, None)
    found = Context(
        settings=Settings(staging=StagingSite("x")), client=nobody, applier=nobody, recorder=nobody, http=nobody
    )
    mine, others = {names.SERVICE_LABEL: "qwen"}, {names.SERVICE_LABEL: "bge"}
    stager, scrub = {names.CACHE_LABEL: given.cache().metadata.name}, {names.CACHE_LABEL: "another"}
    for name, node, labels in (
        ("mine", "a", ON_CLAIM | mine),
        ("others", "b", ON_CLAIM | others),
        ("on-another-claim", "c", others | names.claim_labels("else")),
        ("on-a-shared-claim", "d", others),
        ("stager", "e", ON_CLAIM | stager),
        ("scrub", "f", ON_CLAIM | scrub),
    ):
        found.cache.upsert(pod(name, node, labels))
    found.cache.upsert(pod("ended", "g", ON_CLAIM | others, phase="Succeeded"))
    found.cache.upsert(pod("starting", "h", ON_CLAIM | others, phase="Pending"))
    return found


def pod(name: str, node: str | None, labels: dict[str, str], **status: Any) -> Object:
    made = given.pod(name, node=node, **status)
    made["metadata"] |= {"uid": name, "resourceVersion": "5", "labels": labels}
    return {"apiVersion": "v1"} | made


def cache(*modes: str) -> Object:
    made = given.cache(accessModes=list(modes)).to_dict()
    made["metadata"] |= {"resourceVersion": "5"}
    return {"apiVersion": names.API_VERSION, "kind": names.MODEL_CACHE} | made


def test_all_pods_that_run_on_the_claim_are_looked_at_of_whichever_service_or_job(context: Context) -> None:
    assert observe(context, SERVICE).holders == []
    context.cache.upsert(cache("ReadWriteOnce"))
    assert observe(context, SERVICE).holders == ["a", "b", "e", "f"]


def test_of_a_claim_that_all_nodes_can_mount_none_are(context: Context) -> None:
    context.cache.upsert(cache("ReadWriteMany"))
    assert observe(context, SERVICE).holders == []


def test_a_claim_of_any_name_has_its_own_label() -> None:
    long = ["a" * 253, "a" * 252 + "b"]
    values = [names.claim_labels(claim)[names.CLAIM_LABEL] for claim in ("short.name", *long)]
    assert values[0] == "short.name"
    assert len(set(values)) == 3
    assert max(len(value) for value in values) <= 63
