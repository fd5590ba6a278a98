"""What `/-/live` relies on: which counters move with the engine's steps, and that nothing else moves them."""

import threading

from embedding_operator.podscripts.liveness import STEPS
from tests.contract.client import Client
from tests.contract.conftest import Kind


def steps(client: Client) -> list[bytes]:
    lines = client.get("/metrics").body.splitlines()
    return [line for line in lines if line.startswith(STEPS)]


def test_a_live_server_is_live(client: Client) -> None:
    answer = client.get("/-/live")
    assert (answer.status, answer.body) == (200, b"")  # that of /health


def test_the_engines_steps_are_counted_and_nothing_else_is(client: Client) -> None:
    before = steps(client)
    assert before
    assert client.post("/tokenize", {"model": "tiny", "prompt": "hello"}).status == 200
    assert client.embed("hello", dimensions=-1).status == 400
    assert client.get("/v1/models").status == 200
    assert steps(client) == before
    client.vectors("hello")
    assert steps(client) != before


def test_steps_are_counted_while_a_request_of_many_inputs_is_under_way(kind: Kind) -> None:
    with kind.start("steps", "--max-num-seqs", "8", latency=0.02) as server:
        client = Client(server.port)
        client.vectors("hello")
        asking = threading.Thread(target=client.vectors, args=(["one of a great many texts"] * 2000,))
        asking.start()
        seen = set()
        while asking.is_alive():
            seen.add(tuple(steps(client)))
        asking.join()
    assert len(seen) > 3
