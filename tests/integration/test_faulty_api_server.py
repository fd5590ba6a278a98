"""Between the operator and the API server all sorts of things go wrong, at random, while users work: what comes of it
is what comes of it without, and the operator is the same process all the time.

A seed is tried again with FAULTY_SEEDS=7, or FAULTY_SEEDS=100-199.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from embedding_operator.kube.connection import connect
from tests.chaos import state
from tests.cluster.controlplane import ControlPlane
from tests.faulty.direct import Direct
from tests.faulty.everything import Everything
from tests.faulty.faults import Fate, Fault
from tests.faulty.kubelet import play_kubelet
from tests.faulty.proxy import FaultyProxy
from tests.faulty.story import tell
from tests.integration.kinds import install_kinds
from tests.operator_process import OperatorProcess

QUICK = range(1, 11)
MANY = range(100, 400)
_AT_ONCE = 10
_RESYNC = 7  # seconds
_LEASE = 60  # seconds: that a machine on which ten operators start needs long for a request is no fault of theirs
_STEP = 150.0  # seconds, for what takes two without faults


async def test_whatever_goes_wrong_on_the_way_to_the_api_server_the_end_is_the_same(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    happened = await _tried(control_plane, tmp_path, _seeds() or QUICK)
    assert _seeds() or set(happened) == set(Fault), f"never happened: {set(Fault) - set(happened)}"


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_of_hundreds_of_seeds_each_ends_the_same(control_plane: ControlPlane, tmp_path: Path) -> None:
    happened = await _tried(control_plane, tmp_path, MANY)
    assert set(happened) == set(Fault), f"never happened: {set(Fault) - set(happened)}"


def _seeds() -> Sequence[int]:
    """Those that were asked for."""
    first, _, last = os.environ.get("FAULTY_SEEDS", "").partition("-")
    return range(int(first), int(last or first) + 1) if first else ()


async def _tried(control_plane: ControlPlane, directory: Path, seeds: Sequence[int]) -> Counter[Fault]:
    """How often what went wrong, over all seeds."""
    await asyncio.to_thread(install_kinds, control_plane.kubectl)
    connection = await connect(control_plane.kubeconfig)
    everything = Everything(connection, control_plane.kubectl)
    kubelet = asyncio.create_task(play_kubelet(connection))
    happened: Counter[Fault] = Counter()
    expected = asyncio.create_task(_one(control_plane, directory, everything, Fate(0, calm=True)))
    try:
        for first in range(0, len(seeds), _AT_ONCE):
            fates = [Fate(seed) for seed in seeds[first : first + _AT_ONCE]]
            async with asyncio.TaskGroup() as group:
                for fate in fates:
                    group.create_task(_one(control_plane, directory, everything, fate, expected))
            happened.update(fault for fate in fates for fault in fate.counts.elements())
        assert not kubelet.done(), kubelet.exception()
    finally:
        for task in (kubelet, expected):
            task.cancel()
        await asyncio.gather(kubelet, expected, return_exceptions=True)
        await connection.close()
    print("\n".join(f"{number:6d}  {fault}" for fault, number in happened.most_common()))
    return happened


async def _one(
    control_plane: ControlPlane,
    directory: Path,
    everything: Everything,
    fate: Fate,
    undisturbed: asyncio.Task[state.State] | None = None,
) -> state.State:
    """The story in a namespace and with an operator of its own; how it ends, which must be as expected."""
    namespace = f"faulty-{fate.seed}-{secrets.token_hex(3)}"
    users = await everything.namespace(namespace)
    try:
        async with FaultyProxy(control_plane, fate).serving(directory) as kubeconfig:
            there = (f"--namespace={namespace}", f"--lease-namespace={namespace}")
            pace = (f"--resync-seconds={_RESYNC}", f"--lease-seconds={_LEASE}")
            operator = OperatorProcess(kubeconfig, directory, *there, *pace, name=f"operator-{fate.seed}")
            try:
                await asyncio.to_thread(operator.start)
                await tell(users, seconds=_STEP)
                fate.calm = True
                found = await _settled(everything, users, await undisturbed if undisturbed else None)
                assert operator.is_running(), "it has ended"
            finally:
                code = await asyncio.to_thread(operator.terminate)
        assert code == 0
        log = operator.log.read_text()
        assert "Traceback" not in log
        assert "defect" not in log
        assert log.count(" leads (lease") == 1, "one process, which led all the time"
        return found
    except BaseException as error:
        error.add_note(f"again: FAULTY_SEEDS={fate.seed} pytest {__file__}; its log: {operator.log}; what went wrong:")
        error.add_note("\n".join(fate.log[-60:]))
        raise
    finally:
        await everything.forget(namespace)


async def _settled(everything: Everything, users: Direct, expected: state.State | None) -> state.State:
    """How it is, once it is as expected or stays as it is."""
    before: state.State = {}
    try:
        async with asyncio.timeout(_STEP):
            while True:
                now = state.normalised(await everything.read(users.namespace), users.namespace)
                if now == (before if expected is None else expected):
                    return now
                before = now
                await asyncio.sleep(1 if expected else _RESYNC + 1)
    except TimeoutError:
        raise AssertionError("\n".join(state.differences(expected or {}, before)[:40])) from None
