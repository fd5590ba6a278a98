"""Two replicas for a long time: the leader is killed, stopped for a minute, or cut off for a minute, while services are
made, changed and deleted. What comes of it is what comes of it without, and nothing is written too late or twice."""

from __future__ import annotations

import asyncio
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from subprocess import PIPE

import pytest

from embedding_operator.kube.connection import connect
from tests.apart import Apart, apart
from tests.chaos import state
from tests.faulty.direct import Direct
from tests.faulty.everything import Everything
from tests.faulty.kubelet import play_kubelet
from tests.faulty.story import tell
from tests.twins import Twins, lists_before_first_write, made, written_after

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(1800)]

AWAY = 60.0  # seconds
BUSY = (3, 15, 40)  # writes of the leader after which it is hit
STEP = 240.0


@pytest.fixture(scope="module")
def separate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    with apart(tmp_path_factory.mktemp("apart")) as running:
        yield running


@pytest.mark.parametrize("busy", BUSY)
@pytest.mark.parametrize("how", ["killed", "stopped", "cut off"])
async def test_the_heir_of_a_leader_that_is_lost_misses_nothing(separate: Apart, how: str, busy: int) -> None:
    connection = await connect(separate.control_plane.kubeconfig)
    everything = Everything(connection, separate.control_plane.kubectl)
    kubelet = asyncio.create_task(play_kubelet(connection))
    try:
        with separate.twins(f"twins-{secrets.token_hex(3)}") as twins:
            without, expected = await told(everything)
            telling = asyncio.create_task(told(everything, expected))
            lost, before = await busy_leader(twins, busy)
            await disturb(separate, twins, lost, how)
            held = twins.held_until(lost)
            namespace, _ = await telling
            code = await asyncio.to_thread(twins.replicas[lost].wait)
            assert code == (-signal.SIGKILL if how == "killed" else 1)
            assert written_after(twins, lost, held) == []
            assert lists_before_first_write(twins, twins.other(lost), before) == []
            assert kinds(made(twins, namespace)) == kinds(made(twins, without))
            assert twins.replicas[twins.other(lost)].is_running()
        assert not kubelet.done(), kubelet.exception()
    finally:
        kubelet.cancel()
        await asyncio.gather(kubelet, return_exceptions=True)
        await connection.close()


async def disturb(separate: Apart, twins: Twins, leader: str, how: str) -> None:
    """Do it, and after a minute undo what can be undone."""
    replica = twins.replicas[leader]
    if how == "killed":
        replica.send(signal.SIGKILL)
    elif how == "stopped":
        replica.send(signal.SIGSTOP)
        await asyncio.sleep(AWAY)
        replica.send(signal.SIGCONT)
    else:
        separate.cut(leader)
        await asyncio.sleep(AWAY)
        separate.mend(leader)
        await asyncio.sleep(5)  # for what a kernel could still send


async def busy_leader(twins: Twins, writes: int) -> tuple[str, float]:
    """Who leads, once it has written so much more; and when it last did."""
    leader, seen = twins.leader(), len(twins.requests())
    while True:
        ours = [one.at for one in twins.requests()[seen:] if one.who == leader and one.is_write]
        if len(ours) >= writes:
            return leader, ours[-1]
        await asyncio.sleep(0.02)


def kinds(made: Counter[str]) -> Counter[str]:
    """Without the names, some of which have chance in them."""
    return Counter(one.partition(" ")[0] for one in made.elements())


async def told(everything: Everything, expected: state.State | None = None) -> tuple[str, state.State]:
    """The story, in a namespace of its own, which is returned; how it ends, which must be as expected."""
    users: Direct = await everything.namespace(f"story-{secrets.token_hex(3)}")
    await tell(users, seconds=STEP)
    before: state.State = {}
    try:
        async with asyncio.timeout(STEP):
            while True:
                now = state.normalised(await everything.read(users.namespace), users.namespace)
                if now == (before if expected is None else expected):
                    break
                before = now
                await asyncio.sleep(3)
    except TimeoutError:
        raise AssertionError("\n".join(state.differences(expected or {}, before)[:40])) from None
    await everything.forget(users.namespace)
    return users.namespace, now


SENDS = """
import asyncio, sys
from embedding_operator.kube.client import KubeClient
from embedding_operator.kube.connection import connect
from embedding_operator.kube.resources import ObjectKey

async def main(kubeconfig, unacknowledged):
    client = KubeClient(await connect(kubeconfig, unacknowledged=float(unacknowledged) or None), timeout=120)
    await client.get(ObjectKey("ConfigMap", "default", "sent"))
    print("connected", flush=True)
    sys.stdin.readline()
    metadata = {"name": "sent", "namespace": "default"}
    await client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize(("unacknowledged", "arrives"), [(3, False), (0, True)], ids=["dropped", "kept"])
def test_what_was_sent_into_a_cut_is_dropped_before_the_lease_runs_out(
    separate: Apart, unacknowledged: int, arrives: bool
) -> None:
    """The kernel keeps trying otherwise, for the sender too if that is stopped or dead: it arrives when it may not."""
    kubectl = separate.control_plane.kubectl
    kubectl("-n", "default", "delete", "configmap", "sent", "--ignore-not-found")
    program = [sys.executable, "-c", SENDS, str(separate.control_plane.kubeconfig), str(unacknowledged)]
    with subprocess.Popen(separate.at("left", program), stdin=PIPE, stdout=PIPE, stderr=PIPE) as sender:
        assert sender.stdin is not None
        assert sender.stdout is not None
        assert sender.stdout.readline() == b"connected\n"
        separate.cut("left")
        sender.stdin.write(b"now\n")
        sender.stdin.flush()
        time.sleep(1)
        sender.send_signal(signal.SIGSTOP)
        time.sleep(10)
        separate.mend("left")
        time.sleep(30)
        found = kubectl("-n", "default", "get", "configmap", "sent", "--ignore-not-found", "-o", "name")
        sender.kill()
    assert bool(found) == arrives
