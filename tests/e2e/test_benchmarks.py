"""A real vLLM on a real model, measured by an EmbeddingBenchmark and by hand: the same figures, within the noise."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.cluster.certificates import Authority
from tests.e2e.minilm import IMAGE, MINILM, serve
from tests.e2e.product import Place, Product
from tests.integration.operating import until

pytestmark = [pytest.mark.cluster, pytest.mark.vllm, pytest.mark.timeout(1800)]

KEY = "a-key-of-the-service"
TOKENS, PROMPTS = 64, 200
RUN = {"dataset": "random", "inputTokens": TOKENS, "prompts": PROMPTS}


def serve_guarded(place: Place, **exposure: Any) -> None:
    """Behind an API key, and until it is ready."""
    serve(place, exposure={"apiKeySecretRef": {"name": "keys"}, **exposure})
    until(lambda: place.condition("emb", "minilm")["reason"] != "Serving", 60)
    until(lambda: place.ready("minilm"), 900)


def by_hand(place: Place, concurrency: int, seed: int) -> str:
    """What `vllm bench serve` prints in the server's own pod."""
    [server] = place.items("pods", "embedding-operator.io/service=minilm")
    model = server["spec"]["containers"][0]["volumeMounts"][0]["mountPath"]
    command = ["env", f"OPENAI_API_KEY={KEY}", "HOME=/tmp", "vllm", "bench", "serve"]
    command += ["--backend", "openai-embeddings", "--base-url", f"http://minilm.{place.name}.svc:8000"]
    command += ["--endpoint", "/v1/embeddings", "--model", MINILM, "--tokenizer", model, "--seed", str(seed)]
    command += ["--dataset-name", "random", "--random-input-len", str(TOKENS), "--num-prompts", str(PROMPTS)]
    command += ["--max-concurrency", str(concurrency), "--percentile-metrics", "e2el", "--disable-tqdm"]
    said = place.kubectl("exec", server["metadata"]["name"], "-c", "vllm", "--", *command)
    return said[said.index("============ Serving Benchmark Result") :]


def result(place: Place, name: str, run: int) -> dict[str, Any]:
    results: list[dict[str, Any]] = (place.get("embbench", name) or {})["status"]["results"]
    return next(one for one in results if one["run"] == run)


def test_a_real_server_is_measured_and_by_hand_it_is_the_same(product: Product, vllm: None, tmp_path: Any) -> None:
    place = product.place("baseline")
    place.kubectl("create", "secret", "generic", "keys", f"--from-literal=one={KEY}")
    serve_guarded(place)
    load = ["--input-tokens", str(TOKENS), "--prompts", str(PROMPTS), "--concurrency", "1,16", "--warmup", "20"]
    picture = tmp_path / "curve.svg"
    shown = product.command(place, "bench", "minilm", *load, "--benchmark", "table", "--svg", str(picture))
    print(f"\n{shown}")
    assert picture.read_text().startswith("<svg")
    for run in (1, 2):
        found = result(place, "table", run)
        assert found["valid"], found
        assert (found["requests"], found["failed"]) == (3 * PROMPTS, 0)
        assert float(found["p99Milliseconds"]) >= float(found["medianMilliseconds"]) > 0
        assert found["service"]["image"] == IMAGE
    for seed in range(3):
        told = by_hand(place, 16, seed)
        print(told)
        assert re.search(rf"^Successful requests: +{PROMPTS} *$", told, re.M)
    _over_tls_with_raw_results(place, tmp_path)


def _over_tls_with_raw_results(place: Place, tmp_path: Any) -> None:
    authority = Authority(tmp_path / "authority")
    crt, key = authority.issue("server", "minilm", hosts=[f"minilm.{place.name}.svc"])
    files = {"tls.crt": crt, "tls.key": key, "ca.crt": authority.certificate}
    given = [f"--from-file={name}={file}" for name, file in files.items()]
    place.kubectl("create", "secret", "generic", "certificate", "--type=kubernetes.io/tls", *given)
    serve_guarded(place, tls={"secretRef": {"name": "certificate"}})
    spec = {
        "serviceRef": {"name": "minilm"},
        "runs": [RUN | {"maxConcurrency": 8, "requestRate": "40"}],
        "repeats": 1,
        "warmupPrompts": 0,
        "output": {"claimName": "model-weights", "path": "results"},
    }
    kind = {"apiVersion": "embedding-operator.io/v1alpha1", "kind": "EmbeddingBenchmark"}
    place.apply(kind | {"metadata": {"name": "secured"}, "spec": spec})
    until(lambda: place.condition("embbench", "secured")["status"] == "True", 600)
    found = result(place, "secured", 1)
    assert found["valid"], found
    raw = json.loads((place.directory / "results/secured/run-1-repeat-1.json").read_text())
    assert raw["completed"] == found["requests"] == PROMPTS
    assert abs(raw["p99_e2el_ms"] - float(found["p99Milliseconds"])) < 0.1
