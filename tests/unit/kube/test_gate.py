"""Without the lease no write leaves: not when it waited for its turn, nor when its way to the server took too long."""

import socket

import pytest
from aiohttp import web

from embedding_operator.kube.connection import Connection
from embedding_operator.kube.errors import LeaseLost
from embedding_operator.kube.resources import ObjectKey
from tests.unit.kube.serving import connected, serving

POD = ObjectKey("Pod", "a", "x")
METADATA = {"name": "x", "namespace": "a", "resourceVersion": "1"}


def obj(api_version, kind):
    return {"apiVersion": api_version, "kind": kind, "metadata": METADATA}


WRITES = {
    "apply": lambda client: client.apply(obj("v1", "Service")),
    "apply_status": lambda client: client.apply_status(obj("embedding-operator.io/v1alpha1", "EmbeddingService")),
    "create": lambda client: client.create(obj("v1", "Service")),
    "replace": lambda client: client.replace(obj("v1", "Service")),
    "merge_patch": lambda client: client.merge_patch(POD, {}),
    "delete": lambda client: client.delete(POD),
    "evict": lambda client: client.evict(POD, uid=None),
    "an Event": lambda client: client.create(obj("events.k8s.io/v1", "Event")),
}


class Listening:
    """Answers everything, and remembers what came."""

    def __init__(self):
        self.seen = []

    async def answer(self, request):
        self.seen.append(f"{request.method} {request.path}")
        return web.json_response({})


def gates(*answers):
    """A gate that answers this, one after the other."""
    left = list(answers)
    return lambda: left.pop(0)


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("answers", [(False,), (True, False)], ids=["before", "on the way"])
async def test_a_write_that_may_not_begin_is_not_sent(tmp_path, write, answers):
    server = Listening()
    async with serving(server.answer, tmp_path) as client:
        client.gate = gates(*answers)
        with pytest.raises(LeaseLost):
            await WRITES[write](client)
        client.gate = None
        await client.get(ObjectKey("Pod", "a", "afterwards"))
    assert server.seen == ["GET /api/v1/namespaces/a/pods/afterwards"]


@pytest.mark.parametrize("write", WRITES)
async def test_a_write_that_may_begin_is_asked_about_twice_and_sent(tmp_path, write):
    server = Listening()
    async with serving(server.answer, tmp_path) as client:
        client.gate = gates(True, True)
        await WRITES[write](client)
    assert len(server.seen) == 1


async def test_reads_and_the_lease_itself_ask_nobody(tmp_path):
    async with serving(Listening().answer, tmp_path) as client:
        client.gate = gates()
        await client.get(POD)
        await client.replace(obj("coordination.k8s.io/v1", "Lease"))


async def test_the_kernel_gives_up_on_what_is_not_acknowledged(tmp_path):
    async with connected(tmp_path, "http://127.0.0.1:1") as connection:
        patient = Connection(connection._access, unacknowledged=5.0)
        address = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))
        with patient._socket(address) as made:
            assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000
