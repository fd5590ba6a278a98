"""Rows in, vectors and bad rows out: a refused request is cut in halves until the bad row is alone.

A row is lost on no path: it becomes a vector, a bad row with the server's words, or the whole shard fails and is done
again. Rows at which the server fails again and again (500) are looked at one by one too, but only while it embeds other
text: otherwise it is the server.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from .batches import Estimate
from .errors import BatchError
from .handshake import Met
from .pace import Pace
from .persistence import FailingError, Persistent
from .requests import WrongAnswerError, unfit, words
from .rows import BadRow, Row, Vector
from .server import GoneError

TOO_LONG = re.compile(r"maximum (context|model) length|max_model_len|maximum allowed length|too long", re.IGNORECASE)
Cut = Callable[[Row], Awaitable[bytes | None]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why these rows, or one of them, cannot be embedded."""

    reason: str
    message: str
    together: bool = False
    """It may be about how much was asked for at once, and about none of the rows."""

    def of(self, row: Row) -> BadRow:
        return BadRow(row.number, row.id, self.reason, self.message)


@dataclass(frozen=True, slots=True)
class Embedded:
    """What became of a batch's good rows, in their order."""

    results: list[Vector | BadRow]
    tokens: int


class Embedder:
    """Asks one server, for one job."""

    def __init__(
        self,
        met: Met,
        line: Persistent,
        pace: Pace,
        estimate: Estimate,
        cut: Cut | None = None,
        *,
        once_a_life: bool = False,
    ) -> None:
        self.asking, self._probe = met.asking, met.probe
        self.line, self.pace, self.estimate = line, pace, estimate
        self.cut = cut
        """Makes a request out of a row that is too long, where the server cannot shorten it by itself."""
        self.once_a_life = once_a_life
        """Raise DiedError for rows with which the server died, instead of asking for them again."""
        self.known: Row | None = None
        """One that was embedded."""

    async def embed(self, rows: Sequence[Row], size: int | None) -> Embedded:
        """All of these rows. `size` is what they were estimated from; None where nothing is to be learned of them."""
        results: list[Vector | BadRow] = []
        tokens = 0

        def keep(got: Embedded) -> None:
            nonlocal tokens
            results.extend(got.results)
            tokens += got.tokens

        while rows:
            got = await self._ask(rows, size)
            if not isinstance(got, Refusal):
                keep(got)
                break
            # One of rows[good:end] is bad, and `got` says why: it answers the last refused request, of whose rows all
            # others have been embedded since. So when one row is left, those words are about it, unless they may have
            # been about all of them together: then it is asked for alone.
            good, end, size = 0, len(rows), None
            while end - good > 1:
                middle = (good + end) // 2
                tried = await self._ask(rows[good:middle], None)
                if isinstance(tried, Refusal):
                    got, end = tried, middle
                else:
                    keep(tried)
                    good = middle
            if got.together:
                got = await self._ask(rows[good:end], None)
            keep(await self._shortened(rows[good], got) if isinstance(got, Refusal) else got)
            rows = rows[end:]
        return Embedded(results, tokens)

    async def _ask(self, rows: Sequence[Row], size: int | None) -> Embedded | Refusal:
        try:
            body = self.asking.body(rows)
        except UnicodeEncodeError:
            return Refusal("InvalidText", "it holds half of a surrogate pair, which is no character")
        got = await self._answered(body, rows, size)
        if not isinstance(got, Refusal):
            self.known = rows[0]
        return got

    async def embed_known(self) -> None:
        """Ask for what the server has embedded before. Raises DiedError, or BatchError where it does not any more."""
        body = self._probe if self.known is None else self.asking.body([self.known])
        what = "text that it has embedded before"
        reply = await self.line.reply(self.asking.path, body, what, once_a_life=True)
        if reply.status != HTTPStatus.OK:
            raise unfit(self.asking.job, words(reply.content))

    async def _answered(self, body: bytes, rows: Sequence[Row], size: int | None) -> Embedded | Refusal:
        try:
            reply = await self.line.reply(
                self.asking.path,
                body,
                named(rows),
                busy=self._busy,
                at_fault=self._embeds_other_text,
                once_a_life=self.once_a_life,
            )
        except FailingError as error:
            return Refusal("ServerError", str(error), together=len(rows) > 1)
        if reply.status != HTTPStatus.OK:
            said = words(reply.content)
            too_big = reply.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            return Refusal("TooLong" if TOO_LONG.search(said) else _reason(rows), said, too_big and len(rows) > 1)
        try:
            answer = self.asking.answer(reply.content, len(rows))
        except WrongAnswerError as error:
            raise BatchError("Refused", f"{self.line.server.url}: {error}") from None
        if size is not None:
            self.estimate.learn(size, answer.tokens)
            self.pace.done(_now(), answer.tokens or self.estimate.tokens(size), reply.seconds)
        vectors: list[Vector | BadRow] = [Vector(row, values) for row, values in zip(rows, answer.values, strict=True)]
        return Embedded(vectors, answer.tokens)

    def _busy(self) -> None:
        self.pace.refused(_now())

    async def _embeds_other_text(self) -> bool:
        try:
            return (await self.line.server.post(self.asking.path, self._probe)).status == HTTPStatus.OK
        except GoneError:
            return False

    async def _shortened(self, row: Row, why: Refusal) -> Embedded:
        """A row that was refused, for its length cut where that was asked for."""
        if why.reason == "TooLong" and self.cut is not None and (body := await self.cut(row)) is not None:
            got = await self._answered(body, [row], None)
            if not isinstance(got, Refusal):
                return got
            why = got
        return Embedded([why.of(row)], 0)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _reason(rows: Sequence[Row]) -> str:
    return "BrokenImage" if rows[0].image is not None else "Refused"


def named(rows: Sequence[Row]) -> str:
    """For people."""
    first, last = rows[0].number, rows[-1].number
    return f"row {first} of the shard" if first == last else f"rows {first} to {last} of the shard"
