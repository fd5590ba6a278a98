"""Asks the server until it says something that is about the request: what may go better is tried again.

A server that is away is waited for, one that has too much to do (429, 503) is left alone for a while, and of the
failures of one that stands somebody else must say whether the request is at fault.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from embedding_operator.staging.settings import Settings

from .errors import BatchError
from .requests import words
from .server import BUSY, GoneError, Reply, Server

REFUSED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY})
PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY})


ENGINE_DIED = b"EngineCore encountered an issue"
"""What vLLM answers for all that was in flight when its engine ended, with 500 or, before 0.14, with 400."""


class FailingError(Exception):
    """The server failed at this request again and again, and at others not."""


class DiedError(Exception):
    """The server has ended: while it had this request, and perhaps others, or before it could be `sent`."""

    def __init__(self, why: str, *, sent: bool = True) -> None:
        super().__init__(why)
        self.sent = sent


async def never() -> bool:
    return False


class Persistent:
    """One server, asked with patience."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.embeds = False
        """Whether it has embedded anything yet."""
        patience = server.patience
        self._delay = Settings(
            backoff_base=patience.backoff_base, backoff_cap=patience.backoff_cap, retry_after_cap=60.0
        ).delay

    async def reply(
        self,
        path: str,
        body: bytes,
        what: str,
        *,
        busy: Callable[[], None] = lambda: None,
        at_fault: Callable[[], Awaitable[bool]] = never,
        once_a_life: bool = False,
    ) -> Reply:
        """200, or a refusal. `what` names the request for people.

        `busy` is told of each 429 and 503; `at_fault` is asked, after some failures, whether it is the request's.
        Raises FailingError where it is, BatchError where no further try makes sense here, and DiedError instead of
        asking again of a server that has died of this request, or of another (`once_a_life`).
        """
        patience = self.server.patience
        failures = losses = waits = 0
        while True:
            try:
                reply = await self._once(path, body, once_a_life)
            except GoneError as error:
                losses += 1
                if losses >= patience.losses:
                    raise BatchError(
                        "Unavailable",
                        f"the connection to {self.server.url} broke {losses} times at {what} ({error}): look at the "
                        "log of the server's container",
                    ) from None
                await asyncio.sleep(self._delay(losses))
                await self.server.ready()
                continue
            if reply.status == HTTPStatus.OK or reply.status in REFUSED:
                self.embeds = self.embeds or reply.status == HTTPStatus.OK
                return reply
            said = words(reply.content)
            if reply.status < 500 and reply.status != HTTPStatus.TOO_MANY_REQUESTS and reply.status not in PASSING:
                raise self._final(reply.status, said)
            self.server.check_silence(said)
            if reply.status in BUSY:
                waits += 1
                busy()
                await asyncio.sleep(self._delay(waits, reply.retry_after))
                continue
            failures += 1
            if failures >= patience.failures and await at_fault():
                raise FailingError(f"the server failed {failures} times: {said}")
            await asyncio.sleep(self._delay(failures, reply.retry_after))

    async def _once(self, path: str, body: bytes, once_a_life: bool) -> Reply:
        try:
            reply = await self.server.post(path, body)
            said = f"it answered {reply.status}: {words(reply.content)}" if reply.status != HTTPStatus.OK else ""
            if said and ENGINE_DIED in reply.content:
                raise GoneError(said)
            if said and once_a_life and reply.status not in BUSY and await self.server.is_down():
                raise DiedError(said)
            return reply
        except GoneError as error:
            if once_a_life and await self.server.is_down():
                raise DiedError(str(error), sent=error.sent) from None
            raise

    def _final(self, status: int, said: str) -> BatchError:
        """A status that is about every request."""
        url = self.server.url
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            if self.embeds:
                return BatchError(
                    "Unavailable", f"{url} takes the API key no more ({status}): the next pod reads its Secret anew"
                )
            given = "takes another API key than the one" if self.server.key else "wants an API key, and none is"
            return BatchError("Unauthorized", f"{url} {given} in EMBEDDINGS_API_KEY ({status}): mend the Secret")
        return BatchError("Refused", f"{url} answers {status}: {said}")
