"""`embedding-operator try`: through the API server to the double of vLLM, with and without keys and certificates."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from embedding_operator import cli
from tests.cluster.certificates import Authority
from tests.standins.secretvolume import SecretVolume
from tests.standins.vllm.process import ServerProcess, write_model
from tests.unit.commands.apiserver import ApiServer, pod, running, service

Try = Callable[..., tuple[int, str, str]]
KEYS = {"exposure": {"apiKeySecretRef": {"name": "embedding-keys"}}}
CLASSIFIER = {"architectures": ["XForSequenceClassification"]}


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    directory = tmp_path_factory.mktemp("embedder")
    with ServerProcess(directory / "state", write_model(directory / "model"), ["Qwen/X"]) as server:
        yield server.port


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    directory = tmp_path_factory.mktemp("classifier")
    model = write_model(directory / "model", id2label={"0": "de", "1": "en"}, **CLASSIFIER)
    with ServerProcess(directory / "state", model, ["language"]) as server:
        yield server.port


@pytest.fixture
def attempt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Try:
    def run(server: ApiServer, *arguments: str, name: str = "qwen") -> tuple[int, str, str]:
        with running(server, tmp_path) as kubeconfig:
            code = cli.main(["try", name, *arguments, "--kubeconfig", kubeconfig])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def api(port: int, **spec: Any) -> ApiServer:
    return ApiServer(services=[service(**spec)], pods=[pod("qwen-0", ready=False), pod("qwen-1")], ports={8000: port})


def test_texts_are_embedded_by_a_pod_that_serves_and_compared(embedder: int, attempt: Try) -> None:
    code, out, err = attempt(api(embedder), "a red shoe", "a red boot", "向量")
    assert (code, err) == (0, "")
    head, count, _, columns, *rows = out.splitlines()
    assert head.startswith("Qwen/X, pod qwen-1: ")
    assert count == "3 vectors of 64 numbers"
    assert columns.split() == ["1", "2", "3"]
    cells = [row.split() for row in rows]
    assert [row[0] for row in cells] == ["1", "2", "3"]
    assert [cells[at][at + 1] for at in range(3)] == ["1.000"] * 3
    assert float(cells[0][2]) > float(cells[0][3])
    assert rows[0].endswith("   a red shoe")


def test_without_texts_there_are_some_and_one_alone_shows_its_vector(embedder: int, attempt: Try) -> None:
    assert "How do I return a pair of shoes?" in attempt(api(embedder))[1]
    _, out, _ = attempt(api(embedder), "alone")
    assert out.splitlines()[1] == "1 vector of 64 numbers"
    assert out.splitlines()[3].startswith("[")


def test_texts_may_come_line_by_line_and_the_answer_as_json(
    embedder: int, attempt: Try, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("one\n\ntwo\n"))
    _, out, _ = attempt(api(embedder), "-", "-o", "json")
    answer = json.loads(out)
    assert [len(one["embedding"]) for one in answer["data"]] == [64, 64]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert attempt(api(embedder), "-")[2] == "embedding-operator try: the standard input has no text\n"


def test_what_is_no_text_and_no_key_is_told_in_a_line(
    embedder: int, attempt: Try, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding="utf-8"))
    code, _, err = attempt(api(embedder), "-")
    assert code == 1
    assert err.startswith("embedding-operator try: the standard input is no text in utf-8: ")
    two = tmp_path / "keys"
    two.write_text("one\ntwo\n")
    code, _, err = attempt(api(embedder), "--api-key-file", str(two))
    assert (code, err) == (1, f"embedding-operator try: --api-key-file {two} is no API key: one line of ASCII\n")
    monkeypatch.setenv("EMBEDDINGS_API_KEY", "schlüssel")
    code, _, err = attempt(api(embedder))
    assert (code, err) == (1, "embedding-operator try: $EMBEDDINGS_API_KEY is no API key: one line of ASCII\n")


def test_a_reranker_ranks(classifier: int, attempt: Try, tmp_path: Path) -> None:
    model = write_model(tmp_path / "ranker", num_labels=1, **CLASSIFIER)
    with ServerProcess(tmp_path / "state", model, ["ranker"]) as server:
        code, out, err = attempt(api(server.port, task="Rerank"), "what is an NPU?", "A bird.", "An NPU is a chip.")
        assert (code, err) == (0, "")
        assert out.splitlines()[1] == "what is an NPU?"
        scores = [float(line.split()[0]) for line in out.splitlines()[3:]]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == 2
        code, _, err = attempt(api(server.port, task="Rerank"), "alone")
        assert (code, "write two texts at least" in err) == (1, True)


def test_a_classifier_tells_classes(classifier: int, attempt: Try) -> None:
    code, out, _ = attempt(api(classifier, task="Classify"), "Guten Tag")
    assert code == 0
    head, row = out.splitlines()[1:]
    assert head.split() == ["CLASS", "PROBABILITY", "TEXT"]
    assert row.endswith("Guten Tag")
    assert float(row.split()[1]) > 0


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    directory = tmp_path_factory.mktemp("guarded")
    authority = Authority(directory / "authority")
    content, key = (file.read_bytes() for file in authority.issue("one", "qwen", hosts=["qwen.search.svc"]))
    shown = SecretVolume(directory / "tls", tls__crt=content, tls__key=key)
    keys = SecretVolume(directory / "keys", one="a-key")
    with ServerProcess(
        directory / "state",
        write_model(directory / "model"),
        ["Qwen/X"],
        environment={"EMBEDDING_OPERATOR_API_KEYS": str(keys.directory)},
        certificate=(shown.directory / "tls.crt", shown.directory / "tls.key"),
    ) as server:
        yield server.port, directory / "authority" / "ca.crt"


def test_a_guarded_service_is_asked_with_key_and_certificate(
    guarded: tuple[int, Path], attempt: Try, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, authority = guarded
    both = {"exposure": KEYS["exposure"] | {"tls": {"secretRef": {"name": "embedding-tls"}}}}
    monkeypatch.delenv("EMBEDDINGS_API_KEY", raising=False)
    code, _, err = attempt(api(port, **both))
    assert code == 1
    assert "emb/qwen wants an API key: set $EMBEDDINGS_API_KEY, or name a file with --api-key-file" in err
    assert "Secret embedding-keys of namespace search" in err

    monkeypatch.setenv("EMBEDDINGS_API_KEY", "a-key")
    code, out, err = attempt(api(port, **both), "--ca-file", str(authority))
    assert (code, err) == (0, "")
    assert "a-key" not in out
    assert attempt(api(port, **both))[0] == 0  # not verified

    other = Authority(tmp_path / "other")
    assert other.certificate
    code, _, err = attempt(api(port, **both), "--ca-file", str(tmp_path / "other" / "ca.crt"))
    assert (code, err.count("\n")) == (1, 1)
    assert "the certificate of qwen.search.svc is not that of an authority in --ca-file" in err

    (tmp_path / "key").write_text("wrong\n")
    code, _, err = attempt(api(port, **both), "--api-key-file", str(tmp_path / "key"))
    assert (code, "does not take this API key (HTTP 401)" in err) == (1, True)


NOBODY = "embedding-operator try: emb/qwen has no pod that serves. WaitingForWeights: weights come: 42 %\n"


@pytest.mark.parametrize(
    ("server", "arguments", "told"),
    [
        (ApiServer(services=[service()]), (), NOBODY),
        (ApiServer(services=[service()], pods=[pod("qwen-0", ready=False)]), (), NOBODY),
        (ApiServer(services=[service()], pods=[pod("qwen-0")]), ("--pod", "x"), "has no pod x: there are qwen-0\n"),
        (ApiServer(), (), "there is no such EmbeddingService in namespace search (-n names another)\n"),
        (
            ApiServer(services=[service()], pods=[pod("qwen-0")]),
            (),
            "did not answer /v1/models: error forwarding port: ",
        ),
        (
            ApiServer(services=[service()], pods=[pod("qwen-0")], refusals={"/portforward": (403, "no")}),
            (),
            "forbidden: it takes the rights to get and create pods/portforward in namespace search\n",
        ),
        (ApiServer(services=[service(task="Rerank")]), ("--image", "http://x/a.png"), "remove it\n"),
        (
            ApiServer(),
            ("--image", "a.txt"),
            "--image a.txt: not a URL, and by its name no image (.jpg, .png, .webp, …)\n",
        ),
        (ApiServer(), ("--image", "gone.png"), "--image gone.png: No such file or directory\n"),
        (
            ApiServer(services=[service()], pods=[pod("qwen-0")]),
            ("--api-key-file", "/gone"),
            "--api-key-file /gone: [Errno 2] No such file or directory: '/gone'\n",
        ),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    server: ApiServer, arguments: tuple[str, ...], told: str, attempt: Try
) -> None:
    code, out, err = attempt(server, *arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert told in err


def test_what_the_server_refuses_is_told_in_its_words(embedder: int, attempt: Try) -> None:
    code, _, err = attempt(api(embedder), "word " * 5000)
    assert code == 1
    assert err.startswith("embedding-operator try: pod qwen-1 answered /v1/embeddings with HTTP 400: ")


def test_images_are_sent_as_messages_beside_texts(attempt: Try, tmp_path: Path) -> None:
    """The double reads text alone; what is sent is what counts here."""
    from embedding_operator.commands import trying

    (tmp_path / "cat.png").write_bytes(b"png")
    assert trying.image_url(str(tmp_path / "cat.png")) == "data:image/png;base64,cG5n"
    assert trying.image_url("https://example.com/cat") == "https://example.com/cat"


async def test_every_image_and_text_is_a_conversation_of_its_own() -> None:
    from embedding_operator.commands import trying

    class Server:
        pod = "x"
        sent: list[Any] = []  # noqa: RUF012

        async def ask(self, path: str, body: Any) -> tuple[int, Any]:
            self.sent.append(body)
            return 200, {"data": [{"index": 0, "embedding": [1.0]}], "usage": {"total_tokens": 3}}

    server: Any = Server()
    answer = await trying._embedded(server, "vl", ["a cat"], ["https://x/cat.png"], 8)
    image, text = ([message["content"] for message in body["messages"]] for body in server.sent)
    assert image == [[{"type": "image_url", "image_url": {"url": "https://x/cat.png"}}]]
    assert text == [[{"type": "text", "text": "a cat"}]]
    assert all(body["add_generation_prompt"] and body["dimensions"] == 8 for body in server.sent)
    assert ([one["index"] for one in answer["data"]], answer["usage"]) == ([0, 1], {"total_tokens": 6})
