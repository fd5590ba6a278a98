"""What `embedding-operator status` prints."""

import io
from typing import Any

import pytest

from embedding_operator import showing


def cache(**status: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "False", "reason": "Downloading", "message": "42 %"}
    return {"metadata": {"name": "qwen", "namespace": "search"}, "status": {"conditions": [ready]} | status}


def test_while_weights_come_a_bar_shows_how_far_and_how_long() -> None:
    at = {"percent": 50, "bytes": 8_000_000_000, "totalBytes": 16e9, "bytesPerSecond": 412e6, "secondsLeft": 20}
    (line,) = showing.lines([cache(progress=at)], [])
    assert line.startswith("search/mcache/qwen  Downloading  [############............]  50 %")
    assert line.endswith("8.00 of 16.00 GB  412 MB/s  20 s left")


def test_else_it_is_the_reason_and_the_sentence_of_each() -> None:
    service = cache() | {"metadata": {"name": "emb", "namespace": "search"}}
    assert showing.lines([cache()], [service]) == [
        "search/mcache/qwen  Downloading  42 %",
        "search/emb/emb  Downloading  42 %",
    ]
    new = {"metadata": {"name": "new", "namespace": "search"}}
    assert showing.lines([new], []) == ["search/mcache/new  Pending  not yet looked at"]
    assert showing.lines([], []) == ["no ModelCaches and no EmbeddingServices here"]


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
