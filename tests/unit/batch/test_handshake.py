"""What is found out about a server before the first row, and what ends a job at once."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from embedding_operator.batch.errors import BatchError
from embedding_operator.batch.handshake import Met, meet
from embedding_operator.batch.jobspec import JobSpec
from embedding_operator.batch.persistence import Persistent
from embedding_operator.batch.rows import BadRow, Vector
from embedding_operator.batch.server import Server
from embedding_operator.batch.shortening import Shortening
from embedding_operator.podscripts.prompts import SETTING, Prompts

from .serving import QUICK, SIZE, Double, embedding, job, rows, serving, texts

HALF = {"root": "/o", "format": "Npy", "dtype": "Float16"}
VL = {"servedName": "tiny", "source": "Qwen/Qwen3-VL-Embedding-8B"}
BEFORE, AFTER = "<|im_start|>system\nFind it.<|im_end|>\n<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"


async def met(double: Double, spec: JobSpec) -> Met:
    async with Server(double.url, patience=QUICK) as server:
        return await meet(spec, Persistent(server))


def wrapping(double: Double, monkeypatch: pytest.MonkeyPatch, before: str = BEFORE) -> None:
    """The double as a service with `serving.promptFormat: Model` has it."""
    monkeypatch.setenv(SETTING, json.dumps({"before": before, "after": AFTER, "specialTokens": False}))
    double.api = Prompts(double.api)  # type: ignore[assignment]


@pytest.mark.parametrize(("version", "half"), [("0.11.0", False), ("0.13.0", True)])
async def test_half_floats_come_from_the_server_or_are_made_here(tmp_path: Path, version: str, half: bool) -> None:
    async with serving(tmp_path, version=version) as double, embedding(double, job(output=HALF)) as embedder:
        assert (embedder.asking.half, embedder.asking.width) == (half, 2 * SIZE)
        (result,) = (await embedder.embed(rows(["hello"]), 10)).results
        assert isinstance(result, Vector)
        expected = double.model.embed(double.model.tokenize("hello"))
        assert struct.unpack(f"<{SIZE}e", result.values) == pytest.approx(expected, abs=1e-3)


async def test_dimensions_that_the_model_cannot_give_end_the_job(tmp_path: Path) -> None:
    async with serving(tmp_path) as double:
        double.model.matryoshka = False
        spec = job(output={"root": "/o", "format": "Npy", "dimensions": 8})
        with pytest.raises(BatchError, match=r"refuses what this job asks for: .*matryoshka") as caught:
            await met(double, spec)
        assert (caught.value.reason, caught.value.exit_code) == ("Refused", 3)


async def test_another_model_ends_the_job(tmp_path: Path) -> None:
    async with serving(tmp_path) as double:
        with pytest.raises(BatchError, match="The model `other` does not exist"):
            await met(double, job(model={"servedName": "other"}))


async def test_a_job_writes_the_prompt_format_where_the_server_does_not(tmp_path: Path) -> None:
    spec = job(promptFormat="Model", instruction="Find it.", model=VL)
    async with serving(tmp_path) as double, embedding(double, spec) as embedder:
        await embedder.embed(rows(["x"]), 10)
        assert double.requests[0]["input"] == [f"{BEFORE}x{AFTER}"]
        assert double.requests[0]["add_special_tokens"] is False


async def test_it_does_not_where_the_server_does_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = job(promptFormat="Model", instruction="Find it.", model=VL)
    async with serving(tmp_path) as double:
        wrapping(double, monkeypatch)
        async with embedding(double, spec) as embedder:
            got = await embedder.embed(rows(["x"]), 10)
            assert double.requests[0]["input"] == ["x"]
        (result,) = got.results
        assert isinstance(result, Vector)
        expected = double.model.embed(double.model.tokenize(f"{BEFORE}x{AFTER}", special=False))
        assert struct.unpack(f"<{SIZE}f", result.values) == pytest.approx(expected, abs=1e-6)


REFUSED: dict[str, dict[str, Any]] = {
    "text as it is": {},
    "the guide's form": {"instruction": "Find it."},
    "another instruction": {"promptFormat": "Model", "instruction": "Sort these by their mood.", "model": VL},
}


@pytest.mark.parametrize("fields", REFUSED.values(), ids=REFUSED.keys())
async def test_a_server_that_writes_another_format_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    async with serving(tmp_path) as double:
        wrapping(double, monkeypatch)
        with pytest.raises(BatchError, match="into a prompt format of its own, and not into this job's") as caught:
            await met(double, job(**fields))
        assert (caught.value.reason, caught.value.exit_code) == ("Refused", 3)


@pytest.mark.parametrize("by_server", [False, True])
async def test_a_text_that_is_cut_keeps_what_stands_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_server: bool
) -> None:
    spec = job(promptFormat="Model", instruction="Find it.", model=VL, truncate=True)
    async with serving(tmp_path) as double:
        if by_server:
            wrapping(double, monkeypatch)
        async with embedding(double, spec) as embedder:
            embedder.cut = Shortening(embedder.asking, embedder.line).cut
            got = await embedder.embed(rows(["fine", "word " * 200, *texts(3)]), 100)
    assert [isinstance(result, Vector) for result in got.results] == [True] * 5
    longest = double.model.max_model_len
    around = len(double.model.tokenize(BEFORE + AFTER, special=False))
    whole = double.model.tokenize(f"{BEFORE}{'word ' * (longest - around)}{AFTER}", special=False)
    assert len(whole) == longest
    (cut,) = (result for result in got.results if isinstance(result, Vector) and result.row.number == 1)
    assert struct.unpack(f"<{SIZE}f", cut.values) == pytest.approx(double.model.embed(whole), abs=1e-6)


async def test_a_text_is_cut_by_the_server_where_nothing_stands_behind_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as double, embedding(double, job(truncate=True)) as embedder:
        got = await embedder.embed(rows(["fine", "word " * 200]), 100)
        assert not any(isinstance(result, BadRow) for result in got.results)
        assert len(double.requests) == 1


async def test_a_server_whose_tokens_cannot_be_had_is_taken_at_its_word(tmp_path: Path) -> None:
    """A gateway may lead to /v1 alone."""
    async with serving(tmp_path) as double:
        del double.api.routes["/tokenize"]
        found = await met(double, job())
        assert found.asking.width == 4 * SIZE
