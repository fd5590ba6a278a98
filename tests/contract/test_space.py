"""The probe texts at both servers: what is measured, that it is the same under load, and what the pod makes of it."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from embedding_operator.planning.vectors import compare, read
from embedding_operator.podscripts import probe
from tests.contract.client import Client
from tests.contract.conftest import Kind
from tests.standins.vllm.process import ServerProcess


@pytest.fixture
def state(server: ServerProcess) -> Iterator[ServerProcess]:
    """The server, whose state is as it was when the test is over."""
    server.vectors.parent.mkdir(exist_ok=True)
    yield server
    for left in (server.vectors, server.space):
        left.unlink(missing_ok=True)


def measure(server: ServerProcess) -> dict[str, Any]:
    """As a kubelet does: again and again, each probe going on where a slow server made the one before stop."""
    server.vectors.unlink(missing_ok=True)
    arguments = ("--port", str(server.port), "--model", "tiny", "--timeout", "60", "--measure", str(server.vectors))
    ended = next(
        (one for one in (server.run_script("probe", *arguments) for _ in range(60)) if not one.returncode), None
    )
    assert ended
    measured: dict[str, Any] = json.loads(server.vectors.read_text())
    return measured


def test_every_probe_text_has_a_vector_and_the_same_one_under_load(
    kind: Kind, state: ServerProcess, client: Client
) -> None:
    quiet = read(measure(state))
    assert quiet
    assert quiet.texts.keys() == probe.MEASURED.keys()
    assert quiet.dimensions == kind.dimensions
    with ThreadPoolExecutor(8) as clients:
        busy = [clients.submit(client.vectors, ["word " * length] * 8) for length in range(20, 180)]
        loaded = read(measure(state))
        for request in busy:
            request.result()
    assert loaded
    found = compare(quiet, loaded)
    print(f"the smallest cosine between a quiet and a busy server: {found.cosine:.9f}")
    assert found.is_same(0.99999)


def test_other_vectors_are_refused_and_the_same_named_in_every_answer(state: ServerProcess, client: Client) -> None:
    measured = measure(state)
    record = read(measured)
    assert record
    other = {"texts": {"short": measured["texts"]["long"]}, "policy": "Enforce", "threshold": "0.999"}
    state.space.write_text(json.dumps(other))
    refused = client.get("/-/ready")
    assert refused.status == 503
    assert refused.json["embeddingSpace"]["own"] == record.id
    new = state.space.with_name("new")
    new.write_text(json.dumps({**measured, "policy": "Enforce", "threshold": "0.999"}))
    new.replace(state.space)
    assert client.get("/-/ready").status == 200
    answers = [client.embed("hello"), client.get("/v1/models"), client.get("/nowhere"), client.embed({})]
    assert [answer.headers.get("embedding-space") for answer in answers] == [record.id] * 4
