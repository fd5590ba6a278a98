"""Named namespaces in which there are no rights (yet); the clock jumps."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from embedding_operator.controllers.context import Context
from embedding_operator.controllers.namespaces import leave_out, until_given
from embedding_operator.controllers.resync import Resync
from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.paging import Listing
from embedding_operator.kube.resources import PODS, Resource
from tests.unit.controllers import given

FORBIDDEN, AWAY = (403, "Forbidden", "you may not"), (0, "Unreachable", "nobody answers")
NO_KIND = (404, "NotFound", "404 page not found")


class Client:
    """Says how often a namespace refuses to be looked into, and with what."""

    def __init__(self, **refusals: tuple[int, tuple[int, str, str]]) -> None:
        self._refusals = refusals
        self.asked = 0

    async def pages(
        self, resource: Resource, namespace: str, selector: str = "", chunk: int = 0, *, shaped: bool = False
    ) -> AsyncIterator[Listing]:
        self.asked += 1
        times, error = self._refusals.get(namespace, (0, AWAY))
        if times:
            self._refusals[namespace] = times - 1, error
            raise ApiError(*error)
        yield Listing([], "7")

    collection = pages


def context_of(**refusals: tuple[int, tuple[int, str, str]]) -> Context:
    return given.context(Client(**refusals), namespaces=("a", "b", "c"))


@pytest.mark.parametrize(
    ("refusals", "left_out", "seconds"),
    [
        ({}, set(), 0),
        ({"b": (2, FORBIDDEN)}, set(), 1.5),
        ({"b": (99, FORBIDDEN)}, {"b"}, 7.5),
        ({"a": (99, FORBIDDEN), "b": (99, FORBIDDEN)}, {"a", "b"}, 7.5),
        ({"a": (99, FORBIDDEN), "b": (99, NO_KIND)}, {"a"}, 7.5),
        ({"a": (99, FORBIDDEN), "b": (6, AWAY)}, {"a"}, 17.5),
        (dict.fromkeys("abc", (60, AWAY)), set(), 287.5),
        ({"a": (99, FORBIDDEN), "b": (7, FORBIDDEN), "c": (99, FORBIDDEN)}, {"a", "c"}, 22.5),
        (dict.fromkeys("abc", (5, FORBIDDEN)), set(), 12.5),
    ],
)
def test_those_without_rights_are_left_out_unless_that_is_all(
    refusals: dict[str, tuple[int, tuple[int, str, str]]], left_out: set[str], seconds: float
) -> None:
    """An operator without any namespace of those that were named would work in all that there are."""
    context = context_of(**refusals)
    assert given.timeless(leave_out(context))[1] == seconds
    assert context.left_out == left_out
    assert context.namespaces == tuple(one for one in "abc" if one not in left_out)


@pytest.mark.parametrize("named", [(), ("a",)])
def test_an_operator_of_all_namespaces_or_of_one_asks_for_none(named: tuple[str, ...]) -> None:
    context = given.context(Client(a=(99, FORBIDDEN)), namespaces=named)
    given.timeless(leave_out(context))
    assert context.client.asked == 0
    assert context.namespaces == named


def test_the_first_list_is_of_those_with_rights() -> None:
    context = context_of(b=(99, FORBIDDEN))
    resync = Resync(context, {PODS: ""})
    given.timeless(resync.first())
    assert {namespace for _, namespace in resync.versions} == {"a", "c"}
    assert resync.synced.is_set()


@pytest.mark.parametrize("error", [FORBIDDEN, AWAY])
def test_it_is_waited_for_rights_in_any_of_those_that_were_left_out(error: tuple[int, str, str]) -> None:
    """An API server that is away gives none."""
    context = context_of(b=(3, error), c=(99, FORBIDDEN))
    context.left_out.update("bc")
    assert given.timeless(until_given(context))[1] == 20.0
