"""How often a stager is asked how far it is, and what is made of the answer."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from embedding_operator.controllers import progress
from embedding_operator.controllers.progress import Looks, fetch_progress
from embedding_operator.kube.resources import ObjectKey
from tests.unit.kube.serving import answering, serving

POD = {"status": {"podIP": "127.0.0.1"}}
ONE, OTHER = ObjectKey("ModelCache", "search", "one"), ObjectKey("ModelCache", "search", "other")


def test_each_stager_is_asked_at_most_every_five_seconds_however_often_its_cache_is_looked_at() -> None:
    now = [100.0]
    looks = Looks(clock=lambda: now[0])
    assert (looks.is_due(ONE), looks.is_due(ONE), looks.is_due(OTHER)) == (True, False, True)
    now[0] = 104.9
    assert not looks.is_due(ONE)
    now[0] = 105.0
    assert (looks.is_due(ONE), looks.is_due(ONE)) == (True, False)


@pytest.mark.parametrize("text", ["", "[]", "<html>", '{"cut": ', "[" * 10_000, "9" * 10_000, '{"bytes": "many"}'])
async def test_an_answer_that_is_no_progress_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    async with serving(answering(200, text), tmp_path) as client, aiohttp.ClientSession() as http:
        monkeypatch.setattr(progress, "PROGRESS_PORT", URL(client._connection.host).port)
        assert await fetch_progress(http, POD) is None
