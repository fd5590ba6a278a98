"""How long an input a model's own files allow, so that no server is started with more: vLLM ends at once then.

It looks where vLLM looks. What it cannot read it does not know, which is no reason for staging to fail.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MAX_BYTES = 4 << 20
_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_sequence_length",
    "max_seq_length",
    "seq_len",
)


def context_length(directory: Path) -> int | None:
    """The smallest of the limits in tokens, or None where there is none."""
    return min(_limits(directory), default=None)


def _limits(directory: Path) -> Iterator[int]:
    config = _read(directory / "config.json")
    text = config.get("text_config")  # of models that see
    text = text if isinstance(text, dict) else config
    yield from _numbers(text, _KEYS)
    if config.get("position_embedding_type") == "absolute":
        yield from _numbers(_read(directory / "tokenizer_config.json"), ("model_max_length",))
    for file in sorted(directory.glob("sentence_*_config.json")):
        yield from _numbers(_read(file), ("max_seq_length",))


def _numbers(document: dict[str, Any], keys: tuple[str, ...]) -> Iterator[int]:
    for key in keys:
        value = document.get(key)
        if type(value) is int and 0 < value < 1 << 31:  # transformers writes 10**30 for "no limit"
            yield value


def _read(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > MAX_BYTES:
            return {}
        document = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
