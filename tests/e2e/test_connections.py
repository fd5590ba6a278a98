"""Clients that keep connections, keys and certificates, through a Service and with real kubelets."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.certificates import Authority
from tests.e2e.product import QWEN, Place, Product
from tests.integration.operating import until

pytestmark = pytest.mark.cluster

_ANSWERED = """
import json, re, sys, urllib.error, urllib.request
def answered(address):
    try:
        text = urllib.request.urlopen(f"http://{address}:8000/metrics", timeout=10).read().decode()
    except urllib.error.URLError:  # it does not listen yet
        return 0
    return int(sum(float(n) for n in re.findall(r'http_requests_total{handler="/v1/embeddings".*} (.*)', text)))
print(json.dumps({address: answered(address) for address in sys.argv[1:]}))
"""
CLIENTS = 12
SLOW = {"name": "VLLM_DOUBLE_LATENCY_MS", "value": "60"}  # so that the clients, not the machine, say how many come


def answered(product: Product, place: Place) -> dict[str, int]:
    """Embedding requests that each pod has answered, by its name."""
    pods = place.items("pods", "embedding-operator.io/service=qwen")
    names = {pod["status"]["podIP"]: pod["metadata"]["name"] for pod in pods if pod["status"].get("podIP")}
    counts: dict[str, int] = json.loads(
        product.kubectl("-n", "model-hub", "exec", "deploy/model-hub", "--", "python3", "-c", _ANSWERED, *names)
    )
    return {names[address]: count for address, count in counts.items()}


class Shares:
    """What each pod has answered, look by look."""

    def __init__(self, look: Callable[[], dict[str, int]]) -> None:
        self.look, self.began = look, time.monotonic()
        self.looks = [(0.0, look())]

    def again(self) -> dict[str, int]:
        self.looks.append((time.monotonic() - self.began, self.look()))
        return self.looks[-1][1]

    def table(self) -> str:
        """Requests that each pod answered in about five seconds, for docs/rollouts.md."""
        names = sorted(self.looks[-1][1], key=lambda name: (name not in self.looks[0][1], name))
        rows = ["| seconds | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        earlier, before = self.looks[0]
        for now, after in self.looks[1:]:
            if now - earlier >= 5 or after is self.looks[-1][1]:
                counts = (str(after.get(name, 0) - before.get(name, 0)) for name in names)
                rows.append(f"| {earlier:.0f} to {now:.0f} | " + " | ".join(counts) + " |")
                earlier, before = now, after
        return "\n".join(rows)


def scaled_under_load(product: Product, age: str) -> tuple[subprocess.Popen[str], Shares]:
    """Twelve busy clients of one replica, of which there are three then."""
    place = product.place()
    runtime = place.runtime() | {"env": [SLOW]}
    place.double(replicas=1, runtime=runtime, serving={"maxConnectionAge": age})
    until(place.ready, 240)
    url = f"http://qwen.{place.name}.svc:8000/v1"
    load = product.load(url, QWEN, "--clients", str(CLIENTS), "--seconds", "300")
    until(lambda: sum(answered(product, place).values()) > 500)
    shares = Shares(lambda: answered(product, place))
    place.kubectl("scale", "emb/qwen", "--replicas=3")

    def scaled() -> bool:
        shares.again()
        return str(place.condition("emb", "qwen")["message"]).startswith("3 of 3 replicas serving")

    until(scaled, 120)
    return load, shares


def test_busy_keep_alive_clients_find_new_replicas_and_no_request_fails(product: Product) -> None:
    load, shares = scaled_under_load(product, "1s")
    before = shares.again()

    def even() -> bool:
        """Chance deals the connections out, so it takes many of them."""
        counts = [count - before.get(name, 0) for name, count in shares.again().items()]
        return len(counts) == 3 and min(counts) > 1000 and max(counts) <= 1.2 * min(counts)

    until(even, 120)
    print(shares.table())
    summary = product.end_load(load)
    assert summary["failed"] == 0, summary
    assert summary["connections"] > CLIENTS * 3


@pytest.mark.long
def test_without_an_age_they_stay_where_they_are(product: Product) -> None:
    """What the age is for; should this ever fail, it has less to do."""
    load, shares = scaled_under_load(product, "0s")
    before = shares.again()
    until(lambda: max(count - before[name] for name, count in shares.again().items()) > 1000)
    print(shares.table())
    counts = sorted(count - before[name] for name, count in shares.again().items())
    assert counts[:2] == [0, 0]
    assert product.end_load(load)["connections"] == CLIENTS


def secrets(place: Place, directory: Path) -> str:
    """Keys and a certificate for the service `qwen`; returns the authority's certificate."""
    authority = Authority(directory)
    certificate, key = authority.issue("server", "qwen", hosts=[f"qwen.{place.name}.svc"])
    place.kubectl("create", "secret", "tls", "embedding-tls", f"--cert={certificate}", f"--key={key}")
    keys = ["--from-literal=one=key-of-one", "--from-literal=two=key-of-two"]
    place.kubectl("create", "secret", "generic", "embedding-keys", *keys)
    return authority.certificate.read_text()


GUARDED: dict[str, Any] = {
    "apiKeySecretRef": {"name": "embedding-keys"},
    "tls": {"secretRef": {"name": "embedding-tls"}},
}


def summary_of(product: Product, url: str, *options: str) -> dict[str, Any]:
    output, _ = product.load(url, QWEN, *options).communicate(timeout=120)
    summary: dict[str, Any] = json.loads(output)
    return summary


def test_a_guarded_service_serves_and_rolls_over_tls_for_those_with_a_key(product: Product, tmp_path: Path) -> None:
    place = product.place()
    ca = secrets(place, tmp_path)
    place.double(replicas=2, exposure=GUARDED)
    until(place.ready, 240)
    url = place.get("emb", "qwen")["status"]["endpoint"]  # type: ignore[index]
    assert url == f"https://qwen.{place.name}.svc:8000/v1"
    few = ("--clients", "1", "--requests", "3", "--ca", ca)
    assert summary_of(product, url, *few)["errors"] == {"HTTP 401": 3}
    assert summary_of(product, url, *few, "--key", "key-of-nobody")["errors"] == {"HTTP 401": 3}
    assert summary_of(product, url, *few, "--key", "key-of-two")["failed"] == 0

    load = product.load(
        url, QWEN, "--clients", "6", "--seconds", "300", "--pause", "0.02", "--ca", ca, "--key", "key-of-one"
    )
    place.double(replicas=2, exposure=GUARDED, serving={"maxModelLen": 2048})
    until(lambda: place.condition("emb", "qwen")["reason"] == "RollingOut", 60)
    until(place.ready, 240)
    summary = product.end_load(load)
    assert summary["requests"] > 100
    assert summary["failed"] == 0, summary


@pytest.mark.long
def test_a_key_and_a_certificate_change_under_load_without_a_restart_or_a_failed_request(
    product: Product, tmp_path: Path
) -> None:
    place = product.place()
    ca = secrets(place, tmp_path / "one")
    place.double(replicas=2, exposure=GUARDED)
    until(place.ready, 240)
    url = f"https://qwen.{place.name}.svc:8000/v1"
    before = {pod["metadata"]["uid"] for pod in place.items("pods", "embedding-operator.io/service=qwen")}
    load = product.load(
        url, QWEN, "--clients", "4", "--seconds", "600", "--pause", "0.05", "--ca", ca, "--key", "key-of-one"
    )

    place.kubectl("patch", "secret", "embedding-keys", "-p", json.dumps({"stringData": {"three": "key-of-three"}}))
    many = ("--clients", "16", "--requests", "40")  # so many that both pods are met
    until(lambda: summary_of(product, url, *many, "--ca", ca, "--key", "key-of-three")["failed"] == 0, 240)
    removal = [{"op": "remove", "path": "/data/two"}]
    place.kubectl("patch", "secret", "embedding-keys", "--type=json", "-p", json.dumps(removal))
    until(lambda: summary_of(product, url, *many, "--ca", ca, "--key", "key-of-two")["errors"] == {"HTTP 401": 40}, 240)
    summary = product.end_load(load)
    assert summary["failed"] == 0, summary

    for directory in ("two", "three"):  # each time another authority: nobody else's certificate will do
        authority = Authority(tmp_path / directory)
        certificate, key = authority.issue("server", "qwen", hosts=[f"qwen.{place.name}.svc"])
        made = place.kubectl(
            "create", "secret", "tls", "embedding-tls", f"--cert={certificate}", f"--key={key}",
            "--dry-run=client", "-o", "json",
        )  # fmt: skip
        place.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=made)
        trusting = (
            "--clients",
            "4",
            "--requests",
            "40",
            "--key",
            "key-of-one",
            "--ca",
            authority.certificate.read_text(),
        )
        until(lambda options=trusting: summary_of(product, url, *options)["failed"] == 0, 240)  # type: ignore[misc]
    assert {pod["metadata"]["uid"] for pod in place.items("pods", "embedding-operator.io/service=qwen")} == before
