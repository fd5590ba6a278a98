"""Lists as an API server writes them, in pieces that end anywhere."""

import json
import random

import pytest
from aiohttp import web

from embedding_operator.kube.errors import ApiError
from embedding_operator.kube.resources import EMBEDDING_SERVICES, PODS
from embedding_operator.kube.wholelist import WholeList
from tests.unit.kube.serving import answering, serving

OWN = {"apiVersion": EMBEDDING_SERVICES.api_version, "kind": "EmbeddingService"}
NASTY = 'a "},{"metadata":{"name":"in a text"}} \\ }],"items":[ of é'


def pod(number):
    """With a list of what begins as pods do."""
    alike = [{"metadata": {"name": "not a pod"}}, {"metadata": {"labels": {"text": NASTY}}}, {}]
    return {"metadata": {"name": f"pod-{number}", "annotations": {"a": NASTY, "b": alike}}, "spec": {"nodeName": NASTY}}


def service(number):
    """With a list of what begins as services do."""
    return {**OWN, "metadata": {"name": f"s-{number}"}, "spec": {"b": [{**OWN, "metadata": {"name": "z"}}] * number}}


def of_builtins(items):
    return written({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": items})


def of_customs(items):
    return written({"apiVersion": "x/v1", "items": items, "kind": "List", "metadata": {"resourceVersion": "7"}})


def written(obj):
    return json.dumps(obj, separators=(",", ":")).encode() + b"\n"


def read(resource, pieces):
    whole = WholeList(resource, "list x")
    items = [item for piece in pieces for item in whole.feed(piece)]
    last = whole.end()
    return items + last.items, last.resource_version


def in_pieces(text, chance):
    places = sorted(chance.sample(range(len(text) + 1), min(len(text), chance.randint(0, 12))))
    return [text[one:other] for one, other in zip([0, *places], [*places, len(text)], strict=True)]


LISTS = [
    (PODS, of_builtins, pod),
    (EMBEDDING_SERVICES, of_customs, service),
]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 9])
@pytest.mark.parametrize(("resource", "write", "item"), LISTS)
def test_a_list_is_read_wherever_its_pieces_end(resource, write, item, count):
    wanted = [item(number) | {"apiVersion": resource.api_version, "kind": resource.kind} for number in range(count)]
    text = write([item(number) for number in range(count)])
    chance = random.Random(count)
    for pieces in ([text], [text[i : i + 1] for i in range(len(text))], *(in_pieces(text, chance) for _ in range(300))):
        assert read(resource, pieces) == (wanted, "7")


@pytest.mark.parametrize(("resource", "write", "item"), LISTS)
def test_items_are_there_before_the_list_is(resource, write, item):
    whole = WholeList(resource, "list x")
    items = whole.feed(write([item(number) for number in range(9)]))
    assert [one["metadata"]["name"][-1] for one in items] == list("01234567")


@pytest.mark.parametrize(("resource", "write", "item"), LISTS)
def test_a_list_that_is_cut_anywhere_is_an_error_and_never_a_shorter_list(resource, write, item):
    text = write([item(number) for number in range(3)]).rstrip()
    for end in range(len(text)):
        with pytest.raises(ApiError) as caught:
            read(resource, [text[:end]])
        assert (caught.value.status, caught.value.reason) == (0, "BadAnswer")


A, B, C = (b'{"metadata":{"name":"%s"}}' % name for name in (b"a", b"b", b"c"))
C_OTHERWISE = b'{"kind":"Pod","metadata":{"name":"c"}}'


@pytest.mark.parametrize(
    "text",
    [
        b'{"metadata": {"resourceVersion": "7"}, "items": [' + b", ".join((A, B, C)) + b"]}",
        b'{"metadata":{"resourceVersion":"7"},"items":[ ' + b" , ".join((A, B, C)) + b"\n]}",
        b'{"metadata":{"resourceVersion":"7"},"items":[' + b",".join((A, B, C)) + b" ]}",
        b'{"metadata":{"resourceVersion":"7"},"items":[' + b",\n".join((A, B, C)) + b"\n]}",
        b'{"metadata":{"resourceVersion":"7"},"items":[' + b"\n,".join((A, B, C)) + b"]}",
        b'{"metadata":{"resourceVersion":"7"},"items":[' + b",".join((A, B, C_OTHERWISE)) + b"]}",
        b'{"metadata":{"resourceVersion":"7"},"items":[' + b",".join((A, C_OTHERWISE, B)) + b"]}",
        b'{"items":[' + b",".join((C_OTHERWISE, A, B)) + b' ] ,"metadata":{"resourceVersion":"7"}}',
    ],
)
def test_a_list_may_be_written_in_another_way(text):
    for pieces in ([text], [text[i : i + 1] for i in range(len(text))]):
        items, version = read(PODS, pieces)
        assert {item["metadata"]["name"] for item in items} == {"a", "b", "c"}
        assert version == "7"


def test_a_long_list_that_is_written_in_another_way_is_not_kept_together():
    text = b'{"metadata":{"resourceVersion":"7"},"items":[ ' + b" , ".join([A] * 100_000)
    with pytest.raises(ApiError, match="not written as API servers write lists"):
        read(PODS, [text[i : i + 65536] for i in range(0, len(text), 65536)])


@pytest.mark.parametrize("items", [[], [pod(1)], [pod(1), pod(2)]])
def test_a_list_of_which_there_is_more_is_an_error(items):
    some = {"kind": "PodList", "metadata": {"resourceVersion": "7", "continue": "token"}, "items": items}
    with pytest.raises(ApiError, match="there is more"):
        read(PODS, [written(some)])


def test_an_item_with_too_many_that_begin_alike_is_an_error_soon():
    items = [service(1), service(10_000), service(1)]
    with pytest.raises(ApiError, match="where an item ends cannot be told"):
        read(EMBEDDING_SERVICES, [of_customs(items)])


@pytest.mark.parametrize("items", [b"", b'"items":null,', b'"items":[],', b'"items": [],'])
def test_a_list_may_have_no_items(items):
    assert read(PODS, [b"{" + items + b'"metadata":{"resourceVersion":"7"}}']) == ([], "7")


@pytest.mark.parametrize(
    "text", [b'{"items":[1,2]}', b'{"items":[{"metadata":1},{"metadata":2}]}', b"[]", b"<html>", b""]
)
def test_what_is_no_list_of_objects_is_an_error(text):
    with pytest.raises(ApiError) as caught:
        read(PODS, [text])
    assert caught.value.reason == "BadAnswer"


# ---- the client


async def collected(client, resource=PODS, **asked):
    """Names and version of the list, as they are told in the end."""
    names, version = [], ""
    async for part in client.collection(resource, **asked):
        names = ([] if part.anew else names) + [item["metadata"]["name"] for item in part.items]
        version = part.resource_version
    return names, version


async def test_a_collection_comes_in_one_answer(tmp_path):
    text = of_builtins([pod(number) for number in range(500)])
    async with serving(answering(200, text.decode()), tmp_path) as client:
        assert await collected(client) == ([f"pod-{number}" for number in range(500)], "7")
        assert client.requests == {("list", "Pod"): 1}


def breaking_off(asked, *, after=1.0, status=200, head=True):
    """Whole lists break off after a part of them; pages are answered, and have other pods by now."""

    async def handler(request):
        asked.append(dict(request.query))
        if "limit" in request.query:
            return web.Response(body=of_builtins([pod(number) for number in range(1, 501)]))
        if status != 200:
            return web.Response(status=status, text="{}")
        response = web.StreamResponse()
        if head:
            await response.prepare(request)
        if after:
            text = of_builtins([pod(number) for number in range(500)])
            await response.write(text[: int(len(text) * after)])
        request.transport.abort()
        return response

    return handler


@pytest.mark.parametrize(
    "how",
    [
        {"after": 0, "head": False},
        {"after": 0},
        {"after": 0.0001},
        {"after": 0.5},
        {"after": 0.9999},
        {"status": 500},
        {"status": 502},
        {"status": 504},
    ],
)
async def test_what_is_too_much_for_one_answer_is_asked_for_in_pages(tmp_path, how):
    asked = []
    async with serving(breaking_off(asked, **how), tmp_path) as client:
        names, version = await collected(client, selector="a=b")
    assert names == [f"pod-{number}" for number in range(1, 501)]
    assert version == "7"
    *whole, page = asked  # aiohttp sends it once more where a connection ends without any answer
    assert page == {"labelSelector": "a=b", "limit": "100"}
    assert whole in ([{"labelSelector": "a=b"}], [{"labelSelector": "a=b"}] * 2)


@pytest.mark.parametrize("status", [401, 403, 404, 410, 429, 503])
async def test_what_is_refused_is_not_asked_for_in_pages(tmp_path, status):
    asked = []
    async with serving(breaking_off(asked, status=status), tmp_path) as client:
        with pytest.raises(ApiError) as caught:
            await collected(client)
    assert caught.value.status == status
    assert len(asked) == 1
