"""The same product with a real vLLM for CPU and a real model: meaning, drains and rollouts."""

from __future__ import annotations

from typing import Any

import pytest

from demo.story import DOCUMENTS, QUERIES, TASK
from tests.e2e.minilm import MINILM, serve
from tests.e2e.product import Product
from tests.integration.operating import until

pytestmark = [pytest.mark.cluster, pytest.mark.vllm, pytest.mark.timeout(1800)]


def test_a_real_model_answers_with_meaning_and_rolls_without_a_failed_request(product: Product, vllm: None) -> None:
    place = product.place("baseline")
    serve(place)
    until(lambda: place.ready("minilm"), 900)
    queries = [f"Instruct: {TASK}\nQuery:{query}" for query in QUERIES]
    vectors = place.vectors("minilm", MINILM, queries + DOCUMENTS)
    assert {len(vector) for vector in vectors} == {384}
    scores = [[sum(a * b for a, b in zip(q, d, strict=True)) for d in vectors[2:]] for q in vectors[:2]]
    assert scores[0][0] > scores[0][1]
    assert scores[1][1] > scores[1][0]

    def space() -> Any:
        return ((place.get("emb", "minilm") or {}).get("status") or {}).get("embeddingSpace") or {}

    until(lambda: space().get("dimensions") == 384, 60)
    recorded = space()

    url = f"http://minilm.{place.name}.svc:8000/v1"
    load = product.load(url, MINILM, "--clients", "12", "--seconds", "900", "--pause", "0.2", "--timeout", "60")
    serve(place, serving={"maxModelLen": 128})
    until(lambda: place.condition("emb", "minilm")["reason"] != "Serving", 60)
    until(lambda: place.ready("minilm"), 900)
    until(lambda: len(place.items("pods", "embedding-operator.io/service=minilm")) == 1, 300)  # the old one has drained
    assert space() == recorded  # another flag, and the same vectors
    assert place.condition("emb", "minilm", "Degraded")["reason"] == ""
    summary = product.end_load(load)
    print(f"rolling update under load: {summary}")
    assert summary["requests"] > 100
    assert summary["failed"] == 0, summary
