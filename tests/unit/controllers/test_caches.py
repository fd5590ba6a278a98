"""What reconciling a ModelCache does beside planning it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from embedding_operator.api import names
from embedding_operator.api.modelcache import ModelCache
from embedding_operator.controllers.caches import reconcile_cache
from embedding_operator.controllers.context import Context
from embedding_operator.kube.apply import Applier
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.paging import Listing
from embedding_operator.kube.resources import Object, ObjectKey
from embedding_operator.planning.stagejob import StagingSite, job
from tests.unit.controllers import given
from tests.unit.planning.given import DIGEST
from tests.unit.planning.given import cache as model_cache

KEY = ObjectKey(names.MODEL_CACHE, "search", "modelscope-qwen")
STAGED = {"result": "Staged", "digest": DIGEST, "path": "a/b/c", "revision": "c", "files": 1, "bytes": 1}
BEFORE, SINCE = "2026-03-04T12:00:00Z", "2026-03-04T12:00:01Z"


class Server:
    """What the client has to do with an API server that takes all but new Jobs, which it may refuse."""

    def __init__(self, refusal: ApiError | None = None) -> None:
        self.refusal = refusal
        self.cache: Object = {}
        self.jobs: dict[str, Object] = {}
        self.deleted: list[str] = []
        self.made: list[str] = []
        self.status: Object = {}
        self.patches: list[Object] = []

    async def get(self, key: ObjectKey) -> Object | None:
        return {"metadata": {"name": key.name, "uid": "12345678"}}

    async def list(self, *_: Any) -> Listing:
        return Listing([], "9")

    async def create(self, desired: Object) -> Object:
        if self.refusal is not None:
            raise self.refusal
        name = desired["metadata"]["name"]
        if name in self.jobs:
            raise ApiError(409, "AlreadyExists", f"{name} is there")
        self.made.append(name)
        return stored("Job", desired, uid="new")

    async def delete(self, key: ObjectKey, *, uid: str) -> bool:
        assert self.jobs.pop(key.name)["metadata"]["uid"] == uid
        self.deleted.append(uid)
        return True

    async def apply_status(self, desired: Object) -> Object:
        self.status = desired["status"]
        return {**self.cache, "status": self.status}

    async def merge_patch(self, key: ObjectKey, changes: Object) -> Object:
        assert changes["metadata"].pop("resourceVersion") == "5"
        self.patches.append(changes)
        return self.cache

    def emit(self, *event: Any) -> None: ...

    def ready(self) -> str:
        (found,) = [one["reason"] for one in self.status["conditions"] if one["type"] == "Ready"]
        return str(found)


def standing(server: Server, cache: Mapping[str, Any], *others: Object) -> Context:
    anything = cast(Any, server)
    context = given.context(anything)
    context = replace(context, applier=Applier(anything, context.cache), recorder=anything)
    server.cache = stored(names.MODEL_CACHE, cache)
    for obj in (server.cache, *others):
        context.cache.upsert(obj)
    server.jobs = {obj["metadata"]["name"]: obj for obj in others if obj["kind"] == "Job"}
    return context


def stored(kind: str, obj: Mapping[str, Any], **metadata: Any) -> Object:
    return {**obj, "kind": kind, "metadata": {**obj["metadata"], "resourceVersion": "5", **metadata}}


def staged_by(owner: str, created: str) -> tuple[Object, Object]:
    """The staging Job of a ModelCache of this name, complete, and its pod with its last words."""
    made: Object = job(ModelCache.from_dict(unstaged()), StagingSite("x"))
    owners = [{**made["metadata"]["ownerReferences"][0], "uid": owner}]
    complete = {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    ended = [{"state": {"terminated": {"exitCode": 0, "message": json.dumps(STAGED)}}}]
    labels = made["spec"]["template"]["metadata"]["labels"]
    pod = {
        "metadata": {"name": "p", "namespace": "search", "labels": labels, "creationTimestamp": created},
        "status": {"phase": "Succeeded", "containerStatuses": ended},
    }
    return stored("Job", made | complete, uid=f"of {owner}", ownerReferences=owners), stored("Pod", pod, uid="p")


def unstaged() -> dict[str, Any]:
    obj = model_cache(staged=False).to_dict()
    return obj | {"metadata": obj["metadata"] | {"creationTimestamp": SINCE}}


async def test_what_the_stager_of_a_former_cache_of_its_name_said_is_not_said_of_this_one() -> None:
    """The claim may have been replaced since: who deletes a ModelCache has its weights staged again."""
    server = Server()
    await reconcile_cache(standing(server, unstaged(), *staged_by("former", BEFORE)), KEY)
    assert server.ready() == "Pending"
    assert "digest" not in server.status
    assert server.deleted == ["of former"]
    (name,) = server.made
    assert name.startswith("stage-modelscope-qwen-")


async def test_what_its_own_stager_said_is() -> None:
    server = Server()
    await reconcile_cache(standing(server, unstaged(), *staged_by("u-2", SINCE)), KEY)
    assert (server.ready(), server.status["digest"]) == ("Verified", DIGEST)
    assert (server.deleted, server.made) == ([], [])


async def test_a_pod_of_a_former_cache_outlives_its_job() -> None:
    """This one's Job is complete, and what its pod said is lost."""
    server = Server()
    mine, _ = staged_by("u-2", SINCE)
    _, former = staged_by("former", BEFORE)
    await reconcile_cache(standing(server, unstaged(), mine, former), KEY)
    assert server.ready() == "Retrying"


def deleted(**status: Any) -> dict[str, Any]:
    obj = model_cache(**status).to_dict()
    obj["metadata"] |= {"deletionTimestamp": SINCE, "finalizers": [names.CLEANUP_FINALIZER]}
    return obj | {"spec": obj["spec"] | {"deletionPolicy": "Delete"}}


LET_GO = [{"metadata": {"finalizers": []}}]
FULL = ApiError(403, "Forbidden", "exceeded quota: few")


@pytest.mark.parametrize(
    ("error", "failures", "told", "patches", "is_raised"),
    [
        (FULL, 0, "CleaningUp", [], True),
        (FULL, 11, "CleaningUp", [], True),
        (FULL, 12, "FilesKept", LET_GO, False),
        (ApiError(401, "Unauthorized", "who are you?"), 12, None, [], True),
        (ApiError(422, "Invalid", "no such field"), 0, "FilesKept", LET_GO, False),
    ],
)
async def test_a_clean_up_is_given_up_only_when_it_was_refused_for_minutes(
    error: ApiError, failures: int, told: str | None, patches: list[Object], is_raised: bool
) -> None:
    server = Server(error)
    context = standing(server, deleted())
    for _ in range(failures):
        context.queue.add_rate_limited(KEY)
    if is_raised:
        with pytest.raises(ApiError):
            await reconcile_cache(context, KEY)
    else:
        assert await reconcile_cache(context, KEY) is None
    assert (server.ready() if server.status else None) == told
    assert server.patches == patches


async def test_files_that_somebody_reads_by_their_path_are_not_removed() -> None:
    server = Server()
    by_path = model_cache(staged=False).to_dict()
    by_path["metadata"] |= {"name": "mine", "uid": "u-9"}
    by_path["spec"]["source"] = {"path": {"path": "modelscope/Qwen--Qwen3-VL-Embedding-8B/9c3d"}}
    context = standing(server, deleted(), stored(names.MODEL_CACHE, by_path))
    reader = ObjectKey(names.EMBEDDING_SERVICE, "search", "reader")
    context.users.update(reader, frozenset({ObjectKey(KEY.kind, KEY.namespace, "mine")}))
    assert await reconcile_cache(context, KEY) == 60
    assert (server.ready(), server.made) == ("InUse", [])
    assert "serves from it" in server.status["conditions"][0]["message"]
    context.users.update(reader, frozenset())
    await reconcile_cache(context, KEY)
    assert len(server.made) == 1
