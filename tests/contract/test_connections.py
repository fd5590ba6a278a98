"""Connections, draining and the end: where lost requests come from."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

import pytest

from tests.contract.client import Client
from tests.contract.conftest import NAMES, Kind
from tests.standins.vllm.process import ServerProcess

# Enough work for the real server to be met at it; the double is told its latency.
MUCH_WORK = ["word " * 200] * 8


@pytest.fixture
def draining(server: ServerProcess) -> Iterator[None]:
    server.flag.parent.mkdir(exist_ok=True)
    server.flag.touch()
    yield
    server.flag.unlink()


def test_a_connection_is_kept_between_requests(client: Client) -> None:
    with client.keeping() as connection:
        client.vectors("one")
        first = connection.sock
        client.vectors("two")
        assert connection.sock is first is not None


def test_a_client_may_ask_to_close(client: Client) -> None:
    answer = client.send("GET", "/health", headers={"Connection": "close"})
    assert answer.headers["connection"] == "close"


def test_not_draining_is_ready_and_keeps_connections(client: Client) -> None:
    answer = client.get("/-/ready")
    assert (answer.status, answer.headers.get("connection")) == (200, None)
    assert client.get("/-/inflight").json == {"inflight": 0, "draining": False}


@pytest.mark.usefixtures("draining")
def test_while_draining_a_kept_connection_is_closed_after_its_answer(client: Client) -> None:
    request = json.dumps({"model": "tiny", "input": "hello"}).encode()
    head = (
        f"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(request)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as raw:
        raw.sendall(head.encode() + request)
        answer = b"".join(iter(lambda: raw.recv(65536), b""))  # until the server closes
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer.lower().partition(b"\r\n\r\n")[0]


@pytest.mark.usefixtures("draining")
def test_while_draining_the_server_is_healthy_but_not_ready(client: Client) -> None:
    assert client.get("/health").status == 200
    assert client.get("/-/ready").status == 503
    assert client.get("/-/inflight").json["draining"] is True


@pytest.mark.usefixtures("draining")
def test_while_draining_errors_close_too(client: Client) -> None:
    answer = client.embed("x", model="other")
    assert (answer.status, answer.headers.get("connection")) == (404, "close")


def test_the_startup_probe_passes(server: ServerProcess, kind: Kind) -> None:
    for name in NAMES:
        ended = server.run_script("probe", "--port", str(server.port), "--model", name)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout == f"{name}: a vector of {kind.dimensions} numbers\n"


def test_the_startup_probe_refuses_another_model(server: ServerProcess) -> None:
    ended = server.run_script("probe", "--port", str(server.port), "--model", "other")
    assert ended.returncode == 1
    assert ended.stderr.startswith("no /v1/embeddings for the model 'other' (HTTP 404): ")


def until_in_flight(client: Client, count: int) -> None:
    while True:
        if client.get("/-/inflight").json["inflight"] == count:
            return
        time.sleep(0.01)


def test_a_drain_returns_when_all_that_was_in_flight_is_answered(kind: Kind) -> None:
    with kind.start("drained", latency=1) as server, ThreadPoolExecutor(4) as pool:
        client = Client(server.port)
        client.vectors("warm up")
        answers = [pool.submit(Client(server.port).embed, MUCH_WORK) for _ in range(4)]
        until_in_flight(client, 4)
        ended = server.run_script("drain", "--port", str(server.port), "--timeout", "120", "--settle", "0")
        assert "drained in" in ended.stdout
        assert client.get("/-/inflight").json == {"inflight": 0, "draining": True}
        # With nobody connected the signal costs nothing, and the server goes at once.
        server.terminate()
        assert server.process.wait(60) in (0, -15)
        assert [answer.result().status for answer in answers] == [200] * 4


def test_sigterm_drops_what_is_in_flight(kind: Kind) -> None:
    """The reason for the drain; should this ever fail for the real server, the drain has less to do."""
    answered = []
    with kind.start("dropped", latency=1) as server:
        client = Client(server.port)
        began = time.monotonic()
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(client.vectors, [MUCH_WORK] * 4))
        work = time.monotonic() - began

        def ask() -> None:
            try:
                answered.append(Client(server.port).embed(MUCH_WORK).status)
            except (OSError, HTTPException):
                answered.append(0)

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        until_in_flight(client, 4)
        server.terminate()
        time.sleep(3 * work + 1)
        in_time = list(answered)
        server.kill()
        for asker in askers:
            asker.join()
    assert in_time.count(200) < 4


def test_an_unknown_flag_ends_the_start_with_the_parsers_status(kind: Kind) -> None:
    server = kind.start("unknown-flag", "--a-flag-of-no-release", "1")
    with pytest.raises(RuntimeError, match=r"(?s)exit status 2.*--a-flag-of-no-release"), server:
        pass


def test_a_directory_without_a_model_ends_the_start(kind: Kind) -> None:
    server = kind.start("no-model")
    server.model = server.state / "nothing"
    with pytest.raises(RuntimeError, match=r"(?s)exit status 1.*nothing"), server:
        pass
