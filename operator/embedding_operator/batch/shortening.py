"""Cuts a text that is too long where the server would cut off what has to stand behind it.

`truncate_prompt_tokens` keeps the beginning of a prompt, and a prompt format has an end: so the text is cut as tokens,
between what is before and what is behind it. Only for rows that the server has refused: it takes requests of its own.
"""

from __future__ import annotations

from .handshake import tokenized
from .persistence import Persistent
from .requests import Asking
from .rows import Row


class Shortening:
    """For one job and server."""

    def __init__(self, asking: Asking, line: Persistent) -> None:
        self._asking, self._line = asking, line
        self._behind: int | None = None
        """Tokens behind the text, special ones too."""

    async def cut(self, row: Row) -> bytes | None:
        """A request for as much of the row's text as fits; None where nothing can be done."""
        if row.text is None or row.image is not None:
            return None
        told = await tokenized(self._line, self._asking, row.text)
        behind = await self._tail()
        if told is None or behind is None or told.max_model_len <= behind:
            return None
        kept = told.tokens[: told.max_model_len - behind] + told.tokens[len(told.tokens) - behind :]
        return self._asking.texts([kept])

    async def _tail(self) -> int | None:
        """What the prompts of two texts that end otherwise have in common at their ends."""
        if self._behind is None:
            one, other = [await tokenized(self._line, self._asking, text) for text in ("stone", "7")]
            if one is None or other is None:
                return None
            pairs = zip(reversed(one.tokens), reversed(other.tokens), strict=False)
            self._behind = next((at for at, (left, right) in enumerate(pairs) if left != right), 0)
        return self._behind
