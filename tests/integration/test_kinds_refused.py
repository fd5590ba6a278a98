"""Bad manifests are refused by the API server itself, each with a message that says what to write instead."""

from __future__ import annotations

import json

import pytest

from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl
from tests.integration import refused_jobs, refused_others, refused_services
from tests.integration.kinds import Manifest, as_yaml, benchmark, cache, install_kinds, job, profile, service

NAMESPACE = "kinds-refused"


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> Kubectl:
    install_kinds(control_plane.kubectl)
    control_plane.kubectl("create", "namespace", NAMESPACE)
    return control_plane.kubectl


BAD = [
    pytest.param(*bad, id=name)
    for table in (refused_services.BAD, refused_jobs.BAD, refused_others.BAD)
    for name, bad in table.items()
]


@pytest.mark.parametrize(("manifest", "message"), BAD)
def test_a_bad_manifest_is_refused(kubectl: Kubectl, manifest: Manifest, message: str) -> None:
    with pytest.raises(ClusterError) as refused:
        kubectl("create", "-n", NAMESPACE, "--dry-run=server", "-f", "-", input=as_yaml(manifest))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "manifest", [service(), job(), cache(), profile(), benchmark()], ids=lambda manifest: manifest["kind"]
)
def test_what_the_bad_ones_are_made_from_is_good(kubectl: Kubectl, manifest: Manifest) -> None:
    kubectl("create", "-n", NAMESPACE, "--dry-run=server", "-f", "-", input=as_yaml(manifest))


TEMPLATE = {"claimTemplate": {"size": "5Gi"}}
DIGEST = f"sha256:{'0' * 64}"
FORBIDDEN_CHANGES: dict[str, tuple[Manifest, Manifest, str]] = {
    "another revision in a cache": (
        cache(),
        {"source": {"modelScope": {"revision": "v2"}}},
        "source cannot be changed, make another ModelCache for other weights",
    ),
    "another claim of a cache": (
        cache(),
        {"storage": {"claimName": "other"}},
        "storage cannot be changed, make another ModelCache for another volume",
    ),
    "another repeat": (benchmark(), {"repeats": 5}, "a benchmark cannot be changed, for its figures belong to it"),
    "another digest": (cache(digest=DIGEST), {"digest": DIGEST.replace("0", "1")}, "digest cannot be changed"),
    "a digest afterwards": (cache(), {"digest": DIGEST}, "digest cannot be changed"),
    "no digest any more": (cache(digest=DIGEST), {"digest": None}, "digest cannot be changed"),
    "a claim template that grows": (
        service(cache=TEMPLATE),
        {"cache": {"claimTemplate": {"size": "9Gi"}}},
        "the claim is made already: edit the PersistentVolumeClaim <service>-models itself",
    ),
    **refused_jobs.FORBIDDEN_CHANGES,
}


@pytest.mark.parametrize(("manifest", "patch", "message"), FORBIDDEN_CHANGES.values(), ids=FORBIDDEN_CHANGES.keys())
def test_a_change_that_cannot_be_honoured_is_refused(
    kubectl: Kubectl, manifest: Manifest, patch: Manifest, message: str
) -> None:
    with pytest.raises(ClusterError) as refused:
        change(kubectl, manifest, patch)
    assert message in str(refused.value)


ALLOWED_CHANGES: dict[str, tuple[Manifest, Manifest]] = {
    "another revision in a service": (service(), {"model": {"source": {"modelScope": {"revision": "v2"}}}}),
    "another claim of a service": (service(), {"cache": {"claimName": "other"}}),
    "from a template to a claim": (service(cache=TEMPLATE), {"cache": {"claimTemplate": None, "claimName": "w"}}),
    "from a source to a cacheRef": (
        service(),
        {"model": {"source": None, "cacheRef": {"name": "c"}}, "cache": None},
    ),
    "more connections for a cache": (cache(digest=DIGEST), {"download": {"parallelism": 16}}),
    "another way to the network": (
        cache(download={"bytesPerSecond": "1Mi"}),
        {"download": {"bytesPerSecond": 0, "proxy": {"https": "http://proxy:3128", "noProxy": ".svc"}}},
    ),
    "a proxy that wants a password": (
        cache(download={"bytesPerSecond": "1Mi"}),
        {"download": {"proxy": {"secretRef": {"name": "site-proxy", "key": "proxy"}, "noProxy": ".svc"}}},
    ),
    **refused_jobs.ALLOWED_CHANGES,
}


@pytest.mark.parametrize(("manifest", "patch"), ALLOWED_CHANGES.values(), ids=ALLOWED_CHANGES.keys())
def test_a_change_that_can_be_honoured_is_accepted(kubectl: Kubectl, manifest: Manifest, patch: Manifest) -> None:
    assert "patched" in change(kubectl, manifest, patch)


def change(kubectl: Kubectl, manifest: Manifest, patch: Manifest) -> str:
    """Store a manifest, then merge a patch into its spec."""
    kubectl("create", "-n", NAMESPACE, "-f", "-", input=as_yaml(manifest))
    stored = f"{manifest['kind'].lower()}/{manifest['metadata']['name']}"
    try:
        return kubectl("patch", "-n", NAMESPACE, stored, "--type=merge", "-p", json.dumps({"spec": patch}))
    finally:
        kubectl("delete", "-n", NAMESPACE, stored)
