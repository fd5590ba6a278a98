"""Two replicas: the one that leads is killed, or stopped for longer than its Lease holds, while services are made and
changed. The API server's audit log tells who wrote what when."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from embedding_operator.kube.connection import connect
from tests.cluster.controlplane import ControlPlane
from tests.faulty.direct import Direct
from tests.faulty.kubelet import play_kubelet
from tests.faulty.story import claim, gone, service, serving
from tests.integration.kinds import install_kinds
from tests.operator_process import OperatorProcess
from tests.twins import Twins, lists_before_first_write, made, written_after

LEASE = 6
BUSY = 12  # writes of the leader, of some hundred, after which it is hit
SERVICES = 5


@pytest.fixture(scope="module")
def twins(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    install_kinds(control_plane.kubectl)
    directory = tmp_path_factory.mktemp("twins")
    with Twins(control_plane, directory, f"twins-{secrets.token_hex(3)}", lease=LEASE) as twins:
        yield twins
    for replica in twins.replicas.values():
        assert "Traceback" not in replica.log.read_text()


async def test_a_standby_goes_on_where_a_killed_leader_ended(twins: Twins, control_plane: ControlPlane) -> None:
    async with at_work(control_plane, twins) as users:
        killed, before = await hit(twins, signal.SIGKILL)
        held = twins.held_until(killed)
        await all_is_done(users)
    heir = twins.other(killed)
    assert written_after(twins, killed, held) == []
    assert lists_before_first_write(twins, heir, before) == []
    assert set(made(twins, users.namespace).values()) == {1}
    await asyncio.to_thread(twins.replicas[killed].wait)
    await asyncio.to_thread(twins.replicas[killed].start)  # the next test's standby


async def test_a_leader_that_was_stopped_writes_nothing_when_it_wakes(
    twins: Twins, control_plane: ControlPlane
) -> None:
    async with at_work(control_plane, twins) as users:
        stopped, before = await hit(twins, signal.SIGSTOP)
        heir = twins.other(stopped)
        while twins.leader() != heir:  # noqa: ASYNC110 - the Lease is not in this process
            await asyncio.sleep(0.2)
        twins.replicas[stopped].send(signal.SIGCONT)
        held = twins.held_until(stopped)
        code = await asyncio.to_thread(twins.replicas[stopped].wait)
        await all_is_done(users)
    assert written_after(twins, stopped, held) == []
    assert code == 1
    assert last_line(twins.replicas[stopped]).startswith("stopped for longer than the lease holds: ended")
    assert lists_before_first_write(twins, heir, before) == []
    assert set(made(twins, users.namespace).values()) == {1}


@asynccontextmanager
async def at_work(control_plane: ControlPlane, twins: Twins) -> AsyncIterator[Direct]:
    """A namespace in which services have just been made, and somebody plays kubelet."""
    connection = await connect(control_plane.kubeconfig)
    users = Direct(connection, f"{twins.namespace}-{secrets.token_hex(2)}")
    await users.ask("POST", "/api/v1/namespaces", {"metadata": {"name": users.namespace}})
    kubelet = asyncio.create_task(play_kubelet(connection))
    try:
        await users.create("pvc", claim())
        for number in range(SERVICES):
            await users.create("emb", service(f"s{number}", "Qwen/Qwen3-Embedding-0.6B", replicas=2))
        yield users
        assert not kubelet.done(), kubelet.exception()
    finally:
        kubelet.cancel()
        await asyncio.gather(kubelet, return_exceptions=True)
        await users.ask("DELETE", f"/api/v1/namespaces/{users.namespace}")
        await connection.close()


async def hit(twins: Twins, how: signal.Signals) -> tuple[str, float]:
    """Send a signal to the leader once it is busy with what is new; who it was, and the time of its last write."""
    leader, seen = twins.leader(), len(twins.requests())

    def written() -> list[float]:
        return [one.at for one in twins.requests()[seen:] if one.who == leader and one.is_write]

    while len(written()) < BUSY:  # noqa: ASYNC110 - the log is another process's
        await asyncio.sleep(0.05)
    twins.replicas[leader].send(how)
    return leader, written()[-1]


async def all_is_done(users: Direct) -> None:
    """What was asked for before, and more that is asked for meanwhile."""
    await users.patch("emb", "s0", {"spec": {"replicas": 3}})
    await users.delete("emb", "s1")
    await users.create("emb", service("new", "Qwen/Qwen3-Embedding-4B"))
    while not (await serving(users, s0=3, s2=2, s3=2, s4=2, new=1) and await gone(users, "s1")):  # noqa: ASYNC110
        await asyncio.sleep(0.3)


def last_line(replica: OperatorProcess) -> str:
    return replica.log.read_text().splitlines()[-1]
