"""A rollout to other vectors stops before a client meets one, with real kubelets; the server is the double of vLLM."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.product import QWEN, Place, Product
from tests.integration.operating import is_ready, until

pytestmark = pytest.mark.cluster

_SPACE_OF = """
import json, sys, urllib.request
body = json.dumps({"model": sys.argv[2], "input": "hello"}).encode()
request = urllib.request.Request(sys.argv[1] + "/embeddings", body, {"content-type": "application/json"})
print(urllib.request.urlopen(request, timeout=10).headers["embedding-space"])
"""
SELECTOR = "embedding-operator.io/service=qwen"


def serve(place: Place, **env: str) -> None:
    """Two replicas; VLLM_DOUBLE_SEED in their environment gives other vectors, anything else the same."""
    runtime = place.runtime() | {"env": [{"name": name, "value": value} for name, value in env.items()]}
    place.double(replicas=2, runtime=runtime, rollout={"drainTimeout": "60s"})


def served(product: Product) -> Place:
    """A service whose space is recorded."""
    place = product.place()
    serve(place)
    until(place.ready, 240)
    until(lambda: recorded(place) != "")
    return place


def load_on(product: Product, place: Place) -> Any:
    url = f"http://qwen.{place.name}.svc:8000/v1"
    return product.load(url, QWEN, "--clients", "6", "--seconds", "600", "--pause", "0.02")


def recorded(place: Place) -> str:
    """The id of the space, as the status has it."""
    found = ((place.get("emb", "qwen") or {}).get("status") or {}).get("embeddingSpace") or {}
    return str(found.get("id") or "")


def told(product: Product, place: Place) -> str:
    """The id in the header of an answer."""
    url = f"http://qwen.{place.name}.svc:8000/v1"
    hub = ("-n", "model-hub", "exec", "deploy/model-hub", "--")
    return product.kubectl(*hub, "python3", "-c", _SPACE_OF, url, QWEN).strip()


def is_stopped(place: Place) -> bool:
    return bool(place.condition("emb", "qwen", "Stalled")["reason"] == "EmbeddingSpaceChanged")


def seeds(place: Place) -> list[str]:
    """What the pods that are ready were started with."""
    ready = filter(is_ready, place.items("pods", SELECTOR))
    return [json.dumps(pod["spec"]["containers"][0]["env"]).partition("VLLM_DOUBLE_SEED")[2][:15] for pod in ready]


def test_a_rollout_to_other_vectors_stops_and_nobody_meets_one(product: Product) -> None:
    place = served(product)
    load = load_on(product, place)
    serve(place, VLLM_DOUBLE_SEED="other")
    until(lambda: is_stopped(place), 120)
    message = place.condition("emb", "qwen")["message"]
    assert "gives other vectors than this service did before: the smallest cosine is" in message
    assert seeds(place) != []
    assert set(seeds(place)) == {""}
    new = message.split("pod ")[1].split()[0]
    (container,) = (place.get("pod", new) or {})["status"]["containerStatuses"]
    assert (container["started"], container["ready"], container["restartCount"]) == (True, False, 0)
    summary = product.end_load(load)
    print(f"a rollout that stops, under load: {summary}")
    assert summary["requests"] > 100
    assert summary["failed"] == 0, summary


@pytest.mark.long
def test_the_same_vectors_pass_and_others_do_once_they_are_accepted(product: Product) -> None:
    place = served(product)
    before = recorded(place)
    until(lambda: told(product, place) == before, 180)  # a kubelet takes its time with a ConfigMap that is new
    load = load_on(product, place)

    serve(place, VLLM_DOUBLE_LATENCY_MS="5")
    until(lambda: place.condition("emb", "qwen")["reason"] != "Serving", 60)
    until(place.ready, 240)
    assert (recorded(place), told(product, place)) == (before, before)

    serve(place, VLLM_DOUBLE_SEED="other")
    until(lambda: is_stopped(place), 240)
    assert told(product, place) == before
    words = place.condition("emb", "qwen")["message"].split("`")[1].removeprefix("kubectl ").split()
    place.kubectl(*words)
    until(place.ready, 400)
    after = recorded(place)
    assert after != before
    assert any(seeds(place))
    assert told(product, place) == after
    until(lambda: place.condition("emb", "qwen", "Degraded")["reason"] == "")
    summary = product.end_load(load)
    print(f"the same vectors, then others that are accepted, under load: {summary}")
    assert summary["requests"] > 100
    assert summary["failed"] == 0, summary


@pytest.mark.long
def test_going_back_ends_a_stopped_rollout(product: Product) -> None:
    place = served(product)
    before = recorded(place)
    serve(place, VLLM_DOUBLE_SEED="other")
    until(lambda: is_stopped(place), 120)
    serve(place)
    until(place.ready, 240)
    assert recorded(place) == before
    assert set(seeds(place)) == {""}
