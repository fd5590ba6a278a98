"""Things die at inconvenient moments; the end is the same as without."""

from __future__ import annotations

import json

import pytest

from demo.install import OPERATOR_NAMESPACE
from tests.e2e.product import QWEN, Product
from tests.integration.operating import until

pytestmark = pytest.mark.cluster


def test_operator_and_stager_are_killed_while_weights_are_staged(product: Product) -> None:
    place = product.place()
    product.fault("slow", match="*.safetensors", value=2_000_000)
    try:
        place.double(replicas=1)
        until(lambda: bool(place.items("pods", "app.kubernetes.io/name=model-staging")), 120)
        until(lambda: bool(list(place.directory.glob(".staging/**/*"))), 120)
        product.kubectl("-n", OPERATOR_NAMESPACE, "delete", "pods", "--all", "--force", "--grace-period=0")
        place.kubectl("delete", "pods", "-l", "app.kubernetes.io/name=model-staging", "--force", "--grace-period=0")
    finally:
        product.no_faults()
    until(place.ready, 300)
    assert len(place.vectors("qwen", QWEN, ["still here"])) == 1
    assert len(list(place.directory.glob("modelscope/*/*/manifest.json"))) == 1


def test_the_operators_requests_are_all_allowed_and_none_is_for_a_secret(product: Product) -> None:
    """An API server that starts again answers before it has read the roles: only what is never allowed counts."""
    place = product.place()
    place.double(replicas=2)
    until(place.ready, 240)
    user = f"system:serviceaccount:{OPERATOR_NAMESPACE}:embedding-operator"
    denied: dict[tuple[str | None, ...], str] = {}
    allowed: set[tuple[str | None, ...]] = set()
    secrets = []
    for line in product.cluster.audit_log.read_text().splitlines():
        request = json.loads(line)
        if request["user"].get("username") != user:
            continue
        asked = request.get("objectRef", {})
        right = (request["verb"], *(asked.get(part) for part in ("apiGroup", "resource", "subresource", "namespace")))
        told = f"{request['verb']} {request['requestURI']} {request['responseStatus'].get('code')}"
        if request["annotations"].get("authorization.k8s.io/decision") == "allow":
            allowed.add(right)
        else:
            denied[right] = told
        if asked.get("resource") == "secrets":
            secrets.append(told)
    assert allowed
    assert ([told for right, told in denied.items() if right not in allowed], secrets) == ([], [])
