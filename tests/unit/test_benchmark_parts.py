"""What the benchmarks work out by themselves, so that their tables can be believed."""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import socket
from argparse import ArgumentTypeError
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks import command, turns
from benchmarks.arms import Arm
from benchmarks.flames import draw, stacks_of
from benchmarks.kubelets import pod_addresses
from benchmarks.seeding import Copies, FreeAddresses, applied_by_digest
from benchmarks.waves import Seen, Wave, most_at_once
from embedding_operator.api.names import SERVICE_LABEL
from embedding_operator.kube.inforce import APPLIED_ANNOTATION, digest_of, marked
from embedding_operator.planning.revision import ANNOTATION

A, B = "a", "b"


def rollout(service: str, begin: int, end: int) -> list[Seen]:
    """A service with one pod of revision 1, whose Deployment asks for revision 2 at `begin`; it is ready at `end`."""
    return [
        Seen(1, service, "", "1"),
        Seen(2, service, f"{service}-old", "1", is_ready=True),
        Seen(begin, service, "", "2"),
        Seen(begin + 1, service, f"{service}-new", "2"),
        Seen(end, service, f"{service}-old", ""),
        Seen(end, service, f"{service}-new", "2", is_ready=True),
    ]


@pytest.mark.parametrize(
    ("states", "most"),
    [
        ([], 0),
        (rollout(A, 10, 20), 1),
        (rollout(A, 10, 20) + rollout(B, 21, 30), 1),
        (rollout(A, 10, 20) + rollout(B, 15, 30), 2),
        (rollout(B, 21, 30) + rollout(A, 10, 20) + rollout(A, 10, 20), 1),  # told late, and twice
    ],
)
def test_rollouts_at_a_time_are_counted_in_the_order_in_which_they_were_stored(states: list[Seen], most: int) -> None:
    assert most_at_once(states) == most


def test_no_connection_can_leave_the_machine_for_a_simulated_pod() -> None:
    """Another cluster on the same machine has answered in their name."""
    addresses = list(itertools.islice(pod_addresses(), 200_000))
    assert len(set(addresses)) == len(addresses)
    assert all(ip_address(one).is_multicast for one in addresses), "where no route leads away, all are unreachable"
    for address in (addresses[0], addresses[-1]):
        with pytest.raises(OSError, match="unreachable") as refused:
            socket.create_connection((address, 8000), timeout=5)
        assert refused.value.errno == errno.ENETUNREACH


class Opened:
    """A watch, opened as often as there are lists of what it says."""

    def __init__(self, *openings: list[dict[str, Any]]) -> None:
        self.opened = 0
        self._openings = openings

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for events in self._openings:
            self.opened += 1
            for event in events:
                yield json.dumps(event).encode()


def event(kind: str, version: int, name: str = "", revision: str = "", **obj: Any) -> dict[str, Any]:
    labels, annotations = {SERVICE_LABEL: A}, {ANNOTATION: revision}
    metadata = {"name": name, "resourceVersion": str(version), "labels": labels, "annotations": annotations}
    return {"type": kind, "object": {"metadata": metadata, **obj}}


def of_template(revision: str) -> dict[str, Any]:
    return {"spec": {"template": {"metadata": {"annotations": {ANNOTATION: revision}}}}}


_END = {"k8s.io/initial-events-end": "true"}
KNOWN = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9", "annotations": _END}}}
READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}


@pytest.mark.parametrize(("reopened", "is_over"), [(False, False), (True, True)])
def test_a_pod_that_went_while_its_watch_was_opened_again_is_not_waited_for(reopened: bool, is_over: bool) -> None:
    old, new = event("ADDED", 3, "old", "1", **READY), event("ADDED", 8, "new", "2", **READY)
    pods = Opened([old, KNOWN], [new, KNOWN]) if reopened else Opened([old, KNOWN, new])
    template = event("ADDED", 2, A, **of_template("1")), KNOWN, event("MODIFIED", 5, A, **of_template("2"))

    async def followed() -> Wave:
        wave = Wave(1)
        await wave.follow(cast(Any, Opened(list(template))), pods=False)
        await wave.follow(cast(Any, pods), pods=True)
        return wave

    wave = asyncio.run(followed())
    assert (wave.over.is_set(), most_at_once(wave.states)) == (is_over, 1)
    assert all(begun.is_set() for begun in wave.begun.values())


def test_a_cluster_ip_is_given_once_and_is_as_long_as_the_one_that_it_replaces() -> None:
    free = FreeAddresses("10.96.0.0/24", [b"10.96.0.1", b"10.96.0.100"])
    found = [free.like(b"10.96.0.1") for _ in range(8)]
    assert set(found) == {b"10.96.0.%d" % last for last in range(2, 10)}
    assert len(free.like(b"10.96.0.100")) == len(b"10.96.0.100")


UID = "12345678-1234-4234-8234-123456789012"


def wanted(name: str, uid: str) -> dict[str, Any]:
    return {"kind": "Service", "metadata": {"name": name, "ownerReferences": [{"uid": uid}]}}


def test_a_copy_bears_the_digest_that_the_operator_would_leave(tmp_path: Path) -> None:
    desired = wanted("bench-00000", UID)
    sent = marked(desired, digest_of(desired))
    sent["metadata"]["resourceVersion"] = "1"
    (tmp_path / "writes").write_text(json.dumps({"body": json.dumps(sent)}) + "\n" + json.dumps({"body": '{"x":1}'}))
    applied = applied_by_digest(tmp_path / "writes")
    assert applied == {digest_of(desired): desired}

    stored = f"k8s bench-00000 {UID} {APPLIED_ANNOTATION}\x12\x20{digest_of(desired)} 10.96.0.1".encode()
    key = b"/registry/services/specs/embeddings/bench-00000"
    addresses = {b"10.96.0.1": b"bench-00000 has 10.96.0.1"}
    copies = Copies(applied, addresses, FreeAddresses("10.96.0.0/29", addresses))
    service, address = copies.of([(key, stored)], "bench-00000", 7)
    uid = f"00000007{UID[8:]}"
    copied = f"{APPLIED_ANNOTATION}\x12\x20{digest_of(wanted('bench-00007', uid))}"
    assert service == (
        b"/registry/services/specs/embeddings/bench-00007",
        f"k8s bench-00007 {uid} {copied} 10.96.0.6".encode(),
    )
    assert address == (b"/registry/ipaddresses/10.96.0.6", b"bench-00007 has 10.96.0.6")


def test_what_is_drawn_is_as_wide_as_it_took_long(tmp_path: Path) -> None:
    stacks = "built-in:run;embedding_operator.kube.cache:get;kopf:x 3\nembedding_operator.planning.plan:plan 1\n"
    (tmp_path / "samples").write_text(stacks)
    picture = draw(stacks_of(tmp_path / "samples"), "A & B")
    assert "A &amp; B" in picture
    assert "<title>embedding_operator.kube.cache:get: 75.0%</title>" in picture
    assert "<title>embedding_operator.planning.plan:plan: 25.0%</title>" in picture
    assert "built-in:run" not in picture


@pytest.mark.parametrize(("text", "sizes"), [("500,2000", [500, 2000]), ("7", [7]), ("0", []), ("9,7,9", [9, 7])])
def test_sizes_are_numbers_of_services(text: str, sizes: list[int]) -> None:
    assert command.sizes(text) == sizes


@pytest.mark.parametrize("text", ["many", "", "5,", "-3", "1.5"])
def test_what_is_no_size_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="numbers of services, like 100,500"):
        command.sizes(text)


def test_figures_are_kept_in_a_directory_that_was_not_there(tmp_path: Path) -> None:
    command.keep(tmp_path / "new" / "results.json", {"seconds": 1})
    assert json.loads((tmp_path / "new" / "results.json").read_text()) == {"seconds": 1}


def test_an_operator_that_has_ended_is_told_with_its_last_words(tmp_path: Path) -> None:
    arm = Arm("operator", ["-c", "raise SystemExit('the Lease ran out')"], tmp_path / "log")
    arm.end()
    with pytest.raises(RuntimeError, match="the operator ended: "):
        arm.usage()


def test_every_service_has_its_turn_where_turns_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert turns.main(["--services=1,40", "--at-once=7", "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[-2:]] == ["| 1", "| 40"]
