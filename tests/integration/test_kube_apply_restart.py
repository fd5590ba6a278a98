"""What an operator, or an owner, finds of its earlier life: it is left alone, mended, or adopted."""

import pytest

from embedding_operator.kube.apply import Applier
from embedding_operator.kube.cache import Cache
from embedding_operator.kube.compact import unpacked
from embedding_operator.kube.resources import DEPLOYMENTS, key_of
from tests.integration.kube_support import config_map, deployment, edit, owned_by, raw, watched
from tests.unit.planning.test_golden import SERVICES as PLANNED
from tests.unit.planning.test_golden import rendered


async def restarted(applier, client, *children):
    """The applier of the next operator, which knows what a first list showed."""
    successor = Applier(client, Cache())
    for child in children:
        await watched(successor, client, child)
    return successor


def planned(name, namespace):
    """What the planner makes of a whole service."""
    return [{**child, "metadata": {**child["metadata"], "namespace": namespace}} for child in rendered(name)]


@pytest.mark.usefixtures("gateway_api", "pod_monitors")
@pytest.mark.parametrize("name", PLANNED)
async def test_the_next_operator_sends_nothing_that_is_in_force(applier, client, namespace, owner, name):
    children = [owned_by(child, owner) for child in planned(name, namespace)]
    assert len(children) >= 4
    for child in children:
        await applier.apply(child)
    successor = await restarted(applier, client, *children)
    for child in children:
        await successor.apply(child)
    assert successor.counts == {"skipped": len(children)}


@pytest.mark.parametrize(
    "patch",
    [
        [{"op": "replace", "path": "/spec/replicas", "value": 5}],
        [{"op": "remove", "path": "/spec/template/spec/containers/0/env"}],
        [{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--theirs"}],
        [{"op": "remove", "path": "/metadata/ownerReferences"}],
    ],
)
async def test_what_was_edited_while_no_operator_ran_is_put_back(applier, client, namespace, owner, patch):
    (desired,) = (owned_by(c, owner) for c in planned("ascend-910b", namespace) if c["kind"] == "Deployment")
    before = await applier.apply(desired)
    path = DEPLOYMENTS.path(namespace, desired["metadata"]["name"]) + "?fieldManager=kubectl-edit"
    assert await raw(client, "PATCH", path, patch, "application/json-patch+json") == 200
    successor = await restarted(applier, client, desired)
    after = await successor.apply(desired)
    assert successor.counts == {"applied": 1}
    assert (after["spec"], after["metadata"]["ownerReferences"]) == (
        before["spec"],
        before["metadata"]["ownerReferences"],
    )


async def test_after_a_restart_our_own_edited_child_is_taken_back(client, namespace, owner):
    desired = owned_by(deployment(namespace), owner)
    await Applier(client, Cache()).apply(desired)
    await edit(client, DEPLOYMENTS, namespace, "x", {"spec": {"replicas": 5}})
    fresh = Applier(client, Cache())  # the watch has not told of it yet
    assert unpacked(await fresh.apply(desired))["spec"]["replicas"] == 0


async def test_children_of_an_owners_earlier_life_are_adopted(applier, client, namespace, owner):
    await applier.apply(owned_by(deployment(namespace), owner))
    await client.delete(key_of(owner))
    again = await client.apply(config_map(namespace, "owner"))
    # The garbage collector may be faster and take the child; then it is made anew.
    adopted = await applier.apply(owned_by(deployment(namespace), again))
    assert [ref["uid"] for ref in adopted["metadata"]["ownerReferences"]] == [again["metadata"]["uid"]]
