"""The drain against the vLLM double, which loses requests on SIGTERM like the real one."""

import asyncio
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.planning.drained import cut_off
from embedding_operator.podscripts import drain
from tests.ports import free_ports
from tests.standins.load import Load, Result
from tests.standins.vllm.process import ServerProcess
from tests.unit.planning import given
from tests.unit.podscripts.conftest import Serve, StartDouble, json_app, until

QUICK = ["--settle", "0.3", "--interval", "0.1"]
BUSY = {"VLLM_DOUBLE_LATENCY_MS": "40"}


def run_drain(server: ServerProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    return server.run_script("drain", "--port", str(server.port), *QUICK, *arguments)


async def under_load(load: Load, action: Any) -> Result:
    """Runs the action in the midst of a load; the load ends a while later."""
    running = asyncio.create_task(load.run())
    await until(lambda: load.result.requests >= 100)
    await action()
    asyncio.get_running_loop().call_later(0.5, load.stop)
    return await running


async def test_sigterm_without_a_drain_loses_requests(double: StartDouble) -> None:
    with double("old", **BUSY) as old, double("new", **BUSY) as new:
        load = Load(f"{old.url}/v1/embeddings", "tiny", timeout=2)

        async def terminate() -> None:
            load.url = f"{new.url}/v1/embeddings"
            old.terminate()

        result = await under_load(load, terminate)
    assert result.failed > 0


async def test_waiting_for_idle_without_closing_connections_never_ends(double: StartDouble) -> None:
    """Why the flag is needed: keep-alive clients go on sending to a server that has left its Service."""
    with double("old", **BUSY) as old, double("new", **BUSY) as new:
        load = Load(f"{old.url}/v1/embeddings", "tiny", timeout=2)
        ended: list[str] = []

        async def wait_only() -> None:
            load.url = f"{new.url}/v1/embeddings"
            watch = drain.Watch(drain.Server("127.0.0.1", old.port))
            ended.append(await asyncio.to_thread(drain.drain, watch, 1.5, 0.3, 0.1))

        await under_load(load, wait_only)
    assert ended[0].startswith("gave up after ")


async def test_a_drain_before_sigterm_loses_none(double: StartDouble) -> None:
    with double("old", **BUSY) as old, double("new", **BUSY) as new:
        load = Load(f"{old.url}/v1/embeddings", "tiny", timeout=10)
        said: list[str] = []

        async def drain_and_terminate() -> None:
            load.url = f"{new.url}/v1/embeddings"  # the endpoint is gone for new connections
            said.append((await asyncio.to_thread(run_drain, old, "--timeout", "20")).stdout)
            old.terminate()
            await asyncio.to_thread(old.process.wait)

        result = await under_load(load, drain_and_terminate)
        assert old.process.returncode == 0
    assert result.summary()["errors"] == {}
    assert result.requests > 100
    assert said[0].startswith("embedding-operator drain: drained in ")
    assert said[0].count("\n") == 1


async def test_a_drain_waits_for_a_client_that_is_connected_and_silent(double: StartDouble, tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    log.touch()
    with double(EMBEDDING_OPERATOR_TERMINATION_LOG=str(log)) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        waiting = await asyncio.to_thread(run_drain, server, "--timeout", "1.5")
        writer.close()
        done = await asyncio.to_thread(run_drain, server, "--timeout", "20")
    assert "0 requests in flight, 1 connections open" in waiting.stdout
    assert log.read_text() == "", "nobody's request was lost"
    assert "drained in" in done.stdout


async def test_at_the_deadline_it_gives_up_and_says_what_was_left(double: StartDouble, tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    with double(VLLM_DOUBLE_LATENCY_MS="60000", EMBEDDING_OPERATOR_TERMINATION_LOG=str(log)) as server:
        load = Load(f"{server.url}/v1/embeddings", "tiny", clients=3, requests=3, timeout=60)
        running = asyncio.create_task(load.run())
        await until(lambda: load.result.connections == 3)
        ended = await asyncio.to_thread(run_drain, server, "--timeout", "1.5")
        assert not log.exists(), "a file that no kubelet made"
        log.write_text("x" * 500)
        again = await asyncio.to_thread(run_drain, server, "--timeout", "1.5")
        server.kill()
        await running
    assert ended.returncode == 0
    assert "gave up after" in ended.stdout
    assert "3 requests in flight, 3 connections open" in ended.stdout
    assert log.read_text() + "\n" == again.stdout
    pod = given.pod("qwen-1", containerStatuses=[{"state": {"terminated": {"message": log.read_text()}}}])
    assert "with 3 requests unanswered" in (cut_off(pod) or "")


def test_an_idle_server_is_drained_and_the_flag_stays_up(double: StartDouble) -> None:
    with double() as server:
        ended = run_drain(server, "--timeout", "20")
        assert server.flag.exists()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "drained in" in ended.stdout


def test_a_server_that_does_not_listen_is_not_waited_for(double: StartDouble) -> None:
    server = double()
    ended = server.run_script("drain", "--port", str(server.port), "--timeout", "600", "--settle", "600")
    assert ended.returncode == 0
    assert ended.stdout == f"embedding-operator drain: nothing to drain: nothing listens on port {server.port}\n"


def test_a_server_that_never_answers_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "POLL_TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", free_ports(1)[0])) as silent:
        port = silent.getsockname()[1]
        watch = drain.Watch(drain.Server("127.0.0.1", port))
        assert drain.drain(watch, 600, 0, 0.01) == f"nothing to drain: no answer on port {port}"


def test_a_frozen_server_does_not_hold_its_pod_until_the_deadline(double: StartDouble) -> None:
    with double() as server:
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            ended = run_drain(server, "--timeout", "6000")  # as long as that, the test would have been ended
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
    assert ended.stdout == f"embedding-operator drain: nothing to drain: no answer on port {server.port}\n"


class SlowClock:
    """A clock by which every look takes two seconds, and sleep what it is told."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        self.time += 2
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.slept.append(seconds)


async def test_a_slow_first_answer_leaves_less_time_to_settle(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is the pod's grace period: what outlasts it is killed in the midst of answers."""
    port = await serve(json_app(200, b'{"inflight": 1}'))
    clock = SlowClock()
    monkeypatch.setattr(drain, "time", clock)
    watch = drain.Watch(drain.Server("127.0.0.1", port))
    said = await asyncio.to_thread(drain.drain, watch, 5, 3, 0.5)  # from 2 to 7: two looks leave one second
    assert clock.slept == [1]
    assert said.startswith("gave up after ")


async def test_without_socket_tables_the_requests_in_flight_decide(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(drain, "SOCKET_TABLES", (str(tmp_path), str(tmp_path / "none")))
    port = await serve(json_app(200, b'{"inflight": 0}'))
    watch = drain.Watch(drain.Server("127.0.0.1", port))
    assert (await asyncio.to_thread(drain.drain, watch, 20, 0, 0.05)).startswith("drained in ")


def test_a_server_that_dies_meanwhile_ends_the_drain(double: StartDouble) -> None:
    with double() as server, socket.create_connection(("127.0.0.1", server.port)):
        process = subprocess.Popen(
            server.script("drain", "--port", str(server.port), "--timeout", "600", *QUICK),
            env=server.variables,
            stdout=subprocess.PIPE,
            text=True,
        )
        while not server.flag.exists():
            time.sleep(0.01)
        time.sleep(0.5)
        server.kill()
        said, _ = process.communicate()
    assert "nothing to drain: nothing listens" in said


async def test_without_the_middleware_the_connections_decide(serve: Serve) -> None:
    port = await serve(json_app(404, b"{}"))
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    watch = drain.Watch(drain.Server("127.0.0.1", port))
    waiting = await asyncio.to_thread(drain.drain, watch, 0.5, 0, 0.05)
    writer.close()
    done = await asyncio.to_thread(drain.drain, watch, 20, 0, 0.05)
    assert waiting.endswith("an unknown number of requests in flight, 1 connections open")
    assert done.startswith("drained in ")


def test_a_flag_that_cannot_be_written_is_told_and_the_wait_goes_on(double: StartDouble, tmp_path: Path) -> None:
    with double() as server:
        (tmp_path / "file").touch()
        server.flag = tmp_path / "file" / "draining"
        ended = run_drain(server, "--timeout", "20")
    assert ended.returncode == 0
    assert "drained in" in ended.stdout
    assert f"cannot write {server.flag}" in ended.stdout


TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0A01F40A:1F40 0B01F40A:C350 01 00000000:00000000 00:00000000 00000000     0        0 2
   2: 0100007F:1F40 0100007F:C351 01 00000000:00000000 00:00000000 00000000     0        0 3
   3: 0100007F:C351 0100007F:1F40 01 00000000:00000000 00:00000000 00000000     0        0 4
   4: 0A01F40A:1F40 0B01F40A:C352 06 00000000:00000000 00:00000000 00000000     0        0 5
   5: 0A01F40A:1F41 0B01F40A:C353 01 00000000:00000000 00:00000000 00000000     0        0 6
"""
TABLE_6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 0000000000000000FFFF00000A01F40A:1F40 0000000000000000FFFF00000B01F40A:C354 01 00000000:00000000
   1: 00000000000000000000000000000000:1F40 00000000000000000000000000000000:0000 0A 00000000:00000000
"""


@pytest.mark.parametrize(
    ("tables", "own_port", "count"),
    [
        ([TABLE], 0xC351, 1),  # a client; not the listener, the question itself, closed ones, or another port
        ([TABLE], 0, 2),  # loopback counts: port-forward comes from there
        ([TABLE, TABLE_6], 0xC351, 2),
        ([TABLE_6], 0xC351, 1),
        ([], 0, 0),
    ],
)
def test_established_connections_are_those_of_clients(tables: list[str], own_port: int, count: int) -> None:
    assert drain.connected(tables, 8000, own_port) == count
