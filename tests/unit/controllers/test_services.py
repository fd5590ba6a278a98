"""What reconciling a service does beside planning it."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, cast

import pytest

from embedding_operator.api import names
from embedding_operator.api.service import EmbeddingService
from embedding_operator.controllers import services, turns
from embedding_operator.controllers.services import reconcile_service
from embedding_operator.kube.apply import Applier
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import Object, ObjectKey, key_of
from embedding_operator.planning import revision
from embedding_operator.planning.follow import Phase, Standing, standing
from tests.unit.controllers import given
from tests.unit.planning import jobs
from tests.unit.planning.given import cache, child, deployment, plan, seen, service
from tests.unit.planning.test_follow import OLD, profiles

BEHIND = Standing(Phase.BEHIND, "npu")
METADATA = {"namespace": "search", "labels": {names.SERVICE_LABEL: "qwen"}}
ENDING, OTHER = (ObjectKey("EmbeddingService", "search", name) for name in ("ending", "other"))


async def test_a_service_that_is_deleted_and_stays_for_a_while_holds_up_nobody_who_follows_a_profile() -> None:
    """A new leader waits until it has looked at all services."""
    context = given.context()
    for key in (ENDING, OTHER):
        metadata = {"namespace": key.namespace, "name": key.name, "uid": key.name, "resourceVersion": "1"}
        context.cache.upsert({"kind": key.kind, "metadata": metadata, "spec": {}})
    ending = {**metadata, "name": "ending", "uid": "ending", "resourceVersion": "2"}
    ending["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    context.cache.upsert({"kind": ENDING.kind, "metadata": ending, "spec": {}})
    assert not turns.take(context, OTHER, BEHIND)
    await reconcile_service(context, ENDING)
    assert turns.take(context, OTHER, BEHIND)


class Writing:
    """An API server that takes in a status, and a recorder that tells nobody."""

    def __init__(self, obj: Mapping[str, Any]) -> None:
        self._obj = obj

    async def apply_status(self, desired: Mapping[str, Any]) -> Mapping[str, Any]:
        metadata = {**self._obj["metadata"], "resourceVersion": "9"}
        return {**self._obj, "metadata": metadata, "status": desired["status"]}

    def emit(self, *told: Any) -> None:
        """Nothing."""


async def test_who_waits_for_a_service_hears_what_is_said_of_it() -> None:
    """The watch has no news of what we wrote ourselves."""
    of_nowhere = service(runtime={"profile": "nope"})
    of_nowhere["metadata"]["resourceVersion"] = "5"
    waiting = jobs.by_service()
    waiting["metadata"]["resourceVersion"] = "6"
    api = cast(Any, Writing(of_nowhere))
    context = given.context()
    context = replace(context, applier=Applier(api, context.cache), recorder=api)
    for obj in (of_nowhere, waiting):
        context.cache.upsert(obj)
    await reconcile_service(context, key_of(of_nowhere))
    assert key_of(waiting) in [await context.queue.get() for _ in range(len(context.queue))]


@pytest.mark.parametrize(
    ("error", "is_kind_missing"),
    [
        (ApiError(404, "HTTP404", "404 page not found"), True),
        (ApiError(403, "Forbidden", "create not allowed while custom resource definition is terminating"), True),
        (ApiError(404, "NotFound", 'namespaces "search" not found'), False),
    ],
)
async def test_a_namespace_that_is_gone_does_not_say_of_a_kind_that_no_cluster_has_it(
    error: ApiError, is_kind_missing: bool
) -> None:
    """All services of the cluster would do without their routes until the next resync."""

    class Refusing:
        async def apply(self, child: Object) -> None:
            raise error

    context = replace(given.context(), applier=cast(Any, Refusing()))
    with nullcontext() if is_kind_missing else pytest.raises(ApiError):
        await services._apply(context, {"kind": "HTTPRoute", "metadata": {"namespace": "search", "name": "qwen"}})
    assert context.absent == ({"HTTPRoute"} if is_kind_missing else set())


class Taking:
    """An API server that takes what is applied, and what is deleted away."""

    def __init__(self) -> None:
        self.deleted: list[str] = []
        self.applied: list[str] = []

    async def delete(self, obj: Object) -> None:
        self.deleted.append(obj["metadata"]["uid"])

    async def apply(self, child: Object) -> None:
        self.applied.append(child["metadata"]["name"])


def left_by(uid: str | None, kind: str, body: Mapping[str, Any]) -> Object:
    """A child of the service `qwen`, which has the uid u-1, or of another of its name, or of nobody."""
    owners = [{"apiVersion": names.API_VERSION, "kind": names.EMBEDDING_SERVICE, "name": "qwen", "uid": uid}]
    metadata = {"uid": f"{kind} of {uid}", "resourceVersion": "5", "ownerReferences": owners if uid else None}
    return {**body, "kind": kind, "metadata": {**body["metadata"], **metadata}}


@pytest.mark.parametrize(("uid", "is_its_own"), [("u-1", True), ("former", False), (None, True)])
async def test_what_a_former_service_of_its_name_left_is_not_taken_for_its_own(
    uid: str | None, is_its_own: bool
) -> None:
    """Until it is collected. It would have numbered the revisions, and served a template of other weights."""
    context = given.context()
    planned = plan(service(), seen(cache=cache()))
    stored = child(planned, "ControllerRevision")
    labels = {names.SERVICE_LABEL: "qwen", names.SPACE_LABEL: "true"}
    space: Object = {"metadata": {"name": "qwen-space", "namespace": "search", "labels": labels}, "data": {}}
    for kind, one in (
        ("ControllerRevision", stored),
        ("Deployment", deployment(replicas=4, ready=4)),
        ("ConfigMap", space),
    ):
        context.cache.upsert(left_by(uid, kind, one))
    found = services.observe(context, EmbeddingService.from_dict(service()))
    assert [one.name for one in found.revisions] == ([stored["metadata"]["name"]] if is_its_own else [])
    assert (found.deployment is not None) == is_its_own
    assert list(found.spaces) == ([space["metadata"]["name"]] if is_its_own else [])


@pytest.mark.parametrize(("uid", "is_in_the_way"), [("u-1", False), ("former", True), (None, False)])
async def test_a_revision_that_a_former_service_left_makes_room_for_one_of_its_name(
    uid: str | None, is_in_the_way: bool
) -> None:
    """Its data could not be changed, if an operator of another version had rendered them."""
    api = Taking()
    context = replace(given.context(), applier=cast(Any, api))
    planned = plan(service(), seen(cache=cache()))
    stored = child(planned, "ControllerRevision")
    context.cache.upsert(left_by(uid, "ControllerRevision", stored))
    await services._execute(context, key_of(service()), replace(planned, apply=(stored,)))
    assert api.deleted == (["ControllerRevision of former"] if is_in_the_way else [])
    assert api.applied == [stored["metadata"]["name"]]
    assert context.meters.revisions == is_in_the_way


async def test_a_turn_that_the_api_server_refuses_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be taken again and again, and nobody else would follow."""

    class Refusing(Taking):
        async def apply(self, child: Object) -> None:
            raise ApiError(403, "Forbidden", "exceeded quota")

        async def apply_status(self, desired: Object) -> None: ...

        def emit(self, *told: Any) -> None: ...

    api = cast(Any, Refusing())
    context = replace(given.context(), applier=api, recorder=api)
    obj = service(replicas=2)
    obj["metadata"]["resourceVersion"] = "5"
    other = {"namespace": OTHER.namespace, "name": OTHER.name, "uid": "other", "resourceVersion": "6"}
    for one in (obj, {"kind": OTHER.kind, "metadata": other, "spec": {}}):
        context.cache.upsert(one)
    context.cache.upsert(left_by("u-1", "ControllerRevision", revision.controller_revision(METADATA, OLD)))
    edited = profiles(maxConcurrent=1)
    monkeypatch.setattr(services, "cache_of", lambda *_: (cache(), None))
    monkeypatch.setattr(services, "profiles_known", lambda _: edited)
    behind = standing(
        EmbeddingService.from_dict(obj), obj["spec"], services.observe(context, EmbeddingService.from_dict(obj))
    )
    assert behind.phase is Phase.BEHIND
    turns.tell(context, OTHER, replace(behind, phase=Phase.SETTLED))
    with pytest.raises(ApiError):
        await reconcile_service(context, key_of(obj))
    assert turns.take(context, OTHER, behind)
