"""Election on a real API server. Orders are asserted, never durations."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest

import embedding_operator
from embedding_operator.kube.leader import Elector, Times
from embedding_operator.kube.resources import LEASES, ObjectKey

from .kube_support import Wire, client_of, raw, until

FAST = Times(duration=3.0, deadline=2.0, retry=0.2)


@pytest.fixture
async def elect(namespace):
    """Makes electors for one lease, and ends them."""
    electors = []

    def make(client, identity, times=FAST):
        elector = Elector(client, namespace=namespace, name="operator", identity=identity, times=times)
        electors.append(elector)
        return elector

    yield make
    for elector in electors:
        with contextlib.suppress(RuntimeError):  # its client is closed by now
            await elector.release()


async def lease(client, namespace):
    return (await client.get(ObjectKey("Lease", namespace, "operator")))["spec"]


async def renewed(elector, deadline):
    async def has_moved():
        return elector.deadline != deadline

    await until(has_moved)


async def test_the_first_leads_and_the_second_waits_until_it_lets_go(client, namespace, elect):
    first, second = elect(client, "first"), elect(client, "second")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(2 * FAST.duration)
    assert first.held
    assert not second.held
    assert not waiting.done()
    assert second.leader == "first"
    before = await lease(client, namespace)
    assert (before["holderIdentity"], before["leaseTransitions"]) == ("first", 0)

    await first.release()
    assert not first.held
    assert first.lost.is_set()
    await waiting
    after = await lease(client, namespace)
    assert (after["holderIdentity"], after["leaseTransitions"]) == ("second", 1)


@pytest.mark.timeout(60)
async def test_who_waits_learns_at_once_that_the_lease_was_given_back_or_deleted(client, namespace, elect):
    seldom = Times(duration=600.0, deadline=400.0, retry=300.0)  # so it is not by looking that they learn it
    first, second, third = (elect(client, name, seldom) for name in ("first", "second", "third"))
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    while second.leader != "first":  # noqa: ASYNC110 - the lease is not in this process
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)  # until it watches
    await first.release()
    await waiting
    waiting = asyncio.create_task(third.acquire())
    await asyncio.sleep(1)
    await client.delete(ObjectKey("Lease", namespace, "operator"))
    await waiting


async def test_who_lets_go_leaves_the_lease_to_nobody(client, namespace, elect):
    first = elect(client, "first")
    await first.acquire()
    await first.release()
    assert (await lease(client, namespace)).get("holderIdentity", "") == ""


async def test_a_lease_is_renewed_without_taking_it_again(client, namespace, elect):
    elector = elect(client, "first")
    await elector.acquire()
    before, deadline = await lease(client, namespace), elector.deadline
    await renewed(elector, deadline)
    after = await lease(client, namespace)
    assert after["renewTime"] > before["renewTime"]
    assert (after["acquireTime"], after["leaseTransitions"]) == (before["acquireTime"], 0)


async def test_when_the_leader_is_killed_the_other_takes_over(control_plane, client, namespace, elect):
    program = (
        "import asyncio\n"
        "from embedding_operator.kube.client import KubeClient\n"
        "from embedding_operator.kube.connection import connect\n"
        "from embedding_operator.kube.leader import Elector, Times\n"
        "async def main():\n"
        f"    client = KubeClient(await connect({str(control_plane.kubeconfig)!r}))\n"
        f"    elector = Elector(client, namespace={namespace!r}, name='operator', identity='killed', times={FAST!r})\n"
        "    await elector.acquire()\n"
        "    print('leads', flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    source_root = str(Path(embedding_operator.__file__).parents[1])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": source_root},
    )
    try:
        assert await process.stdout.readline() == b"leads\n"
        survivor = elect(client, "survivor")
        waiting = asyncio.create_task(survivor.acquire())
        await asyncio.sleep(0.5)
        assert not waiting.done()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()
    await waiting
    after = await lease(client, namespace)
    assert (after["holderIdentity"], after["leaseTransitions"]) == ("survivor", 1)


async def test_a_leader_that_is_cut_off_stops_before_another_begins(control_plane, client, elect, tmp_path, caplog):
    wire = Wire(control_plane.url)
    async with (
        wire.relaying(control_plane.kubeconfig, tmp_path) as kubeconfig,
        client_of(kubeconfig) as cut_off,
    ):
        old, new = elect(cut_off, "old"), elect(client, "new")
        await old.acquire()
        waiting = asyncio.create_task(new.acquire())
        await asyncio.sleep(0.5)
        wire.stall()
        await old.lost.wait()
        stopped = time.monotonic()
        assert "read or written for now: no answer within" in caplog.text
        assert not old.held
        assert not new.held
        await waiting
        assert time.monotonic() > stopped
        wire.resume()  # what was stuck on the wire arrives now, and must not win
        await asyncio.sleep(1)
        assert new.held
        assert not old.held


async def test_a_short_pause_of_the_api_server_costs_nothing(control_plane, elect, namespace, client, tmp_path):
    wire = Wire(control_plane.url)
    async with (
        wire.relaying(control_plane.kubeconfig, tmp_path) as kubeconfig,
        client_of(kubeconfig) as paused,
    ):
        elector = elect(paused, "only", Times(duration=30.0, deadline=20.0, retry=0.2))
        await elector.acquire()
        for disturb in (wire.stall, wire.cut):
            deadline = elector.deadline
            disturb()
            await asyncio.sleep(0.5)
            wire.resume()
            await renewed(elector, deadline)
            assert elector.held
            assert not elector.lost.is_set()
        assert (await lease(client, namespace))["leaseTransitions"] == 0


async def test_a_leader_whose_lease_was_given_to_another_stops(client, namespace, elect):
    elector = elect(client, "first", Times(duration=60.0, deadline=50.0, retry=0.2))
    await elector.acquire()
    path = LEASES.path(namespace, "operator")
    patch = {"spec": {"holderIdentity": "usurper", "leaseDurationSeconds": 60}}
    assert await raw(client, "PATCH", path, patch, "application/merge-patch+json") == 200
    await elector.lost.wait()
    assert not elector.held
    assert elector.leader == "usurper"
    await elector.release()
    assert (await lease(client, namespace))["holderIdentity"] == "usurper"


async def test_a_deleted_lease_is_made_again_by_its_holder(client, namespace, elect):
    elector = elect(client, "first")
    await elector.acquire()
    await client.delete(ObjectKey("Lease", namespace, "operator"))

    async def is_back():
        return await client.get(ObjectKey("Lease", namespace, "operator")) is not None

    await until(is_back)
    assert elector.held
    assert not elector.lost.is_set()


async def test_of_many_that_try_at_once_one_leads(client, elect):
    electors = [elect(client, f"e{number}") for number in range(8)]
    waiting = [asyncio.create_task(elector.acquire()) for elector in electors]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for _ in range(20):
        assert sum(elector.held for elector in electors) == 1
        await asyncio.sleep(0.05)
    for task in waiting:
        task.cancel()


async def test_acquiring_waits_for_an_api_server_that_is_away(control_plane, elect, tmp_path):
    wire = Wire(control_plane.url)
    async with (
        wire.relaying(control_plane.kubeconfig, tmp_path) as kubeconfig,
        client_of(kubeconfig, timeout=0.3) as client,
    ):
        wire.stall()
        elector = elect(client, "patient")
        waiting = asyncio.create_task(elector.acquire())
        await asyncio.sleep(1)
        assert not waiting.done()
        wire.resume()
        await waiting
        assert elector.held


async def test_a_held_lease_gates_writes(client, namespace, elect):
    elector = elect(client, "first")
    client.gate = lambda: elector.held
    assert not elector.held
    await elector.acquire()
    assert client.gate()


@pytest.mark.parametrize("times", [(10, 15, 2), (15, 10, 10), (15, 10, 0)])
def test_times_that_cannot_work_are_refused(times):
    with pytest.raises(ValueError, match="duration > deadline > retry"):
        Times(*times)
