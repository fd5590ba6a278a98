"""What reconciling a service does before it plans anything."""

from embedding_operator.controllers import turns
from embedding_operator.controllers.services import reconcile_service
from embedding_operator.kube.resources import ObjectKey
from embedding_operator.planning.follow import Phase, Standing
from tests.unit.controllers import given

BEHIND = Standing(Phase.BEHIND, "npu")
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
