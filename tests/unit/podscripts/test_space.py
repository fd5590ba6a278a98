"""A pod measures what it gives for a few texts, and is not ready where that is something else than before."""

import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.planning import vectors
from embedding_operator.podscripts import probe, space
from tests.standins.vllm.process import ServerProcess
from tests.unit.podscripts.conftest import Serve, StartDouble, json_app
from tests.unit.podscripts.test_middleware import fetch

Json = dict[str, Any]


def text(*numbers: float) -> Json:
    return probe.packed([*numbers])


ONE = {"texts": {"short": text(1, 0), "long": text(0.6, 0.8)}}
NEAR = {"texts": {"short": text(1, 0.001), "long": text(0.6, 0.801)}}
OTHER = {"texts": {"short": text(1, 0), "long": text(0.8, 0.6)}}
LONGER = {"texts": {"short": text(1.1, 0), "long": text(0.6, 0.8)}}
SHORTENED = {"texts": {"short": text(1), "long": text(1)}}


class Pod:
    """What the middleware finds on its volumes."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.vectors, self.space = directory / "vectors.json", directory / "space.json"
        monkeypatch.setenv("EMBEDDING_OPERATOR_VECTORS", str(self.vectors))
        monkeypatch.setenv("EMBEDDING_OPERATOR_SPACE", str(self.space))

    def measures(self, record: Json) -> None:
        self.vectors.write_text(json.dumps(record))

    def is_held_against(self, record: Json, policy: str = "Enforce", threshold: str = "0.999") -> None:
        """As a kubelet does it: another file takes the place."""
        new = self.space.with_name("new")
        new.write_text(json.dumps({**record, "policy": policy, "threshold": threshold}))
        new.replace(self.space)


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pod:
    return Pod(tmp_path, monkeypatch)


async def ready(port: int) -> int:
    return (await fetch(port, "/-/ready")).status


def body(response: Any) -> Json:
    content: Json = json.loads(response.body)
    return content


@pytest.fixture
async def port(pod: Pod, serve: Serve) -> int:
    return await serve(space.Space(json_app(200, b"{}")))


@pytest.mark.parametrize(
    ("record", "policy", "threshold", "status"),
    [
        (ONE, "Enforce", "0.999", 200),
        (NEAR, "Enforce", "0.999", 200),
        (NEAR, "Enforce", "0.9999999", 503),
        (OTHER, "Enforce", "0.999", 503),
        (OTHER, "Enforce", "0.95", 200),
        (OTHER, "Warn", "0.999", 200),
        (OTHER, "Off", "0.999", 200),
        (LONGER, "Enforce", "0.999", 503),
        (SHORTENED, "Enforce", "0.999", 503),
        ({"texts": {"new": text(1, 2)}}, "Enforce", "0.999", 200),  # nothing in common that could differ
    ],
)
async def test_other_vectors_than_those_before_keep_a_pod_out(
    pod: Pod, port: int, record: Json, policy: str, threshold: str, status: int
) -> None:
    pod.is_held_against(ONE, policy, threshold)
    pod.measures(record)
    assert await ready(port) == status


async def test_the_refusal_has_the_numbers(pod: Pod, port: int) -> None:
    pod.is_held_against(ONE)
    pod.measures(OTHER)
    told = body(await fetch(port, "/-/ready"))
    assert told == {
        "ready": False,
        "embeddingSpace": {
            "same": False,
            "cosine": pytest.approx(0.96, abs=0.001),
            "text": "long",
            "stretch": 0.0,
            "threshold": 0.999,
            "reference": space.id_of(ONE),
            "own": space.id_of(OTHER),
        },
    }
    assert body(await fetch(port, "/-/space")) == {
        "id": space.id_of(OTHER),
        **told["embeddingSpace"],
        "texts": OTHER["texts"],
    }


async def test_it_becomes_ready_when_its_vectors_are_accepted_or_its_policy_changes(pod: Pod, port: int) -> None:
    pod.is_held_against(ONE)
    pod.measures(OTHER)
    seen = [await ready(port)]
    pod.is_held_against(ONE, "Warn")
    seen.append(await ready(port))
    assert seen == [503, 200]


async def test_a_pod_that_was_ready_stays_so_when_other_vectors_are_accepted(pod: Pod, port: int) -> None:
    pod.is_held_against(ONE)
    pod.measures(ONE)
    assert await ready(port) == 200
    pod.is_held_against(OTHER)
    assert await ready(port) == 200
    assert (await fetch(port, "/v1/models")).getheader("embedding-space") == space.id_of(ONE)  # which is true still


async def test_what_is_recorded_after_its_start_takes_no_pod_away(pod: Pod, port: int) -> None:
    pod.measures(ONE)
    assert await ready(port) == 200
    pod.is_held_against(OTHER)
    assert await ready(port) == 200


async def test_it_is_not_ready_before_it_has_measured(pod: Pod, port: int) -> None:
    pod.is_held_against(ONE)
    seen = [await ready(port)]
    pod.measures({"begun": {"short": text(1, 0)}})
    seen.append(await ready(port))
    pod.measures(ONE)
    seen.append(await ready(port))
    assert seen == [503, 503, 200]


async def test_being_asked_before_it_has_measured_counts_for_nothing(pod: Pod, port: int) -> None:
    assert await ready(port) == 200  # nothing is recorded
    pod.is_held_against(ONE)
    pod.measures(OTHER)
    assert await ready(port) == 503


async def test_every_answer_names_the_space_once_it_is_recorded(pod: Pod, port: int) -> None:
    pod.measures(NEAR)

    async def named() -> str | None:
        await ready(port)  # as the kubelet asks all the time
        return (await fetch(port, "/v1/embeddings", "POST")).getheader("embedding-space")

    seen = [await named()]
    pod.is_held_against(ONE)
    seen.append(await named())
    pod.is_held_against(OTHER, "Warn")
    seen.append(await named())
    assert seen == [None, space.id_of(ONE), space.id_of(NEAR)]


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "[]",
        "{",
        '{"texts": 1}',
        '{"texts": {"a": {"vector": "%%", "length": 1}}}',
        '{"texts": {"a": {"vector": "AA==", "length": 1}}}',
        '{"texts": {}, "threshold": "much", "policy": "Enforce"}',
        "[" * 100_000,
    ],
)
async def test_what_cannot_be_read_is_not_there(pod: Pod, port: int, garbage: str) -> None:
    pod.measures(ONE)
    pod.space.write_text(garbage)
    assert await ready(port) == 200
    answer = await fetch(port, "/v1/models")
    assert (answer.status, answer.getheader("embedding-space")) == (200, None)


PAIRS = [(one, other) for one in (ONE, NEAR, OTHER, LONGER, SHORTENED) for other in (ONE, NEAR, OTHER, LONGER)]


@pytest.mark.parametrize(("before", "now"), PAIRS)
def test_pod_and_operator_compare_alike_and_give_the_same_names(before: Json, now: Json) -> None:
    in_pod = space.compared({**before, "threshold": "0.999"}, now)
    one, other = vectors.read(before), vectors.read(now)
    assert one
    assert other
    assert (in_pod["reference"], in_pod["own"]) == (one.id, other.id)
    comparison = vectors.compare(one, other)
    assert in_pod["same"] == comparison.is_same(0.999)
    assert (in_pod["cosine"], in_pod["text"]) == (round(comparison.cosine, 6), comparison.text)
    assert in_pod["stretch"] == round(comparison.stretch, 6)


def test_the_probe_texts_are_those_for_ever() -> None:
    """Vectors are recorded by their names: write another text under another name."""
    assert space.id_of({"texts": probe.MEASURED}).startswith("sha256:505e9f62425e6699")


def measure(server: ServerProcess) -> Json:
    server.vectors.parent.mkdir(exist_ok=True)
    arguments = ("--port", str(server.port), "--model", "tiny", "--measure", str(server.vectors))
    ended = server.run_script("probe", *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    content: Json = json.loads(server.vectors.read_text())
    return content


def asked(server: ServerProcess, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(f"{server.url}{path}") as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers


def test_a_server_with_other_vectors_is_told_from_one_with_the_same(double: StartDouble) -> None:
    with double("first") as server:
        record = measure(server)
    assert record["texts"].keys() == probe.MEASURED.keys()
    recorded = json.dumps({**record, "policy": "Enforce", "threshold": "0.999"})
    seen = []
    for name, seed in (("same", ""), ("changed", "x")):
        with double(name, VLLM_DOUBLE_SEED=seed, VLLM_DOUBLE_LATENCY_MS="1") as server:
            server.space.write_text(recorded)
            measured = measure(server)
            seen.append((asked(server, "/-/ready")[0], asked(server, "/version")[1]["embedding-space"]))
    assert seen == [(200, space.id_of(record)), (503, space.id_of(measured))]


def test_a_text_that_the_server_does_not_take_is_left_out(double: StartDouble) -> None:
    with double(config={"max_position_embeddings": 32}) as server:
        assert measure(server)["texts"].keys() == probe.MEASURED.keys() - {"long"}


def test_what_a_probe_has_begun_the_next_one_ends_and_the_one_after_lets_be(double: StartDouble) -> None:
    with double() as server:
        first = measure(server)
        begun = {name: first["texts"][name] for name in ("short", "code")}
        server.vectors.write_text(json.dumps({"begun": {**begun, "chinese": None}}))
        second = measure(server)
        assert second["texts"] == {name: vector for name, vector in first["texts"].items() if name != "chinese"}
        assert measure(server) == second


def test_a_server_that_is_too_slow_is_told_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"data": [{"embedding": [1.0, 2.0]}]}).encode())

        def log_message(self, *_: Any) -> None:
            pass

    times = iter([0.0, 1.0, 11.0, 12.5])
    monkeypatch.setattr(probe.time, "monotonic", lambda: next(times))
    server = HTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(probe.NotReadyError, match="2 of 6 probe texts are embedded"):
            probe.measure(
                tmp_path / "vectors.json",
                "tiny",
                lambda task, timeout: probe.request(
                    probe.connect("127.0.0.1", server.server_port, timeout, False), "tiny", task
                ),
            )
    finally:
        server.shutdown()
        server.server_close()
    assert json.loads((tmp_path / "vectors.json").read_text())["begun"].keys() == {"short", "question"}


def test_vectors_of_an_earlier_life_are_removed_at_the_start(double: StartDouble) -> None:
    server = double()
    server.vectors.parent.mkdir(parents=True)
    server.vectors.write_text("{}")
    with server:
        assert not server.vectors.exists()
