"""What `embedding-operator status` prints."""

import io
from types import SimpleNamespace
from typing import Any

import pytest

from embedding_operator import showing
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import MODEL_CACHES, Resource


def cache(**status: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "False", "reason": "Downloading", "message": "42 %"}
    return {"metadata": {"name": "qwen", "namespace": "search"}, "status": {"conditions": [ready]} | status}


def test_while_weights_come_a_bar_shows_how_far_and_how_long() -> None:
    at = {"percent": 50, "bytes": 8_000_000_000, "totalBytes": 16e9, "bytesPerSecond": 412e6, "secondsLeft": 20}
    (line,) = showing.lines([cache(progress=at)], [])
    assert line.startswith("search/mcache/qwen  Downloading  [############............]  50 %")
    assert line.endswith("8.0 GB of 16.0 GB  412.0 MB/s  20 s left")


def test_else_it_is_the_reason_and_the_sentence_of_each() -> None:
    service = cache() | {"metadata": {"name": "emb", "namespace": "search"}}
    assert showing.lines([cache()], [service]) == [
        "search/mcache/qwen  Downloading  42 %",
        "search/emb/emb      Downloading  42 %",
    ]
    new = {"metadata": {"name": "new", "namespace": "search"}}
    assert showing.lines([new], []) == ["search/mcache/new  Pending  not yet looked at"]
    assert showing.lines([], []) == ["no ModelCaches and no EmbeddingServices here"]


def test_what_is_being_deleted_says_so_and_a_terminal_s_width_is_kept() -> None:
    gone = cache()
    gone["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"
    (line,) = showing.lines([gone], [])
    assert line == "search/mcache/qwen  Downloading  is being deleted; 42 %"
    assert showing.lines([gone], [], 20) == [line[:20]]


@pytest.mark.parametrize(
    ("seconds", "told"), [(0, "0 s"), (99, "99 s"), (100, "2 min"), (5940, "99 min"), (5941, "1 h 40 min")]
)
def test_time_is_told_as_people_say_it(seconds: int, told: str) -> None:
    assert showing.duration(seconds) == told


def test_what_a_terminal_has_no_lines_for_is_counted() -> None:
    picture = [str(number) for number in range(10)]
    assert showing.fitted(picture, 12) == picture
    assert showing.fitted(picture, 11) == [*picture[:8], "… and 2 more: name a --namespace"]
    assert showing.fitted(picture, 1) == ["0", "… and 9 more: name a --namespace"]


class Client:
    """An API server that answers, is away, or refuses."""

    def __init__(self, *answers: list[dict[str, Any]] | ApiError) -> None:
        self._answers = list(answers)

    async def list(self, resource: Resource, namespace: str | None) -> Any:
        if resource is not MODEL_CACHES:
            return SimpleNamespace(items=[])
        answer = self._answers.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        return SimpleNamespace(items=answer)


async def test_while_the_api_server_is_away_what_was_seen_last_stays() -> None:
    away, out = ApiError(0, "Unreachable", "cannot connect"), io.StringIO()
    client: Any = Client([cache()], away, away, [], away)
    first = await showing._look(client, None, [], out)
    then = await showing._look(client, None, first, out)
    assert then == [*first, "as of a while ago: cannot connect"]
    assert await showing._look(client, None, then, out) == then
    assert await showing._look(client, None, then, out) == ["no ModelCaches and no EmbeddingServices here"]
    with pytest.raises(ApiError):  # nothing was seen yet
        await showing._look(client, None, [], out)


def test_a_cluster_without_our_kinds_is_asked_about_in_our_words() -> None:
    error = ApiError(404, "NotFound", "the server could not find the requested resource")
    assert showing._in_words(error).endswith("is embedding-operator installed there?")
    assert showing._in_words(ApiError(403, "Forbidden", "you may not")) == "you may not"


async def test_a_right_that_is_missing_ends_it() -> None:
    client: Any = Client(ApiError(403, "Forbidden", "you may not list modelcaches"))
    with pytest.raises(ApiError):
        await showing._look(client, None, ["x"], io.StringIO())


@pytest.mark.parametrize(("percent", "filled"), [(0, 0), (1, 0), (100, 24), (250, 24), (-3, 0)])
def test_a_bar_is_never_longer_than_its_place(percent: int, filled: int) -> None:
    assert showing.bar(percent).count("#") == filled
    assert showing.bar(percent).index("]") == 25


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_it_stays_in_its_place_and_in_a_file_it_goes_on() -> None:
    terminal, file = Terminal(), io.StringIO()
    for out in (terminal, file):
        showing.redraw(["a", "b"], [], out)
        showing.redraw(["c"], ["a", "b"], out)
    assert terminal.getvalue() == "a\nb\n\x1b[2F\x1b[Jc\n"
    assert file.getvalue() == "a\nb\nc\n"
