"""A small corpus into vectors on two nodes, with real kubelets, while a worker is killed in the middle."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.errors import ClusterError
from tests.e2e.product import HUB, QWEN, Place, Product
from tests.integration.operating import until

pytestmark = pytest.mark.cluster
ROWS = 6000
MORE = 100
BAD = {1234: "not JSON at all", 4321: '{"id": 4321, "text": ""}'}


def corpus(place: Place) -> None:
    """Three files; two of their rows are bad."""
    folder = place.directory / "corpus"
    folder.mkdir()
    for part in range(3):
        rows = range(part * ROWS // 3, (part + 1) * ROWS // 3)
        lines = [BAD.get(row) or json.dumps({"id": row, "text": f"row {row} of a corpus"}) for row in rows]
        (folder / f"part-{part}.jsonl").write_text("\n".join(lines) + "\n")


def manifest(name: str, **spec: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "model": {"source": {"modelScope": {"repo": QWEN, "endpoint": HUB}}},
        "cache": {"claimName": "model-weights"},
        "runtime": Place.runtime(),
        "input": {
            "claimName": "model-weights",
            "files": ["corpus/*.jsonl"],
            "format": "JsonLines",
            "idField": "id",
            "textField": "text",
        },
        "output": {"claimName": "model-weights", "path": "vectors", "format": "JsonLines"},
        "parallelism": 2,
        "shardBytes": "24Ki",
        "maxErrors": len(BAD),
    }
    return {
        "apiVersion": "embedding-operator.io/v1alpha1",
        "kind": "EmbeddingJob",
        "metadata": {"name": name},
        "spec": {key: value for key, value in (base | spec).items() if value is not None},
    }


def ids(folder: Path) -> list[int]:
    """Of all rows that were written, file by file."""
    files = sorted(folder.glob("part-*.jsonl"))
    return [json.loads(line)["id"] for file in files for line in file.read_text().splitlines()]


def status(place: Place, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (place.get("embjob", name) or {}).get("status") or {}
    return found


def running(place: Place) -> list[str]:
    pods = place.items("pods", "app.kubernetes.io/name=job-work")
    return [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running"]


def complete(place: Place, name: str) -> bool:
    ready = place.condition("embjob", name)
    assert ready["reason"] not in ("Internal", "TooManyErrors", "BackoffLimitExceeded"), ready["message"]
    return bool(ready["status"] == "True")


def test_each_row_is_embedded_once_though_a_worker_is_killed_in_the_middle(product: Product) -> None:
    place = product.place()
    corpus(place)
    place.apply(manifest("wiki"))
    until(lambda: (status(place, "wiki").get("shards") or {}).get("done", 0) >= 2 and len(running(place)) > 0, 300)
    with contextlib.suppress(ClusterError, IndexError):  # it ended just now, and another one is about to begin
        place.kubectl("delete", "pod", running(place)[0], "--force", "--grace-period=0")
    until(lambda: complete(place, "wiki"), 300)
    output = place.directory / "vectors"
    folder = output / "corpus"  # as the input's files are
    assert sorted(ids(folder)) == [row for row in range(ROWS) if row not in BAD]
    told = json.loads((output / "manifest.json").read_text())
    assert status(place, "wiki")["rows"] == ROWS - len(BAD)
    assert status(place, "wiki")["errors"] == len(BAD)
    assert told["model"]["digest"].startswith("sha256:")
    errors = [json.loads(line) for line in (output / "errors.jsonl").read_text().splitlines()]
    assert sorted(error["row"] - 1 + ROWS // 3 * int(error["file"][-7]) for error in errors) == sorted(BAD)
    _a_second_job_embeds_new_files_alone(place, folder)


def _a_second_job_embeds_new_files_alone(place: Place, folder: Path) -> None:
    lines = [json.dumps({"id": ROWS + row, "text": f"row {row} that came later"}) for row in range(MORE)]
    (place.directory / "corpus" / "part-3.jsonl").write_text("\n".join(lines) + "\n")
    before = {file: file.stat() for file in folder.iterdir()}
    place.apply(manifest("wiki-and-more"))
    until(lambda: complete(place, "wiki-and-more"), 300)
    assert {file: file.stat() for file in before} == before
    assert sorted(ids(folder)) == [row for row in range(ROWS + MORE) if row not in BAD]
    found = status(place, "wiki-and-more")
    assert found["shards"]["reused"] == status(place, "wiki")["shards"]["total"]
    assert (found["rows"], found["errors"]) == (ROWS + MORE - len(BAD), len(BAD))


@pytest.mark.long
def test_a_row_that_kills_the_server_beside_its_driver_is_a_bad_row(product: Product) -> None:
    """The kubelet starts the server again, three times, and the driver stays."""
    place = product.place()
    corpus(place)
    poison = 777
    dies = [{"name": "VLLM_DOUBLE_DIES_AT", "value": f'"row {poison} of a corpus"'}]
    place.apply(manifest("wiki", runtime=Place.runtime() | {"env": dies}, maxErrors=len(BAD) + 1))
    until(lambda: complete(place, "wiki"), 600)
    output = place.directory / "vectors"
    assert sorted(ids(output / "corpus")) == [row for row in range(ROWS) if row not in {poison, *BAD}]
    errors = [json.loads(line) for line in (output / "errors.jsonl").read_text().splitlines()]
    assert [error["row"] - 1 for error in errors if error["reason"] == "ServerCrashed"] == [poison]
    assert (status(place, "wiki")["rows"], status(place, "wiki")["errors"]) == (ROWS - len(BAD) - 1, len(BAD) + 1)
    pods = place.items("pods", "app.kubernetes.io/name=job-work")
    assert all(pod["status"]["phase"] == "Succeeded" for pod in pods)
    assert sum(pod["status"]["initContainerStatuses"][0]["restartCount"] for pod in pods) >= 3
