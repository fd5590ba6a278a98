"""What the demo shows while weights are staged: a bar on a terminal, kubectl's tables elsewhere."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable

import pytest

from demo import install, screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def cluster(percents: list[int]) -> Callable[..., str]:
    """kubectl on a cluster whose weights are on their way; each look at the service finds them further."""

    def kubectl(*arguments: str) -> str:
        assert arguments[:3] == ("-n", "demo", "get")
        kind, at = arguments[3], percents[0]
        if "jsonpath" in arguments[-1]:
            is_over = len(percents) == 1 and "Ready" in arguments[-1]
            if "Stalled" in arguments[-1]:
                percents.pop(0)
            return str(is_over)
        if arguments[-1] != "json":
            return f"NAME   READY   AGE\nqwen   {at} %    {len(percents)}s\n"
        ready = {"type": "Ready", "status": "False", "reason": "Downloading", "message": f"{at} %"}
        progress = {"percent": at, "bytes": at * 10**6, "totalBytes": 10**8}
        status = {"conditions": [ready]} | ({"progress": progress} if kind == "mcache" else {})
        return json.dumps({"items": [{"metadata": {"name": "qwen", "namespace": "demo"}, "status": status}]})

    return kubectl


def shown(monkeypatch: pytest.MonkeyPatch, out: io.StringIO, percents: list[int]) -> str:
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    install.watch_until_ready(cluster(percents), "demo", "qwen")  # type: ignore[arg-type]
    return out.getvalue()


def test_on_a_terminal_a_bar_moves_in_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(monkeypatch, Terminal(), [0, 0, 50, 50, 100, 100])
    pictures = re.split(r"\x1b\[\d+F\x1b\[J", text)
    assert [picture.count("#") for picture in pictures] == [0, 12, 24]
    assert "kubectl" not in text


def test_elsewhere_there_is_no_bar_and_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, io.StringIO(), [0, 0, 50, 50, 100, 100])
    assert "\x1b" not in text
    assert "#" not in text
    assert text.count("$ kubectl -n demo get emb,mcache") == 3


def test_what_does_not_change_is_not_drawn_again() -> None:
    out = Terminal()
    moving = screen.Moving(out)
    for _ in range(3):
        moving.show(["a"])
    assert out.getvalue() == "     a\n"
