"""The guide's four texts, embedded by EmbeddingJobs with a real vLLM: the vectors that the service gives."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from demo.story import DOCUMENTS, QUERIES, TASK
from tests.e2e.minilm import MINILM, MODEL, RUNTIME, serve
from tests.e2e.product import Place, Product
from tests.integration.operating import until

pytestmark = [pytest.mark.cluster, pytest.mark.vllm, pytest.mark.timeout(1800)]

OWN_SERVERS = {"model": MODEL, "cache": {"claimName": "model-weights"}, "runtime": RUNTIME}
Vectors = list[list[float]]


def job(place: Place, name: str, texts: list[str], **spec: Any) -> None:
    """A corpus of these texts, and what embeds it."""
    folder = place.directory / name
    folder.mkdir()
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    files = {"files": [f"{name}/*.jsonl"], "format": "JsonLines", "textField": "text"}
    where = {
        "input": {"claimName": "model-weights", **files},
        "output": {"claimName": "model-weights", "path": f"{name}-vectors", "format": "JsonLines"},
    }
    kind = {"apiVersion": "embedding-operator.io/v1alpha1", "kind": "EmbeddingJob"}
    place.apply(kind | {"metadata": {"name": name}, "spec": where | spec})


def vectors(place: Place, name: str) -> Vectors:
    """In the order of the input."""
    until(lambda: place.condition("embjob", name)["status"] == "True", 900)
    [file] = (place.directory / f"{name}-vectors").rglob("texts-*.jsonl")
    return [json.loads(line)["vector"] for line in file.read_text().splitlines()]


def cosine(a: list[float], b: list[float]) -> float:
    return sum(map(float.__mul__, a, b)) / math.sqrt(sum(x * x for x in a) * sum(x * x for x in b))


def scores(queries: Vectors, documents: Vectors) -> Vectors:
    return [[cosine(query, document) for document in documents] for query in queries]


def test_the_four_texts_of_the_guide_have_the_same_vectors_by_jobs_and_by_a_service(
    product: Product, vllm: None
) -> None:
    place = product.place("baseline")
    serve(place)
    job(place, "queries", QUERIES, instruction=TASK, **OWN_SERVERS)
    job(place, "documents", DOCUMENTS, serviceRef={"name": "minilm"})
    until(lambda: place.ready("minilm"), 900)
    asked = [f"Instruct: {TASK}\nQuery:{query}" for query in QUERIES]
    served = place.vectors("minilm", MINILM, asked + DOCUMENTS)
    embedded = vectors(place, "queries") + vectors(place, "documents")
    same = [cosine(a, b) for a, b in zip(served, embedded, strict=True)]
    assert min(same) > 1 - 1e-5, same
    by_service, by_job = scores(served[:2], served[2:]), scores(embedded[:2], embedded[2:])
    print(f"scores by the service {by_service}, by jobs {by_job}, smallest cosine {min(same):.7f}")
    for row in range(2):
        assert by_job[row] == pytest.approx(by_service[row], abs=1e-5)
        assert by_job[row][row] > by_job[row][1 - row]

    def digest(kind: str, name: str) -> Any:
        return (place.get(kind, name) or {})["status"]["model"]["digest"]

    assert digest("embjob", "queries") == digest("embjob", "documents") == digest("emb", "minilm")
