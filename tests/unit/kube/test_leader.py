"""How a leader goes on renewing while the API server answers badly; the clock jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.leader import Elector, Times
from tests.unit.kube.timeless import TimelessLoop

BUSY = ApiError(503, "ServiceUnavailable", "the server is currently unable to handle the request")


class Client:
    """Has the Lease, and refuses what is asked of it from one second to another; `asked` is when it was."""

    def __init__(self, begin: float, end: float) -> None:
        self._refused = (begin, end)
        self._lease: dict[str, Any] | None = None
        self.asked: list[float] = []

    def _answer(self) -> None:
        now = asyncio.get_running_loop().time()
        self.asked.append(now)
        begin, end = self._refused
        if begin <= now < end:
            raise BUSY

    async def get(self, _: object) -> dict[str, Any] | None:
        self._answer()
        return self._lease

    async def create(self, lease: Mapping[str, Any]) -> dict[str, Any]:
        self._answer()
        self._lease = dict(lease)
        return self._lease

    replace = create

    def streaming(self, *_: object) -> Any:
        raise BUSY


def led(client: Client, seconds: float) -> bool:
    """Whether one that leads does so still after so many seconds."""
    loop = TimelessLoop()

    async def lead() -> bool:
        elector = Elector(
            cast(Any, client), namespace="a", name="b", identity="c", times=Times(15, 10, 2), clock=loop.time
        )
        await elector.acquire()
        await asyncio.sleep(seconds)
        held = elector.held
        await elector.release()
        return held

    try:
        return loop.run_until_complete(lead())
    finally:
        loop.close()


def test_a_renewal_that_failed_is_tried_again_soon() -> None:
    client = Client(3.0, 6.0)
    assert led(client, 9.0)
    assert sorted(set(client.asked)) == [0.0, 2.0, 4.0, 4.5, 5.0, 5.5, 6.0, 8.0, 9.0]


@pytest.mark.parametrize(("until", "still_leads"), [(10.5, True), (11.4, True), (12.5, False)])
def test_a_leader_outlasts_what_ends_before_its_deadline(until: float, still_leads: bool) -> None:
    """Of the last renewal, at 2 s. With a try each two seconds the last one would be at 10 s."""
    assert led(Client(2.5, until), 20.0) is still_leads
