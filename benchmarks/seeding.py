"""Makes thousands of services of some that the operator has served, as it would have left them.

A control plane of two cores makes ten services a second, pods and all, so ten thousand would take a quarter of an hour
before anything is measured. Here one of twenty is served by the operator, and what etcd has of it (the service with its
status, its children, its pods) is put there again for the other nineteen: the same bytes but for name, uids, cluster
IP, and the digests that the operator leaves in its children, all of which are as long as those that they replace.
Nothing of the operator's is made up: an operator that is started afterwards finds all in force.

Nobody is there meanwhile, not even the API server, which would not notice.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.etcd import Etcd
from benchmarks.manifests import SERVICES_PER_CACHE, service_name
from benchmarks.recording import swapped
from embedding_operator.kube.inforce import APPLIED_ANNOTATION, digest_of

_COPIED: Final = (
    "/registry/embedding-operator.io/embeddingservices/",
    "/registry/controllerrevisions/",
    "/registry/deployments/",
    "/registry/replicasets/",
    "/registry/services/specs/",
    "/registry/services/endpoints/",
    "/registry/endpointslices/",
    "/registry/poddisruptionbudgets/",
    "/registry/pods/",
)
_ADDRESSES: Final = "/registry/ipaddresses/"
_UID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_ADDRESS: Final = re.compile(rb"[0-9]+(?:[.][0-9]+){3}")
# as Protobuf has it: a string field with the annotation's name, then one of 32 characters
_DIGEST: Final = re.compile(re.escape(APPLIED_ANNOTATION.encode()) + rb"\x12\x20([0-9a-f]{32})")

Entry = tuple[bytes, bytes]


def originals(services: int) -> list[int]:
    """Which of so many services are served, and not copied: the first of each model."""
    return list(range(0, services, SERVICES_PER_CACHE))


def seed(etcd: Etcd, writes: Path, services: int, cidr: str) -> int:
    """Copy what is there of the originals; `writes` are what the operator has applied. Returns how many were put."""
    addresses = {key.rpartition(b"/")[2]: value for key, value in etcd.read(_ADDRESSES)}
    free = FreeAddresses(cidr, addresses)
    applied = applied_by_digest(writes)
    found: defaultdict[str, list[Entry]] = defaultdict(list)
    names = {service_name(index).encode(): service_name(index) for index in originals(services)}
    length = len(service_name(0))
    for prefix in _COPIED:
        for key, value in etcd.read(prefix):
            name = names.get(key.rpartition(b"/")[2][:length])
            if name is not None:
                found[name].append((key, value))
    copies = Copies(applied, addresses, free)
    entries = [
        entry
        for first in originals(services)
        for index in range(first + 1, min(first + SERVICES_PER_CACHE, services))
        for entry in copies.of(found[service_name(first)], service_name(first), index)
    ]
    etcd.write(entries)
    return len(entries)


def applied_by_digest(writes: Path) -> dict[str, Any]:
    """What the operator wanted, as the recorder kept it, by the digest that it left with it."""
    found = {}
    for line in writes.read_text().splitlines():
        body = json.loads(json.loads(line)["body"])
        metadata = body.get("metadata") or {}
        digest = (metadata.get("annotations") or {}).pop(APPLIED_ANNOTATION, None)
        if digest is None:
            continue
        if not metadata["annotations"]:
            del metadata["annotations"]
        metadata.pop("resourceVersion", None)
        if digest_of(body) != digest:
            raise RuntimeError(f"the digest of {body['kind']} {metadata['name']} is not made as it was")
        found[digest] = body
    return found


class FreeAddresses:
    """Cluster IPs that nobody has, as long in text as another one."""

    def __init__(self, cidr: str, taken: Iterable[bytes]) -> None:
        used = set(taken)
        self._free: defaultdict[int, list[bytes]] = defaultdict(list)
        for address in ipaddress.ip_network(cidr).hosts():
            text = str(address).encode()
            if text not in used:
                self._free[len(text)].append(text)

    def like(self, address: bytes) -> bytes:
        """One of them, from now on taken."""
        return self._free[len(address)].pop()


@dataclass(frozen=True)
class Copies:
    """What all copies are made with."""

    applied: Mapping[str, Any]
    addresses: Mapping[bytes, bytes]
    free: FreeAddresses

    def of(self, entries: Iterable[Entry], name: str, index: int) -> Iterator[Entry]:
        """All entries of one service, for the one with that number."""
        entries = list(entries)
        text = b"".join(value for _, value in entries)
        swaps = {name.encode(): service_name(index).encode()}
        swaps |= {uid: b"%08x" % index + uid[8:] for uid in set(_UID.findall(text))}
        for key, value in entries:
            if key.startswith(b"/registry/services/specs/"):
                (address,) = set(_ADDRESS.findall(value)) & set(self.addresses)
                swaps[address] = self.free.like(address)
                entries.append((_ADDRESSES.encode() + address, self.addresses[address]))
        for digest in set(_DIGEST.findall(text)):
            wanted = json.dumps(self.applied[digest.decode()])
            swaps[digest] = digest_of(json.loads(swapped(wanted.encode(), swaps))).encode()
        return ((swapped(key, swaps), swapped(value, swaps)) for key, value in entries)
