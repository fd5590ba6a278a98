"""A hundred thousand rows, while workers, a node and the operator are killed: each is there once, and in its place."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import time
from pathlib import Path

import pytest

from tests.chaos.faults import InstalledOperator, kill_containers
from tests.chaos.scene import patiently, report
from tests.chaos.test_node import node_of_the_hub
from tests.cluster.errors import ClusterError
from tests.e2e.product import Place, Product
from tests.e2e.test_job import complete, manifest, status
from tests.integration.operating import Object

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(3000)]

SEED = int(os.environ.get("CHAOS_SEED", "1"))
FILES, ROWS = 4, 100_000
BAD = frozenset({7, 25_000, 49_999, 50_000, 99_999})
AWAY = 45.0  # seconds: until the API server knows that a node is lost


def test_a_hundred_thousand_rows_while_workers_a_node_and_the_operator_are_killed(
    product: Product, operator: InstalledOperator
) -> None:
    place = product.place()
    corpus(place.directory / "corpus")
    place.apply(manifest("wiki", parallelism=4, shardBytes="48Ki", maxErrors=len(BAD)))
    patiently(lambda: done(place) > 2)
    killer = Killer(place, product, operator)
    killer.loses_a_node()
    patiently(killer.strikes, 1500)
    patiently(lambda: complete(place, "wiki"), 600)
    output = place.directory / "vectors"
    assert embedded(output) == wanted()
    errors = [json.loads(line) for line in (output / "errors.jsonl").read_text().splitlines()]
    assert [first_of(error["file"]) + error["row"] - 1 for error in errors] == sorted(BAD)
    found = status(place, "wiki")
    assert (found["rows"], found["errors"]) == (ROWS - len(BAD), len(BAD))
    report("a job under fire", seed=SEED, rows=ROWS, shards=found["shards"]["total"], **killer.kills)


class Killer:
    """Each few seconds somebody dies, till almost all is done."""

    def __init__(self, place: Place, product: Product, operator: InstalledOperator) -> None:
        self.kills = {"workers": 0, "servers_and_drivers": 0, "operators": 0, "nodes": 0}
        self._place, self._product, self._operator = place, product, operator
        self._random = random.Random(SEED)

    def strikes(self) -> bool:
        """Kill once more. Returns whether almost all is done."""
        time.sleep(self._random.uniform(2, 8))
        chance = self._random.random()
        if chance < 0.5:
            self._a_worker()
        elif chance < 0.75:
            self._a_pod()
        else:
            self.kills["operators"] += bool(kill_containers(self._product.cluster, self._operator.leader()))
        return bool(self._shards()[0] >= self._shards()[1] * 0.95)

    def loses_a_node(self) -> None:
        """All on it ends at once, and others die meanwhile; it comes back when everybody knows."""
        cluster, spared = self._product.cluster, node_of_the_hub(self._product)
        (lost,) = [node.name for node in cluster.nodes if node.name != spared]
        cluster.kill_node(lost)
        self.kills["nodes"] += 1
        ends = time.monotonic() + AWAY
        while time.monotonic() < ends:
            self.strikes()
        cluster.start_node(lost)
        cluster.wait_ready()

    def _a_worker(self) -> None:
        """All of its processes at once; the kubelet learns of it later."""
        self.kills["servers_and_drivers"] += bool(kill_containers(self._product.cluster, self._one()))

    def _a_pod(self) -> None:
        for pod in self._one():
            with contextlib.suppress(ClusterError):  # it ended just now
                self._place.kubectl("delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")
                self.kills["workers"] += 1

    def _one(self) -> list[Object]:
        pods = self._place.items("pods", "app.kubernetes.io/name=job-work")
        running = [pod for pod in pods if pod["status"]["phase"] == "Running"]
        return self._random.sample(running, min(1, len(running)))

    def _shards(self) -> tuple[int, int]:
        shards = status(self._place, "wiki")["shards"]
        return shards.get("done", 0), shards["total"]


def done(place: Place) -> int:
    found: int = (status(place, "wiki").get("shards") or {}).get("done", 0)
    return found


def corpus(folder: Path) -> None:
    folder.mkdir()
    for file, rows in rows_of().items():
        lines = ("{}" if row in BAD else json.dumps({"id": row, "text": f"row {row} of a corpus"}) for row in rows)
        (folder / file).write_text("\n".join(lines) + "\n")


def rows_of() -> dict[str, range]:
    each = ROWS // FILES
    return {f"part-{file}.jsonl": range(file * each, (file + 1) * each) for file in range(FILES)}


def first_of(file: str) -> int:
    return rows_of()[Path(file).name].start


def wanted() -> dict[str, list[int]]:
    """The ids of each file, in its order."""
    return {f"corpus/{file}": [row for row in rows if row not in BAD] for file, rows in rows_of().items()}


def embedded(output: Path) -> dict[str, list[int]]:
    """The ids of each file of the input, in the order of what the manifest says it has become; checksums hold."""
    found: dict[str, list[int]] = {}
    for file in json.loads((output / "manifest.json").read_text())["files"]:
        found[file["path"]] = []
        for one in file["outputs"]:
            content = (output / one["path"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == one["sha256"], one["path"]
            found[file["path"]] += [json.loads(line)["id"] for line in content.splitlines()]
    return found
